"""Generated products as a feed that every stage reads.

FOLDER/products.jsonl     a row a product: title, colour, category, prompt, seed; column records.GENERATED says who drew
FOLDER/pictures/<id>.jpg  each with the same mark as its JPEG comment
FOLDER/generated.json     generator and its digest, judge, grid, how often pictures and wishes agreed
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pluribus.errors import ConfigError
from pluribus.generate.grid import Drawn, Generator, Grid, Wish, told
from pluribus.records import GENERATED

PRODUCTS, PICTURES, REPORT = "products.jsonl", "pictures", "generated.json"


def write(folder: Path, generator: Generator, grid: Grid, found: Drawn, **facts: Any) -> Path:
    """Write the accepted products, the report last; returns the feed. Raises ConfigError where there is one already."""
    feed = folder / PRODUCTS
    if feed.exists():
        raise ConfigError(f"there are products in {folder} already", do="choose another folder")
    (folder / PICTURES).mkdir(parents=True, exist_ok=True)
    rows = []
    for wish, jpeg in found.accepted:
        name = f"gen-{generator.digest[:6]}-{wish.seed}"
        row = _row(name, wish, generator.mark)
        (folder / PICTURES / row["image"]).write_bytes(marked(jpeg, json.dumps(row)))
        rows.append(row)
    feed.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    report = {GENERATED: generator.mark, "grid": asdict(grid), "products": len(rows), "agreed": told(found), **facts}
    (folder / REPORT).write_text(json.dumps(report, indent=1), encoding="utf-8")
    return feed


def marked(jpeg: bytes, text: str) -> bytes:
    """The JPEG with a comment: a segment after the first marker, at most 65,533 bytes of it."""
    comment = text.encode()[:65_533]
    return jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2) + comment + jpeg[2:]


def _row(name: str, wish: Wish, mark: str) -> Mapping[str, str]:
    return {"id": name, "title": wish.words, "category": wish.kind, "color": wish.colour, "pattern": wish.pattern,
            "image": f"{name}.jpg", "prompt": wish.prompt, "seed": str(wish.seed), GENERATED: mark}  # fmt: skip
