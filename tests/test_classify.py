"""Classification: labels reach products, doubt is said, spreadsheets stay harmless, misplaced products are found."""

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pluribus import classify, search, tables
from pluribus.classify import Taxonomy
from pluribus.errors import ConfigError
from pluribus.search import Searcher


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
