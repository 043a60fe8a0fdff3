"""The release under examination: its rows and vectors in memory, and the questions that every family asks alike."""

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pluribus import lexical, metrics, tables, texts, vectors
from pluribus.records import Gate, Model
from pluribus.store import Store

COLUMNS = ["product_id", "title", "brand", "category", "colour", "pictures", "price", "currency", "locale"]
BLOCK = 65_536  # cells that are Python objects at a time


class Cells(Sequence[str]):
    """A column as Python sees it, `of` each cell, made when asked for: a million texts as objects take 80 MB."""

    def __init__(self, column: pa.ChunkedArray, of: Callable[[Any], str]) -> None:
        self._column, self._of = column, of

    def __len__(self) -> int:
        return len(self._column)

    def __getitem__(self, place: Any) -> Any:
        found = self._column[place]
        return [*map(self._of, found.to_pylist())] if isinstance(place, slice) else self._of(found.as_py())

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), BLOCK):
            yield from map(self._of, self._column.slice(start, BLOCK).to_pylist())


class Unmeasured(Exception):
    """Why something cannot be measured of this shop: said in its place, never zero."""


@dataclass(frozen=True, eq=False)
class Release:
    """The files of a release as arrays; row i of each is one product. Vectors are fp16."""

    rows: pa.Table
    fused: np.ndarray
    image: np.ndarray
    text: np.ndarray
    has_image: np.ndarray
    has_text: np.ndarray

    @cached_property
    def ids(self) -> Cells:
        """Of the products."""
        return Cells(self.rows["product_id"], str)

    @cached_property
    def titles(self) -> Cells:
        """As a shopper would type them."""
        return Cells(self.rows["title"], texts.title)

    @cached_property
    def titled(self) -> np.ndarray:
        """Which products have a title [n]."""
        return np.fromiter(map(bool, self.titles), bool, len(self.titles))

    @cached_property
    def categories(self) -> Cells:
        """The path of each product's category, or ""."""
        return Cells(self.rows["category"], lambda path: path or "")

    @cached_property
    def first_pictures(self) -> Cells:
        """The name of each product's first picture, or ""."""
        return Cells(self.rows["pictures"], lambda contents: contents[0] if contents else "")

    @cached_property
    def groups(self) -> np.ndarray:
        """Products with equal titles, or the same first picture, are one relevant set: group numbers [n]."""
        return relevant_sets(self.titles, self.first_pictures)


@dataclass(frozen=True, eq=False)
class Exam:
    """A release, the vectors of everything that may be asked of it, and how much is to be asked."""

    release: Release
    shelf: vectors.Shelf = field(repr=False)
    model: Model
    gate: Gate
    seed: int = 0
    live_ids: Iterable[str] | None = None  # of the live release's products
    lexicon: lexical.Lexicon | None = None  # the release's words
    views: Mapping[str, int] | None = None  # product id -> how often shoppers looked at it, where there is a log

    @cached_property
    def asked(self) -> np.ndarray:
        """Positions of the products whose titles are asked, at most `gate.queries`."""
        return self.sample(self.release.titled)

    @cached_property
    def queries(self) -> np.ndarray:
        """Vectors of their titles [m, width]."""
        return self.look_up([self.release.titles[i] for i in self.asked])

    @cached_property
    def answers(self) -> metrics.Ranked:
        """What a shopper gets: titles asked of the fused vectors. Raises Unmeasured."""
        self.enough(np.ones(len(self.release.fused), bool))
        if not len(self.asked):
            raise Unmeasured("no product has a title")
        groups = self.release.groups
        return metrics.rank(self.queries, self.release.fused, groups[self.asked], groups)

    def sample(self, there: np.ndarray) -> np.ndarray:
        """At most `gate.queries` of the positions where `there` [n] holds, in order; other seeds draw others."""
        positions = np.flatnonzero(there)
        return np.sort(np.random.default_rng(self.seed).permutation(positions)[: self.gate.queries])

    def look_up(self, said: list[str]) -> np.ndarray:
        """Vectors of texts that the embed step encoded."""
        return self.shelf.get([vectors.text_key(text) for text in said])

    def enough(self, members: np.ndarray) -> None:
        """Raises Unmeasured when too few products could answer."""
        found = int(members.sum())
        if found < self.gate.products_least:
            raise Unmeasured(f"only {found} products could answer, and {self.gate.products_least} are needed")


def read(rows: Path, table: Path, width: int) -> Release:
    """A release's products and vectors."""
    return Release(tables.unpacked(rows, COLUMNS), **vars(vectors.read_space(table, width)))


def words_of(path: Path, n: int) -> lexical.Lexicon:
    """A release's words.npz."""
    return lexical.load(path, n=n)


def shelf(store: Store, fingerprint: str, width: int) -> vectors.Shelf:
    """The vectors of a shop under a model."""
    return vectors.Shelf(store, fingerprint, width)


def relevant_sets(*labels: Sequence[str]) -> np.ndarray:
    """Group numbers [n]: items that share any non-blank label, directly or through others, are in one group."""
    n = len(labels[0])
    parent = array("q", range(n))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for of in labels:
        hashes = hashed(of)
        _, firsts, which = np.unique(hashes, return_index=True, return_inverse=True)
        first = np.where(hashes == hash(""), np.arange(n), firsts[which])
        for i in np.flatnonzero(first != np.arange(n)).tolist():
            parent[root(i)] = root(int(first[i]))
    return np.unique(np.fromiter(map(root, range(n)), np.int64, n), return_inverse=True)[1]


def hashed(texts: Sequence[str]) -> np.ndarray:
    """A number for each text [n], the same for equal ones: a dict of a million takes 200 MB.

    (That two of a million are taken for one has a chance of 1 in 40 million.)
    """
    return np.fromiter(map(hash, texts), np.int64, len(texts))
