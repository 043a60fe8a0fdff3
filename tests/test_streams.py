"""Wrapped files give out what they hold, and no more than they may."""

import gzip
import io
import stat
import zipfile
import zlib
from pathlib import Path

import pytest

from pluribus.errors import FeedError
from pluribus.feeds import streams
from pluribus.feeds.streams import encoding_of, unwrap

FEED = b"id,title\n1,Shirt\n"
CAP = 10**9


def contents(path: Path, most_bytes: int = CAP) -> list[bytes]:
    found = []
    for stream in unwrap(path, most_bytes):
        with stream.open() as file:
            found.append(file.read())
    return found


def zipped(path: Path, *members: tuple[zipfile.ZipInfo | str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def test_plain_gzip_and_zip_hold_the_same(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(FEED)
    (tmp_path / "b").write_bytes(gzip.compress(FEED[:5]) + gzip.compress(FEED[5:]) + b"\0" * 100)
    zipped(tmp_path / "c", ("x/feed.csv", FEED), ("__MACOSX/x/._feed.csv", b"?"), (".DS_Store", b"?"))
    assert contents(tmp_path / "a") == contents(tmp_path / "b") == contents(tmp_path / "c") == [FEED]


def test_a_zip_gives_its_members_in_their_order(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", ("2.csv", b"two"), ("1.csv", b"one"))
    assert contents(path) == [b"two", b"one"]
    assert [stream.name for stream in unwrap(path, CAP)] == ["a.zip/2.csv", "a.zip/1.csv"]


def test_a_stream_starts_anew_each_time_it_is_opened(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(FEED))
    [stream] = unwrap(tmp_path / "a.gz", CAP)
    with stream.open() as first, stream.open() as second:
        assert first.read(3) == FEED[:3]
        assert second.read() == FEED
        assert first.read() == FEED[3:]


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def encrypted() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.csv", FEED)
    data = bytearray(buffer.getvalue())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    return bytes(data)


def overlapping() -> bytes:
    """Two entries of the directory that share one file's bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.csv", FEED)
        archive.filelist.append(archive.filelist[0])
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("absent", None, "cannot be read"),
        ("empty", b"", "is empty"),
        ("cut gzip", gzip.compress(FEED * 1000)[:-9], "ends in the middle"),
        ("torn gzip", gzip.compress(FEED)[:-8] + b"12345678", "cannot be unpacked"),
        ("nothing but empty members", gzip.compress(b"") * 5000, "hold nothing"),
        ("gzip of nothing", gzip.compress(b""), "is empty"),
        ("twice", gzip.compress(gzip.compress(FEED)), "packed twice"),
        ("wrong magic", b"PK\x03\x04 but no zip", "no readable zip"),
        ("encrypted", encrypted(), "encrypted"),
        ("overlapping", overlapping(), "overlapping"),
    ],
)
def test_refuses_what_it_cannot_trust(tmp_path: Path, name: str, data: bytes | None, says: str) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(FeedError, match=says):
        contents(tmp_path / name)


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ([("../a.csv", FEED)], "outside"),
        ([("/a.csv", FEED)], "outside"),
        ([("..\\a.csv", FEED)], "outside"),
        ([(link("a.csv"), b"/etc/passwd")], "outside"),
        ([("a/", b"")], "holds no file"),
        ([("a.csv", b"")], "is empty"),
        ([("a.csv.gz", gzip.compress(FEED))], "packed twice"),
        ([("[Content_Types].xml", b"<x/>"), ("xl/workbook.xml", b"<x/>")], "office document"),
        ([(f"{n}.csv", b"x") for n in range(streams.MEMBERS + 1)], "members"),
    ],
)
def test_refuses_strange_zips(tmp_path: Path, members: list[tuple[zipfile.ZipInfo | str, bytes]], says: str) -> None:
    with pytest.raises(FeedError, match=says):
        contents(zipped(tmp_path / "a.zip", *members))


def test_a_zip_of_a_rare_method_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.csv", FEED)
    with pytest.raises(FeedError, match="rare zip method"):
        contents(tmp_path / "a.zip")


def test_bombs_stop_at_the_cap(tmp_path: Path) -> None:
    squeeze = zlib.compressobj(9, wbits=31)
    bomb = b"".join(squeeze.compress(b"\0" * 2**20) for _ in range(300)) + squeeze.flush()
    (tmp_path / "a.gz").write_bytes(bomb)
    zipped(tmp_path / "a.zip", ("a.csv", b"\0" * 2**20 * 100))
    for name in ("a.gz", "a.zip"):
        [stream] = unwrap(tmp_path / name, 2**20)
        with stream.open() as file, pytest.raises(FeedError, match="larger than 1,048,576 bytes"):
            file.read()
        assert file.total <= 2**20 + streams.CHUNK_BYTES
        with pytest.raises(FeedError, match="200 times its size"):
            contents(tmp_path / name)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        *[("Hülle", encoding) for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252")],
        ("x" * 3_000_000 + "ü", "cp1252"),
        ("Платье летнее красное из хлопка и туфли женские чёрные кожаные " * 20, "cp1251"),
    ],
)
def test_finds_the_encoding(text: str, encoding: str) -> None:
    assert text.encode(encoding).decode(encoding_of(io.BytesIO(text.encode(encoding)))) == text


def test_some_bad_bytes_do_not_change_the_encoding() -> None:
    assert encoding_of(io.BytesIO("größer, schöner, Übergröße".encode() + b" caf\xe9")) == "utf-8"
