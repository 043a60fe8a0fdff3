"""No shop reaches another: every operation by every shop upon every other's objects, 20 shops, and the end of one."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pytest

from pluribus import build, embed, evaluate, ingest, offboard, pictures, publish, releases, search, tables, validate
from pluribus import vectors as shelves
from pluribus.errors import ShopError
from pluribus.manifests import encode
from pluribus.records import Feed, Fusion, Gate, Images, Index, Limits, Model
from pluribus.schemas import PICTURE
from pluribus.store import Store, open_store
from pluribus.validate import judges

#: Names that begin, end or sort like each other, as tenants' do.
SHOPS = ["shop1", "shop10", "shop11", "shop", "s", "shop-1", "shop_1", "1shop", "releases", "shops", "models",
         "current", "runs", "a", "aa", "a-a", "a_a", "zz", "snapshots", "0"]  # fmt: skip
MODEL = Model(name="tiny", weights="", sha256="", width=8, licence="", architecture="")
PRINT = "f" * 16
OF: dict[str, Any] = {"model": MODEL, "fingerprint": PRINT}
CONTENT = "c" * 64
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Encoder:
    """Unit vectors drawn from what is encoded."""

    def images(self, jpegs: list[bytes]) -> np.ndarray:
        return np.stack([self._draw(jpeg) for jpeg in jpegs])

    def texts(self, texts: list[str]) -> np.ndarray:
        return np.stack([self._draw(text.encode()) for text in texts])

    def _draw(self, content: bytes) -> np.ndarray:
        vector = np.random.default_rng(list(content)).normal(size=8)
        return (vector / np.linalg.norm(vector)).astype(np.float32)


def accept_all(patch: pytest.MonkeyPatch) -> None:
    """Who judges the rows is of no matter here, and Great Expectations take 8 CPU-s to import."""
    bad = tables.query(judges.REASONS, failed=judges.FAILED.empty_table())
    patch.setattr(judges, "judge", lambda judged, suites: ([], bad))


def make(store: Store, shop: str, folder: Path) -> dict[str, Any]:
    """A shop through the real stages, but for the judgement; returns what its operations need."""
    own, release = store.within(f"shops/{shop}"), uuid4().hex
    feed = folder / f"{shop}.csv"
    feed.write_text("id,title,price\n" + "".join(f"{shop}-{n},{shop} thing {n},{n + 1} EUR\n" for n in range(4)))
    taken = ingest.ingest(own, feeds=(Feed(source=(str(feed),)),), images=Images(), limits=Limits(), now=NOW)
    judged = validate.validate(
        own, snapshot=taken.id, rows_key=ingest.rows_key(taken.id), suites=[], limits=Limits(quarantine=1.0)
    )
    line = {"ref": "r", "content": CONTENT, "checked": NOW, "picture": shop.encode()}
    pictures.shelve(
        own, [pa.RecordBatch.from_pylist([line], PICTURE)], known=pictures.ledger(own, "r"), recipe="r", now=NOW
    )
    key = judged.key + "products.parquet"
    embed.embed(own, products_key=key, encoder=Encoder, **OF)
    made = build.build(own, release=release, products_key=key, fusion=Fusion(), index=Index(recall_at_10=0.0), **OF)
    files = made.files | {"evaluation.json": releases.add(own, release=release, name="evaluation.json", data=b"{}")}
    facts = {"products": 4, "width": 8, "fingerprint": PRINT}
    seal = {"asof": taken.asof, "facts": facts}
    older = uuid4().hex
    for one in (older, release):
        of = {
            name: releases.add(own, release=one, name=name, data=own.local(releases.key(release, name)))
            for name in files
        }
        publish.seal(own, shop=shop, release=one, files=of, input_key=one, **seal)
        publish.publish(own, shop=shop, release=one, why="test")
    return {"release": release, "older": older, "snapshot": taken.id, "key": key, "files": files}


def operations(own: Store, shop: str, of: dict[str, Any], top: Store) -> dict[str, Callable[[], object]]:
    """All that can be asked for a shop, of whatever lies where its own should."""
    rows_key = ingest.rows_key(of["snapshot"])
    shelf = lambda: shelves.Shelf(own, PRINT, 8)
    feed = (Feed(source=("/dev/null",), mode="delta"),)
    text = [shelves.text_key("x")]
    return {
        "current": lambda: releases.current(own, shop=shop),
        "open": lambda: releases.open_release(own, shop=shop),
        "open by name": lambda: releases.open_release(own, shop=shop, release=of["release"]),
        "products": lambda: tables.read(releases.open_release(own, shop=shop).path("products.parquet")),
        "search": lambda: search.open(top, shop),
        "releases": lambda: releases.history(own, shop=shop),
        "rollback": lambda: publish.rollback(own, shop=shop, why=""),
        "rollback by name": lambda: publish.rollback(own, shop=shop, to=of["older"], why=""),
        "hold": lambda: publish.hold(own, shop=shop, why=""),
        "unhold": lambda: publish.unhold(own, shop=shop, why=""),
        "publish": lambda: publish.publish(own, shop=shop, release=of["older"], why=""),
        "collect": lambda: publish.collect(own, shop=shop, grace_s=-5, keep=0),
        "quarantine": lambda: validate.newest(own),
        "accepted": lambda: validate.accepted(own),
        "history": lambda: list(ingest.history(own)),
        "recall": lambda: ingest.recall(own, of["snapshot"]),
        "ingest": lambda: ingest.ingest(own, feeds=feed, images=Images(), limits=Limits(), now=NOW),
        "validate": lambda: validate.validate(
            own, snapshot=of["snapshot"], rows_key=rows_key, suites=[], limits=Limits(quarantine=1.0)
        ),
        "vectors": shelf,
        "look up": lambda: shelf().get(text),
        "ledger": lambda: pictures.ledger(own, "r"),
        "pictures": lambda: list(pictures.load(own, [CONTENT])),
        "embed": lambda: embed.embed(own, products_key=of["key"], encoder=Encoder, **OF),
        "build": lambda: build.build(
            own, release=uuid4().hex, products_key=of["key"], fusion=Fusion(), index=Index(recall_at_10=0.0), **OF
        ),
        "evaluate": lambda: evaluate.measure(own, release=of["older"], gate=Gate(), live=None, **OF),
    }


@pytest.fixture(scope="module")
def tenants(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("tenants")
    with pytest.MonkeyPatch.context() as patch:
        accept_all(patch)
        store = open_store(str(folder / "store"))
        return folder, {shop: make(store, shop, folder) for shop in SHOPS}


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_no_operation_of_any_shop_succeeds_upon_anothers_objects(
    tenants: tuple[Path, dict[str, dict[str, Any]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each shop's part of a store is a link to another's: whatever it finds there is whole, and not its own."""
    folder, of = tenants
    accept_all(monkeypatch)
    before = bytes_of(folder / "store" / "shops")
    succeeded, tried = [], 0
    for one, other in permutations(SHOPS, 2):
        root = tmp_path / one / other
        (root / "shops").mkdir(parents=True)
        (root / "shops" / one).symlink_to(folder / "store" / "shops" / other)
        top = open_store(str(root))
        for name, ask in operations(top.within(f"shops/{one}"), one, of[other], top).items():
            tried += 1
            try:
                ask()
            except ShopError as error:
                if "is of shop" not in str(error):
                    succeeded.append((one, other, name, str(error)))
            else:
                succeeded.append((one, other, name, "no refusal"))
    assert succeeded == []
    assert tried == 380 * 25
    assert bytes_of(folder / "store" / "shops") == before


@pytest.mark.parametrize("name", SHOPS)
def test_what_a_shop_keeps_bears_its_name_whatever_that_is(tmp_path: Path, name: str) -> None:
    own = open_store(str(tmp_path / "shops" / "elsewhere")).within(f"shops/{name}")
    assert own.owner == own.within("vectors").owner == name
    assert own.url.endswith(f"/shops/elsewhere/shops/{name}")


def test_the_same_operations_succeed_upon_ones_own(
    tenants: tuple[Path, dict[str, dict[str, Any]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the refusals above would prove nothing."""
    accept_all(monkeypatch)
    monkeypatch.setattr(search, "_encoder", lambda url, fingerprint: None)
    top = open_store(str(tmp_path))
    of = make(top, "own", tmp_path)
    own = top.within("shops/own")
    every = operations(own, "own", of, top)
    refused = {}
    for name in (n for n in every if n not in ("collect", "rollback by name")):
        try:
            every[name]()
        except ShopError as error:
            refused[name] = str(error)
    assert set(refused) == {"look up", "ingest"}  # a text never encoded, a feed that is no file
    assert all("is of shop" not in said for said in refused.values())


def test_one_file_of_another_shop_in_a_whole_release_is_refused(
    tenants: tuple[Path, dict[str, dict[str, Any]]], tmp_path: Path
) -> None:
    """And so is one changed byte, of any file, before anybody parses it."""
    folder, of = tenants
    store = open_store(str(folder / "store"))
    for name in of["a"]["files"]:
        mine = releases.open_release(store.within("shops/a"), shop="a").path(name)
        whole, others = (
            mine.read_bytes(),
            releases.open_release(store.within("shops/aa"), shop="aa").path(name).read_bytes(),
        )
        places = np.random.default_rng(0).integers(0, len(whole), 20)
        changed = [whole[:p] + bytes([whole[p] ^ 1 << int(p) % 8]) + whole[p + 1 :] for p in places]
        for bad in [*changed, whole[:-1], whole + b"\0", *([others] if others != whole else [])]:
            mine.write_bytes(bad)
            opened = releases.open_release(store.within("shops/a"), shop="a")
            with pytest.raises(ShopError, match="is damaged"):
                opened.path(name)
            if name in ("products.parquet", "index.faiss"):
                with pytest.raises(ShopError, match="is damaged"):
                    search.open(store, "a")
        mine.write_bytes(whole)
    for key in ("CURRENT", releases.key(of["a"]["release"], "_MANIFEST.json")):
        path = folder / "store" / "shops" / "a" / key
        whole = path.read_bytes()
        for place in range(0, len(whole), 7):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
            try:
                opened = releases.open_release(store.within("shops/a"), shop="a")
            except ShopError:
                continue
            assert encode(opened.manifest) == path.read_bytes() or key == "CURRENT"
            assert opened.manifest.release == of["a"]["release"]  # a space became another: nothing was said otherwise
        path.write_bytes(whole)


# ----------------------------------------------------------------------------------------------------------- the end


def test_offboarding_takes_one_shop_and_leaves_its_namesakes(store: Store, tmp_path: Path) -> None:
    for shop in ("shop1", "shop10", "shop"):
        own = store.within(f"shops/{shop}")
        file = releases.add(own, release="00", name="a", data=shop.encode())
        of = {"asof": NOW.isoformat(), "input_key": shop, "files": {"a": file}, "facts": {}}
        publish.seal(own, shop=shop, release="00", **of)
        publish.publish(own, shop=shop, release="00", why="test")
        releases.open_release(own, shop=shop).verify()
        own.create("images/packs/p", b"x")
    jobs = [{"shop": "shop1", "reason": "secret"}, {"shop": "shop10", "reason": ""}]
    store.create("runs/1.json", json.dumps({"run": "7", "jobs": jobs}).encode())
    trouble = 'pluribus_shop_in_trouble{shop="%s",state="set aside"} 1\n'
    store.create("metrics/1.prom", (trouble % "shop1" + trouble % "shop10").encode())
    store.create("backfills/b1/plan.json", json.dumps({"waves": [{"shop10": "x"}, {"shop1": "y"}]}).encode())
    store.create("backfills/b2/plan.json", json.dumps({"waves": [{"shop10": "x"}]}).encode())
    done = offboard.offboard(store, shop="shop1")
    assert (done.objects, done.runs) == (4, ("7",))
    assert store.get("metrics/1.prom").decode() == trouble % "shop10"
    assert [left for left in done.left if "backfills" in left] == [
        "the plans of 1 backfills name it: delete backfills/<id>/ of b1"
    ]
    assert not [item for item in store.items() if item.key.startswith("shops/shop1/")]
    assert json.loads(store.get("runs/1.json"))["jobs"] == jobs[1:]
    assert any("Metaflow" in sentence for sentence in done.left)
    for shop in ("shop10", "shop"):
        releases.open_release(store.within(f"shops/{shop}"), shop=shop).verify()
    if store.url.startswith("s3://"):
        assert done.downloads == 1
        kept = tmp_path / "cache" / "pluribus" / "objects"
        assert {folder.name for folder in kept.iterdir()} >= {"shop10", "shop"}
        assert not (kept / "shop1").exists()
    assert offboard.offboard(store, shop="shop1").objects == 0


def test_offboarding_says_what_a_versioned_bucket_keeps(bucket: str, s3_client: Any) -> None:
    s3_client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    store = open_store(f"s3://{bucket}")
    store.create("shops/one/feeds/f", b"rows")
    (old, *_) = offboard.offboard(store, shop="one").left
    assert "2 old versions" in old
    assert "s3:DeleteObjectVersion" in old


def test_objects_are_encrypted_as_the_settings_say(
    bucket: str, s3_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(f"s3://{bucket}")
    monkeypatch.setenv("METAFLOW_S3_SERVER_SIDE_ENCRYPTION", "aws:kms")
    store.create("shops/one/a", b"1")
    store.swap("shops/one/b", b"1", None)
    for key in ("shops/one/a", "shops/one/b"):
        assert s3_client.head_object(Bucket=bucket, Key=key)["ServerSideEncryption"] == "aws:kms"


def test_downloads_make_room(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    from pluribus.store import s3

    store = open_store(f"s3://{bucket}")
    for name in ("old", "used", "new"):
        store.create(name, name.encode() * 1000)
    old, used = store.local("old"), store.local("used")
    os.utime(old, (1, 1))
    os.utime(used, (2, 2))
    assert store.local("used") == used  # now it is the last one used
    monkeypatch.setattr(s3, "MOST_CACHE_BYTES", 5_000)
    s3._make_room.cache_clear()
    assert store.local("new").exists()
    assert used.exists()
    assert not old.exists()
