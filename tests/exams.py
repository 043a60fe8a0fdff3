"""A drawn shop as an evaluation meets it: pictures on the shelf, vectors by the real model, and no feed around it."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
from PIL import Image

from pluribus import build, demo, embed, models, pictures, releases, render, settings, tables, vectors
from pluribus.evaluate import exam as exams
from pluribus.evaluate import gate as judging
from pluribus.publish import seal
from pluribus.records import Fusion, Gate, Index, Model
from pluribus.schemas import PICTURE, SNAPSHOT
from pluribus.store import Store, open_store

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROOT = Path(__file__).parents[1]
SHOP = "drawn"


@dataclass
class Bench:
    """One shop's store, the model, and the rows of its catalog."""

    store: Store
    model: Model
    fingerprint: str
    encoder: Any
    rows: list[dict[str, Any]]

    def make(self, rows: Sequence[dict[str, Any]] | None = None, *, fingerprint: str = "", encoder: Any = None) -> str:
        """Embed and build these rows; returns the release."""
        release, key = uuid4().hex, f"checks/{uuid4().hex}.parquet"
        path = self.store.local(self._write(key, rows or self.rows))
        assert path.exists()
        of: dict[str, Any] = {"products_key": key, "model": self.model, "fingerprint": fingerprint or self.fingerprint}
        embed.embed(self.store, encoder=lambda: encoder or self.encoder, **of)
        made = build.build(self.store, release=release, fusion=Fusion(), index=Index(), **of)
        made.files["evaluation.json"] = releases.add(self.store, release=release, name="evaluation.json",
                                                     data=b'{"scores": {}}')  # fmt: skip
        facts = {"model": self.model.name, "fingerprint": fingerprint or self.fingerprint, "width": self.model.width}
        seal(self.store, shop=SHOP, release=release, asof=NOW.isoformat(), input_key="0" * 64, files=made.files,
             facts=facts)  # fmt: skip
        return release

    def live(self, release: str) -> judging.Live:
        """A release as the live one."""
        return judging.read_live(self.store, releases.open_release(self.store, shop=SHOP, release=release))

    def exam(self, release: str, *, fingerprint: str = "", seed: int = 0, gate: Gate | None = None) -> exams.Exam:
        """A release under examination."""
        at = (self.store.local(releases.key(release, name)) for name in ("products.parquet", vectors.SPACE))
        shelf = vectors.Shelf(self.store, fingerprint or self.fingerprint, self.model.width)
        of = exams.read(*at, self.model.width)  # type: ignore[call-arg]
        words = exams.words_of(self.store.local(releases.key(release, "words.npz")), len(of.fused))
        return exams.Exam(of, shelf, self.model, gate or Gate(), seed, lexicon=words)

    def _write(self, key: str, rows: Sequence[dict[str, Any]]) -> str:
        path = Path(self.store.url) / "rows.parquet"
        tables.write(path, pa.Table.from_pylist(list(rows), schema=SNAPSHOT).to_batches(), SNAPSHOT, self.store.owner)
        self.store.create(key, path)
        return key


def bench(folder: Path, shop: str = "atelier", n_products: int = 200) -> Bench:
    """A demo shop's catalog drawn at 96 px, every picture on the shelf."""
    root = open_store(str(folder))
    model = settings.load(str(ROOT / "config")).models["mini"]
    fingerprint = models.register(root, model)
    made = Bench(root.within(f"shops/{SHOP}"), model, fingerprint, models.load(root, fingerprint), [])
    shots: dict[str, bytes] = {}
    for product in demo.catalog(shop, n_products=n_products)[:n_products]:
        names = []
        for name, item in product.shots.items():
            jpeg = _jpeg(item)
            content = vectors.text_key(name).hex()
            shots[content] = jpeg
            names.append(content)
        made.rows.append(row(product, names))
    batch = [
        {"ref": content, "content": content, "width": 96, "height": 96, "checked": NOW, "picture": jpeg}
        for content, jpeg in shots.items()
    ]
    fresh = pa.Table.from_pylist(batch, schema=PICTURE).to_batches()
    pictures.shelve(made.store, fresh, known=pictures.ledger(made.store, "test"), recipe="test", now=NOW)
    return made


def row(product: demo.Product, contents: list[str]) -> dict[str, Any]:
    """A product as validation leaves it."""
    of = product.row
    return {
        "row": of.number, "product_id": of.id, "group_id": of.group_id, "title": of.title,
        "description": of.description, "brand": of.brand, "category": of.category, "colour": of.colour,
        "price": of.price, "currency": "EUR", "deleted": False, "images": [], "defects": [], "extra": [],
        "pictures": contents, "picture_faults": [],
    }  # fmt: skip


def altered(exam: exams.Exam, **changes: Any) -> exams.Exam:
    """The same exam of a release with other arrays or rows."""
    return replace(exam, release=replace(exam.release, **changes))


class Seeing:
    """The model behind broken eyes: every picture is changed before it looks."""

    def __init__(self, encoder: Any, change: Callable[[np.ndarray], np.ndarray]) -> None:
        self.encoder, self.change = encoder, change

    def images(self, jpegs: list[bytes]) -> np.ndarray:
        arrays = [np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")) for jpeg in jpegs]
        return np.asarray(self.encoder.images([np.ascontiguousarray(self.change(array)) for array in arrays]))

    def texts(self, texts: list[str]) -> np.ndarray:
        return np.asarray(self.encoder.texts(texts))


class Turned:
    """Another model: both towers through one matrix. Of full rank it is as good; of low rank it is not."""

    def __init__(self, encoder: Any, matrix: np.ndarray) -> None:
        self.encoder, self.matrix = encoder, matrix

    def images(self, jpegs: list[bytes]) -> np.ndarray:
        return self._turn(self.encoder.images(jpegs))

    def texts(self, texts: list[str]) -> np.ndarray:
        return self._turn(self.encoder.texts(texts))

    def _turn(self, found: np.ndarray) -> np.ndarray:
        turned = found @ self.matrix
        return np.asarray(turned / np.linalg.norm(turned, axis=1, keepdims=True), dtype=np.float32)


def _jpeg(item: render.Item) -> bytes:
    buffer = io.BytesIO()
    render.draw(item, 96).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
