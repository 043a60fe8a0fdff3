"""Ingest: the same catalog is the same snapshot, deltas change what they carry, pictures are fetched once."""

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pluribus import ingest, pictures, tables
from pluribus.errors import CatalogRejected, FeedError
from pluribus.records import Feed, Images, Limits, Snapshot
from pluribus.store import Store

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CATALOG = "id,title,price,image\na,Red dress,10 EUR,a.jpg\nb,Blue mug,20 EUR,b.jpg\nc,Green hat,30 EUR,c.jpg\n"


def jpeg(colour: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 50), colour).save(out, "JPEG")
    return out.getvalue()


class Shop:
    """A shop's delivery on disk, and its part of a store."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder, self.store, self.hours, self.limits = folder, store, 0, Limits()
        (folder / "pictures").mkdir(parents=True)
        for name, colour in {"a": "red", "b": "blue", "c": "green"}.items():
            (folder / "pictures" / f"{name}.jpg").write_bytes(jpeg(colour))

    def deliver(self, text: str, name: str = "feed.csv") -> None:
        (self.folder / name).write_text(text)

    def ingest(self, *feeds: Feed, **settings: Any) -> Snapshot:
        self.hours += 1
        chosen = feeds or (self.feed(),)
        images, limits = Images(source=(str(self.folder / "pictures"),), **settings), self.limits
        return ingest.ingest(
            self.store, feeds=chosen, images=images, limits=limits, now=NOW + timedelta(hours=self.hours)
        )

    def feed(self, name: str = "feed.csv", mode: Any = "snapshot") -> Feed:
        return Feed(source=(str(self.folder / name),), mode=mode)

    def rows(self, snapshot: Snapshot) -> dict[str, dict[str, Any]]:
        table = tables.read(self.store.local(ingest.rows_key(snapshot.id)))
        return {row["product_id"]: row for row in table.to_pylist()}


@pytest.fixture
def shop(tmp_path: Path, store: Store) -> Shop:
    made = Shop(tmp_path / "delivery", store.within("shops/test"))
    made.deliver(CATALOG)
    return made


def test_a_snapshot_holds_rows_pictures_and_the_raw_feed(shop: Shop) -> None:
    taken = shop.ingest()
    assert (taken.rows, taken.pictures, taken.fetched) == (3, 3, 3)
    assert shop.store.get(taken.feeds[0]) == CATALOG.encode()
    row = shop.rows(taken)["b"]
    assert (row["title"], row["price"], row["currency"], len(row["pictures"])) == ("Blue mug", 20.0, "EUR", 1)
    (_, jpegs), *_ = pictures.load(shop.store, row["pictures"])
    red, _, blue = Image.open(io.BytesIO(jpegs[0])).convert("RGB").getpixel((20, 20))
    assert blue > 200 > 60 > red


def test_the_same_catalog_with_its_columns_in_another_order_is_the_same_snapshot(shop: Shop) -> None:
    shop.deliver("id,title,foo,bar\na,Red,x,y\n")
    first = shop.ingest()
    shop.deliver("id,title,bar,foo\na,Red,y,x\n")
    assert shop.ingest().id == first.id


def test_a_snapshot_is_read_again_as_often_as_its_mapping_is_mended(shop: Shop) -> None:
    shop.deliver("id,title,foo,bar\na,Red,x,y\n")
    first = shop.ingest()
    images = Images(source=(str(shop.folder / "pictures"),))

    def again(column: str) -> Snapshot:
        feed = replace(shop.feed(), columns={"brand": column})
        return ingest.again(shop.store, first.id, feeds=(feed,), images=images, limits=Limits())

    foo, bar = again("foo"), again("bar")
    assert [shop.rows(taken)["a"]["brand"] for taken in (foo, bar)] == ["x", "y"]
    assert first.asof < foo.asof < bar.asof
    n_entries = len(list(ingest.history(shop.store)))
    assert again("bar").id == bar.id
    assert again("foo").id == foo.id
    assert len(list(ingest.history(shop.store))) == n_entries, "what was read so already is not written again"


def test_an_unchanged_delivery_writes_nothing(shop: Shop) -> None:
    first = shop.ingest()
    before = [item.key for item in shop.store.items()]
    again = shop.ingest()
    assert (again.id, again.asof, again.fetched, again.size_bytes) == (first.id, first.asof, 0, 0)
    assert [item.key for item in shop.store.items()] == before


def test_the_same_catalog_in_other_bytes_and_order_is_the_same_snapshot(shop: Shop) -> None:
    first = shop.ingest()
    lines = CATALOG.splitlines()
    shop.deliver("\r\n".join([lines[0], lines[3], lines[1], lines[2]]) + "\r\n")
    again = shop.ingest()
    assert again.id == first.id
    assert again.feeds != first.feeds
    assert len(list(ingest.history(shop.store))) == 2


def test_a_snapshot_feed_replaces_the_catalog(shop: Shop) -> None:
    shop.ingest()
    shop.deliver("id,title\nd,Only this\n")
    assert list(shop.rows(shop.ingest())) == ["d"]


def test_only_a_changed_picture_is_fetched_again(shop: Shop) -> None:
    first = shop.ingest()
    (shop.folder / "pictures" / "b.jpg").write_bytes(jpeg("yellow"))
    again = shop.ingest()
    assert again.fetched == 1
    before, after = shop.rows(first), shop.rows(again)
    assert [before[k]["pictures"] != after[k]["pictures"] for k in "abc"] == [False, True, False]


def test_a_picture_taken_by_a_run_that_died_is_in_the_next_snapshot(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger has it already, so nothing is fetched; the feed is the same: the last snapshot is old all the same."""
    first = shop.ingest()
    (shop.folder / "pictures" / "b.jpg").write_bytes(jpeg("yellow"))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ingest, "_keep", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        shop.ingest()
    again = shop.ingest()
    assert (again.fetched, again.id != first.id) == (0, True)
    assert shop.rows(again)["b"]["pictures"] != shop.rows(first)["b"]["pictures"]
    assert shop.ingest().id == again.id


def test_another_size_of_pictures_makes_other_pictures(shop: Shop) -> None:
    """Vectors are kept by a picture's content: other pixels must never answer to the old name."""
    first, again = shop.ingest(), shop.ingest(side_px=32)
    assert again.fetched == 3
    assert shop.rows(first)["a"]["pictures"] != shop.rows(again)["a"]["pictures"]


def test_a_bad_picture_never_costs_its_product(shop: Shop) -> None:
    (shop.folder / "pictures" / "a.jpg").write_bytes(jpeg("red")[:200])
    (shop.folder / "pictures" / "b.jpg").unlink()
    rows = shop.rows(shop.ingest())
    assert [len(rows[k]["pictures"]) for k in "abc"] == [0, 0, 1]
    assert rows["a"]["picture_faults"][0].startswith("a.jpg: ")
    assert rows["b"]["picture_faults"] == ["b.jpg: MISSING"]


def test_a_catalog_in_pieces_is_the_same_snapshot(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows meet their pictures some at a time, so that a very large shop needs no more memory."""
    (shop.folder / "pictures" / "b.jpg").unlink()
    whole = shop.ingest()
    monkeypatch.setattr(ingest, "JOINED_ROWS", 2)
    shop.deliver(CATALOG.replace("\n", "\r\n"))
    pieces = shop.ingest()
    assert (pieces.id, pieces.feeds != whole.feeds) == (whole.id, True)


def test_what_a_first_delivery_calls_deleted_is_left_out(shop: Shop) -> None:
    shop.deliver("id,title,deleted\na,A,yes\nb,B,\nc,C,yes\nd,D,\n")
    taken = shop.ingest()
    assert (taken.rows, taken.deleted) == (2, 2)
    assert [(name, row["row"]) for name, row in shop.rows(taken).items()] == [("b", 0), ("d", 1)]


def test_a_delta_upserts_what_it_carries_and_keeps_the_rest(shop: Shop) -> None:
    shop.ingest()
    shop.deliver("id,price,deleted\nb,21 EUR,\nc,,yes\nd,40 EUR,\n", "delta.csv")
    rows = shop.rows(shop.ingest(shop.feed("delta.csv", "delta")))
    assert sorted(rows) == ["a", "b", "d"]
    assert (rows["b"]["title"], rows["b"]["price"], len(rows["b"]["pictures"])) == ("Blue mug", 21.0, 1)
    assert (rows["d"]["title"], rows["d"]["price"]) == (None, 40.0)
    assert sorted(row["row"] for row in rows.values()) == [0, 1, 2]


def test_a_carried_column_that_is_blank_becomes_blank(shop: Shop) -> None:
    """A promotion that ended must not live on: `sale_price` is carried, so b's is taken away."""
    shop.deliver("id,title,sale_price\na,A,5\nb,B,6\n")
    shop.ingest()
    shop.deliver("id,sale_price\na,4\nb,\n", "delta.csv")
    rows = shop.rows(shop.ingest(shop.feed("delta.csv", "delta")))
    assert (rows["a"]["sale_price"], rows["b"]["sale_price"], rows["b"]["title"]) == (4.0, None, "B")


def test_several_deltas_between_two_refreshes_are_applied_one_after_the_other(shop: Shop) -> None:
    shop.ingest()
    shop.deliver("id,price\na,11 EUR\nb,21 EUR\n", "delta-1.csv")
    shop.deliver("id,price,deleted\na,12 EUR,\nc,31 EUR,\nc,,1\n", "delta-2.csv")
    rows = shop.rows(shop.ingest(shop.feed("delta-*.csv", "delta")))
    assert {name: row["price"] for name, row in rows.items()} == {"a": 12.0, "b": 21.0}


def test_a_delta_does_not_make_another_shops_row_ours(shop: Shop) -> None:
    shop.deliver("id,title,price,seller\na,Red dress,10,us\nb,Blue mug,20,them\nc,Hat,x7,us\n")
    whole = replace(shop.feed(), own={"seller": "us"})
    shop.ingest(whole)
    shop.deliver("id,availability\na,in stock\nb,in stock\nc,in stock\n", "stock.csv")
    stock = replace(shop.feed("stock.csv", "delta"), own={"seller": "us"})
    rows = shop.rows(shop.ingest(whole, stock))
    assert {name: row["defects"] for name, row in rows.items()} == {"a": None, "b": ["TENANT"], "c": ["PRICE"]}
    shop.deliver("id,seller,price\nb,us,21\nc,us,7\n", "stock.csv")
    rows = shop.rows(shop.ingest(whole, stock))
    assert [row["defects"] for row in rows.values()] == [None, None, None]


def test_a_file_may_be_named_like_a_pattern(shop: Shop) -> None:
    shop.deliver(CATALOG, "feed[1].csv")
    assert shop.ingest(shop.feed("feed[1].csv")).rows == 3


def test_the_same_delta_twice_changes_nothing(shop: Shop) -> None:
    shop.ingest()
    shop.deliver("id,price\nb,21 EUR\n", "delta.csv")
    delta = shop.feed("delta.csv", "delta")
    assert shop.ingest(delta).id == shop.ingest(delta).id


def test_deltas_build_upon_the_last_snapshot_even_if_it_was_never_published(shop: Shop) -> None:
    shop.ingest()
    for price in (21, 22):
        shop.deliver(f"id,price\n{'ab'[price - 21]},{price} EUR\n", "delta.csv")
        taken = shop.ingest(shop.feed("delta.csv", "delta"))
    rows = shop.rows(taken)
    assert (rows["a"]["price"], rows["b"]["price"]) == (21.0, 22.0)


def test_pictures_named_by_product(shop: Shop) -> None:
    shop.deliver("id,title\na,A\nz,Z\n")
    rows = shop.rows(shop.ingest(path="{product_id}.jpg"))
    assert len(rows["a"]["pictures"]) == 1
    assert rows["z"]["picture_faults"] == ["z.jpg: MISSING"]


def test_a_delivery_that_is_not_there(shop: Shop) -> None:
    (shop.folder / "feed.csv").unlink()
    with pytest.raises(FeedError, match=r"no feed at .*feed\.csv.*source"):
        shop.ingest()
    with pytest.raises(FeedError, match="no feed at"):
        shop.ingest(Feed(source=(str(shop.folder / "*.xml"),)))


@pytest.mark.parametrize("text", ["", "id,title,price\n"])
def test_an_empty_delivery_is_refused_and_changes_nothing(shop: Shop, text: str) -> None:
    before = shop.ingest()
    shop.deliver(text)
    with pytest.raises((FeedError, CatalogRejected)):
        shop.ingest()
    assert ingest.latest(shop.store) == before


def test_an_old_snapshot_can_be_recalled_and_an_unknown_one_cannot(shop: Shop) -> None:
    first = shop.ingest()
    shop.deliver("id,title\nd,Only this\n")
    shop.ingest()
    assert ingest.recall(shop.store, first.id).id == first.id
    with pytest.raises(FeedError, match=f"no snapshot 'nope'.*{first.id}"):
        ingest.recall(shop.store, "nope")


@pytest.mark.parametrize(
    ("quota", "said"),
    [
        (Limits(pictures=2), "3 references to pictures; expected at most 2; raise limits.pictures"),
        (Limits(rows=2), "more than 2 rows; raise limits.rows"),
        (Limits(feed_bytes=50), "raise limits.feed_bytes"),
    ],
)
def test_a_shop_beyond_its_quota_is_told_which(shop: Shop, quota: Limits, said: str) -> None:
    whole = shop.ingest()
    shop.deliver(CATALOG.replace("Red", "Dark red"))
    shop.limits = quota
    with pytest.raises((CatalogRejected, FeedError), match=said):
        shop.ingest()
    assert ingest.latest(shop.store) == whole
