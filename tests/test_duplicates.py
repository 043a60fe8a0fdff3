"""Duplicates: what is listed twice is found, variants and look-alikes are not, shops of two models are not compared."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pluribus import duplicates, indexes, search, vectors
from pluribus.errors import ConfigError
from pluribus.search import Searcher


@pytest.fixture(scope="module")
def hearth(demo_store: str) -> Searcher:
    return search.open(demo_store, "hearth")


def twice(shop: Searcher, places: list[int], **changes: Any) -> Searcher:
    """The shop, with these products listed once more under other ids, their vectors a little off."""
    again = shop.products.take(places)
    ids = [f"again-{product_id}" for product_id in again["product_id"].to_pylist()]
    for name, values in ({"product_id": ids, "group_id": [None] * len(ids)} | changes).items():
        field = shop.products.schema.field(name)
        again = again.set_column(again.schema.get_field_index(name), field, pa.array(values, field.type))
    rng = np.random.default_rng(0)
    of = shop.space

    def more(rows: np.ndarray) -> np.ndarray:
        noisy = rows[places].astype(np.float32) + rng.normal(0, 0.005, (len(places), rows.shape[1]))
        unit = noisy / np.linalg.norm(noisy, axis=1, keepdims=True)
        return np.concatenate([rows, unit.astype(np.float16)])

    both = {name: np.concatenate([getattr(of, name), getattr(of, name)[places]]) for name in ("has_image", "has_text")}
    space = vectors.Space(fused=more(of.fused), image=more(of.image), text=more(of.text), **both)
    index = indexes.INDEXES["exact"].build(space.fused.astype(np.float32))
    made = replace(shop, products=pa.concat_tables([shop.products, again]).combine_chunks(), index=index)
    made.__dict__.update(
        {"space": space, "lexicon": shop.lexicon}
    )  # as many texts as before: rarity is all that is asked
    return made


def test_what_is_listed_twice_is_found_with_its_words_in_another_order(hearth: Searcher) -> None:
    places = np.flatnonzero(hearth.space.has_image)[::9].tolist()
    titles = [" ".join(reversed(t.split())) for t in hearth.products["title"].take(places).to_pylist()]
    blank: list[list[str]] = [[] for _ in places]
    shop = twice(hearth, places, title=titles, pictures=blank)
    found = duplicates.find(shop)
    pairs = {(twins.product_id, twins.other_id) for twins in found}
    original = hearth.products["product_id"].to_pylist()
    assert {(original[p], f"again-{original[p]}") for p in places} <= pairs
    strangers = [twins for twins in found if twins.title.split() != twins.other_title.split()[::-1]]
    assert len(strangers) <= len(duplicates.find(hearth))
    assert {place for tied in duplicates.clusters(found) for place in tied} >= set(places)


def test_variants_of_a_group_and_other_colours_are_no_duplicates(hearth: Searcher) -> None:
    for twins in duplicates.find(hearth, least=0.0):
        ours, theirs = hearth.get([twins.product_id, twins.other_id])
        assert not ours["group_id"] or ours["group_id"] != theirs["group_id"]
    colours = hearth.products.num_rows
    one = hearth.products["product_id"][0].as_py()
    told = twice(hearth, [0], colour=["another"])
    told = replace(told, products=_set(told.products, "colour", ["some"] * colours + ["another"]))
    told.__dict__.update({"space": twice(hearth, [0]).space, "lexicon": hearth.lexicon})
    assert f"again-{one}" not in {twins.other_id for twins in duplicates.find(told)}


def _set(table: pa.Table, name: str, values: list[str]) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, pa.array(values))


@pytest.mark.parametrize(
    ("one", "other", "least", "most"),
    [
        ("Red Vase", "vases, red", 1.0, 1.0),
        ("HP 70 black ink", "HP 73 black ink", 0.0, 0.0),
        ("Red Vase", "Blue Vase", 0.01, 0.9),
        ("", "", 0.0, 0.0),
    ],
)
def test_titles_are_as_alike_as_the_words_they_share(one: str, other: str, least: float, most: float) -> None:
    assert least <= duplicates.alike(one, other, lambda word: 1.0) <= most


def test_the_same_product_in_two_shops(hearth: Searcher, demo_store: str) -> None:
    outpost = search.open(demo_store, "outpost")
    assert {twins.other_shop for twins in duplicates.find(outpost, hearth, least=0.3)} <= {"hearth"}
    copied = twice(outpost, [0, 5])
    found = duplicates.find(outpost, copied, least=0.95)
    ids = outpost.products["product_id"].to_pylist()
    assert {(ids[n], f"again-{ids[n]}") for n in (0, 5)} <= {(twins.product_id, twins.other_id) for twins in found}


def test_shops_of_two_models_are_not_compared(hearth: Searcher) -> None:
    facts = {**hearth.release.manifest.facts, "fingerprint": "another"}
    manifest = replace(hearth.release.manifest, facts=facts)
    other = replace(hearth, release=replace(hearth.release, manifest=manifest))
    with pytest.raises(ConfigError, match="different models"):
        duplicates.find(hearth, other)
