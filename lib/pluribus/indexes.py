"""Nearest-neighbour indexes over unit vectors, by inner product. The only owner of faiss.

A type of index is one entry in INDEXES. Every build measures its recall@10 against exact search, with picture and with
text queries (text queries lie elsewhere in the space, and quantised indexes can fail on them alone), and a build below
its promise is refused. `auto` is exact up to a size, then inverted lists.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pluribus.errors import ConfigError, ReleaseError

K = 10
BYTE_LIMIT = 8 << 30  # a larger vector block in an index file is refused by faiss before it is allocated


@dataclass(frozen=True)
class IndexType:
    """One way to build: `build(vectors)` gives a faiss index, `widen(index)` makes it search harder, or says no."""

    means: str
    build: Callable[[np.ndarray], Any]
    widen: Callable[[Any], bool]


@dataclass(frozen=True)
class Built:
    """A finished index and what was measured of it."""

    kind: str
    data: bytes
    recall: dict[str, float] = field(default_factory=dict)  # "picture"/"text" queries -> recall@10
    queries: dict[str, int] = field(default_factory=dict)
    settings: dict[str, int] = field(default_factory=dict)


def _exact(vectors: np.ndarray) -> Any:
    """Exhaustive search; fp16 codes hold our fp16 vectors without loss."""
    return _factory(vectors, "SQfp16")


def _ivf(vectors: np.ndarray) -> Any:
    """Inverted lists around 4·√n centroids, fp16 inside: near-exact, about 60 times fewer comparisons at 100k.

    faiss wants 39 training points a centroid at least.
    """
    n_lists = 2 ** int(np.log2(max(1.0, min(4 * np.sqrt(len(vectors)), len(vectors) / 39))))
    return _factory(vectors, f"IVF{n_lists},SQfp16")


def _widen_ivf(index: Any) -> bool:
    index.nprobe = min(2 * index.nprobe, index.nlist)
    return bool(index.nprobe < index.nlist)


INDEXES: dict[str, IndexType] = {
    "exact": IndexType("every vector is compared: no error, time grows with the shop", _exact, lambda _: False),
    "ivf": IndexType("only the nearest groups of vectors are compared", _ivf, _widen_ivf),
}


def choose(kind: str, n: int, exact_up_to: int) -> str:
    """The entry of INDEXES for n products. Raises ConfigError on an unknown kind."""
    if kind == "auto":
        return "exact" if n <= exact_up_to else "ivf"
    if kind not in INDEXES:
        raise ConfigError(f"index kind {kind!r}", expected=f"auto or one of {', '.join(INDEXES)}")
    return kind


def build(kind: str, vectors: np.ndarray, *, queries: dict[str, np.ndarray], promise: float) -> Built:
    """Build and measure. `vectors` [n, width]; `queries` name -> [m, width]. Raises ReleaseError below the promise."""
    import faiss

    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    index = INDEXES[kind].build(vectors)
    queries = {name: np.asarray(q, dtype=np.float32) for name, q in queries.items() if len(q)}
    truth = {name: exact_scores(q, vectors, K)[0] for name, q in queries.items()}
    recall = _recalls(index, queries, truth, vectors)
    while min(recall.values(), default=1.0) < promise and INDEXES[kind].widen(index):
        recall = _recalls(index, queries, truth, vectors)
    if min(recall.values(), default=1.0) < promise:
        raise ReleaseError(
            f"index {kind} reaches recall@{K} {recall}", expected=f"at least {promise}", do="use kind = exact"
        )
    settings = {name: int(getattr(index, name)) for name in ("nlist", "nprobe") if hasattr(index, name)}
    return Built(
        kind, faiss.serialize_index(index).tobytes(), recall, {n: len(q) for n, q in queries.items()}, settings
    )


def load(path: Path, *, width: int, n: int) -> Any:
    """Open an index file whose bytes were already verified. Raises ReleaseError when it is not the declared index."""
    import faiss

    faiss.set_deserialization_vector_byte_limit(BYTE_LIMIT)
    try:
        index = faiss.deserialize_index(np.fromfile(path, dtype=np.uint8))
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
    if allowed is None:
        scores, positions = index.search(queries, k)
        return scores, positions
    selector = faiss.IDSelectorBatch(np.ascontiguousarray(allowed, dtype=np.int64))
    if isinstance(index, faiss.IndexIVF):
        parameters = faiss.SearchParametersIVF(sel=selector, nprobe=index.nlist)
    else:
        parameters = faiss.SearchParameters(sel=selector)
    scores, positions = index.search(queries, k, params=parameters)
    return scores, positions


def exact_scores(
    queries: np.ndarray, vectors: np.ndarray, k: int, block: int = 65_536
) -> tuple[np.ndarray, np.ndarray]:
    """Brute force in numpy, the reference of every recall: scores and positions [m, min(k, n)], best first."""
    k = min(k, len(vectors))
    best = np.empty((len(queries), 0), dtype=np.float32)
    where = np.empty((len(queries), 0), dtype=np.int64)
    for start in range(0, len(vectors), block):
        scores = queries @ vectors[start : start + block].astype(np.float32).T
        best = np.concatenate([best, scores], axis=1)
        where = np.concatenate(
            [where, np.broadcast_to(np.arange(start, start + scores.shape[1]), scores.shape)], axis=1
        )
        order = np.argsort(-best, axis=1, kind="stable")[:, :k]
        best, where = np.take_along_axis(best, order, axis=1), np.take_along_axis(where, order, axis=1)
    return best, where


def _recalls(index: Any, queries: dict[str, Any], truth: dict[str, Any], vectors: np.ndarray) -> dict[str, float]:
    """Share of the returned that score as high as the true k-th: equal vectors (variants) are equally right."""
    recalls = {}
    for name, asked in queries.items():
        _, positions = index.search(asked, truth[name].shape[1])
        scores = np.einsum("mkd,md->mk", vectors[np.maximum(positions, 0)], asked)
        recalls[name] = float(np.mean((scores >= truth[name][:, -1:] - 1e-4) & (positions >= 0)))
    return recalls


def _factory(vectors: np.ndarray, recipe: str) -> Any:
    import faiss

    index = faiss.index_factory(vectors.shape[1], recipe, faiss.METRIC_INNER_PRODUCT)
    sample = np.random.default_rng(0).permutation(len(vectors))[: 64 * getattr(index, "nlist", 1024)]
    index.train(vectors[np.sort(sample)])
    index.add(vectors)
    return index
