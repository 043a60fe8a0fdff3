"""A catalog on a page: products that are alike lie by one another. The only owner of t-SNE.

A map is for the eye: distances between far groups mean nothing. So it comes with a number: the silhouette of the
groups in the space itself, where 1 is well apart and 0 is mixed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pluribus.errors import ConfigError
from pluribus.search import Searcher

MOST = 1_500
PER_PROMPT = 75  # as in GradREC's own figure
PERPLEXITY = 25  # of "Fantastic Embeddings"; smaller maps take less
#: Distances of unit vectors order as cosines do, and 50 components of them nearly so; from there 500 rounds are enough:
#: 1,500 products of myntra in 3.6 CPU-seconds in place of 5.7, trustworthiness 0.981 in place of 0.984.
COMPONENTS, ROUNDS = 50, 500


@dataclass(frozen=True)
class Point:
    """One product's place on a map."""

    product_id: str
    title: str
    group: str  # its category, or the prompt that found it
    x: float
    y: float


@dataclass(frozen=True)
class ConceptMap:
    """Points, and how well their groups are apart in the space itself: -1 to 1, None with fewer than two groups."""

    points: tuple[Point, ...]
    silhouette: float | None
    method: str


def concept_map(shop: Searcher, prompts: Sequence[str] = (), *, most: int = MOST, method: str = "t-SNE") -> ConceptMap:
    """A map of the catalog by category (an even sample of `most`), or of what some prompts find (75 each).

    `method` is "t-SNE", or "UMAP" where that library happens to be installed. Raises ConfigError.
    """
    if not 5 <= most <= 20_000:
        raise ConfigError(f"a map of {most:,}", expected="5 to 20,000 products")
    places, groups = _found(shop, prompts) if prompts else _sample(shop, most)
    if len(places) < 5:
        raise ConfigError(f"a map of {len(places)} products", expected="at least 5")
    rows = shop.space.fused[places].astype(np.float32)
    flat = _flattened(rows, method)
    named = shop.products.take(places).select(["product_id", "title"]).to_pylist()
    points = [
        Point(row["product_id"], row["title"] or "", group, float(x), float(y))
        for row, group, (x, y) in zip(named, groups, flat, strict=True)
    ]
    return ConceptMap(tuple(points), _silhouette(rows, groups), method)


def _found(shop: Searcher, prompts: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """The products nearest to each prompt, each under the first that finds it."""
    group: dict[int, str] = {}
    for prompt in prompts:
        for hit in shop.query(prompt, PER_PROMPT, collapse=False, cutoff=False):
            group.setdefault(shop.places[hit.product_id], prompt)
    return np.array(list(group), dtype=np.int64), list(group.values())


def _sample(shop: Searcher, most: int) -> tuple[np.ndarray, list[str]]:
    n = shop.products.num_rows
    places = np.sort(np.random.default_rng(0).permutation(n)[:most])
    said = shop.products["category"].take(places).to_pylist()
    return places, [(path or "").split(" > ")[-1] for path in said]


def _flattened(rows: np.ndarray, method: str) -> Any:
    if method == "t-SNE":
        from sklearn.decomposition import PCA
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits

        parts = PCA(min(COMPONENTS, *rows.shape), random_state=0).fit_transform(rows)
        perplexity = min(PERPLEXITY, (len(rows) - 1) / 3)
        with threadpool_limits(1):  # threads that wait for one another by spinning: minutes beside other work
            return TSNE(perplexity=perplexity, init="pca", max_iter=ROUNDS, random_state=0).fit_transform(parts)
    if method == "UMAP":
        try:
            from umap import UMAP
        except ImportError:
            raise ConfigError("UMAP is not installed", do="pip install umap-learn, or ask for t-SNE") from None
        return UMAP(metric="cosine", random_state=0).fit_transform(rows)
    raise ConfigError(f"method {method!r:.40}", expected="t-SNE or UMAP")


def _silhouette(rows: np.ndarray, groups: Sequence[str]) -> float | None:
    from sklearn.metrics import silhouette_score

    if not 2 <= len(set(groups)) < len(rows):
        return None
    return float(silhouette_score(rows, list(groups), metric="cosine"))
