"""Embed: turn accepted products into unit vectors with the one shared encoder. Only new content is ever encoded.

Everything a release will need is encoded here, in the one step that has a GPU: pictures, product texts, and the texts
that the build and the evaluation will ask (titles as queries, `probes`). Later stages only look up.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain, compress, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pluribus import pictures, pixels, probes, tables, texts, vectors
from pluribus.errors import ShopError
from pluribus.records import Model
from pluribus.store import Store

FLUSH = 4_096  # contents in memory for one turn of the encoder
KEPT = 65_536  # vectors in memory before they are written: what a killed task may have to repeat


@dataclass(frozen=True)
class Embedded:
    """What one shop's embedding took."""

    pictures: int  # encoded now
    texts: int
    reused: int  # already on the shelf
    size_bytes: int
    shared: int = 0  # encoded in this task for another shop that has the same content
    seconds: float = 0.0  # this shop's share of the task's: reading, encoding, shelving


@dataclass(frozen=True, eq=False)
class New:
    """What of one shop's accepted products has no vector yet."""

    store: Store
    shelf: vectors.Shelf
    pictures: dict[bytes, tuple[str, str]]  # key -> name of a picture, and how it is changed (`probes`; "": as it is)
    texts: "Texts | dict[bytes, str]"  # key -> what is said
    known: int  # contents that have one


@dataclass(frozen=True, eq=False)
class Texts:
    """Keys, and what is said: made again from the products when it is encoded, since a large shop says millions."""

    keys: pa.Array  # 32 bytes each
    lacking: np.ndarray  # [n] bool: which of all that `wanted` gives these are
    wanted: Callable[[], Iterator[list[str]]]

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, len(self), FLUSH):
            yield from self.keys[start : start + FLUSH].to_pylist()

    def items(self) -> Iterator[tuple[bytes, str]]:
        """Each key with its text, in order."""
        return zip(self, compress(chain.from_iterable(self.wanted()), self.lacking), strict=False)


def embed(store: Store, *, products_key: str, model: Model, fingerprint: str, encoder: Callable[[], Any]) -> Embedded:
    """Encode what of one shop's accepted products is not on its vector shelf yet.

    `encoder()` is asked for only when there is something to encode; it gives float32 unit vectors [n, width] by
    `.images(list of JPEG bytes)` and `.texts(list of str)`.
    """
    pool = Pool(encoder)
    pool.add("", look(store, products_key=products_key, model=model, fingerprint=fingerprint))
    pool.encode()
    return pool.of("")


def look(store: Store, *, products_key: str, model: Model, fingerprint: str) -> New:
    """What of a shop's accepted products is not on its vector shelf yet."""
    shelf = vectors.Shelf(store, fingerprint, model.width)
    path = tables.local(store, products_key)
    contents, asked = _of_all_rows(path, model)
    wanted = partial(wanted_texts, path, asked, model)
    told = (vectors.text_key(text) for block in wanted() for text in block)
    keys = vectors.mapped_keys(chain(contents, told))
    lacking, known = shelf.lacking(keys)
    new_pictures = dict(compress(contents.items(), lacking))
    new_keys = keys.take(vectors.column_of(np.flatnonzero(lacking)[len(new_pictures) :]))
    return New(store, shelf, new_pictures, Texts(new_keys, lacking[len(contents) :], wanted), known)


def _of_all_rows(path: Path, model: Model) -> tuple[dict[bytes, tuple[str, str]], list[str]]:
    """The pictures of all products, and the texts that an evaluation asks."""
    rows = tables.unpacked(path, ["title", "category", "colour", "pictures"])
    contents = {vectors.picture_key(c): (c, "") for c in rows["pictures"].combine_chunks().flatten().to_pylist()}
    contents |= {change.key: (change.content, change.change) for change in probes.changed_pictures(rows)}
    return contents, probes.texts_asked(rows, model)


def wanted_texts(path: Path, asked: list[str], model: Model) -> Iterator[list[str]]:
    """Every text a release of these products needs a vector for, block by block; some come again."""
    for batch in tables.batches(path, tables.BATCH_ROWS, texts.COLUMNS):
        yield list(filter(None, texts.product_texts(pa.Table.from_batches([batch]), model.text)))
    for batch in tables.batches(path, tables.BATCH_ROWS, ["title"]):
        yield list(filter(None, texts.titles(pa.Table.from_batches([batch]))))
    yield asked


class Pool:
    """The new content of all shops of a task, in full batches: the model never idles on the remainder of a small shop.

    Content that several shops have is encoded once. Its vector passes from one shop to the next in this process's
    memory only; each shop's shelf gets its own copy, and no shelf is ever read for another shop.
    """

    def __init__(self, encoder: Callable[[], Any], batch: int = FLUSH) -> None:
        self._encoder, self._batch = encoder, batch
        self._new: dict[str, New] = {}
        self._ready: dict[str, dict[bytes, np.ndarray]] = {}  # fp16, waiting to be shelved
        self._size_bytes: dict[str, int] = {}
        self._seconds: dict[str, float] = {}
        self._failed: dict[str, ShopError] = {}
        self._lent: dict[bytes, np.ndarray] = {}  # vectors that another shop will want
        self._borrowed: dict[str, list[bytes]] = {}
        self.load_s = 0.0  # until the encoder was ready; 0 where nothing was new

    def add(self, shop: str, new: New) -> None:
        """Take a shop's new content in."""
        self._new[shop], self._ready[shop], self._borrowed[shop] = new, {}, []
        self._size_bytes[shop], self._seconds[shop] = 0, 0.0

    def encode(self) -> None:
        """Encode everything taken in, and shelve it. A shop whose content fails is told so by `of`."""
        lendable = self._of_several()
        claimed: set[bytes] = set()  # of those that several shops have
        for take, by in ((self._pictures, "images"), (self._texts, "texts")):
            waiting: list[tuple[str, bytes, Any]] = []
            for shop in self._new:
                contents = take(shop, claimed, lendable)
                while piece := self._read(shop, contents, self._batch - len(waiting)):
                    waiting += piece
                    if len(waiting) == self._batch:
                        self._turn(by, waiting, lendable)
                        waiting = []
            self._turn(by, waiting, lendable)
        self._lend()
        self._shelve()

    def of(self, shop: str) -> Embedded:
        """What the embedding of one shop came to. Raises the ShopError that stopped it."""
        if shop in self._failed:
            raise self._failed[shop]
        new, shared = self._new[shop], len(self._borrowed[shop])
        seen = len(new.pictures.keys() - set(self._borrowed[shop]))
        said = len(new.pictures) + len(new.texts) - shared - seen
        return Embedded(seen, said, new.known, self._size_bytes[shop], shared, self._seconds[shop])

    def _read(self, shop: str, contents: Iterator[tuple[bytes, Any]], most: int) -> list[tuple[str, bytes, Any]]:
        """The next contents of a shop, read at its expense."""
        began = time.perf_counter()
        piece = [(shop, key, content) for key, content in islice(contents, most)]
        self._seconds[shop] += time.perf_counter() - began
        return piece

    def _of_several(self) -> set[bytes]:
        """The contents that more than one shop has."""
        if len(self._new) < 2:
            return set()
        wanted = Counter(key for new in self._new.values() for key in (*new.pictures, *new.texts))
        return {key for key, times in wanted.items() if times > 1}

    def _pictures(self, shop: str, claimed: set[bytes], lendable: set[bytes]) -> Iterator[tuple[bytes, bytes]]:
        """A shop's pictures that no shop before it had."""
        new = self._new[shop]
        wanted: dict[str, list[tuple[bytes, str]]] = {}
        for key in self._claim(shop, new.pictures, claimed):
            name, change = new.pictures[key]
            wanted.setdefault(name, []).append((key, change))
        try:
            for names, jpegs in pictures.load(new.store, list(wanted)) if wanted else ():
                for name, jpeg in zip(names, jpegs, strict=True):
                    for key, change in wanted[name]:
                        if key in lendable:
                            claimed.add(key)
                        yield key, pixels.changed(jpeg, change) if change else jpeg
        except ShopError as error:
            self._failed[shop] = error

    def _texts(self, shop: str, claimed: set[bytes], lendable: set[bytes]) -> Iterator[tuple[bytes, str]]:
        """A shop's texts that no shop before it had."""
        for key, text in self._new[shop].texts.items() if shop not in self._failed else ():
            if key in claimed:
                self._borrowed[shop].append(key)
                continue
            if key in lendable:
                claimed.add(key)
            yield key, text

    def _claim(self, shop: str, keys: Iterable[bytes], claimed: set[bytes]) -> list[bytes]:
        self._borrowed[shop] += [key for key in keys if key in claimed]
        return [key for key in keys if key not in claimed]

    def _turn(self, by: str, waiting: list[tuple[str, bytes, Any]], lendable: set[bytes]) -> None:
        """Encode one batch; when a shop's content in it fails, each shop's part by itself."""
        if not waiting:
            return
        self._ready_encoder()
        began = time.perf_counter()
        shops = list(dict.fromkeys(shop for shop, _, _ in waiting))
        try:
            found = getattr(self._encoder(), by)([content for _, _, content in waiting])
        except ShopError as error:
            if len(shops) == 1:
                self._failed[shops[0]] = error
                return
            for shop in shops:
                self._turn(by, [one for one in waiting if one[0] == shop], lendable)
            return
        seconds = (time.perf_counter() - began) / len(waiting)
        for (shop, key, _), vector in zip(waiting, vectors.checked(found), strict=True):
            self._ready[shop][key] = vector
            self._seconds[shop] += seconds
            if key in lendable:
                self._lent[key] = vector
        if sum(map(len, self._ready.values())) >= KEPT:
            self._shelve()

    def _ready_encoder(self) -> None:
        """Load the model before the clock of the shops runs: its time is the task's."""
        if not self.load_s:
            began = time.perf_counter()
            self._encoder()
            self.load_s = time.perf_counter() - began

    def _lend(self) -> None:
        for shop, keys in self._borrowed.items():
            if any(key not in self._lent for key in keys):  # its first owner's bytes failed, and they are the same
                self._failed.setdefault(shop, ShopError("a picture that other shops have too cannot be encoded"))
            else:
                self._ready[shop] |= {key: self._lent[key] for key in keys}

    def _shelve(self) -> None:
        """Write what is ready: in most runs one part a shop."""
        for shop, ready in self._ready.items():
            if ready:
                began = time.perf_counter()
                self._size_bytes[shop] += self._new[shop].shelf.add(list(ready), np.stack(list(ready.values())))
                self._ready[shop] = {}
                self._seconds[shop] += time.perf_counter() - began
