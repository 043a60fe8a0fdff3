"""Recommend: what is like a product, or like a picture, in a shop's live release."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pluribus.errors import ConfigError
from pluribus.search import Filter, Hit, Searcher


def similar(
    shop: Searcher,
    product_id: str | None = None,
    k: int = 10,
    *,
    picture: Any = None,
    filters: Sequence[str | Filter] = (),
    same_category: bool = False,
    price_within: float | None = None,
    diversity: float = 0.0,
) -> list[Hit]:
    """The k products most like a product (or a picture), one of each group; the product's own group is left out.

    same_category  only products of the very same category
    price_within   only prices at most this share above or below the product's: 0.2 is 20 %

    Raises ConfigError on an unknown product, and where the product lacks the category or price that it is asked for.
    """
    if (product_id is None) == (picture is None):
        raise ConfigError("similar items of nothing, or of two things", expected="a product, or a picture")
    if product_id is None:
        if same_category or price_within is not None:
            raise ConfigError("a picture has neither category nor price", expected="filters in their place")
        return shop.query([picture], k, filters=filters, diversity=diversity, cutoff=False)
    [place] = shop.rows([product_id])
    limits = [*filters, *_like(shop.get([product_id])[0], same_category, price_within)]
    group = np.flatnonzero(shop.groups == shop.groups[place])
    vector = shop.space.fused[[place]]
    return shop.near(vector, k, filters=limits, excluded=group, diversity=diversity)


def _like(row: dict[str, Any], same_category: bool, price_within: float | None) -> list[Filter]:
    limits = []
    if same_category:
        if not row["category"]:
            raise ConfigError(f"product {row['product_id']!r:.80} has no category", do="ask without same_category")
        limits.append(Filter("category", "==", row["category"]))
    if price_within is not None:
        price = row["price"] if row["sale_price"] is None else row["sale_price"]
        if price is None or not 0 <= price_within < math.inf:
            raise ConfigError(f"price {price} of {row['product_id']!r:.80} within {price_within}",
                              expected="a product with a price, and a share of 0 or more")  # fmt: skip
        limits += [Filter("price", sign, repr(round(price * share, 9)))
                   for sign, share in ((">=", 1 - price_within), ("<=", 1 + price_within))]  # fmt: skip
    return limits
