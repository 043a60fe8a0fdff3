"""Search: a text in, a shop's nearest products out, from its live release.

from pluribus import search
search.open(".pluribus", "atelier").query("red dress", k=5)
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from pluribus import indexes, models, releases, tables, vectors
from pluribus.errors import ConfigError, ReleaseError
from pluribus.store import Store, open_store


@dataclass(frozen=True)
class Hit:
    """One product found: its id, how near it is (cosine), and its row as the shop wrote it."""

    product_id: str
    title: str
    score: float
    product: dict[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Searcher:
    """A shop's release, opened: every byte verified, the index in memory."""

    shop: str
    release: releases.Release
    products: pa.Table
    index: Any
    encoder: models.Encoder

    def query(self, text: str, k: int = 10) -> list[Hit]:
        """The k products nearest to a text, best first. Raises ConfigError on an empty text."""
        if not text.strip():
            raise ConfigError("an empty query", expected="some words")
        return self.near(self.encoder.texts([text]), k)

    def near(self, vector: np.ndarray, k: int) -> list[Hit]:
        """The k products nearest to a unit vector [1, width]."""
        if k < 1:
            raise ConfigError(f"k = {k}", expected="at least 1")
        scores, positions = indexes.search(self.index, vector, min(k, self.products.num_rows))
        return [self.hit(int(p), float(s)) for p, s in zip(positions[0], scores[0], strict=True) if p >= 0]

    @cached_property
    def space(self) -> vectors.Space:
        """The vectors behind the index, read when first asked for and kept as long as this searcher."""
        return vectors.read_space(self.release.path("vectors.parquet"), self.encoder.width)

    @cached_property
    def places(self) -> dict[str, int]:
        """The row of each product."""
        return {product_id: place for place, product_id in enumerate(self.products["product_id"].to_pylist())}

    def rows(self, product_ids: Sequence[str]) -> list[int]:
        """The rows of these products, in order. Raises ConfigError naming an id that the release does not hold."""
        unknown = [product_id for product_id in product_ids if product_id not in self.places]
        if unknown:
            raise ConfigError(
                f"no product {unknown[0]!r} in the live release of {self.shop}",
                do=f"it may be quarantined: pluribus quarantine {self.shop}",
            )
        return [self.places[product_id] for product_id in product_ids]

    def get(self, product_ids: Sequence[str]) -> list[dict[str, Any]]:
        """These products as the shop wrote them, in order. Raises ConfigError naming an unknown one."""
        return [self._row(place) for place in self.rows(product_ids)]

    def hit(self, position: int, score: float) -> Hit:
        """The product of one row, as found with this score."""
        row = self._row(position)
        return Hit(row["product_id"], row["title"] or "", score, row)

    def _row(self, position: int) -> dict[str, Any]:
        row: dict[str, Any] = self.products.slice(position, 1).to_pylist()[0]
        return row | {"extra": dict(row["extra"] or [])}


def open(store: Store | str, shop: str, release: str | None = None) -> Searcher:  # noqa: A001 - reads as search.open
    """Open a shop's live release (or the one named) for searching. Raises ReleaseError when there is none."""
    where = open_store(store) if isinstance(store, str) else store
    opened = releases.open_release(where.within(f"shops/{shop}"), shop=shop, release=release)
    facts = opened.manifest.facts
    products = tables.read(opened.path("products.parquet"))
    if products.num_rows != facts["products"]:
        raise ReleaseError(
            f"release {opened.manifest.release} holds {products.num_rows} products",
            expected=f"{facts['products']}",
            do="roll back, or refresh the shop",
        )
    index = indexes.load(opened.path("index.faiss"), width=facts["width"], n=facts["products"])
    return Searcher(shop, opened, products, index, _encoder(where.url, facts["fingerprint"]))


@lru_cache(maxsize=4)
def _encoder(store_url: str, fingerprint: str) -> models.Encoder:
    """One encoder for all shops of a process that share a model."""
    return models.load(open_store(store_url), fingerprint)
