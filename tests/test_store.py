"""The promises of a store, over a folder and over an S3 server process; and what its errors tell an operator."""

import errno
import io
import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from urllib3 import HTTPResponse

from pluribus.errors import ConfigError, Conflict, Exists, Missing, StoreError
from pluribus.store import Store, View, open_store, probe
from pluribus.store.folder import Folder
from pluribus.store.s3 import S3

REFUSED = ["", "/a", "a/", "a//b", "../a", "a/../b", "a/./b", "a\\b", "a\nb", "a\0b", "\ud800", ".hidden", "x" * 1025]


def test_an_object_comes_back_as_it_was_written(store: Store) -> None:
    store.create("a/b.bin", bytes(range(256)))
    assert store.get("a/b.bin") == bytes(range(256))
    assert store.get_tagged("a/b.bin")[0] == bytes(range(256))
    assert store.local("a/b.bin").read_bytes() == bytes(range(256))


def test_a_file_is_written_like_bytes(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x" * 3_000_000)
    store.create("large", source)
    store.create("large", b"x" * 3_000_000)
    assert store.local("large").read_bytes() == b"x" * 3_000_000


def test_a_file_that_is_given_is_not_copied_on_its_own_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, source = open_store(str(tmp_path / "store")), tmp_path / "source"
    source.write_bytes(b"x" * 1000)
    store.create("kept", source)
    store.create("given", source, given=True)
    assert store.local("given").samefile(source)
    assert not store.local("kept").samefile(source)
    link = os.link

    def other_disk(file: Path, name: Path) -> None:
        if file == source:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        link(file, name)

    monkeypatch.setattr(os, "link", other_disk)
    store.create("given from afar", source, given=True)
    assert store.get("given from afar") == source.read_bytes()
    assert not store.local("given from afar").samefile(source)


def test_ranges_end_where_the_object_ends(store: Store) -> None:
    store.create("digits", b"0123456789")
    assert store.read("digits", 2, 3) == b"234"
    assert store.read("digits", 8, 100) == b"89"
    assert store.read("digits", 10, 5) == b""
    assert store.read("digits", 0, 0) == b""
    with pytest.raises(ValueError, match="negative"):
        store.read("digits", -3, 3)


def test_what_is_absent_is_missing(store: Store) -> None:
    store.create("folder/object", b"")
    for key in ("absent", "folder", "folder/object/deeper"):
        for ask in (store.get, store.get_tagged, store.local):
            with pytest.raises(Missing, match=key):
                ask(key)
        with pytest.raises(Missing, match=key):
            store.read(key, 0, 1)
        store.delete(key)
    assert store.get("folder/object") == b""


def test_an_object_is_created_once(store: Store) -> None:
    store.create("once", b"first")
    store.create("once", b"first")
    with pytest.raises(Exists, match="once"):
        store.create("once", b"second")
    assert store.get("once") == b"first"


def test_a_swap_wants_the_tag_of_what_is_there(store: Store) -> None:
    first = store.swap("now", b"1", None)
    assert store.get_tagged("now") == (b"1", first)
    second = store.swap("now", b"2", first)
    assert store.get_tagged("now") == (b"2", second)
    for tag in (first, None):
        with pytest.raises(Conflict, match="now"):
            store.swap("now", b"3", tag)
    with pytest.raises(Conflict):
        store.swap("absent", b"3", first)
    assert [item.key for item in store.items()] == ["now"]
    assert store.get("now") == b"2"


def test_of_many_creators_one_wins(store: Store) -> None:
    def create(n: int) -> bool:
        try:
            store.create("raced", b"%d" % n)
        except Exists:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(create, range(8)))
    assert won.count(True) == 1
    assert store.get("raced") == b"%d" % won.index(True)


def count_up(location: str, times: int) -> None:
    store = open_store(location)
    done = 0
    while done < times:
        before, tag = store.get_tagged("counter")
        try:
            store.swap("counter", b"%d" % (int(before) + 1), tag)
        except Conflict:
            continue
        done += 1


def test_processes_that_swap_lose_no_update(store: Store) -> None:
    store.swap("counter", b"0", None)
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=count_up, args=(store.url, 10)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert store.get("counter") == b"30"


def test_a_listing_is_in_the_order_of_whole_keys(store: Store) -> None:
    keys = ["a", "a-b/x", "a/b", "a/b-c", "a/b/c", "aa", "b/é", "b/z"]
    for key in reversed([key for key in keys if key not in ("a", "a/b")]):  # a folder cannot be an object too
        store.create(key, key.encode())
    found = list(store.items())
    assert [item.key for item in found] == sorted(key for key in keys if key not in ("a", "a/b"))
    assert [item.size_bytes for item in found] == [len(item.key.encode()) for item in found]
    now = datetime.now(UTC)
    assert all(now - timedelta(minutes=5) < item.modified < now + timedelta(minutes=5) for item in found)
    assert [item.key for item in store.items("a/")] == ["a/b-c", "a/b/c"]
    assert [item.key for item in store.items("a/b-")] == ["a/b-c"]
    assert [item.key for item in store.items("nothing")] == []


def test_a_listing_is_longer_than_one_page(store: Store) -> None:
    inside = store.within("many")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: inside.create(f"{n:04}", b""), range(1_010)))
    assert [item.key for item in inside.items()] == [f"{n:04}" for n in range(1_010)]


def test_an_empty_store_lists_nothing(store: Store) -> None:
    assert list(store.items()) == []
    store.delete("absent")
    store.create("a/b/c", b"")
    store.delete("a/b/c")
    assert list(store.items()) == []


def test_a_store_within_a_prefix_sees_only_that(store: Store) -> None:
    store.create("shops/shop10/key", b"ten")
    one = store.within("shops/shop1")
    assert list(one.items()) == []
    one.create("key", b"one")
    assert [item.key for item in one.items()] == ["key"]
    assert store.get("shops/shop1/key") == b"one"
    assert one.url == f"{store.url}/shops/shop1"
    assert one.within("deeper").url == f"{store.url}/shops/shop1/deeper"


@pytest.mark.parametrize("key", REFUSED)
def test_a_key_cannot_leave_its_store(store: Store, key: str) -> None:
    inside = store.within("shops/one")
    for ask in (inside.get, inside.local, inside.delete, inside.within, inside.get_tagged):
        with pytest.raises(StoreError, match="cannot be a key"):
            ask(key)
    with pytest.raises(StoreError, match="cannot be a key"):
        inside.create(key, b"")
    with pytest.raises(StoreError, match="cannot be a key"):
        inside.swap(key, b"", None)
    with pytest.raises(StoreError, match="cannot be a key"):
        inside.read(key, 0, 1)
    if key.removesuffix("/") in REFUSED[1:]:
        with pytest.raises(StoreError, match="cannot be a key"):
            list(inside.items(key))


def test_a_download_follows_the_object(store: Store) -> None:
    tag = store.swap("changing", b"before", None)
    before = store.local("changing")
    assert before.read_bytes() == b"before"
    assert store.local("changing") == before
    store.swap("changing", b"after", tag)
    assert store.local("changing").read_bytes() == b"after"


def test_the_probe_is_content_with_a_good_store(store: Store) -> None:
    assert probe(store) == ()
    assert list(store.items()) == []


def test_the_probe_sees_a_store_that_ignores_conditions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def overwrite(self: Folder, key: str, data: bytes, tag: str | None) -> str:
        (self.root / key).parent.mkdir(parents=True, exist_ok=True)
        (self.root / key).write_bytes(data)
        return self.get_tagged(key)[1]

    monkeypatch.setattr(Folder, "swap", overwrite)
    absent, changed = probe(open_store(str(tmp_path)))
    assert "must be absent" in absent
    assert "has changed" in changed


def test_the_probe_sees_a_store_that_refuses_a_good_tag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Folder.swap

    def refuse(self: Folder, key: str, data: bytes, tag: str | None) -> str:
        return honest(self, key, data, tag and f'"{tag}"')

    monkeypatch.setattr(Folder, "swap", refuse)
    (problem,) = probe(open_store(str(tmp_path)))
    assert "right tag" in problem


@pytest.mark.parametrize("location", ["", " ", "s3://", "s3://B", "s3://bucket/../x", "gs://bucket", "http://host/x"])
def test_no_place_for_objects_is_refused_with_what_was_expected(location: str) -> None:
    with pytest.raises(ConfigError, match="expected a folder, or s3://bucket"):
        open_store(location)


def test_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="expected a folder"):
        open_store(str(tmp_path / "file"))


# ------------------------------------------------------------------------------------------------------- folder only


def test_opening_a_folder_makes_nothing(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "not yet"))
    assert list(store.items()) == []
    with pytest.raises(Missing):
        store.get("key")
    assert not (tmp_path / "not yet").exists()


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    store = open_store(str(tmp_path))
    store.create("before", b"")
    monkeypatch.setattr(os, "fsync", full)
    for write in (lambda: store.create("key", b"data"), lambda: store.swap("key", b"data", None)):
        with pytest.raises(StoreError, match=r"key cannot be written: No space left.*free some space"):
            write()
    assert [item.key for item in store.items()] == ["before"]
    assert list((tmp_path / ".tmp").iterdir()) == []


def test_what_a_dead_writer_left_is_swept(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.create("a", b"")
    fresh, stale = tmp_path / ".tmp" / "fresh", tmp_path / ".tmp" / "stale"
    fresh.touch()
    stale.touch()
    os.utime(stale, (0, 0))
    store.create("b", b"")
    assert fresh.exists()
    assert not stale.exists()


def test_a_file_where_a_folder_must_be_is_told(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.create("a", b"")
    with pytest.raises(StoreError, match=r"a/b cannot be written.*move it away"):
        store.create("a/b", b"")


# ----------------------------------------------------------------------------------------------------------- S3 only


def test_a_bucket_that_is_not_there_is_told(s3_endpoint: str) -> None:
    store = open_store("s3://no-such-bucket")
    for ask in (lambda: store.get("k"), lambda: store.create("k", b""), lambda: store.swap("k", b"", None)):
        with pytest.raises(StoreError, match="there is no bucket s3://no-such-bucket; create the bucket"):
            ask()
    with pytest.raises(StoreError, match="there is no bucket"):
        list(store.items())


def test_an_endpoint_that_does_not_answer_is_told(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    store = open_store(f"s3://{bucket}")
    for ask in (lambda: store.get("k"), lambda: store.create("k", b""), lambda: list(store.items())):
        with pytest.raises(StoreError, match=r"127.0.0.1:9 does not answer.*check AWS_ENDPOINT_URL"):
            ask()
    with pytest.raises(Conflict, match="answer was lost"):  # never a conclusion
        store.swap("k", b"", None)


def test_absent_credentials_are_told(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(StoreError, match=r"credentials.*AWS_PROFILE"):
        open_store(f"s3://{bucket}").get("k")


def test_a_wrong_endpoint_setting_is_told(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "localhost:9000")
    with pytest.raises(StoreError, match="correct AWS_ENDPOINT_URL"):
        open_store(f"s3://{bucket}").get("k")


def test_a_download_without_a_home_is_kept_elsewhere(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/proc/nowhere")
    store = open_store(f"s3://{bucket}")
    store.create("key", b"data")
    assert store.local("key").read_bytes() == b"data"


def lose_answers(client: Any, times: int) -> None:
    """The next PUTs reach the server, and are answered 503 all the same."""
    left = [times]

    def land_and_fail(request: Any, **_: Any) -> AWSResponse | None:
        if request.method != "PUT" or not left[0]:
            return None
        left[0] -= 1
        assert client._endpoint.http_session.send(request).status_code == 200
        raw = HTTPResponse(body=io.BytesIO(b""), preload_content=False)
        return AWSResponse(request.url, 503, HTTPHeaders(), raw)

    client.meta.events.register("before-send.s3", land_and_fail)


def test_a_create_whose_answer_is_lost_succeeds(bucket: str) -> None:
    store = open_store(f"s3://{bucket}")
    assert isinstance(store, View) and isinstance(store.ground, S3)
    lose_answers(store.ground._client, times=1)
    store.create("key", b"data")  # botocore tries again by itself and is told 412
    assert store.get("key") == b"data"


def test_a_swap_whose_answer_is_lost_is_never_concluded(bucket: str) -> None:
    store = open_store(f"s3://{bucket}")
    assert isinstance(store, View) and isinstance(store.ground, S3)
    tag = store.swap("key", b"before", None)
    lose_answers(store.ground._hasty_client, times=1)
    with pytest.raises(Conflict, match="or the answer was lost"):
        store.swap("key", b"after", tag)
    assert store.get("key") == b"after"


def test_what_no_single_put_can_hold_is_refused(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        file.truncate(4096)
    monkeypatch.setattr("pluribus.store.s3.MOST_BYTES", 4095)
    with pytest.raises(StoreError, match=r"4,096 bytes; expected at most 4,095"):
        open_store(f"s3://{bucket}").create("huge", huge)


def test_a_body_that_breaks_off_is_fetched_again(bucket: str) -> None:
    store = open_store(f"s3://{bucket}")
    assert isinstance(store, View) and isinstance(store.ground, S3)
    store.create("key", b"0123456789")
    left = [3]

    def break_off(request: Any, **_: Any) -> AWSResponse | None:
        if request.method != "GET" or not left[0]:
            return None
        left[0] -= 1
        headers = {"Content-Length": "10", "ETag": '"x"'}
        raw = HTTPResponse(body=io.BytesIO(b"0123"), headers=headers, preload_content=False)
        return AWSResponse(request.url, 200, HTTPHeaders.from_dict(headers), raw)

    store.ground._client.meta.events.register("before-send.s3", break_off)
    with pytest.raises(StoreError, match="key cannot be read"):
        store.get("key")
    left[0] = 1
    assert store.get("key") == b"0123456789"
    left[0] = 1
    assert store.local("key").read_bytes() == b"0123456789"
