"""What exports write that is not what it seems: each of these was once read as something that the shop never said."""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pluribus import newshop
from pluribus.errors import FeedError
from pluribus.feeds import products
from pluribus.records import Feed, Limits

Rows = list[dict[str, Any]]


@pytest.fixture
def feed(tmp_path: Path) -> Callable[..., Rows]:
    def read(content: str | bytes, name: str = "feed.csv", **options: Any) -> Rows:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        batches = products([path], feed=Feed(source=(), **options), limits=Limits())
        return pa.Table.from_batches(list(batches)).to_pylist()

    return read


def values(rows: Rows, *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in rows]


@pytest.mark.parametrize("said", ["NULL", "null", "n/a", "none", "-", "--", "0", "0.0", "NaN"])
def test_a_placeholder_is_no_group(said: str, feed: Callable[..., Rows]) -> None:
    rows = feed(f"id,title,item_group_id\n1,Red shirt,{said}\n2,Blue mug,{said}\n3,Cap,G0\n")
    assert values(rows, "group_id") == [(None,), (None,), ("G0",)]


def test_a_sale_price_of_0_is_no_sale(feed: Callable[..., Rows]) -> None:
    rows = feed("id,title,price,sale_price\n1,Shirt,100,0\n2,Mug,20,0.00\n3,Cap,9,7\n4,Sample,0,0\n")
    assert values(rows, "price", "sale_price") == [(100, None), (20, None), (9, 7), (0, 0)]


def test_the_currency_column_and_the_prices_decide_what_a_sale_price_means(feed: Callable[..., Rows]) -> None:
    rows = feed("id;title;price;currency\n1;Shirt;1.299;EUR\n2;Mug;899;EUR\n")
    assert values(rows, "price", "currency") == [(1299, "EUR"), (899, "EUR")]
    rows = feed("id;title;price;sale_price\n1;Shirt;1.299,00;1.099\n2;Mug;899,00;\n")
    assert values(rows, "price", "sale_price") == [(1299, 1099), (899, None)]


@pytest.mark.parametrize("said", ["1.0", "ja", "Oui", "wahr", "SI", "true", "deleted"])
def test_a_tombstone_in_another_language_is_one(said: str, feed: Callable[..., Rows]) -> None:
    assert values(feed(f"id,title,deleted\n1,,{said}\n2,Mug,0.0\n"), "deleted") == [(True,), (False,)]


def test_variants_are_named_by_whatever_names_the_product(feed: Callable[..., Rows]) -> None:
    variants = [{"size": "S", "price": 10}, {"size": "M", "price": 11}]
    rows = feed(json.dumps([{"code": c, "title": c, "variants": variants} for c in ("C1", "C2")]), "feed.json")
    assert [row["group_id"] for row in rows] == ["C1", "C1", "C2", "C2"]
    assert len({row["product_id"] for row in rows}) == 4
    rows = feed(json.dumps({p: {"title": "Shirt", "variants": variants} for p in ("P1", "P2")}), "feed.json")
    assert [row["group_id"] for row in rows] == ["P1", "P1", "P2", "P2"]


def test_a_woocommerce_parent_is_of_its_own_family(feed: Callable[..., Rows]) -> None:
    head = "ID,Type,SKU,Name,Regular price,Categories,Images,Parent,Attribute 1 name,Attribute 1 value(s)\n"
    for sku, parent, group in (("S", "S", "S"), ("S", "id:1", "S"), ("", "id:1", "1")):
        rows = feed(f'{head}1,variable,{sku},Shirt,12,,,,Size,"S, M"\n2,variation,S-1,Shirt - S,12,,,{parent},Size,S\n')
        assert [row["group_id"] for row in rows] == [group, group]


def test_a_mark_that_is_not_there_eats_nothing(feed: Callable[..., Rows]) -> None:
    text = "id,title,price\nABC123,Red,5\nD,Blue,6\n"
    for data in (text.encode(), text.encode("utf-8-sig")):
        assert [row["product_id"] for row in feed(data, encoding="utf-8-sig")] == ["ABC123", "D"]
        bare = data.replace(b"id,title,price\n", b"")
        rows = feed(bare, encoding="utf-8-sig", header=("id", "title", "price"))
        assert [row["product_id"] for row in rows] == ["ABC123", "D"]


def test_a_tar_of_feeds_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("link,id,title,price\nx,1,Shirt,5\n")
    for name in ("feeds.tar", "feeds.tar.gz"):
        with tarfile.open(tmp_path / name, "w:gz" if name.endswith("gz") else "w") as tar:
            tar.add(tmp_path / "a.csv", "a.csv")
        with pytest.raises(FeedError, match=r"is a tar.*unpack it"):
            list(products([tmp_path / name], feed=Feed(source=()), limits=Limits()))


def test_a_proposal_holds_any_name(tmp_path: Path) -> None:
    path = tmp_path / "Katalog 🏷 [1].csv"
    path.write_text("ID 🏷,title,price\n1,Shirt,5\n2,Mug,6\n")
    assert "🏷" in newshop.propose(path, name="shop", folder=None)
