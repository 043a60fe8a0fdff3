"""Whether one shop of a hundred times the others' size delays them.

    make fairness

Eight small shops are refreshed from nothing, without and with the large one beside them, in turns. What counts is when
the last small shop went live, since the run began. The target is at most 1.2 times.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path

from scale import generate, shop

from pluribus import releases
from pluribus.store import open_store

SMALL, LARGE = "shop-{:05}", 99_999


def main() -> None:
    """Generate, run in turns, print each round and the median ratio."""
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--shops", type=int, default=8)
    ask.add_argument("--products", type=int, default=60)
    ask.add_argument("--times", type=int, default=100)
    ask.add_argument("--rounds", type=int, default=3)
    asked = ask.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder, ratios = Path(made), []
        generate(folder, asked.shops, asked.products, workers=2)
        shop(folder, LARGE, asked.products * asked.times)
        names = [SMALL.format(n) for n in range(asked.shops)]
        for _ in range(asked.rounds):
            alone_s = last_live(folder, names, names)
            beside_s = last_live(folder, names, [*names, SMALL.format(LARGE)])
            ratios.append(beside_s / alone_s)
            told = f"the last of {asked.shops} small shops live after {alone_s:.1f} s alone, {beside_s:.1f} s beside"
            print(f"{told} one {asked.times} times their size: {ratios[-1]:.2f}", flush=True)
        print(f"median {statistics.median(ratios):.2f} of {asked.rounds} rounds")


def last_live(folder: Path, names: list[str], refreshed: list[str]) -> float:
    """Seconds from the start of a refresh, into an empty store, until the last of these shops was live."""
    shutil.rmtree(folder / "store", ignore_errors=True)
    command = [sys.executable, "-W", "ignore", "-c", "from pluribus.cli import main; main()"]
    command += ["--config", str(folder / "config"), "refresh", "--shops", ",".join(refreshed)]
    env = os.environ | {"METAFLOW_DATASTORE_SYSROOT_LOCAL": str(folder)}
    began = datetime.now().astimezone()
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)
    store = open_store(str(folder / "store"))
    live = [releases.current(store.within(f"shops/{name}"), shop=name) for name in names]
    return max((datetime.fromisoformat(found.at) - began).total_seconds() for found in live if found)


if __name__ == "__main__":
    main()
