"""Embed: turn accepted products into unit vectors with the one shared encoder. Only new content is ever encoded.

Everything a release will need is encoded here, in the one step that has a GPU: pictures, product texts, and the texts
that the build and the evaluation will ask (titles as queries, `probes`). Later stages only look up.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pluribus import pictures, pixels, probes, tables, texts, vectors
from pluribus.records import Model
from pluribus.store import Store

VERSION = 3  # raise when the same products would now ask for other vectors
FLUSH = 4_096  # vectors kept in memory before they are written: what a killed task may have to repeat


@dataclass(frozen=True)
class Embedded:
    """What one shop's embedding took."""

    pictures: int  # encoded now
    texts: int
    reused: int  # already on the shelf
    size_bytes: int


def embed(store: Store, *, products_key: str, model: Model, fingerprint: str, encoder: Callable[[], Any]) -> Embedded:
    """Encode what of a shop's accepted products is not on its vector shelf yet.

    `encoder()` is asked for only when there is something to encode; it gives float32 unit vectors [n, width] by
    `.images(list of JPEG bytes)` and `.texts(list of str)`.
    """
    shelf = vectors.Shelf(store, fingerprint, model.width)
    rows = tables.read(tables.local(store, products_key), [*texts.COLUMNS, "pictures"])
    changes = probes.changed_pictures(rows)
    contents = {vectors.picture_key(c): c for c in rows["pictures"].combine_chunks().flatten().to_pylist()}
    said = {vectors.text_key(text): text for text in wanted_texts(rows, model)}
    new_pictures = [contents[key] for key in shelf.missing(list(contents))]
    new_texts = [said[key] for key in shelf.missing(list(said))]
    size_bytes = _add_pictures(store, shelf, encoder, new_pictures) + _add_texts(shelf, encoder, new_texts)
    changed, changed_bytes = _add_changes(store, shelf, encoder, changes)
    seen = len(new_pictures) + changed
    reused = len(contents) + len(said) + len(changes) - seen - len(new_texts)
    return Embedded(seen, len(new_texts), reused, size_bytes + changed_bytes)


def wanted_texts(rows: pa.Table, model: Model) -> list[str]:
    """Every text a release of these rows needs a vector for."""
    all_texts = [*texts.product_texts(rows, model.text), *texts.titles(rows), *probes.texts_asked(rows, model)]
    return [text for text in dict.fromkeys(all_texts) if text]


def _add_pictures(store: Store, shelf: vectors.Shelf, encoder: Callable[[], Any], contents: Sequence[str]) -> int:
    size_bytes = 0
    for names, jpegs in pictures.load(store, contents, batch=FLUSH) if contents else ():
        size_bytes += shelf.add([vectors.picture_key(name) for name in names], encoder().images(jpegs))
    return size_bytes


def _add_changes(
    store: Store, shelf: vectors.Shelf, encoder: Callable[[], Any], changes: Sequence[probes.Change]
) -> tuple[int, int]:
    """Changed pictures: how many were encoded, and the bytes written."""
    missing = set(shelf.missing([change.key for change in changes]))
    wanted: dict[str, list[probes.Change]] = {}
    for change in changes:
        if change.key in missing:
            wanted.setdefault(change.content, []).append(change)
    keys: list[bytes] = []
    made: list[bytes] = []
    for names, jpegs in pictures.load(store, list(wanted)) if wanted else ():
        for name, jpeg in zip(names, jpegs, strict=True):
            keys += [change.key for change in wanted[name]]
            made += [pixels.changed(jpeg, change.change) for change in wanted[name]]
    return len(keys), shelf.add(keys, encoder().images(made)) if keys else 0


def _add_texts(shelf: vectors.Shelf, encoder: Callable[[], Any], new: Sequence[str]) -> int:
    size_bytes = 0
    for start in range(0, len(new), FLUSH):
        part = list(new[start : start + FLUSH])
        size_bytes += shelf.add([vectors.text_key(text) for text in part], encoder().texts(part))
    return size_bytes
