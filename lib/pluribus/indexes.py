"""Nearest-neighbour indexes over unit vectors, by inner product. The only owner of faiss.

A type of index is one entry in INDEXES. Every build measures its recall@10 against exact search, with picture and with
text queries (text queries lie elsewhere in the space, and quantised indexes can fail on them alone), widens the search
no further than the promise needs, and refuses what stays below it. `auto` is exact up to a size; beyond it the first
type that fits the memory allowed and keeps the promise. Every build says why it is what it is.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pluribus.errors import ReleaseError
from pluribus.records import Index

K = 10
BLOCK = 65_536  # vectors
CHUNK = 16_384  # vectors at a time in single precision, each with a score for every query
BYTE_LIMIT = 8 << 30  # a larger vector block in an index file is refused by faiss before it is allocated
CONFIDENCE = 1.645  # standard errors: 19 of 20 indexes keep their promise on queries that were not their sample


@dataclass(frozen=True)
class IndexType:
    """One way to build: `build(vectors)` gives a faiss index, `widen(index)` makes it search harder, or says no."""

    means: str
    build: Callable[[np.ndarray], Any]
    widen: Callable[[Any], bool]
    bytes_a_number: int  # of a vector's `width` numbers; ids and centroids add a few percent


@dataclass(frozen=True)
class Built:
    """A finished index and what was measured of it."""

    kind: str
    index: Any
    recall: dict[str, float] = field(default_factory=dict)  # "picture"/"text" queries -> recall@10
    queries: dict[str, int] = field(default_factory=dict)
    settings: dict[str, int] = field(default_factory=dict)
    why: str = ""

    def write(self, path: Path) -> None:
        """Into a file that `load` opens."""
        import faiss

        faiss.write_index(self.index, str(path))

    @property
    def data(self) -> bytes:
        """The same, in memory."""
        import faiss

        return bytes(faiss.serialize_index(self.index))


def _exact(vectors: np.ndarray) -> Any:
    """Exhaustive search; fp16 codes hold our fp16 vectors without loss."""
    return _factory(vectors, "SQfp16")


def _ivf(vectors: np.ndarray, codes: str = "SQfp16") -> Any:
    """Inverted lists around 4·√n centroids, fp16 inside: near-exact, about 60 times fewer comparisons at 100k.

    faiss wants 39 training points a centroid at least.
    """
    n_lists = 2 ** int(np.log2(max(1.0, min(4 * np.sqrt(len(vectors)), len(vectors) / 39))))
    return _factory(vectors, f"IVF{n_lists},{codes}")


def _widen_ivf(index: Any) -> bool:
    index.nprobe = min(2 * index.nprobe, index.nlist)
    return bool(index.nprobe < index.nlist)


INDEXES: dict[str, IndexType] = {
    "exact": IndexType("every vector is compared: no error, time grows with the shop", _exact, lambda _: False, 2),
    "ivf": IndexType("only the nearest groups of vectors are compared", _ivf, _widen_ivf, 2),
    "ivf8": IndexType("the same, each number in 8 bits: half the memory, a little recall",
                      lambda vectors: _ivf(vectors, "SQ8"), _widen_ivf, 1),
}  # fmt: skip


def choose(index: Index, shape: tuple[int, int]) -> tuple[list[str], str]:
    """The entries of INDEXES to try for vectors [n, width], in order, and why.

    Raises ReleaseError when none can be: that is its own shop's trouble.
    """
    n, width = shape
    if index.kind != "auto":
        if index.kind not in INDEXES:
            raise ReleaseError(f"index kind {index.kind!r}", expected=f"auto or one of {', '.join(INDEXES)}")
        return [index.kind], f"{index.kind}, as configured"
    if n <= index.exact_up_to:
        return ["exact"], f"exact: {n:,} products, at most {index.exact_up_to:,}"
    whole_mb, half_mb = (n * width * INDEXES[kind].bytes_a_number / 1e6 for kind in ("ivf", "ivf8"))
    allowed = f"{index.memory_mb:,} MB allowed"
    if whole_mb <= index.memory_mb:
        return ["ivf", "exact"], f"ivf: {n:,} products, {whole_mb:,.0f} of {allowed}"
    if half_mb <= index.memory_mb:
        return ["ivf8"], f"ivf8: {n:,} products would take {whole_mb:,.0f} MB in ivf, {allowed}"
    raise ReleaseError(f"{n:,} vectors of {width} take {half_mb:,.0f} MB in the smallest index",
                       expected=f"index.memory_mb = {index.memory_mb:,} at most", do="allow it more")  # fmt: skip


def build(index: Index, vectors: np.ndarray, *, queries: dict[str, np.ndarray]) -> Built:
    """Build and measure. `vectors` [n, width]; `queries` name -> [m, width]. Raises ReleaseError below the promise."""
    kinds, why = choose(index, (len(vectors), vectors.shape[1]))
    queries = {name: np.asarray(q, dtype=np.float32) for name, q in queries.items() if len(q)}
    truth = {name: exact_scores(q, vectors, K)[0] for name, q in queries.items()}
    for kind in kinds:
        made = INDEXES[kind].build(vectors)
        recall, kept = _widened(made, INDEXES[kind].widen, queries, truth, vectors, index.recall_at_10)
        if kept:
            settings = {name: int(getattr(made, name)) for name in ("nlist", "nprobe") if hasattr(made, name)}
            counts = {name: len(asked) for name, asked in queries.items()}
            return Built(kind, made, recall, counts, settings, why)
        why += f"; its recall@{K} was {min(recall.values()):.3f}, so the next"
    raise ReleaseError(
        f"index {kind} reaches recall@{K} {recall}", expected=f"at least {index.recall_at_10}", do="use kind = exact"
    )


def _widened(
    index: Any, widen: Callable[[Any], bool], queries: dict[str, Any], truth: dict[str, Any], vectors: np.ndarray,
    promise: float,
) -> tuple[dict[str, float], bool]:  # fmt: skip
    """Search harder until the promise is kept beyond sampling error; the recalls, and whether it is kept."""
    while True:
        shares = _shares(index, queries, truth, vectors)
        recall = {name: float(found.mean()) for name, found in shares.items()}
        surely = [float(found.mean() - CONFIDENCE * found.std() / np.sqrt(len(found))) for found in shares.values()]
        if min(surely, default=1.0) >= promise:
            return recall, True
        if not widen(index):
            return recall, min(recall.values()) >= promise


def load(path: Path, *, width: int, n: int) -> Any:
    """Open an index file whose bytes were already verified; it is mapped, so that processes share its pages.

    Raises ReleaseError when it is not the declared index.
    """
    import faiss

    faiss.set_deserialization_vector_byte_limit(BYTE_LIMIT)
    try:
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as error:
        raise ReleaseError(f"{path.name} is not a faiss index: {str(error)[:120]}") from None
    if (index.d, index.ntotal, index.metric_type) != (width, n, faiss.METRIC_INNER_PRODUCT):
        raise ReleaseError(f"the index holds {index.ntotal} vectors of {index.d}", expected=f"{n} of {width}")
    return index


def search(index: Any, queries: np.ndarray, k: int, allowed: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest of each query [m, width]: scores and positions [m, k], position -1 past the end.

    `allowed` restricts to these positions, exactly.
    """
    import faiss

    queries = np.ascontiguousarray(queries, dtype=np.float32)
    if not np.isfinite(queries).all():  # faiss would answer -1s without a word
        raise ValueError("a query vector is not finite")
    selector = None if allowed is None else _only(allowed, index.ntotal)
    if not isinstance(index, faiss.IndexIVF):
        found: tuple[np.ndarray, np.ndarray] = index.search(queries, k, params=faiss.SearchParameters(sel=selector))
        return found
    n_probe = max(index.nprobe, -(-4 * k * index.nlist // index.ntotal))  # a few lists do not hold many answers
    while True:
        n_probe = index.nlist if selector is not None else min(n_probe, index.nlist)
        found = index.search(queries, k, params=faiss.SearchParametersIVF(sel=selector, nprobe=n_probe))
        if n_probe == index.nlist or found[1].min(initial=0) >= 0:
            return found
        n_probe *= 4


def _only(allowed: np.ndarray, n: int) -> Any:
    """What faiss wants of the positions that may answer."""
    import faiss

    mask = np.zeros(n, dtype=bool)
    mask[allowed] = True
    return faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))


def exact_scores(queries: np.ndarray, vectors: np.ndarray, k: int, block: int = CHUNK) -> tuple[np.ndarray, np.ndarray]:
    """Brute force in numpy, the reference of every recall: scores and positions [m, min(k, n)], best first."""
    k = min(k, len(vectors))
    best = np.empty((len(queries), 0), dtype=np.float32)
    where = np.empty((len(queries), 0), dtype=np.int64)
    for start in range(0, len(vectors), block):
        scores = queries @ vectors[start : start + block].astype(np.float32).T
        top = np.sort(np.argpartition(-scores, min(k, scores.shape[1]) - 1, axis=1)[:, :k], axis=1)
        best = np.concatenate([best, np.take_along_axis(scores, top, axis=1)], axis=1)
        where = np.concatenate([where, top + start], axis=1)
        order = np.argsort(-best, axis=1, kind="stable")[:, :k]
        best, where = np.take_along_axis(best, order, axis=1), np.take_along_axis(where, order, axis=1)
    return best, where


def _shares(index: Any, queries: dict[str, Any], truth: dict[str, Any], vectors: np.ndarray) -> dict[str, Any]:
    """Of each query [m], the share of its answers that score as high as the true k-th: equal vectors (variants) are
    equally right."""
    shares = {}
    for name, asked in queries.items():
        _, positions = index.search(asked, truth[name].shape[1])
        scores = np.einsum("mkd,md->mk", vectors[np.maximum(positions, 0)].astype(np.float32), asked)
        shares[name] = ((scores >= truth[name][:, -1:] - 1e-4) & (positions >= 0)).mean(axis=1)
    return shares


def _factory(vectors: np.ndarray, recipe: str) -> Any:
    """Trained on a sample, filled block by block: no second copy of the vectors in single precision."""
    import faiss

    index = faiss.index_factory(vectors.shape[1], recipe, faiss.METRIC_INNER_PRODUCT)
    sample = np.random.default_rng(0).permutation(len(vectors))[: 64 * getattr(index, "nlist", 1024)]
    index.train(vectors[np.sort(sample)].astype(np.float32))
    for start in range(0, len(vectors), BLOCK):
        index.add(vectors[start : start + BLOCK].astype(np.float32))
    return index
