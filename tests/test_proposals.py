"""A look at a feed proposes its mapping and says what a person should know."""

from pathlib import Path

import pytest

from pluribus.errors import FeedError
from pluribus.feeds.proposals import look
from pluribus.records import Feed


def test_proposes_a_mapping(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("ID,Name,Price,Proof,Url\n1,Rye,$39.99,92,/1\n2,Gin,$20,,\n2,Rum,5 EUR,,\n")
    seen = look(tmp_path / "a.csv")
    assert (seen.format, seen.rows) == ("csv", 3)
    assert seen.mapping == {"product_id": ("ID",), "title": ("Name",), "price": ("Price",), "link": ("Url",)}
    assert seen.columns["Proof"] == (1 / 3, "92")
    assert seen.extra == ("Proof",)
    assert "brand" in seen.missing and "title" not in seen.missing
    assert [next(word for word in ("repeat", "currencies", "pictures") if word in said) for said in seen.warnings] == [
        "repeat",
        "currencies",
        "pictures",
    ]


def test_warns_of_unnamed_columns_and_defects(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,title,price,\n1,Shirt,x,more\n2,Hat\n")
    warnings = "\n".join(look(tmp_path / "a.csv").warnings)
    for said in ("column 4 has no name", "1 of 2 rows have the defect PRICE", "1 of 2 rows have the defect COLUMNS"):
        assert said in warnings


def test_a_file_without_header_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("0,2156,Rye,39.99\n1,1980,Bourbon,45.99\n")
    assert "first line looks like data" in look(tmp_path / "a.csv").warnings[0]
    seen = look(tmp_path / "a.csv", feed=Feed(source=(), header=("row", "id", "name", "price")))
    assert seen.mapping["product_id"] == ("id",)
    assert seen.rows == 2


def test_refuses_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,title\n")
    with pytest.raises(FeedError, match="no products"):
        look(tmp_path / "a.csv")


def test_liquor_says_that_its_picture_column_holds_none(data: Path) -> None:
    seen = look(data / "shops" / "nh_liquor" / "spirits_10-14.csv")
    assert seen.mapping["images"] == ("image",)
    assert any("no column holds pictures" in warning for warning in seen.warnings)


def test_myntra_says_that_text_spilled(data: Path) -> None:
    seen = look(data / "shops" / "myntra_fashion" / "styles.csv")
    assert seen.mapping["category"] == ("masterCategory", "subCategory", "articleType")
    assert any("column 11" in warning for warning in seen.warnings)
