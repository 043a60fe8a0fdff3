"""Many shops in one run: nothing lost, and what a shop costs beside its own work.

    make scale SHOPS=1000 PRODUCTS=200

Every shop has a catalog of its own by the demo's generator. Drawing 200,000 pictures would take hours, so some hundred
drawn ones are tinted anew for each product: contents differ, as they do between real shops. Three runs: the first; one
after 1 % of the products of each shop got new titles; one in which nothing changed. The folder is kept and can be
looked at (`pluribus --config <folder>/config status`); a new SHOPS or PRODUCTS starts anew.

Overhead is what of the wall time, times workers, no shop's stage used: Metaflow, start-up, cards, reports.
"""

import argparse
import csv
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

from PIL import Image

from pluribus import demo, render

ROOT = Path(__file__).resolve().parents[1]
SIDE_PX = 96
COLUMNS = ("id", "title", "description", "brand", "category", "colour", "price", "image")
KINDS = ("atelier", "hearth", "outpost")


def main() -> None:
    """Generate, run three times, print and keep one row a run."""
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--shops", type=int, default=1000)
    ask.add_argument("--products", type=int, default=200)
    ask.add_argument("--folder", type=Path, default=ROOT / ".scale")
    ask.add_argument("--workers", type=int, default=2)
    asked = ask.parse_args()
    generate(asked.folder, asked.shops, asked.products, asked.workers)
    shutil.rmtree(asked.folder / "store", ignore_errors=True)
    rows = [row("first", asked)]
    change(asked.folder)
    rows += [row("1 % changed", asked), row("unchanged", asked)]
    rows[2]["of the first"] = round(rows[2]["wall s"] / rows[0]["wall s"], 3)
    (asked.folder / "results.json").write_text(json.dumps(rows, indent=1))
    for one in rows:
        print(json.dumps(one))


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


def row(name: str, asked: argparse.Namespace) -> dict[str, object]:
    """One run, and its figures."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-W", "ignore", "-c", "from pluribus.cli import main; main()"]
    command += ["--config", str(asked.folder / "config"), "refresh", "--json"]
    env = os.environ | {"METAFLOW_DATASTORE_SYSROOT_LOCAL": str(asked.folder)}
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=False)
    wall_s, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    jobs = json.loads(done.stdout)["jobs"]
    states = Counter(job["state"] for job in jobs)
    stage_s = {s: sum(job["seconds"].get(s, 0) for job in jobs) for s in jobs[0]["seconds"] | jobs[-1]["seconds"]}
    overhead_s = wall_s * asked.workers - sum(stage_s.values())
    return {
        "run": name,
        "shops": len(jobs),
        "lost": asked.shops - len(jobs),
        **dict(states),
        "rows": sum(job["counts"].get("rows", 0) for job in jobs),
        "embedded": sum(job["counts"].get("embedded", 0) for job in jobs),
        "wall s": round(wall_s, 1),
        "CPU s": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "peak MB of a process": after.ru_maxrss // 1024,
        "overhead share": round(overhead_s / (wall_s * asked.workers), 3),
        "overhead s a shop": round(overhead_s / asked.workers / max(1, len(jobs)), 3),
        "stage s": {stage: round(seconds, 1) for stage, seconds in stage_s.items()},
    }


if __name__ == "__main__":
    main()
