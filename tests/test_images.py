"""From references to rows of our own pictures: fetched once, refused with reasons, no shop lost over a picture."""

import io
import os
import signal
import tarfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image

from pluribus import images, pixels
from pluribus.sandbox import Sandbox
from pluribus.schemas import PICTURE
from pluribus.store import open_store

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)


def jpeg(value: int = 100, side: int = 40) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (value, 2 * value % 256, 3 * value % 256)).save(buffer, "JPEG")
    return buffer.getvalue()


def look(references: list[str], ledger: pa.Table | None = None, **settings: Any) -> pa.Table:
    """The rows of one look, given the rows of all looks before."""
    known = images.known(newest(ledger)) if ledger is not None else {}
    ours = {"now": NOW, "own_domains": ["*"], "requests_per_s": 1e6}
    batches = list(images.pictures(references, known=known, **ours | settings))
    assert all(batch.schema == PICTURE for batch in batches)
    return pa.Table.from_batches(batches, PICTURE)


def newest(ledger: pa.Table) -> pa.Table:
    rows = {row["ref"]: row for row in ledger.to_pylist()}
    return pa.Table.from_pylist(list(rows.values()), PICTURE)


def told(table: pa.Table) -> dict[str, str]:
    """ref -> its reason; "picture", or "same" for content known before."""
    return {
        row["ref"]: row["reason"] or ("picture" if row["picture"] else "same" if row["content"] else "nothing")
        for row in table.to_pylist()
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "pictures"
    path.mkdir()
    for n in range(5):
        (path / f"{n}.jpg").write_bytes(jpeg(n * 20))
    return path


def test_rows_say_all_there_is_to_know(folder: Path) -> None:
    (folder / "twin.png").write_bytes(jpeg(20))
    rows = look(["/1.jpg", "twin.png", "../1.jpg", "/1.jpg"], sources=[str(folder)]).to_pylist()
    assert sorted(row["ref"] for row in rows) == ["../1.jpg", "/1.jpg", "twin.png"]
    by_ref = {row["ref"]: row for row in rows}
    picture = by_ref["/1.jpg"]
    assert picture["content"] == images.content_of(jpeg(20), "1-256px") == by_ref["twin.png"]["content"]
    assert (picture["width"], picture["height"], picture["checked"], picture["reason"]) == (40, 40, NOW, None)
    assert pixels.decode_picture(picture["picture"]).size == (40, 40)
    missing = by_ref["../1.jpg"]
    assert (missing["reason"], missing["content"], missing["picture"], missing["width"]) == (
        "MISSING",
        None,
        None,
        None,
    )


def test_only_what_changed_is_looked_at_again(folder: Path) -> None:
    refs = [f"{n}.jpg" for n in range(6)]
    first = look(refs, sources=[str(folder)])
    assert told(first) == {f"{n}.jpg": "picture" for n in range(5)} | {"5.jpg": "MISSING"}
    assert look(refs, first, sources=[str(folder)]).num_rows == 0
    (folder / "0.jpg").write_bytes(jpeg(99))
    os.utime(folder / "1.jpg", (1, 1))
    (folder / "2.jpg").unlink()
    (folder / "3.jpg").write_bytes(b"<html>")
    (folder / "5.jpg").write_bytes(jpeg(5))
    second = look(refs, first, sources=[str(folder)])
    assert told(second) == {
        "0.jpg": "picture", "1.jpg": "same", "2.jpg": "MISSING", "3.jpg": "FORMAT", "5.jpg": "picture"
    }  # fmt: skip
    both = pa.concat_tables([first, second])
    before, after = ({row["ref"]: row for row in table.to_pylist()} for table in (first, second))
    assert all(before["1.jpg"][name] == after["1.jpg"][name] for name in ("content", "width", "height"))
    assert before["0.jpg"]["content"] != after["0.jpg"]["content"]
    assert look(refs, both, sources=[str(folder)]).num_rows == 0


def test_an_unchanged_feed_starts_no_child(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = look(["1.jpg", "9.jpg"], sources=[str(folder)])
    monkeypatch.setattr(Sandbox, "call", lambda *_: pytest.fail("decoded again"))
    assert look(["1.jpg", "9.jpg"], first, sources=[str(folder)]).num_rows == 0


def test_a_refusal_by_a_limit_holds_as_long_as_the_limit(folder: Path) -> None:
    (folder / "tiny.jpg").write_bytes(jpeg(side=10))
    (folder / "wide.jpg").write_bytes(jpeg(side=200))
    (folder / "heavy.jpg").write_bytes(jpeg() + bytes(5000))
    refs, place = ["tiny.jpg", "wide.jpg", "heavy.jpg"], [str(folder)]
    first = look(refs, sources=place, most_bytes=5000, most_px=10_000)
    assert told(first) == {"tiny.jpg": "SMALL", "wide.jpg": "PIXELS", "heavy.jpg": "SIZE"}
    assert look(refs, first, sources=place, most_bytes=5000, most_px=10_000).num_rows == 0
    assert told(look(refs, first, sources=place, least_px=8)) == dict.fromkeys(refs, "picture")


def test_the_first_source_wins_whatever_its_kind(folder: Path, tmp_path: Path, bucket: str) -> None:
    with tarfile.open(tmp_path / "t.tar.gz", "w:gz") as archive:
        archive.add(folder / "1.jpg", "only-in-tar.jpg")
        archive.add(folder / "2.jpg", "1.jpg")
    store = open_store(f"s3://{bucket}/pictures")
    store.create("only-in-bucket.jpg", jpeg(7))
    places = [str(folder), str(tmp_path / "t.tar.gz"), store.url]
    refs = ["1.jpg", "only-in-tar.jpg", "only-in-bucket.jpg"]
    table = look(refs, sources=places)
    contents = dict(zip(table["ref"].to_pylist(), table["content"].to_pylist(), strict=True))
    digests = [images.content_of(data, "1-256px") for data in (jpeg(20), jpeg(20), jpeg(7))]
    assert contents == dict(zip(refs, digests, strict=True))
    assert look(refs, table, sources=places).num_rows == 0


def test_batches_are_bounded_and_archives_read_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "BATCH_ROWS", 7)
    with tarfile.open(tmp_path / "t.tar", "w") as archive:
        for n in reversed(range(40)):
            member = tarfile.TarInfo(f"{n:02}.jpg")
            member.size = len(jpeg(n))
            archive.addfile(member, io.BytesIO(jpeg(n)))
    refs = [f"{n:02}.jpg" for n in range(40)]
    batches = list(images.pictures(refs, sources=[str(tmp_path / "t.tar")], known={}, now=NOW))
    assert [batch.num_rows for batch in batches] == [7] * 5 + [5]
    assert [ref for batch in batches for ref in batch["ref"].to_pylist()] == refs[::-1]


def test_a_caller_may_stop_early(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "BATCH_ROWS", 1)
    batches = images.pictures([f"{n}.jpg" for n in range(5)], sources=[str(folder)], known={}, now=NOW)
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("pictures")]


MURDEROUS = """
import os, signal, time
from pluribus import pixels

def answer(data, **options):
    if b"kill me" in data:
        os.kill(os.getpid(), signal.SIGKILL)
    if b"crash me" in data:
        os.kill(os.getpid(), signal.SIGSEGV)
    if b"feed me" in data:
        bytearray(2**34)
    return b"a lie" if b"corrupt me" in data else pixels.answer(data, **options)
"""


def test_a_dead_decoder_loses_one_picture(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "murderous.py").write_text(MURDEROUS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(images, "DECODER", "murderous:answer")
    bad = [b"kill me", b"crash me", b"feed me", b"corrupt me"]
    for n, deed in enumerate(bad * 3):
        (folder / f"bad{n}.jpg").write_bytes(jpeg() + deed)
    refs = [ref for n in range(12) for ref in (f"bad{n}.jpg", f"{n % 5}.jpg")]
    first = look(refs, sources=[str(folder)])
    assert told(first) == {f"bad{n}.jpg": "CRASH" for n in range(12)} | {f"{n}.jpg": "picture" for n in range(5)}
    monkeypatch.undo()  # the machine's troubles pass, and the next run sees to what was lost
    assert told(look(refs, first, sources=[str(folder)])) == {f"bad{n}.jpg": "picture" for n in range(12)}


def test_real_decoders_survive_their_killing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every child is killed from outside while it works; each death costs one picture at most."""
    for n in range(200):
        (folder / f"{n}.jpg").write_bytes(jpeg(n))
    call, calls = Sandbox.call, iter(range(1000))

    def killed(self: Sandbox, request: bytes) -> bytes | None:
        if next(calls) % 50 == 20 and self._link is not None:
            os.kill(self._pid, signal.SIGKILL)
        return call(self, request)

    monkeypatch.setattr(Sandbox, "call", killed)
    outcomes = list(told(look([f"{n}.jpg" for n in range(200)], sources=[str(folder)])).values())
    assert len(outcomes) == 200 and 1 <= outcomes.count("CRASH") <= 4
    assert outcomes.count("picture") + outcomes.count("CRASH") == 200


class Site(ThreadingHTTPServer):
    """A shop's picture server: path -> (bytes, ETag), and what was asked of it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages: dict[str, tuple[bytes, str]] = {}
        self.asked: list[tuple[str, str]] = []
        self.down = False
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["If-None-Match"] or ""))
        body, tag = self.server.pages.get(self.path, (b"", ""))
        status = 404 if not body else 304 if tag and self.headers["If-None-Match"] == tag else 200
        self.send_response(503 if self.server.down else status)
        if tag:
            self.send_header("ETag", tag)
        self.end_headers()
        self.wfile.write(body if status == 200 and not self.server.down else b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as site:
        thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield site
        site.shutdown()
        thread.join()


def test_addresses_are_asked_again_only_when_due(site: Site) -> None:
    site.pages = {f"/{n}.jpg": (jpeg(n), f'"{n}"' if n else "") for n in range(3)}
    refs = [f"{site.url}/{n}.jpg" for n in range(4)]
    settings = {"allow": ["127.0.0.1/32"], "recheck_hours": 24.0}
    first = look(refs, **settings)
    assert list(told(first).values()).count("picture") == 3 and told(first)[refs[3]] == "HTTP_404"
    site.asked.clear()
    assert look(refs, first, now=NOW + timedelta(hours=23), **settings).num_rows == 0
    assert site.asked == []
    site.pages |= {"/2.jpg": (jpeg(50), '"new"')}
    second = look(refs, first, now=NOW + timedelta(hours=24), **settings)
    assert told(second) == {refs[0]: "same", refs[1]: "same", refs[2]: "picture", refs[3]: "HTTP_404"}
    assert sorted(site.asked) == [("/0.jpg", ""), ("/1.jpg", '"1"'), ("/2.jpg", '"2"'), ("/3.jpg", "")]
    both = pa.concat_tables([first, second])
    assert look(refs, both, now=NOW + timedelta(hours=47), **settings).num_rows == 0


def test_a_server_that_is_down_takes_no_picture_away(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    site.pages = {"/1.jpg": (jpeg(1), ""), "/2.jpg": (jpeg(2), "")}
    one, two, settings = f"{site.url}/1.jpg", f"{site.url}/2.jpg", {"allow": ["127.0.0.1/32"], "recheck_hours": 0.0}
    first = look([one], **settings)
    site.down = True
    second = look([one, two], first, **settings)
    assert told(second) == {two: "HTTP_503"}
    site.down = False
    both = pa.concat_tables([first, second])
    assert told(look([one, two], both, **settings | {"recheck_hours": 24.0})) == {two: "picture"}
    del site.pages["/1.jpg"]
    assert told(look([one], first, **settings)) == {one: "HTTP_404"}


def test_relative_references_may_have_a_base_address(site: Site, folder: Path) -> None:
    site.pages = {"/media/m/b%20c.jpg": (jpeg(1), ""), "/media/1.jpg": (jpeg(2), "")}
    sources = [str(folder), f"{site.url}/media/"]
    table = look(["/m/b c.jpg", "1.jpg", "/none.jpg"], sources=sources, allow=["127.0.0.1/32"])
    assert told(table) == {"/m/b c.jpg": "picture", "1.jpg": "picture", "/none.jpg": "HTTP_404"}
    assert sorted(path for path, _ in site.asked) == ["/media/m/b%20c.jpg", "/media/none.jpg"]


def test_addresses_of_strangers_get_their_reasons(site: Site) -> None:
    refs = {
        f"{site.url}/a.jpg": "URL", "http://127.0.0.1/a.jpg": "ADDRESS", "//169.254.169.254/a.jpg": "ADDRESS",
        "file:///etc/passwd": "URL", "data:image/png;base64,AAAA": "URL", "ftp://shop.example/a.jpg": "URL",
        "/etc/passwd": "MISSING", "": "MISSING", "..\\..\\boot.ini": "MISSING",
    }  # fmt: skip
    assert told(look(list(refs))) == refs
    assert site.asked == []


def test_web_refusals_are_told_each_time_they_were_checked(site: Site) -> None:
    site.pages = {"/1.jpg": (b"<html>", '"1"')}
    settings = {"allow": ["127.0.0.1/32"], "recheck_hours": 1.0}
    first = look([f"{site.url}/1.jpg"], **settings)
    second = look([f"{site.url}/1.jpg"], first, now=NOW + timedelta(hours=2), **settings)
    assert [told(table) for table in (first, second)] == [{f"{site.url}/1.jpg": "FORMAT"}] * 2
    assert len(site.asked) == 2


@pytest.mark.parametrize(
    ("shop", "count"), [("myntra_fashion", 3000), ("nh_liquor", 2284), ("luma_sport", 725), ("ikea_furniture", 2042)]
)
def test_real_shops(data: Path, shop: str, count: int) -> None:
    archives = sorted(str(path) for path in (data / "shops" / shop).glob("images-*.tar"))
    refs = []
    for archive in archives:
        with tarfile.open(archive) as file:
            refs += ["/" + member.name for member in file if member.isreg()]
    table = look(refs[::7], sources=archives)
    assert len(refs) == count
    assert set(told(table).values()) == {"picture"} and table.num_rows == len(refs[::7])
    assert look(refs[::7], table, sources=archives).num_rows == 0
