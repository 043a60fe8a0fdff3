"""Where the right items stand: queries against a gallery, in memory that does not grow with the gallery."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

DEPTH = 10  # places looked at one by one
BLOCK, CHUNK = 1_024, 4_096  # queries and items at a time: 16 MiB of scores
SCORES = 8_000_000  # held at a time where each query wants all of its own, or all are looked at twice
TIE = 1e-6  # a float32 cosine's own rounding: a right item must be better than that to count as better


@dataclass(frozen=True)
class Ranked:
    """The answers to m queries. Ties count against us: an equal score of a wrong item ranks before the right one."""

    first: np.ndarray  # rank of the first relevant item, 1-based; inf where there is none [m]
    top: np.ndarray  # positions in the gallery, best first [m, depth]
    scores: np.ndarray  # their scores [m, depth]
    right: np.ndarray  # whether they are relevant [m, depth]
    n_relevant: np.ndarray  # [m]
    n_gallery: int


@dataclass(frozen=True, eq=False)
class Some:
    """The vectors at some places of a gallery, taken slice by slice: a copy of all may not fit."""

    of: np.ndarray  # [n, width]
    places: np.ndarray  # [m]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, part: slice) -> np.ndarray:
        return np.asarray(self.of[self.places[part]])


def rank(
    queries: np.ndarray, gallery: np.ndarray | Some, wanted: np.ndarray, of: np.ndarray, depth: int = DEPTH
) -> Ranked:
    """Rank a gallery [n, width] for queries [m, width]; item j is relevant to query i when `of[j] == wanted[i]`."""
    depth = min(depth, len(gallery))
    order = np.argsort(of, kind="stable")
    start, stop = (np.searchsorted(of[order], wanted, side=side) for side in ("left", "right"))
    parts = []
    for begin in range(0, len(queries), BLOCK):
        part = slice(begin, begin + BLOCK)
        rows = np.repeat(np.arange(len(wanted[part])), (stop - start)[part])
        within = np.arange(len(rows)) - np.repeat(np.cumsum((stop - start)[part]) - (stop - start)[part],
                                                  (stop - start)[part])  # fmt: skip
        items = order[np.repeat(start[part], (stop - start)[part]) + within]
        parts.append(_block(np.asarray(queries[part], dtype=np.float32), gallery, rows, items, depth))
    first, top, scores = (np.concatenate([part[i] for part in parts]) for i in range(3))
    right = of[top] == wanted[:, None]
    return Ranked(np.where(stop > start, first, np.inf), top, scores, right, stop - start, len(gallery))


def cosines(queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """All of them [m, n], float32."""
    asked = np.asarray(queries, dtype=np.float32)
    found = np.empty((len(asked), len(gallery)), dtype=np.float32)
    for start in range(0, len(gallery), CHUNK):
        found[:, start : start + CHUNK] = asked @ gallery[start : start + CHUNK].astype(np.float32).T
    return found


def cosine_rows(queries: np.ndarray, gallery: np.ndarray) -> Iterator[np.ndarray]:
    """The same row by row [n]; no more of them are held than make SCORES."""
    at_once = max(1, SCORES // len(gallery))
    for start in range(0, len(queries), at_once):
        # Copies: who still looks at a row would hold all of them beside the next ones.
        yield from map(np.copy, cosines(queries[start : start + at_once], gallery))


def rank_rows(rows: Iterable[np.ndarray], wanted: np.ndarray, of: np.ndarray, depth: int = DEPTH) -> Ranked:
    """Rank by scores that are no cosines: one row [n] a query, as `rank` does with vectors."""
    depth = min(depth, len(of))
    first, top, scores = [], [], []
    for row, group in zip(rows, wanted, strict=True):
        right = np.flatnonzero(of == group)
        seen = np.asarray(row, dtype=np.float32).copy()
        seen[right] -= TIE
        first.append(1 + int((seen > seen[right].max()).sum()) if len(right) else np.inf)
        near = np.argpartition(-seen, depth - 1)[:depth]
        top.append(near[np.argsort(-seen[near], kind="stable")])
        scores.append(seen[top[-1]])
    found = np.stack(top)
    n_relevant = np.array([int((of == group).sum()) for group in wanted])
    return Ranked(np.array(first, float), found, np.stack(scores), of[found] == wanted[:, None], n_relevant, len(of))


def _block(
    queries: np.ndarray, gallery: np.ndarray | Some, rows: np.ndarray, items: np.ndarray, depth: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First ranks [m], positions and scores of the best [m, depth]; (rows, items) are the relevant pairs."""
    best = np.full(len(queries), -np.inf, dtype=np.float32)
    top = np.zeros((len(queries), depth), dtype=np.int64)
    scores = np.full((len(queries), depth), -np.inf, dtype=np.float32)
    starts = range(0, len(gallery), CHUNK)

    def look(start: int) -> np.ndarray:
        seen: np.ndarray = queries @ gallery[start : start + CHUNK].astype(np.float32).T
        here = (items >= start) & (items < start + CHUNK)
        seen[rows[here], items[here] - start] -= TIE
        np.maximum.at(best, rows[here], seen[rows[here], items[here] - start])
        return seen

    held = [look(start) for start in starts] if len(queries) * len(gallery) <= SCORES else None
    for start, seen in zip(starts, held or map(look, starts), strict=True):
        _keep_best(top, scores, seen, start)
    above = np.zeros(len(queries))
    for seen in held or map(look, starts):
        above += (seen > best[:, None]).sum(axis=1)
    return 1 + above, top, scores


def _keep_best(top: np.ndarray, scores: np.ndarray, seen: np.ndarray, start: int) -> None:
    """Merge a chunk's scores into the best so far, in place."""
    columns = np.flatnonzero((seen > scores[:, -1:]).any(axis=0))
    both = np.concatenate([scores, seen[:, columns]], axis=1)
    where = np.concatenate([top, np.broadcast_to(columns + start, (len(top), len(columns)))], axis=1)
    depth = scores.shape[1]
    if both.shape[1] > 2 * depth:
        near = np.argpartition(-both, depth, axis=1)[:, : depth + 1]
        both, where = np.take_along_axis(both, near, axis=1), np.take_along_axis(where, near, axis=1)
    order = np.argsort(-both, axis=1, kind="stable")[:, :depth]
    scores[:], top[:] = np.take_along_axis(both, order, axis=1), np.take_along_axis(where, order, axis=1)
