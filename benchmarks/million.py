"""One shop of a million products through every stage, each in a process of its own: time, memory, growth.

    make million PRODUCTS=1000000

Embedding a million products takes hours on two cores, so vectors are generated: of 1,000 clusters, a product's text
near its title, so that the gate has something to judge. Everything else is the real stage on real files. A tenth of
the products goes first; the exponent says how time grows (1: ten times the products, ten times). "again" is a second
delivery of all products beside the live release, one in a hundred with another title and price. A call that is cut
short goes on where it was.

Memory is told twice. "peak MB" is what the kernel cannot take back while the stage runs: anonymous memory (RssAnon),
looked at a hundred times a second, so that a shorter peak can be missed. "with files" is the peak of all resident
pages (ru_maxrss); it counts mapped files too (a release's vectors, libraries), whose pages the kernel drops when others
need the room.
"""

import argparse
import csv
import hashlib
import json
import math
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import report

from pluribus import (
    build,
    contracts,
    embed,
    evaluate,
    indexes,
    ingest,
    models,
    publish,
    releases,
    search,
    settings,
    validate,
)
from pluribus.manifests import File
from pluribus.records import Feed, Fusion, Gate, Images, Index, Limits
from pluribus.store import open_store

ROOT = Path(__file__).resolve().parents[1]
DELIVERY = ("ingest", "validate", "embed", "build", "evaluate", "publish")
STAGES = (*DELIVERY, "search", *(f"{name}, again" for name in DELIVERY))
#: Of the notes of a stage.
SHOWN = {"build": ("recall", "why", "index began"), "evaluate": ("verdict", "compared"), "search": ("found",)}
FEEDS = ("feed.csv", "again.csv")
CHANGED = 0.01  # of the products, in the second delivery: another title and price
SHOP = "million"
QUERIES = 100
KINDS = ("dress", "shirt", "boot", "lamp", "vase", "sofa", "tent", "rucksack", "mug", "clock")
COLOURS = ("red", "blue", "green", "black", "white", "grey", "brown", "pink")


class Generated:
    """An encoder whose vectors are drawn, not computed: near each other where texts begin alike."""

    width = 192

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.centres = rng.standard_normal((1_000, self.width)).astype(np.float32)
        self.spread = rng.standard_normal((256, self.width)).astype(np.float32) / 16

    def texts(self, said: Sequence[str]) -> np.ndarray:
        """Unit vectors [n, width]: a cluster and a place in it by the title, a little of everything said."""
        titles = [hashlib.sha256(text.split(". ")[0].encode()).digest() for text in said]
        wholes = [hashlib.sha256(text.encode()).digest() for text in said]
        cluster = np.array([int.from_bytes(digest[:2], "big") % 1_000 for digest in titles])
        rows = self.centres[cluster] + 0.5 * self._noise(titles) + 0.1 * self._noise(wholes)
        unit: np.ndarray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit

    def _noise(self, digests: list[bytes]) -> np.ndarray:
        bits = np.unpackbits(np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32), axis=1)
        noise: np.ndarray = (2 * bits.astype(np.float32) - 1) @ self.spread
        return noise


def main() -> None:
    """All stages at a tenth and at the whole, or one stage (in a child). What was measured is not measured again."""
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--products", type=int, default=1_000_000)
    ask.add_argument("--folder", type=Path, default=ROOT / ".scale" / "million")
    ask.add_argument("--anew", action="store_true", help="forget what earlier calls measured")
    ask.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    asked = ask.parse_args()
    if asked.stage:
        stage(asked.stage, asked.folder)
        return
    if asked.anew:
        shutil.rmtree(asked.folder, ignore_errors=True)
    small, large = (of(asked.folder / str(n), n) for n in (asked.products // 10, asked.products))
    told = table(small, large)
    print(told)
    if asked.products == 1_000_000:
        (Path(__file__).parent / "results" / "million.md").write_text(told + "\n")


def table(small: dict[str, Any], large: dict[str, Any]) -> str:
    """A line a stage: a tenth of the products, all of them, and how time and memory grow."""
    heads = ("stage", "CPU-s, a tenth", "all", "grows by", "exponent",
             "peak MB, a tenth", "all", "grows by", "with files, a tenth", "all", "grows by")  # fmt: skip
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for name, few in small.items():
        many = large[name]
        time_s = max(0.01, many["CPU s"]) / max(0.01, few["CPU s"])
        cells = [name, f"{few['CPU s']:.1f}", f"{many['CPU s']:.1f}", f"{time_s:.1f}×", f"{math.log10(time_s):.2f}"]
        for peak in ("peak MB", "with files MB"):
            cells += [f"{few[peak]:,}", f"{many[peak]:,}", f"{many[peak] / few[peak]:.1f}×"]
        lines.append("| " + " | ".join(cells) + " |")
        if few.get("before index MB"):
            before = [of_it["before index MB"] for of_it in (few, many)]
            cells = [
                f"{name}: before its index",
                *4 * [""],
                *map(str, before),
                f"{before[1] / before[0]:.1f}×",
                *3 * [""],
            ]
            lines.append("| " + " | ".join(cells) + " |")
    made, judged = large["build"], large["evaluate, again"]
    said = f"Index: {made['why']}; recall@10 {made['recall']}; verdict beside the live release: {judged['verdict']}"
    said += f", {len(judged['compared'])} comparisons."
    said += f" Of {QUERIES} titles {large['search']['found']} find their own product among 10. {report.machine()}."
    return "\n".join([*lines, "", said])


def of(folder: Path, n_products: int) -> dict[str, dict[str, Any]]:
    """Every stage for a shop of this size, in order; a folder that has some of them goes on from there."""
    kept = folder / "measured.json"
    found: dict[str, dict[str, Any]] = json.loads(kept.read_text()) if kept.exists() else {}
    if not found:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for again, name in enumerate(FEEDS):
            feed(folder / name, n_products, bool(again))
    for name in STAGES[len(found) :]:
        command = [sys.executable, "-W", "ignore", __file__, "--stage", name, "--folder", str(folder)]
        began = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            seen = anonymous_mb(child)
            told = json.loads(child.communicate()[0] or "{}")
        assert child.returncode == 0, f"{name} failed"
        found[name] = told | {"peak MB": max(seen.values()), "wall s": round(time.perf_counter() - began, 1)}
        if began_index := told.get("index began"):
            found[name]["before index MB"] = max(mb for at, mb in seen.items() if at < began_index)
        print(json.dumps({"products": n_products, "stage": name, **found[name]}), flush=True)
        kept.write_text(json.dumps(found))
    return found


def anonymous_mb(child: subprocess.Popen[str]) -> dict[float, int]:
    """The anonymous memory of a process at moments (`time.monotonic`) until it ends."""
    found, status = {time.monotonic(): 0}, Path(f"/proc/{child.pid}/status")
    while child.poll() is None:
        lines = [line for line in status.read_text().splitlines() if line.startswith("RssAnon:")]
        found |= {time.monotonic(): int(line.split()[1]) // 1024 for line in lines}
        time.sleep(0.01)
    return found


def feed(path: Path, n_products: int, again: bool) -> None:
    """A CSV of products whose titles all differ."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "title", "description", "category", "price"))
        writer.writerows(rows(n_products, again))


def rows(n_products: int, again: bool = False) -> Iterator[tuple[object, ...]]:
    """Ten kinds in eight colours, and a number that makes each title its own; `again`: CHANGED of them changed."""
    for n in range(n_products):
        kind, colour = KINDS[n % 10], COLOURS[n // 10 % 8]
        changed = again and n % int(1 / CHANGED) == 0
        title, price = f"{colour} {kind} {n:x}", 5 + n % 200
        if changed:
            title, price = f"{title} improved", price + 10
        yield n, title, f"A {colour} {kind}, made to last. Model {n}.", f"All > {kind}", f"{price}.95"


class Work:
    """The shop as a stage finds it, and the notes that each stage leaves for the next. `again`: the second delivery."""

    def __init__(self, folder: Path, again: bool) -> None:
        self.folder, self.again = folder, again
        self.release = "two" if again else "one"
        self.store = open_store(str(folder / "store"))
        self.own = self.store.within(f"shops/{SHOP}")
        kept = folder / "notes.json"
        self.notes: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
        self.configured = settings.load(str(ROOT / "config"))
        self.model = self.configured.models["mini"]
        self.asked: dict[str, Any] = {"model": self.model, "fingerprint": models.register(self.store, self.model)}

    def ingest(self) -> None:
        read = Feed(source=(str(self.folder / FEEDS[self.again]),), currency="EUR")
        taken = ingest.ingest(self.own, feeds=(read,), images=Images(), limits=Limits(), now=datetime.now(UTC))
        self.notes |= {"snapshot": taken.id, "asof": taken.asof}

    def validate(self) -> None:
        suites = contracts.suites(open_store(self.configured.expectations), "")
        at = {"snapshot": self.notes["snapshot"], "rows_key": ingest.rows_key(self.notes["snapshot"])}
        live = self.notes["accepted"] if self.again else 0
        judged = validate.validate(self.own, suites=suites, limits=Limits(), live_products=live, **at)
        self.notes |= {"products": judged.key + "products.parquet", "accepted": judged.accepted}

    def embed(self) -> None:
        embed.embed(self.own, products_key=self.notes["products"], encoder=Generated, **self.asked)

    def build(self) -> None:
        def noted(*given: Any, **named: Any) -> indexes.Built:
            self.notes["index began"] = time.monotonic()
            return wanted(*given, **named)

        wanted = indexes.build
        how = {"products_key": self.notes["products"], "fusion": Fusion(), "index": Index()}
        with mock.patch.object(indexes, "build", noted):
            made = build.build(self.own, release=self.release, **how, **self.asked)
        files = {file: vars(of_it) for file, of_it in made.files.items()}
        self.notes |= {"files": files, "recall": made.recall, "why": made.why}

    def evaluate(self) -> None:
        live = releases.open_release(self.own, shop=SHOP) if self.again else None
        found, file = evaluate.evaluate(self.own, release=self.release, live=live, gate=Gate(), **self.asked)
        self.notes["files"]["evaluation.json"] = vars(file)
        compared = [one["name"] for one in found.comparison]
        self.notes |= {"verdict": found.verdict.outcome, "compared": compared}

    def publish(self) -> None:
        facts = {"fingerprint": self.asked["fingerprint"], "width": self.model.width, "model": "mini"}
        facts["products"] = self.notes["accepted"]
        files = {file: File(**of_it) for file, of_it in self.notes["files"].items()}
        sealed = {"asof": self.notes["asof"], "input_key": str(int(self.again)) * 64, "facts": facts}
        publish.seal(self.own, shop=SHOP, release=self.release, files=files, **sealed)
        assert publish.publish(self.own, shop=SHOP, release=self.release, why="benchmark") == "published"

    def search(self) -> None:
        opened = search.open(self.store, SHOP)
        titles = [str(row[1]) for row in rows(QUERIES)]
        hits = [opened.near(Generated().texts([title]), k=10) for title in titles]
        found = sum(str(n) in [hit.product_id for hit in of] for n, of in enumerate(hits))
        assert found >= Index().recall_at_10 * QUERIES, found
        self.notes["found"] = found


def stage(name: str, folder: Path) -> None:
    """One stage on what the stages before it left; prints its time and memory."""
    verb, _, again = name.partition(", ")
    work = Work(folder, bool(again))
    began = resource.getrusage(resource.RUSAGE_SELF)
    getattr(work, verb)()
    (folder / "notes.json").write_text(json.dumps(work.notes))
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = after.ru_utime + after.ru_stime - began.ru_utime - began.ru_stime
    shown = {key: work.notes[key] for key in SHOWN.get(verb, ())}
    print(json.dumps({"CPU s": round(cpu_s, 2), "with files MB": after.ru_maxrss // 1024, **shown}))


if __name__ == "__main__":
    main()
