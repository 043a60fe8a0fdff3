"""Refreshes: what of a full one an unchanged catalog costs, and one of which 1 % changed; and Metaflow's own share.

The shop has 5,000 products with pictures (`scale` draws them), the model is ViT-B/32 with random weights, so the gate's
floors are off. Encoder calls are contents encoded: they count the work that no faster machine can hide. What a run
costs whatever its size (Metaflow, imports) weighs the more, the smaller the shop.
"""

import csv
import json
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import scale
import towers
from beside import Benchmark, Goal, counted

from pluribus.models.weights import sha256_of

ROOT = Path(__file__).resolve().parents[1]
PRODUCTS, STEPS = 5_000, 9
MODEL = 'weights = "{0}"\nsha256 = "{1}"\nwidth = 512\nlicence = ""\narchitecture = "{2}"\n'
NO_FLOORS = 'model = "vit"\n[gate]\nproduct_hits_at_5 = 0.0\npicture_lift_at_5 = 0.0\n'
NOTHING = """
from metaflow import FlowSpec, step
class Nothing(FlowSpec):
    @step
    def start(self): self.next(self.s1)
{steps}
    @step
    def end(self): pass
if __name__ == "__main__": Nothing()
"""


def write(folder: Path) -> None:
    """The shop under the large model, refreshed once."""
    towers.write(folder)
    scale.generate(folder / "shop", 1, PRODUCTS, 2)
    config = folder / "shop" / "config"
    (config / "models").mkdir()
    weights = Path(towers.model().weights)
    (config / "models" / "vit.toml").write_text(MODEL.format(weights, sha256_of(weights), towers.NAME))
    (config / "pluribus.toml").write_text(
        (config / "pluribus.toml").read_text().replace(f"{ROOT}/config/models", str(config / "models"))
    )
    (shop,) = (config / "shops").glob("*.toml")
    shop.write_text(NO_FLOORS.replace("[gate]", shop.read_text() + "[gate]"))
    refresh(folder, "live")


def refresh(folder: Path, store: str) -> dict[str, Any]:
    """One run into this store: its CPU-seconds, and how much was encoded."""
    environment = os.environ | {
        "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(folder / "metaflow"),
        "XDG_CACHE_HOME": str(towers.KEPT / "cache"),
    }
    command = [sys.executable, "-W", "ignore", "-c", "from pluribus.cli import main; main()"]
    command += ["--config", str(folder / "shop" / "config"), "--store", str(folder / store), "refresh", "--json"]
    with counted() as took:
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    (job,) = json.loads(done.stdout)["jobs"]
    return took.of | {"state": job["state"], "encoded": job["counts"].get("embedded", 0)}


def again(folder: Path) -> dict[str, Any]:
    """The same delivery once more; then one in which 1 % of the products have titles never seen."""
    same = refresh(folder, "live")
    assert same["state"] == "unchanged", same
    feed = next((folder / "shop" / "feeds").glob("*/feed.csv"))
    rows = list(csv.reader(feed.open(newline="")))
    for line in rows[1 : 1 + PRODUCTS // 100]:
        line[1] = f"{line[1].split(' of ')[0]} of {uuid.uuid4().hex[:6]}"
    with feed.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    changed = refresh(folder, "live")
    assert changed["state"] == "published", changed
    return same | {f"{of}, 1 % changed": changed[of] for of in ("CPU-s", "encoded")}


def full(folder: Path) -> dict[str, Any]:
    """The whole catalog into an empty store."""
    store = f"full-{uuid.uuid4().hex[:8]}"
    took = refresh(folder, store)
    assert took["state"] == "published", took
    shutil.rmtree(folder / store)
    return took | {f"{of}, 1 % changed": took[of] for of in ("CPU-s", "encoded")}


def write_demo(folder: Path) -> None:
    """A small shop under mini, refreshed once; a flow of as many steps that do nothing."""
    scale.generate(folder / "shop", 1, 40, 1)
    refresh(folder, "live")
    steps = "\n".join(
        f"    @step\n    def s{n}(self): self.next(self.{f's{n + 1}' if n < STEPS - 2 else 'end'})"
        for n in range(1, STEPS - 1)
    )
    (folder / "nothing.py").write_text(NOTHING.format(steps=steps))


def tasks_ours(folder: Path) -> dict[str, Any]:
    """An unchanged refresh, from the command to its report, cards included."""
    took = refresh(folder, "live")
    return took | {"CPU-s a task": took["CPU-s"] / STEPS}


def tasks_bare(folder: Path) -> dict[str, Any]:
    """Metaflow's own."""
    environment = os.environ | {"METAFLOW_DATASTORE_SYSROOT_LOCAL": str(folder / "bare"), "USERNAME": "bench"}
    with counted() as took:
        subprocess.run([sys.executable, folder / "nothing.py", "--quiet", "run"], env=environment, check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip
    return took.of | {"CPU-s a task": took.of["CPU-s"] / STEPS}


FULL = "a full refresh"
BENCHMARKS = {
    "refresh": Benchmark(
        f"{PRODUCTS:,} products under ViT-B/32: unchanged, and 1 % changed", write, again, {FULL: full},
        (Goal(peer=FULL, most=0.05), Goal("encoded", FULL, most=0.0), Goal("CPU-s, 1 % changed", FULL, most=0.08),
         Goal("encoded, 1 % changed", FULL, most=0.08)), rounds=3,
    ),
    "orchestration": Benchmark(
        "an unchanged refresh of 40 products, 9 steps", write_demo, tasks_ours, {"9 empty steps": tasks_bare},
        (Goal("CPU-s a task", most=0.5), Goal("CPU-s a task", "9 empty steps", most=2)),
    ),
}  # fmt: skip
