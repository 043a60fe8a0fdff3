"""Folders, archives and buckets of pictures, and the names strangers call them by."""

import gzip
import io
import os
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pluribus.errors import FeedError
from pluribus.sources import MOST_GROWTH, open_source
from pluribus.store import open_store

FILES = {"a.jpg": b"a" * 100, "m/h/Black Shirt.JPG": b"b" * 2000, "50%25.jpg": b"c", "Stiefel für Müller.png": b"d" * 5}


def folder(path: Path, files: dict[str, bytes]) -> str:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return str(path)


def tar(path: Path, files: dict[str, bytes], mode: str = "w") -> str:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return str(path)


def zipped(path: Path, files: dict[str, bytes]) -> str:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return str(path)


MAKERS: dict[str, Callable[[Path, dict[str, bytes]], str]] = {
    "folder": folder,
    "tar": tar,
    "tar.gz": lambda path, files: tar(path, files, "w:gz"),
    "zip": zipped,
}


@pytest.fixture(params=MAKERS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """FILES in every kind of place; what kind it is shows in its bytes, not in its name."""
    return MAKERS[request.param](tmp_path / "pictures", FILES)


def test_every_picture_is_listed_and_read(place: str) -> None:
    with open_source(place) as source:
        assert {name: source.read(name, 10_000) for name in source.places} == FILES
        assert {name: place.size_bytes for name, place in source.places.items()} == {
            k: len(v) for k, v in FILES.items()
        }
        assert source.read("m/h/Black Shirt.JPG", 7) == b"b" * 7


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("a.jpg", "a.jpg"), ("/a.jpg", "a.jpg"), ("./a.jpg", "a.jpg"), ("//./a.jpg", "a.jpg"), (" a.jpg ", "a.jpg"),
        ("/m/h/Black Shirt.JPG", "m/h/Black Shirt.JPG"), ("m/h/Black%20Shirt.JPG", "m/h/Black Shirt.JPG"),
        ("M/H/black shirt.jpg", "m/h/Black Shirt.JPG"), ("m\\h\\Black Shirt.JPG", "m/h/Black Shirt.JPG"),
        ("50%25.jpg", "50%25.jpg"), ("50%2525.jpg", "50%25.jpg"),
        ("Stiefel f%C3%BCr M%C3%BCller.png", "Stiefel für Müller.png"),
        (unicodedata.normalize("NFD", "Stiefel für Müller.png"), "Stiefel für Müller.png"),
        ("", None), ("/", None), (".", None), ("b.jpg", None), ("m/h", None), ("../a.jpg", None), ("m/../a.jpg", None),
        ("../../../../etc/passwd", None), ("/etc/passwd", None), ("..%2f..%2fetc/passwd", None), ("a.jpg\0.png", None),
        ("http://shop.example/a.jpg", None), ("\ud800", None), ("a" * 100_000, None),
    ],
)  # fmt: skip
def test_references_are_names_not_paths(place: str, reference: str, name: str | None) -> None:
    with open_source(place) as source:
        assert source.find(reference) == name


def test_names_that_differ_only_in_case_are_not_guessed(tmp_path: Path) -> None:
    with open_source(zipped(tmp_path / "z", {"A.jpg": b"1", "a.jpg": b"2", "b.jpg": b"3"})) as source:
        assert [source.find(name) for name in ("A.jpg", "a.jpg", "A.JPG", "B.JPG")] == ["A.jpg", "a.jpg", None, "b.jpg"]


def test_a_prefix_of_a_bucket(bucket: str) -> None:
    store = open_store(f"s3://{bucket}/pictures")
    for name in ("a.jpg", "m/h/b.jpg"):
        store.create(name, FILES["a.jpg"])
    with open_source(f"s3://{bucket}/pictures") as source:
        assert sorted(source.places) == ["a.jpg", "m/h/b.jpg"]
        assert source.read("m/h/b.jpg", 50) == b"a" * 50
        store.delete("a.jpg")
        with pytest.raises(OSError, match="pictures"):
            source.read("a.jpg", 50)


def test_an_archive_in_a_bucket(bucket: str, tmp_path: Path) -> None:
    open_store(f"s3://{bucket}/some").create("pictures.tar", Path(tar(tmp_path / "t", FILES)))
    with open_source(f"s3://{bucket}/some/pictures.tar") as source:
        assert source.read("a.jpg", 1000) == FILES["a.jpg"]


def test_validators_change_with_the_bytes_only(place: str, tmp_path: Path) -> None:
    def validators() -> dict[str, str]:
        with open_source(place) as source:
            return {name: place.validator for name, place in source.places.items()}

    before = validators()
    assert before == validators() and len(set(before.values())) == len(FILES)
    if Path(place).is_dir():
        (Path(place) / "a.jpg").write_bytes(b"new")
        after = validators()
        assert {name for name in before if before[name] != after[name]} == {"a.jpg"}


def test_links_never_lead_out_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    root = Path(folder(tmp_path / "pictures", FILES))
    (root / "out.jpg").symlink_to(tmp_path / "secret.jpg")
    (root / "up").symlink_to(tmp_path)
    (root / "loop").symlink_to(root)
    (root / "dangling.jpg").symlink_to(root / "nothing")
    (root / "in.jpg").symlink_to("a.jpg")
    os.mkfifo(root / "pipe.jpg")
    (tmp_path / "alias").symlink_to(root)
    with open_source(str(tmp_path / "alias")) as source:
        assert set(source.places) == {*FILES, "in.jpg"}
        assert source.read("in.jpg", 1000) == FILES["a.jpg"]
        for name in ("a.jpg", "in.jpg"):  # turned into links after the listing
            (root / name).unlink()
            (root / name).symlink_to(tmp_path / "secret.jpg")
            with pytest.raises(OSError, match="symbolic"):
                source.read(name, 1000)


def test_links_and_devices_in_archives_are_not_listed(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "t.tar", "w") as archive:
        for name, kind in {
            "l": tarfile.SYMTYPE,
            "h": tarfile.LNKTYPE,
            "d": tarfile.CHRTYPE,
            "f": tarfile.FIFOTYPE,
        }.items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
        archive.addfile(tarfile.TarInfo("../escape.jpg"))
        archive.addfile(tarfile.TarInfo("/absolute.jpg"))
    with open_source(str(tmp_path / "t.tar")) as source:
        assert set(source.places) == {"../escape.jpg", "absolute.jpg"}  # names, never paths


def test_broken_members_cost_only_themselves(tmp_path: Path) -> None:
    data = bytearray(Path(zipped(tmp_path / "z", {"a": os.urandom(1000), "b": os.urandom(1000)})).read_bytes())
    data[500] ^= 255
    (tmp_path / "z").write_bytes(data)
    with open_source(str(tmp_path / "z")) as source:
        assert len(source.read("b", 1000)) == 1000
        with pytest.raises(OSError, match="CRC"):
            source.read("a", 1001)


def test_bombs_are_read_to_the_cap_only(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z", "w") as archive:
        archive.writestr("deflated", bytes(10**8), zipfile.ZIP_DEFLATED)
        archive.writestr("bzip2", bytes(10**7), zipfile.ZIP_BZIP2)
    with open_source(str(tmp_path / "z")) as source:
        assert set(source.places) == {"deflated"} and source.read("deflated", 1000) == bytes(1000)


def _tar_with(size: bytes) -> bytes:
    header = bytearray(tarfile.TarInfo("a.jpg").tobuf())
    header[124:136] = size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "cannot be read"),
        (b"no archive at all", "cannot be read"),
        (b"PK\3\4 no zip", "cannot be read"),
        (b"\x1f\x8b no gzip", "cannot be read"),
        (gzip.compress(b"\0" * 10_240 * 1000), f"more than {MOST_GROWTH} times"),
        (gzip.compress(os.urandom(50_000))[:-20], "cannot be read"),
        (_tar_with(b"%011o\0" % 10**6), "cannot be read"),
        (_tar_with(b"\xff" * 12) + bytes(10_240), "cannot be read"),  # -1: CVE-2025-8194
        (_tar_with(b"\xff" * 10 + b"\xfc\0") + bytes(10_240), "cannot be read"),
        (_tar_with(b"\x80" + b"\xff" * 11) + bytes(10_240), "cannot be read"),
    ],
)
def test_an_unreadable_archive_sets_the_shop_aside(tmp_path: Path, data: bytes, complaint: str) -> None:
    (tmp_path / "pictures").write_bytes(data)
    with pytest.raises(FeedError, match=complaint), open_source(str(tmp_path / "pictures")):
        pass


def test_a_header_cannot_ask_for_endless_memory(tmp_path: Path) -> None:
    member = tarfile.TarInfo("x")
    member.type, member.size = tarfile.XHDTYPE, 2 * 10**6
    (tmp_path / "pictures").write_bytes(member.tobuf() + bytes(3 * 10**6))
    with pytest.raises(FeedError, match="a header of 2000384 bytes"), open_source(str(tmp_path / "pictures")):
        pass


@pytest.mark.parametrize(
    "location", ["nowhere", "nowhere.tar", "/dev/null", "/etc/passwd/x", "s3://bucket-of-nobody/x.tar"]
)
def test_an_absent_source_sets_the_shop_aside(location: str, bucket: str) -> None:
    with pytest.raises(FeedError, match="source"), open_source(location):
        pass
