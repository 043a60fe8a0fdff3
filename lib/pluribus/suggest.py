"""Suggest: what a shopper may be about to type, in the shop's own words.

Completions are titles, categories, brands, pairs of an attribute and a category ("red dresses"), and what shoppers
typed before, where the shop has a query log. A completion's vector is the mean of the products behind it, so it lies
in the space in which the products of a session lie, and nothing is encoded: of two completions of one prefix, the one
nearer to what was just looked at comes first.

    words = suggest.learn(search.open(".pluribus", "atelier"), log={"red dress": 120})
    words.complete("re", session=["AT-1000"])
"""

import csv
import math
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from pluribus.errors import ConfigError
from pluribus.search import Searcher

Kind = Literal["title", "category", "brand", "attribute", "query"]
MOST = 50_000  # completions of a shop, the most popular ones
MOST_CHARS = 80  # a longer title is no completion
LOG_SHARE = 0.9  # of all popularity, what the query log has: shoppers' words before the shop's
BEHIND = 10  # products that stand for a query of the log: the best by words
NEARNESS = 8.0  # what a cosine of 1 is worth beside ln(popularity); by `make relevance`
WEIGHED = 2_048  # of a prefix's completions, the most popular ones that are weighed against the session
TYPED = 1.0  # in ln(popularity): what a completion loses when the prefix begins only a later word of it


@dataclass(frozen=True)
class Completion:
    """What may be meant, where it comes from, and the share of all asking that it has."""

    text: str
    kind: Kind
    score: float
    popularity: float = field(compare=False)


@dataclass(frozen=True, eq=False)
class Suggester:
    """A shop's completions, sorted so that a prefix is one slice of them."""

    shop: Searcher
    texts: list[str]
    kinds: list[Kind]
    popularity: np.ndarray  # [m], sums to 1
    vectors: np.ndarray  # [m, width] float32, unit; zeros where nothing stands behind it
    keys: list[str]  # sorted: every completion from each of its words on
    of: np.ndarray  # [keys]: the completion of a key
    worth: np.ndarray  # [keys]: ln(popularity), less where the key is not the whole completion

    def complete(self, prefix: str, k: int = 5, *, session: Sequence[str] = ()) -> list[Completion]:
        """The k best completions of a prefix, best first; of the empty prefix, what is asked most.

        `session` are products looked at, the newest last; ids the release does not hold count for nothing.
        """
        if k < 1 or len(prefix) > MOST_CHARS:
            raise ConfigError(f"{k} completions of {len(prefix)} characters",
                              expected=f"at least 1, of at most {MOST_CHARS}")  # fmt: skip
        start, end = self._slice(_key(prefix, trailing=True))
        worth, of = self.worth[start:end], self.of[start:end]
        if len(of) > WEIGHED:
            most = np.argpartition(-worth, WEIGHED)[:WEIGHED]
            worth, of = worth[most], of[most]
        found, at = np.unique(of, return_inverse=True)
        scores = np.full(len(found), -np.inf, dtype=np.float32)
        np.maximum.at(scores, at, worth)
        viewed = self.session_vector(session)
        if viewed is not None:
            scores += np.float32(NEARNESS) * (self.vectors[found] @ viewed)
        order = np.argsort(-scores.round(4), kind="stable")[:k]  # what is equal but for rounding: the more popular
        return [
            Completion(self.texts[c], self.kinds[c], float(s), float(self.popularity[c]))
            for c, s in zip(found[order].tolist(), scores[order], strict=True)
        ]

    def session_vector(self, session: Sequence[str]) -> np.ndarray | None:
        """The unit mean of the products looked at [width]; None when none is known."""
        places = [self.shop.places[product_id] for product_id in session if product_id in self.shop.places]
        if not places:
            return None
        mean = self.shop.space.fused[places].astype(np.float32).mean(axis=0)
        unit: np.ndarray = mean / max(float(np.linalg.norm(mean)), 1e-6)
        return unit

    def _slice(self, key: str) -> tuple[int, int]:
        return bisect_left(self.keys, key), bisect_left(self.keys, key + chr(0x10FFFF))


def learn(shop: Searcher, log: Mapping[str, float] | None = None) -> Suggester:
    """The completions of a shop's release, and of its query log (query -> how often) where there is one."""
    behind = _catalog(shop)
    weights = {key: float(len(places)) for key, (_, _, places) in behind.items()}
    total = sum(weights.values()) or 1.0
    popularity = {key: weight / total for key, weight in weights.items()}
    if log:
        asked: dict[str, tuple[str, float]] = {}
        for query, count in sorted(log.items(), key=lambda item: item[1]):  # of its spellings the most usual comes last
            if _fits(query) and count > 0:
                asked[_key(query)] = (query, asked.get(_key(query), ("", 0.0))[1] + count)
        whole = sum(count for _, count in asked.values()) or 1.0
        popularity = {key: (1 - LOG_SHARE) * share for key, share in popularity.items()}
        for key, (query, count) in asked.items():
            popularity[key] = popularity.get(key, 0.0) + LOG_SHARE * count / whole
            behind.setdefault(key, (" ".join(query.split()), "query", _found(shop, query)))
    kept = sorted(behind, key=lambda key: (-popularity[key], key))[:MOST]
    return _sorted(shop, kept, behind, popularity)


def read_log(path: Path) -> dict[str, float]:
    """A query log, CSV lines of query,count, which may be said above them. Raises ConfigError for other lines."""
    counts: dict[str, float] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for row in csv.reader(file):
                if row and (counts or [name.strip().lower() for name in row] != ["query", "count"]):
                    query, count = row
                    counts[query] = counts.get(query, 0.0) + _finite(count)
    except (OSError, ValueError, csv.Error) as error:
        raise ConfigError(f"query log {path}, after {len(counts)} queries: {error}", expected="query,count") from None
    return counts


def _finite(count: str) -> float:
    if not math.isfinite(number := float(count)):
        raise ValueError(f"could not count {count!r}")
    return number


_Behind = dict[str, tuple[str, Kind, list[int]]]  # key -> its spelling, its kind, the products behind it


def _catalog(shop: Searcher) -> _Behind:
    """What the shop's own words offer; one product of each group counts."""
    once = np.unique(shop.groups, return_index=True)[1]
    names = ("title", "category", "brand", "colour", "material", "gender")
    columns = [shop.products[name].take(once).to_pylist() for name in names]
    behind: _Behind = {}
    for place, row in zip(once.tolist(), zip(*columns, strict=True), strict=True):
        for text, kind in _sayings(dict(zip(names, row, strict=True))):
            if _fits(text):
                behind.setdefault(_key(text), (text, kind, []))[2].append(place)
    return behind


def _sayings(row: Mapping[str, str | None]) -> Iterator[tuple[str, Kind]]:
    leaf = (row["category"] or "").split(" > ")[-1].strip().lower()
    if leaf:
        yield leaf, "category"
        for name in ("brand", "colour", "material", "gender"):
            if row[name]:
                yield f"{row[name]} {leaf}".lower(), "attribute"
    if row["brand"]:
        yield row["brand"], "brand"
    if row["title"]:
        yield " ".join(row["title"].split()), "title"


def _found(shop: Searcher, query: str) -> list[int]:
    """The products that say most of a query: they stand for it."""
    scores = shop.lexicon.scores(query)
    best = np.argpartition(-scores, min(BEHIND, len(scores) - 1))[:BEHIND]
    return [int(place) for place in best if scores[place] > 0]


def _sorted(shop: Searcher, kept: list[str], behind: _Behind, popularity: Mapping[str, float]) -> Suggester:
    members = [behind[key][2] for key in kept]
    rows = np.repeat(np.arange(len(kept)), [len(places) for places in members])
    flat = np.array([place for places in members for place in places], dtype=np.int64)
    vectors = np.zeros((len(kept), shop.space.fused.shape[1]), dtype=np.float32)
    for start in range(0, len(flat), 65_536):
        part = slice(start, start + 65_536)
        np.add.at(vectors, rows[part], shop.space.fused[flat[part]].astype(np.float32))
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
    starts = [(suffix, n, nth == 0) for n, key in enumerate(kept) for nth, suffix in enumerate(_suffixes(key))]
    starts.sort()
    return Suggester(
        shop,
        [behind[key][0] for key in kept],
        [behind[key][1] for key in kept],
        np.array([popularity[key] for key in kept]),
        vectors,
        [suffix for suffix, _, _ in starts],
        np.array([n for _, n, _ in starts], dtype=np.int64),
        np.array([np.log(popularity[kept[n]]) - (0 if whole else TYPED) for _, n, whole in starts], dtype=np.float32),
    )


def _suffixes(key: str) -> Iterator[str]:
    """A completion from each of its words on."""
    words = key.split(" ")
    for n in range(len(words)):
        yield " ".join(words[n:])


def _key(text: str, *, trailing: bool = False) -> str:
    """A text as it is compared: small, without accents; a prefix keeps the space at its end."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    return " ".join(plain.split()) + (" " if trailing and plain[-1:].isspace() and plain.strip() else "")


def _fits(text: str) -> bool:
    return bool(text.strip()) and len(text) <= MOST_CHARS and text.isprintable()
