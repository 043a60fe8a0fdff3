"""Search: words or a picture in, a shop's nearest products out, from its live release.

    from pluribus import search
    shop = search.open(".pluribus", "atelier")
    shop.query("red dress", k=5)
    shop.query("red dress:1, floral:-0.5", filters=["price<50", "category^=Women"])
    shop.query([(Path("photo.jpg"), 1.0), ("but in blue", 0.5)])

The door to a published release: every use (similar, suggest, classify ...) takes a `Searcher`.
"""

from functools import lru_cache

from pluribus import indexes, models, releases, tables
from pluribus.errors import ReleaseError
from pluribus.models.encoders import Encoder
from pluribus.search.filters import Filter, parse
from pluribus.search.searcher import Hit, Searcher
from pluribus.search.terms import Term, terms
from pluribus.store import Store, open_store

__all__ = ["Filter", "Hit", "Searcher", "Term", "open", "parse", "terms"]


def open(store: Store | str, shop: str, release: str | None = None) -> Searcher:  # noqa: A001 - reads as search.open
    """Open a shop's live release (or the one named) for searching. Raises ReleaseError when there is none."""
    where = open_store(store) if isinstance(store, str) else store
    opened = releases.open_release(where.within(f"shops/{shop}"), shop=shop, release=release)
    facts = opened.manifest.facts
    products = tables.whole(opened.path("products.parquet"))
    if products.num_rows != facts["products"]:
        raise ReleaseError(
            f"release {opened.manifest.release} holds {products.num_rows} products",
            expected=f"{facts['products']}",
            do="roll back, or refresh the shop",
        )
    index = indexes.load(opened.path("index.faiss"), width=facts["width"], n=facts["products"])
    return Searcher(shop, opened, products, index, _encoder(where.url, facts["fingerprint"]))


@lru_cache(maxsize=4)
def _encoder(store_url: str, fingerprint: str) -> Encoder:
    """One encoder for all shops of a process that share a model."""
    return models.load(open_store(store_url), fingerprint)
