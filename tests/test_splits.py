"""Splits: nothing that judges was ever trained on, whatever hangs together."""

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pluribus.errors import ConfigError
from pluribus.train import splits
from pluribus.train.splits import Thing


def catalog(n: int, shop: str = "a") -> list[Thing]:
    """Products with a picture each, in 10 categories of 4 brands."""
    return [
        Thing(shop=shop, product_id=str(i), pictures=(f"{shop}{i}",), category=f"c{i % 10}", brand=f"b{i % 4}")
        for i in range(n)
    ]


def test_random_splits_have_their_shares_and_every_product_one() -> None:
    found = splits.split(catalog(2000), valid_share=0.1, test_share=0.2)
    assert set(found) == {"TRAIN", "VALID", "TEST"}
    assert 0.07 < found.count("VALID") / 2000 < 0.13
    assert 0.16 < found.count("TEST") / 2000 < 0.24


def test_the_same_seed_gives_the_same_splits_and_a_grown_catalog_keeps_them() -> None:
    things = catalog(500)
    first = splits.split(things, seed=3)
    assert splits.split(things[::-1], seed=3)[::-1] == first
    assert splits.split(catalog(700), seed=3)[:500] == first
    assert splits.split(things, seed=4) != first


def test_held_out_categories_brands_and_shops_are_never_trained_on() -> None:
    things = catalog(400) + catalog(400, "new")
    found = splits.split(things, held_shops=["new"], held_categories=["c1"], held_brands=["b2"])
    for thing, name in zip(things, found, strict=True):
        if thing.shop == "new":
            assert name == "SHOP new"
        elif thing.category == "c1":
            assert name == "HOUT-C"
        elif thing.brand == "b2":
            assert name == "HOUT-B"
        else:
            assert name in ("TRAIN", "VALID", "TEST")


def test_what_shares_a_picture_with_a_held_out_product_is_left_out() -> None:
    things = [*catalog(100), Thing(shop="a", product_id="twin", pictures=("a1",), category="c2", brand="b0")]
    assert splits.split(things, held_categories=["c1"])[-1] == splits.LEFT_OUT
    shared = [*catalog(100), Thing(shop="new", product_id="x", pictures=("a1",))]
    found = splits.split(shared, held_shops=["new"])
    assert (found[1], found[-1]) == (splits.LEFT_OUT, "SHOP new")


pictures = st.lists(st.integers(0, 60).map(str), max_size=3).map(tuple)
rows = st.tuples(pictures, st.sampled_from(["", "g1", "g2", "g3"]), st.sampled_from(["c1", "c2"]),
                 st.sampled_from(["x", "y"]))  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(rows, max_size=40), st.integers(0, 5))
def test_no_picture_id_or_group_is_in_two_splits(drawn: list[tuple[tuple[str, ...], str, str, str]], seed: int) -> None:
    odd = [Thing(shop=shop, product_id=f"o{i % 7}", pictures=p, category=c, group_id=g)
           for i, (p, g, c, shop) in enumerate(drawn)]  # fmt: skip
    found = splits.split(catalog(300) + odd, held_categories=["c1"], held_shops=["x", "y"], seed=seed)
    used = [(thing, name) for thing, name in zip(catalog(300) + odd, found, strict=True) if name]
    of: dict[object, set[str]] = {}
    for thing, name in used:
        marks: list[object] = [("id", thing.shop, thing.product_id), *thing.pictures]
        for mark in marks + ([("group", thing.shop, thing.group_id)] if thing.group_id else []):
            of.setdefault(mark, set()).add(name)
    trained = {mark for mark, names in of.items() if "TRAIN" in names}
    assert all(of[mark] == {"TRAIN"} for mark in trained)
    for names in of.values():  # only a product of two held-out kinds at once may lie between two judging splits
        assert all({one, two} & {"HOUT-C", "HOUT-B"} or "SHOP" in one for one, two in combinations(sorted(names), 2))


def test_a_shop_with_three_products() -> None:
    with pytest.raises(ConfigError, match="shop tiny has 3 products with title and picture; expected at least 30"):
        splits.split(catalog(100) + catalog(3, "tiny"))
    assert splits.split(catalog(100) + catalog(3, "tiny"), held_shops=["tiny"]).count("SHOP tiny") == 3


def test_one_thing_cannot_be_split() -> None:
    things = [Thing(shop="a", product_id=str(i), pictures=("logo",)) for i in range(50)]
    with pytest.raises(ConfigError, match="no product is left for"):
        splits.split(things)


def test_what_is_held_out_covers_its_share_and_is_no_main_category() -> None:
    values = ["main"] * 500 + [f"c{i}" for i in range(20) for _ in range(20)] + ["rare"] * 3 + [""] * 10
    chosen = splits.hold_out(values, share=0.1)
    assert not {"main", "", "rare"} & set(chosen)
    covered = sum(value in chosen for value in values) / len(values)
    assert 0.1 <= covered < 0.15
    assert splits.hold_out(values, share=0.1) == chosen
    assert splits.hold_out(["", ""], share=0.1) == []
