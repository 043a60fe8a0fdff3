"""Benchmarks: ours beside named peers, floors and roofs (`beside` says how).

    make bench            (or: python benchmarks/run.py --rounds 5 --only ingest --only delta)

Each result is kept as it comes, in benchmarks/results/ (results.json, results.md, results.png); a benchmark that was
not asked for keeps the result it had.
"""

import argparse
from pathlib import Path

import decoding
import encoding
import gpus
import ingesting
import neighbours
import refreshing
import report
import shelving
import towers
import uploading
import validation
from beside import measure, run_here

from pluribus import models

MODULES = [ingesting, validation, shelving, uploading, decoding, encoding, towers, neighbours, refreshing]
if models.gpus() or gpus.SMALL:
    MODULES.append(gpus)
BENCHMARKS = {name: benchmark for module in MODULES for name, benchmark in module.BENCHMARKS.items()}


def main() -> None:
    """Run the benchmarks; keep and print their table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=0, help="of each; as each says where 0")
    parser.add_argument("--only", action="append", choices=BENCHMARKS, help="may be given again")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.side:
        run_here(BENCHMARKS[asked.only[0]], asked.side, asked.folder)
        return
    for name in asked.only or BENCHMARKS:
        report.keep(name, measure(name, BENCHMARKS[name], asked.rounds or BENCHMARKS[name].rounds), list(BENCHMARKS))
    print(report.table())


if __name__ == "__main__":
    main()
