"""Classification: labels reach products, doubt is said, spreadsheets stay harmless, misplaced products are found."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from conftest import publish_shop

from pluribus import classify, demo, render, search, settings, tables
from pluribus.classify import Taxonomy
from pluribus.errors import ConfigError
from pluribus.search import Searcher
from pluribus.store import open_store

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def atelier(demo_store: str) -> Searcher:
    return search.open(demo_store, "atelier")


def test_shares_of_all_labels_sum_to_one_and_braces_are_letters(atelier: Searcher) -> None:
    first = atelier.products["product_id"][0].as_py()
    found = classify.labels(atelier, ["dress", "boot", "{0}", "{x"], product_id=first, k=9)
    assert sum(label.share for label in found) == pytest.approx(1)
    assert [label.share for label in found] == sorted((label.share for label in found), reverse=True)


def test_a_text_is_classified_too(atelier: Searcher) -> None:
    assert classify.labels(atelier, ["dress", "boot", "hat"], what="a red dress")[0].label == "dress"


def test_doubtful_labels_are_left_out(atelier: Searcher) -> None:
    sure = classify.tag(atelier, ["dress", "boot"], sure=0.9)
    assert sure.num_rows == atelier.products.num_rows
    for row in sure.to_pylist():
        assert (row["label"] is None) == (row["score"] < 0.9)
    assert None in sure["label"].to_pylist()


def test_a_taxonomy_is_entered_only_as_far_as_it_is_sure(tmp_path: Path) -> None:
    file = tmp_path / "tree.txt"
    file.write_text("# Google_Product_Taxonomy\n1 - A\n2 - A > B\n3 - A > B > C\n4 - A > D\n5 - E\n")
    tree = Taxonomy.read(file)
    assert tree.paths == ("A", "A > B", "A > B > C", "A > D", "E")
    shares = np.array([0.1, 0.1, 0.3, 0.3, 0.2])
    assert tree.descend(shares, 0.5).path == "A"
    assert tree.descend(shares, 0.4).path == "A > B"
    assert tree.descend(shares, 0.9).path == ""
    assert [name for name, _ in tree.descend(shares, 0.9).levels] == ["A", "B", "C"]


def test_a_cell_never_becomes_a_formula(tmp_path: Path) -> None:
    rows = pa.table({"=cmd": ["=1+1", "@x", "-2", "fine", None], "n": [-1.5, 2, 3, 4, 5]})
    classify.write(rows, tmp_path / "t.csv")
    lines = list(csv.reader((tmp_path / "t.csv").read_text("utf-8-sig").splitlines()))
    assert lines[0] == ["'=cmd", "n"]
    assert [line[0] for line in lines[1:]] == ["'=1+1", "'@x", "'-2", "fine", ""]
    assert lines[1][1] == "-1.5"
    classify.write(rows, tmp_path / "t.parquet")
    assert tables.read(tmp_path / "t.parquet").equals(rows)
    with pytest.raises(ConfigError):
        classify.write(rows, tmp_path / "t.xls")


@pytest.mark.parametrize("names", [[], ["dress", " "]])
def test_nonsense_is_one_line(atelier: Searcher, names: list[str]) -> None:
    with pytest.raises(ConfigError):
        classify.labels(atelier, names, what="x")


@pytest.fixture(scope="module")
def misplaced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Searcher, set[str]]:
    """Outpost with 6 of 170 products delivered under another product's category, and their ids."""
    folder = tmp_path_factory.mktemp("misplaced")
    products = [product for product in demo.catalog("outpost", n_products=170) if not product.fault]
    rows = [product.row for product in products]
    shots = {product.row.pictures[0]: next(iter(product.shots.values())) for product in products}
    for place in range(10, 160, 27):
        rows[place] = replace(rows[place], category=rows[(place + 60) % 160].category)
    wrong = {row.id for row, product in zip(rows, products, strict=True) if row.category != product.row.category}
    (folder / "outpost").mkdir()
    demo.DEMOS["outpost"].write(folder / "outpost", rows, ((name, jpeg(item)) for name, item in shots.items()))
    shop = settings.parse_shop(
        (ROOT / "config" / "shops" / "outpost.toml").read_bytes(), "outpost.toml", data_root=str(folder)
    )
    store = open_store(str(folder / "store"))
    publish_shop(store, shop, settings.load(str(ROOT / "config")))
    return search.open(store, "outpost"), wrong


def jpeg(item: render.Item) -> bytes:
    buffer = io.BytesIO()
    render.draw(item, 96).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def test_products_delivered_under_a_wrong_category_are_found(misplaced: tuple[Searcher, set[str]]) -> None:
    shop, wrong = misplaced
    assert len(wrong) >= 5
    first = [suspect.product_id for suspect in classify.suspects(shop, most=len(wrong) + 4)]
    assert len(wrong & set(first)) >= len(wrong) - 1
    ranked = classify.suspects(shop, most=200)
    assert [one.suspicion for one in ranked] == sorted((one.suspicion for one in ranked), reverse=True)


def test_labels_and_neighbours_agree_with_the_shop_far_beyond_chance(misplaced: tuple[Searcher, set[str]]) -> None:
    shop, _ = misplaced
    found = {one.by: one.score for one in classify.agreement(shop)}
    assert found["zero-shot"].low > 0.7
    assert found["neighbours"].low > 0.5
    assert all(score.low > 5 * score.chance for score in found.values())


def test_neighbours_vote_without_the_product_s_own_group(misplaced: tuple[Searcher, set[str]]) -> None:
    shop, wrong = misplaced
    one = next(place for product_id, place in shop.places.items() if product_id not in wrong)
    row = shop.products.slice(one, 1).to_pylist()[0]
    votes = classify.vote(shop, row["product_id"])
    assert sum(label.share for label in votes) == pytest.approx(1)
    assert votes[0].share >= votes[-1].share


def test_googles_taxonomy_is_read_as_it_comes(data: Path) -> None:
    tree = Taxonomy.read(data / "feeds" / "taxonomy-with-ids.en-US.txt")
    assert len(tree.paths) == 5_595
    assert "Apparel & Accessories > Clothing > Dresses" in tree.paths


def test_a_nested_set_and_plain_paths_are_one_tree(tmp_path: Path) -> None:
    nested, plain = tmp_path / "nested.txt", tmp_path / "plain.txt"
    nested.write_text(
        "# c\n   1 | [   1-   8] | A\n   2 | [   2-   5] | B\n   3 | [   3-   4] | C\n   4 | [   6-   7] | D\n"
    )
    plain.write_text("A > B > C\nA > D\n")
    assert Taxonomy.read(nested).paths == Taxonomy.read(plain).paths
