"""Shops of one task are encoded together: full batches, each content once, each shop's failure its own."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pluribus import embed, pictures, tables, vectors
from pluribus.errors import ModelError, ReleaseError, ShopError
from pluribus.records import Model
from pluribus.schemas import PICTURE, SNAPSHOT
from pluribus.store import Store, open_store


class Encoder:
    """Gives each content a vector of its own, refuses what is poisoned, and counts what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def __call__(self) -> "Encoder":
        return self

    def images(self, contents: list[bytes]) -> np.ndarray:
        if b"poison" in contents:
            raise ShopError("no JPEG")
        return self.texts([content.decode() for content in contents])

    def texts(self, contents: list[str]) -> np.ndarray:
        self.asked.append(contents)
        raw = [np.frombuffer(hashlib.sha256(c.encode()).digest()[:8], np.uint8) for c in contents]
        found = np.array(raw, dtype=np.float32) - 127.5
        return found / np.linalg.norm(found, axis=1, keepdims=True)


def new(store: Store, said: list[str], shots: list[str]) -> embed.New:
    """A shop that wants vectors of these texts and shots."""
    names = {shot: hashlib.sha256(shot.encode()).hexdigest() for shot in shots}
    now = datetime.now(UTC)
    lines = [{"ref": s, "content": name, "checked": now, "picture": s.encode()} for s, name in names.items()]
    known = pictures.ledger(store, "r")
    pictures.shelve(store, [pa.RecordBatch.from_pylist(lines, PICTURE)], known=known, recipe="r", now=now)
    shelf = vectors.Shelf(store, "f", 8)
    seen = {vectors.picture_key(name): (name, "") for name in names.values()}
    told = {vectors.text_key(text): text for text in said}
    there = shelf.holds(vectors.keys_column([*seen, *told]))
    missing = {key for key, held in zip([*seen, *told], there, strict=True) if not held}
    lacking = [{key: what for key, what in of.items() if key in missing} for of in (seen, told)]
    return embed.New(store, shelf, lacking[0], lacking[1], len(seen) + len(told) - len(missing))


def pooled(
    tmp_path: Path, shops: dict[str, tuple[list[str], list[str]]], encoder: Encoder, batch: int = 100
) -> embed.Pool:
    pool = embed.Pool(encoder, batch=batch)
    for name, (said, shots) in shops.items():
        pool.add(name, new(own(tmp_path, name), said, shots))
    pool.encode()
    return pool


def own(tmp_path: Path, name: str) -> Store:
    return open_store(str(tmp_path)).within(f"shops/{name}")


def vector(tmp_path: Path, name: str, key: bytes) -> np.ndarray:
    return vectors.Shelf(own(tmp_path, name), "f", 8).get([key])[0]


def test_every_text_is_told_once_however_a_catalog_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "BATCH_ROWS", 2)
    shop, model = own(tmp_path, "a"), Model(name="m", weights="", sha256="", width=8, licence="", architecture="")
    said = [("red", "warm"), ("red", ""), ("", ""), ("blue", "cold"), ("red", "warm")]
    rows = [{"row": n, "title": t, "description": d, "deleted": False} for n, (t, d) in enumerate(said)]
    tables.write(tmp_path / "p.parquet", [pa.RecordBatch.from_pylist(rows, SNAPSHOT)], SNAPSHOT, shop.owner)
    shop.create("p.parquet", tmp_path / "p.parquet")

    first = embed.look(shop, products_key="p.parquet", model=model, fingerprint="f")
    told = list(first.texts.items())
    assert [text for _, text in told[:4]] == ["red. warm", "red", "blue. cold", "blue"]
    assert all(key == vectors.text_key(text) for key, text in told)
    assert len(dict(told)) == len(told) == len(first.texts)

    first.shelf.add([key for key, _ in told[::2]], Encoder().texts([text for _, text in told[::2]]))
    second = embed.look(shop, products_key="p.parquet", model=model, fingerprint="f")
    assert (list(second.texts.items()), second.known) == (told[1::2], len(told[::2]))


def test_many_small_shops_share_full_batches(tmp_path: Path) -> None:
    encoder = Encoder()
    shops = {f"s{n}": ([f"title {n} {k}" for k in range(3)], [f"shot {n} {k}" for k in range(2)]) for n in range(10)}
    pool = pooled(tmp_path, shops, encoder, batch=15)
    assert [len(asked) for asked in encoder.asked] == [15, 5, 15, 15]
    assert {(pool.of(name).pictures, pool.of(name).texts, pool.of(name).shared) for name in shops} == {(2, 3, 0)}
    for name in shops:
        assert len(list(own(tmp_path, name).items("vectors/f/"))) == 1, "one part a shop and run"


def test_content_of_several_shops_is_encoded_once_and_shelved_with_each(tmp_path: Path) -> None:
    encoder = Encoder()
    shops = {"a": (["red", "own a"], ["x"]), "b": (["red", "own b"], ["x", "y"])}
    pool = pooled(tmp_path, shops, encoder)
    said = [content for asked in encoder.asked for content in asked]
    assert sorted(said) == ["own a", "own b", "red", "x", "y"]
    assert (pool.of("a").shared, pool.of("b").shared) == (0, 2)
    assert (pool.of("b").pictures, pool.of("b").texts) == (1, 1)
    key = vectors.text_key("red")
    assert np.array_equal(vector(tmp_path, "a", key), vector(tmp_path, "b", key))


def test_the_second_time_nothing_is_encoded(tmp_path: Path) -> None:
    shops = {"a": (["red"], ["x"]), "b": (["blue"], ["y"])}
    pooled(tmp_path, shops, Encoder())
    encoder = Encoder()
    pool = pooled(tmp_path, shops, encoder)
    assert encoder.asked == []
    assert pool.of("a").reused == 2


def test_a_poisoned_picture_stops_its_shop_alone(tmp_path: Path) -> None:
    encoder = Encoder()
    pool = pooled(tmp_path, {"good": (["red"], ["x"]), "bad": (["blue"], ["poison"])}, encoder)
    assert pool.of("good").pictures == 1
    vector(tmp_path, "good", vectors.text_key("red"))
    with pytest.raises(ShopError, match="no JPEG"):
        pool.of("bad")


def test_a_lost_picture_stops_its_shop_alone_and_others_encode_it_themselves(tmp_path: Path) -> None:
    pool = embed.Pool(Encoder())
    for name in ("a", "b"):
        pool.add(name, new(own(tmp_path, name), [f"title of {name}"], ["x"]))
    for item in list(own(tmp_path, "a").items("images/ledger/")):
        own(tmp_path, "a").delete(item.key)
    pool.encode()
    with pytest.raises(ReleaseError, match="not on the shelf"):
        pool.of("a")
    assert (pool.of("b").pictures, pool.of("b").shared) == (1, 0)


def test_a_model_that_gives_no_unit_vectors_stops_everybody(tmp_path: Path) -> None:
    class Broken(Encoder):
        def texts(self, contents: list[str]) -> np.ndarray:
            return np.full((len(contents), 8), np.nan, np.float32)

    with pytest.raises(ModelError, match="not finite unit vectors"):
        pooled(tmp_path, {"a": (["red"], [])}, Broken())
