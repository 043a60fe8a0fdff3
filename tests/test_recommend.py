"""Similar items: like the product, never the product or its variants, within the limits asked for."""

import numpy as np
import pytest
from PIL import Image

from pluribus import recommend, search
from pluribus.errors import ConfigError
from pluribus.search import Searcher
from pluribus.search.filters import mask


@pytest.fixture(scope="module")
def atelier(demo_store: str) -> Searcher:
    return search.open(demo_store, "atelier")


def test_its_own_group_is_left_out_and_the_nearest_of_the_others_come_first(atelier: Searcher) -> None:
    for place in (0, 9, 40):
        row = atelier.products.slice(place, 1).to_pylist()[0]
        hits = recommend.similar(atelier, row["product_id"], 8)
        groups = [hit.product["group_id"] or hit.product_id for hit in hits]
        assert len(hits) == 8
        assert row["group_id"] not in groups
        assert len(set(groups)) == 8
        of = atelier.space.fused.astype(np.float32)
        others = np.flatnonzero(atelier.groups != atelier.groups[place])
        assert hits[0].score == pytest.approx(float((of[others] @ of[place]).max()), abs=2e-3)


def test_category_and_price_are_kept_when_asked(atelier: Searcher) -> None:
    row = atelier.products.slice(3, 1).to_pylist()[0]
    hits = recommend.similar(atelier, row["product_id"], 50, same_category=True, price_within=0.3)
    every = [
        r for r in atelier.products.to_pylist() if r["category"] == row["category"] and r["group_id"] != row["group_id"]
    ]
    assert {hit.product["category"] for hit in hits} <= {row["category"]}
    assert all(abs(hit.product["price"] / row["price"] - 1) <= 0.3 + 1e-9 for hit in hits)
    assert len(hits) == len({r["group_id"] for r in every if abs(r["price"] / row["price"] - 1) <= 0.3})


def test_other_limits_only_narrow_what_was_asked(atelier: Searcher) -> None:
    rows = [row for row in atelier.products.to_pylist() if row["category"]]
    other = next(row["category"] for row in rows if row["category"] != rows[0]["category"])
    limits = [f"category={other}", f"category={rows[0]['category']}"]
    kept = [mask(atelier.products, [*some, *recommend._like(rows[0], True, None)]) for some in ([], limits, limits[:1])]
    assert kept[0].sum() > 0
    assert np.array_equal(kept[0], kept[1])
    assert not kept[2].any()


def test_a_price_exactly_on_the_bound_is_within() -> None:
    limits = recommend._like({"product_id": "a", "price": 100.0, "sale_price": None}, False, 0.15)
    assert [float(limit.value) for limit in limits] == [85.0, 115.0]


def test_a_picture_asks_too(atelier: Searcher) -> None:
    red = Image.new("RGB", (50, 60), (200, 20, 30))
    assert len(recommend.similar(atelier, picture=red, k=4)) == 4


def test_nonsense_is_one_line(atelier: Searcher) -> None:
    for arguments in ({}, {"product_id": "no such"}, {"picture": Image.new("RGB", (9, 9)), "same_category": True},
                      {"product_id": str(atelier.products["product_id"][0]), "price_within": float("nan")},
                      {"product_id": str(atelier.products["product_id"][0]), "filters": ["price<nan"]}):  # fmt: skip
        with pytest.raises(ConfigError):
            recommend.similar(atelier, **arguments)  # type: ignore[arg-type]
