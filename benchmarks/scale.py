"""Many shops in one run: nothing lost, and what a shop costs beside its own work.

    make scale SHOPS=1000 PRODUCTS=200      three runs: the first; one after 1 % of the products of each shop (at
                                            least one) got new titles; one in which nothing changed
    make packing                            100 small shops in one run, and one by one (10 of them, times 10)

Every shop has a catalog of its own by the demo's generator. Drawing 200,000 pictures would take hours, so some hundred
drawn ones are tinted anew for each product: contents differ, as they do between real shops. The folder is kept and can
be looked at (`pluribus --config <folder>/config status`); `--runs changed` repeats one run upon what is there.

Overhead is what of the wall time, times workers, no shop's stage used (Metaflow, start-up, cards, reports, model
loads), and what the first shops of the tasks took longer than the median one: their stages' imports.
"""

import argparse
import csv
import hashlib
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

from PIL import Image

from pluribus import demo, render
from pluribus.plots import STAGES

ROOT = Path(__file__).resolve().parents[1]
SIDE_PX = 96
COLUMNS = ("id", "title", "description", "brand", "category", "colour", "price", "image")
KINDS = ("atelier", "hearth", "outpost")


def main() -> None:
    """Generate, run, print and keep one row a run."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--shops", type=int, default=1000)
    ask.add_argument("--products", type=int, default=200)
    ask.add_argument("--folder", type=Path, default=ROOT / ".scale")
    ask.add_argument("--workers", type=int, default=2)
    ask.add_argument("--runs", default="first,changed,unchanged", help="which of these; or packing")
    asked = ask.parse_args()
    asked.folder = asked.folder.absolute()
    generate(asked.folder, asked.shops, asked.products, asked.workers)
    if asked.runs == "packing":
        return print(json.dumps(packing(asked)))
    results = asked.folder / f"results-{asked.shops}x{asked.products}.json"
    rows = json.loads(results.read_text()) if results.exists() else {}
    for name in asked.runs.split(","):
        if name == "first":
            shutil.rmtree(asked.folder / "store", ignore_errors=True)
            rows = {}
        elif name == "changed":
            change(asked.folder)
        before = code()
        rows[name] = row(asked)
        if code() != before:
            raise SystemExit("the code changed during the run: what came of it is worth nothing")
        rows[name]["of the first"] = round(rows[name]["wall s"] / rows["first"]["wall s"], 3)
        results.write_text(json.dumps(rows, indent=1))
        print(json.dumps({"run": name} | rows[name]), flush=True)
    return None


def code() -> str:
    """A digest of everything that decides what a run does: with other code, an unchanged shop is not unchanged."""
    folders = [ROOT / name for name in ("lib", "flows", "expectations", "config/models")]
    files = sorted(file for folder in folders for file in folder.rglob("*.[pjt]*[ynml]") if file.is_file())
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def generate(folder: Path, n_shops: int, n_products: int, workers: int) -> None:
    """Feeds, pictures and configuration, unless they are there already."""
    stamp = folder / "generated.json"
    wanted = json.dumps([n_shops, n_products])
    if not (stamp.exists() and stamp.read_text() == wanted):
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "config" / "shops").mkdir(parents=True)
        with ProcessPoolExecutor(workers) as pool:
            list(pool.map(shop, [folder] * n_shops, range(n_shops), [n_products] * n_shops, chunksize=8))
    config = f'store = "../store"\ndata_root = "../feeds"\nmodels = "{ROOT}/config/models"\n'
    config += f'expectations = "{ROOT}/expectations"\n[run]\nworkers = {workers}\n'
    (folder / "config" / "pluribus.toml").write_text(config)
    stamp.write_text(wanted)


def shop(folder: Path, number: int, n_products: int) -> None:
    """One shop: a CSV, a zip of pictures, a file of configuration."""
    kind, name = KINDS[number % 3], f"shop-{number:05}"
    place = folder / "feeds" / name
    place.mkdir(parents=True)
    products = [p for p in demo.catalog(kind, number + 2, max(n_products, 12)) if not p.fault][:n_products]
    with zipfile.ZipFile(place / "pictures.zip", "w") as archive, (place / "feed.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for n, product in enumerate(products):
            row, picture = product.row, f"{n}.jpg"
            about = (row.id, row.title, row.description, row.brand, row.category, row.colour, row.price, picture)
            writer.writerow(about)
            archive.writestr(zipfile.ZipInfo(picture), tinted(product.item.kind, product.item.colour.rgb, number, n))
    text = '[[feeds]]\nsource = "{0}/feed.csv"\ncurrency = "EUR"\n[images]\nsource = "{0}/pictures.zip"\n'
    (folder / "config" / "shops" / f"{name}.toml").write_text(text.format(name))


def tinted(kind: str, rgb: Sequence[int], number: int, n: int) -> bytes:
    """A drawn picture of this kind near this colour, tinted by a shade that no other product has."""
    shade = (number * 7919 + n * 104_729) % 0xFFFFFF
    drawn = min(drawn_pictures(kind), key=lambda one: sum((a - b) ** 2 for a, b in zip(one[0], rgb, strict=True)))[1]
    veil = Image.new("RGB", drawn.size, (shade >> 16, (shade >> 8) & 255, shade & 255))
    buffer = io.BytesIO()
    Image.blend(drawn, veil, 0.06).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


@cache
def drawn_pictures(kind: str) -> list[tuple[Sequence[int], Image.Image]]:
    """Twelve pictures of a kind in colours of their own."""
    vertical = next(v for v, kinds in render.VERTICALS.items() if kind in kinds)
    items = [render.sample(vertical, seed, kind) for seed in range(12)]
    return [(item.colour.rgb, render.draw(item, SIDE_PX)) for item in items]


def change(folder: Path) -> None:
    """New titles for the first 1 % of every shop's products, at least one."""
    for feed in sorted((folder / "feeds").glob("*/feed.csv")):
        rows = list(csv.reader(feed.open(newline="")))
        for line in rows[1 : 1 + max(1, len(rows) // 100)]:
            line[1] = f"New {line[1]}"
        with feed.open("w", newline="") as file:
            csv.writer(file).writerows(rows)


def refresh(asked: argparse.Namespace, *more: str) -> dict[str, Any]:
    """One run's report."""
    command = [sys.executable, "-W", "ignore", "-c", "from pluribus.cli import main; main()"]
    command += ["--config", str(asked.folder / "config"), "refresh", "--json", *more]
    env = os.environ | {"METAFLOW_DATASTORE_SYSROOT_LOCAL": str(asked.folder)}
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=False)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def row(asked: argparse.Namespace) -> dict[str, Any]:
    """One run's figures."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    report = refresh(asked)
    wall_s, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    jobs, worked_s = report["jobs"], wall_s * asked.workers
    stages = {stage: [job["seconds"][stage] for job in jobs if stage in job["seconds"]] for stage in STAGES}
    tasks = max(1, len(report["loads"]))
    start_s = sum(sum(sorted(took)[-tasks:]) - tasks * median(took) for took in stages.values() if took)
    overhead_s = worked_s - sum(map(sum, stages.values())) + start_s
    return {
        "shops": len(jobs),
        "lost": asked.shops - len(jobs),
        **dict(Counter(job["state"] for job in jobs)),
        "rows": sum(job["counts"].get("rows", 0) for job in jobs),
        "embedded": sum(job["counts"].get("embedded", 0) for job in jobs),
        "wall s": round(wall_s, 1),
        "CPU s": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "peak MB of a process": after.ru_maxrss // 1024,
        "tasks a step": tasks,
        "overhead share": round(overhead_s / worked_s, 3),
        "overhead s a shop": round(overhead_s / asked.workers / max(1, len(jobs)), 3),
        "stage s": {stage: round(sum(took), 1) for stage, took in stages.items() if took},
    }


def packing(asked: argparse.Namespace) -> dict[str, Any]:
    """Seconds of the embed step's tasks, start-up and model load included: all shops in one run, and one by one.

    One by one are a tenth of the shops, multiplied by 10; before each side the store is emptied, and one shop more goes
    first, because the first run of a store also measures the model.
    """
    names = sorted(file.stem for file in (asked.folder / "config" / "shops").glob("*.toml"))
    sides = {"one run": [names[1:]], "run by run": [[name] for name in names[1 :: len(names) // 10][:10]]}
    asked_s = {}
    for side, runs in sides.items():
        shutil.rmtree(asked.folder / "store", ignore_errors=True)
        refresh(asked, "--shops", names[0])
        asked_s[side] = [embed_s(asked, refresh(asked, "--shops", ",".join(one))["run"]) for one in runs]
    shops, alone_s = len(names) - 1, sum(asked_s["run by run"]) / 10
    return {
        "shops": shops,
        "products a shop, at most": asked.products,
        "embed s of one run": round(asked_s["one run"][0], 2),
        "embed s of a run of one shop": round(alone_s, 2),
        "times less": round(shops * alone_s / asked_s["one run"][0], 1),
    }


def embed_s(asked: argparse.Namespace, run: str) -> float:
    """From the start to the end of a run's embed tasks, by Metaflow's own records, summed."""
    os.environ["METAFLOW_DATASTORE_SYSROOT_LOCAL"] = str(asked.folder)
    from metaflow import Step, namespace

    namespace(None)
    seconds = [(task.finished_at - task.created_at).total_seconds() for task in Step(f"RefreshFlow/{run}/embed")]
    return float(sum(seconds))


if __name__ == "__main__":
    main()
