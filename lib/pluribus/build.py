"""Build: a shop's products and vectors become the files of a release, not yet public.

    releases/<release>/index.faiss · words.npz · products.parquet · vectors.arrow · build.json

Row i of products.parquet, row i of vectors.arrow and position i of the index are one product. All is done block by
block: of a large shop only the index and the words are ever held whole.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa

from pluribus import indexes, lexical, releases, tables, texts, vectors
from pluribus.errors import CatalogRejected
from pluribus.manifests import File
from pluribus.records import Fusion, Index, Model
from pluribus.schemas import SNAPSHOT
from pluribus.store import Store

SINGLE = 8_192  # vectors at a time in single precision
QUERIES = 500  # of each kind, to measure an index with


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
    with tempfile.TemporaryDirectory(prefix="pluribus-") as folder:
        here, drawn = Path(folder) / "release", Path(folder) / "drawn"
        here.mkdir()
        drawn.mkdir()
        space = _space(shelf, path, model, fusion, drawn)
        queries = _queries(shelf, path, space)
        del shelf  # and the keys it remembers
        vectors.write_space(here / vectors.SPACE, space, store.owner)
        tables.write(here / "products.parquet", tables.batches(path, tables.BATCH_ROWS), SNAPSHOT, store.owner)
        said = (text for rows in _pieces(path) for text in texts.words(rows))
        lexical.build(said).write(here / "words.npz")
        built = indexes.build(index, space.fused, queries=queries)
        built.write(here / "index.faiss")
        (here / "build.json").write_text(json.dumps(_report(built, fusion, len(space.fused))))
        made = sorted(here.iterdir())
        files = {f.name: releases.add(store, release=release, name=f.name, data=f, given=True) for f in made}
    seen, told = int(space.has_image.sum()), int(space.has_text.sum())
    return Built(files, len(space.fused), seen, told, built.kind, built.why, built.recall)


def _report(built: indexes.Built, fusion: Fusion, n_products: int) -> dict[str, Any]:
    found = {"products": n_products, "index": built.kind, "recall@10": built.recall, "queries": built.queries}
    return found | {"settings": built.settings, "why": built.why, "fusion": vars(fusion)}


def _space(shelf: vectors.Shelf, path: Path, model: Model, fusion: Fusion, folder: Path) -> vectors.Space:
    """The vectors of all products, mapped from files of this folder. Raises CatalogRejected."""
    files = {name: (folder / name).open("wb") for name in vectors.PARTS}
    there = [_append(shelf, rows, model, fusion, files) for rows in _pieces(path)]
    for file in files.values():
        file.close()
    has_image, has_text = (np.concatenate(of) for of in zip(*there, strict=True))
    if not (has_image | has_text).all():
        raise CatalogRejected(
            f"{int((~(has_image | has_text)).sum())} accepted products have neither picture nor text",
            do="make the suite's NOCONTENT expectation critical",
        )
    whole = {name: np.memmap(folder / name, "<f2", "r", shape=(len(has_text), shelf.width)) for name in files}
    return vectors.Space(**whole, has_image=has_image, has_text=has_text)


def _append(
    shelf: vectors.Shelf, rows: pa.Table, model: Model, fusion: Fusion, files: Mapping[str, IO[bytes]]
) -> tuple[np.ndarray, np.ndarray]:
    """Append the vectors of these products to the files; returns who of them has a picture, and who a text."""
    image, has_image = picture_vectors(shelf, rows)
    text, has_text = text_vectors(shelf, texts.product_texts(rows, model.text))
    fused = fuse(image, has_image, text, has_text, fusion)
    for name, of in (("fused", fused), ("image", image), ("text", text)):
        of.astype("<f2", copy=False).tofile(files[name])
    return has_image, has_text


def _queries(shelf: vectors.Shelf, path: Path, space: vectors.Space) -> dict[str, np.ndarray]:
    """What an index is measured with: some pictures, and some titles, spread evenly."""
    pictured = np.flatnonzero(space.has_image)
    n_titles = sum(1 for _ in _titles(path))
    chosen = set(_sample(n_titles).tolist())
    asked, _ = text_vectors(shelf, [title for i, title in enumerate(_titles(path)) if i in chosen])
    return {"picture": space.image[pictured[_sample(len(pictured))]], "text": asked}


def _titles(path: Path) -> Iterator[str]:
    return (title for rows in _pieces(path, ["title"]) for title in texts.titles(rows) if title)


def _pieces(path: Path, columns: Sequence[str] = (*texts.COLUMNS, "pictures")) -> Iterator[pa.Table]:
    """The products, block by block."""
    return (pa.Table.from_batches([batch]) for batch in tables.batches(path, indexes.BLOCK, list(columns)))


def picture_vectors(shelf: vectors.Shelf, rows: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """One vector a product, the unit mean of its pictures': [n, width] fp16 and whether there is one [n]."""
    lists = [contents or () for contents in rows["pictures"].to_pylist()]
    counts = np.fromiter(map(len, lists), np.int64, len(lists))
    found = shelf.get([vectors.picture_key(content) for contents in lists for content in contents])
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
    for start in range(0, n, SINGLE):
        yield start, min(n, start + SINGLE)


def _sample(n: int) -> np.ndarray:
    return np.sort(np.random.default_rng(0).permutation(n)[:QUERIES])
