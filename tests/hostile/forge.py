"""Runs cases, each in a process of its own, forked from one that has imported everything.

stdin: "<case> <folder>", a line each      stdout: {"outcome": …, "peak_mb": …, "cpu_s": …}, a line each
"""

import json
import os
import resource
import signal
import sys
import traceback
from pathlib import Path

#: Beyond these a case fails. Memory: what it may address, a backstop well above the peak that is asserted.
CPU_S, CLOCK_S, ADDRESSES_BYTES = 20, 120, 6 * 2**30


def main() -> None:
    """Read, fork, answer, until the tests go."""
    from hostile.corpus import CASES

    warm()
    for line in sys.stdin:
        number, folder = line.split(" ", 1)
        print(json.dumps(forked(CASES[int(number)].run, Path(folder.strip()))), flush=True)


def warm() -> None:
    """Import what cases would import, so that their time and memory are their own."""
    import duckdb
    import faiss
    import great_expectations
    import httpx
    import pyarrow.csv
    import pyarrow.parquet

    from pluribus import images, indexes, ingest, releases, settings, validate, web

    assert all([duckdb, faiss, great_expectations, httpx, pyarrow, images, indexes, ingest, releases, settings])
    assert validate and web


def forked(run, folder: Path) -> dict[str, object]:  # type: ignore[no-untyped-def]
    """Run one case in a child; its outcome and what it took."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S + 1))
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES_BYTES, ADDRESSES_BYTES))
        signal.alarm(CLOCK_S)
        try:
            outcome = run(folder)
        except BaseException:  # noqa: BLE001  a foreign exception is an outcome too: the wrong one
            outcome = "raised " + traceback.format_exc(limit=-4)
        with os.fdopen(writing, "w", errors="backslashreplace") as pipe:
            pipe.write(outcome)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        outcome = pipe.read()
    _, status, used = os.wait4(child, 0)
    if status:
        outcome = f"died of signal {os.WTERMSIG(status)}"
    return {"outcome": outcome, "peak_mb": used.ru_maxrss / 1024, "cpu_s": used.ru_utime + used.ru_stime}


if __name__ == "__main__":
    main()
