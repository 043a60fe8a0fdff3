"""Build: a shop's products and vectors become the files of a release, not yet public.

    releases/<release>/index.faiss · words.npz · products.parquet · vectors.parquet · build.json

Row i of products.parquet, row i of vectors.parquet and position i of the index are one product.
"""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from pluribus import indexes, lexical, releases, tables, texts, vectors
from pluribus.errors import CatalogRejected
from pluribus.manifests import File
from pluribus.records import SNAPSHOT, Fusion, Index, Model
from pluribus.store import Store

QUERIES = 500  # of each kind, to measure an index with
VERSION = 3  # raise when the same vectors would now give another release


@dataclass(frozen=True)
class Built:
    """What was built: its files, counts, the index chosen, and its measured recall."""

    files: dict[str, File]

    products: int
    with_picture: int
    with_text: int
    index: str
    why: str  # this index
    recall: dict[str, float]


def build(
    store: Store, *, release: str, products_key: str, model: Model, fingerprint: str, fusion: Fusion, index: Index
) -> Built:
    """Fuse vectors, build and measure the index, write the release's files into the shop's `store`.

    Raises CatalogRejected when no product has content, RunError when the index misses its recall promise.
    """
    shelf = vectors.Shelf(store, fingerprint, model.width)
    path = tables.local(store, products_key)
    rows = tables.read(path, [*texts.COLUMNS, "pictures"])
    image, has_image = picture_vectors(shelf, rows)
    text, has_text = text_vectors(shelf, texts.product_texts(rows, model.text))
    if not (has_image | has_text).all():
        raise CatalogRejected(
            f"{int((~(has_image | has_text)).sum())} accepted products have neither picture nor text",
            do="make the suite's NOCONTENT expectation critical",
        )
    fused = fuse(image, has_image, text, has_text, fusion)
    asked = [title for title in texts.titles(rows) if title]
    asked_vectors, _ = text_vectors(shelf, [asked[i] for i in _sample(len(asked))])
    queries = {"picture": image[np.flatnonzero(has_image)[_sample(int(has_image.sum()))]], "text": asked_vectors}
    built = indexes.build(index, fused, queries=queries)
    report = {
        "products": len(fused),
        "index": built.kind,
        "recall@10": built.recall,
        "queries": built.queries,
        "settings": built.settings,
        "why": built.why,
        "fusion": vars(fusion),
    }
    with tempfile.TemporaryDirectory(prefix="pluribus-") as folder:
        table = pa.table(
            {
                "fused": vectors.column(fused, np.ones(len(fused), bool)),
                "image": vectors.column(image, has_image),
                "text": vectors.column(text, has_text),
            }
        )
        here = Path(folder)
        tables.write(here / "vectors.parquet", table.to_batches(), table.schema, store.owner, packed=False)
        tables.write(here / "products.parquet", tables.batches(path, tables.BATCH_ROWS), SNAPSHOT, store.owner)
        (here / "index.faiss").write_bytes(built.data)
        (here / "words.npz").write_bytes(lexical.build(texts.words(rows)).dump())
        (here / "build.json").write_text(json.dumps(report))
        files = {f.name: releases.add(store, release=release, name=f.name, data=f) for f in sorted(here.iterdir())}
    return Built(files, len(fused), int(has_image.sum()), int(has_text.sum()), built.kind, built.why, built.recall)


def picture_vectors(shelf: vectors.Shelf, rows: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """One vector a product, the unit mean of its pictures': [n, width] fp16 and whether there is one [n]."""
    lists = rows["pictures"].combine_chunks()
    counts = lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    found = shelf.get([vectors.picture_key(c) for c in lists.flatten().to_pylist()])
    means = np.empty((rows.num_rows, shelf.width), dtype=np.float16)
    ends = np.concatenate([[0], counts.cumsum()])
    for start, end in _blocks(rows.num_rows):
        summed = np.zeros((end - start, shelf.width), dtype=np.float32)
        of_product = np.repeat(np.arange(end - start), counts[start:end])
        np.add.at(summed, of_product, found[ends[start] : ends[end]].astype(np.float32))
        means[start:end] = unit(summed)
    return means, counts > 0


def text_vectors(shelf: vectors.Shelf, said: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The vector of each text, zeros for "": [n, width] fp16 and whether there is one [n]."""
    there = np.array([bool(text) for text in said], dtype=bool)
    found = np.zeros((len(said), shelf.width), dtype=np.float16)
    found[there] = shelf.get([vectors.text_key(text) for text in said if text])
    return found, there


def fuse(
    image: np.ndarray, has_image: np.ndarray, text: np.ndarray, has_text: np.ndarray, fusion: Fusion
) -> np.ndarray:
    """Unit weighted sum of picture and text vector; a product that lacks one is all the other. [n, width] fp16."""
    w_image = np.where(has_text, fusion.image, 1.0) * has_image
    w_text = np.where(has_image, fusion.text, 1.0) * has_text
    fused = np.empty(image.shape, dtype=np.float16)
    for start, end in _blocks(len(image)):
        part = slice(start, end)
        seen = w_image[part, None] * image[part].astype(np.float32)
        fused[part] = unit(seen + w_text[part, None] * text[part].astype(np.float32))
    return fused


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows scaled to length one; rows of zeros stay zeros."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, 1)


def _blocks(n: int) -> Iterator[tuple[int, int]]:
    """Beginnings and ends: of what is computed in single precision, only so much is held at a time."""
    for start in range(0, n, indexes.BLOCK):
        yield start, min(n, start + indexes.BLOCK)


def _sample(n: int) -> np.ndarray:
    return np.sort(np.random.default_rng(0).permutation(n)[:QUERIES])
