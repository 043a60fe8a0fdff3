"""The bytes of a delivery as streams. gzip and zip are unwrapped here and only here, under caps.

Nothing of a stranger's file is trusted: not its name, not the sizes it declares, not that it ends. Every stream
counts what it gives out and stops at its cap, so that reading a bomb costs no more than the cap.
"""

import codecs
import io
import re
import stat
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import IO

from pluribus.errors import FeedError

CHUNK_BYTES = 1 << 18
HARMLESS_BYTES = 64 << 20  # below this no ratio is suspicious: a feed of one repeated line packs 1000:1
RATIO = 200  # real feeds pack 5:1 to 40:1
MEMBERS = 1_000
BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
TAR, TAR_AT = b"ustar", 257
GZIP, ZIP, OLE = b"\x1f\x8b", b"PK\x03\x04", b"\xd0\xcf\x11\xe0"


@dataclass(frozen=True)
class Stream:
    """One file of a delivery, unwrapped. `open` may be called again: every call starts at the first byte."""

    name: str
    open: Callable[[], "Counted"]


class Counted(io.RawIOBase):
    """A readable stream that gives out at most `most_bytes`, and at most `RATIO` times `packed_bytes`."""

    def __init__(self, source: IO[bytes], name: str, most_bytes: int, packed_bytes: int | None = None) -> None:
        super().__init__()
        self.source, self.name, self.total = source, name, 0
        self.most_bytes = most_bytes
        self.likely_bytes = most_bytes if packed_bytes is None else max(HARMLESS_BYTES, RATIO * packed_bytes)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        try:
            data = self.source.read(min(len(view), CHUNK_BYTES))
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
            raise FeedError(f"{self.name} cannot be unpacked: {error}", do="deliver the file again") from error
        self.total += len(data)
        if self.total > self.most_bytes:
            raise FeedError(f"{self.name} is larger than {self.most_bytes:,} bytes", do="raise limits.feed_bytes")
        if self.total > self.likely_bytes:
            raise FeedError(f"{self.name} unpacks to more than {RATIO} times its size", do="deliver it less packed")
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self.source.close()
        super().close()


class Gunzip(io.RawIOBase):
    """gzip, member after member, unpacking no more than asked. (`gzip` itself loops over empty members for free.)"""

    def __init__(self, source: IO[bytes]) -> None:
        super().__init__()
        self.source, self.idle, self.left = source, 0, b""
        self.inflate = zlib.decompressobj(wbits=31)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while True:
            packed = self.left or self.source.read(CHUNK_BYTES)
            if not packed:
                if self.inflate is not None and not self.inflate.eof:
                    raise EOFError("the gzip ends in the middle")
                return b""
            if self.inflate.eof:
                packed = packed.lstrip(b"\0")  # tapes and some servers pad with zeros
                if not packed:
                    self.left = b""
                    continue
                self.inflate = zlib.decompressobj(wbits=31)
            data = self.inflate.decompress(packed, max(size, 1))
            self.left = self.inflate.unused_data if self.inflate.eof else self.inflate.unconsumed_tail
            self.idle = 0 if data else self.idle + 1
            if data:
                return data
            if self.idle > MEMBERS:
                raise EOFError(f"more than {MEMBERS} gzip members hold nothing")

    def close(self) -> None:
        self.source.close()
        super().close()


def unwrap(path: Path, most_bytes: int) -> list[Stream]:
    """The feed files in `path`: itself, what its gzip holds, or the members of its zip in their order.

    Member names are shown in messages and otherwise unused. Raises FeedError for anything that is absent, empty,
    encrypted, wrapped twice, or not what its first bytes claim.
    """
    try:
        size_bytes = path.stat().st_size
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise FeedError(f"{path.name} cannot be read: {error.strerror}", expected="a readable file") from error
    if not size_bytes:
        raise FeedError(f"{path.name} is empty", expected="products", do="deliver the file again")
    if magic == OLE:
        raise FeedError(f"{path.name} is an office document", expected="a feed", do="save the sheet as CSV UTF-8")
    if magic.startswith(b"PK"):
        return _members(path, most_bytes)

    def plain() -> Counted:
        return Counted(path.open("rb"), path.name, most_bytes)

    def gunzip() -> Counted:
        return Counted(Gunzip(path.open("rb")), path.name, most_bytes, size_bytes)  # type: ignore[arg-type]

    return [_once(Stream(path.name, gunzip if magic.startswith(GZIP) else plain), wrapped=magic.startswith(GZIP))]


def _members(path: Path, most_bytes: int) -> list[Stream]:
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise FeedError(f"{path.name} is no readable zip: {error}", do="deliver the file again") from error
    if len(infos) > MEMBERS:
        raise FeedError(f"{path.name} has {len(infos):,} members", expected=f"at most {MEMBERS:,}")
    if any(info.filename == "[Content_Types].xml" for info in infos):
        raise FeedError(f"{path.name} is an office document", expected="a feed", do="save the sheet as CSV UTF-8")
    _refuse_overlap(path, infos)
    members = [(info, _member(path, info, most_bytes)) for info in infos if not info.is_dir()]
    chosen = [member for info, member in members if not _is_clutter(info.filename)]
    if not chosen:
        raise FeedError(f"{path.name} holds no file", expected="a feed")
    return [_once(member, wrapped=True) for member in chosen]


def _member(path: Path, info: zipfile.ZipInfo, most_bytes: int) -> Stream:
    name = f"{path.name}/{info.filename}"
    parts = PurePosixPath(info.filename.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or stat.S_ISLNK(info.external_attr >> 16):
        raise FeedError(f"{name} points outside its zip", expected="plain files")
    if info.flag_bits & 0x1:
        raise FeedError(f"{name} is encrypted", do="deliver it without a password")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise FeedError(f"{name} uses a rare zip method ({info.compress_type})", expected="deflate")

    def member() -> Counted:
        try:
            with zipfile.ZipFile(path) as archive:  # the member keeps the file open until it is closed itself
                return Counted(archive.open(info), name, most_bytes, info.compress_size)
        except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError) as error:
            raise FeedError(f"{name} cannot be unpacked: {error}", do="deliver the file again") from error

    return Stream(name, member)


def _once(stream: Stream, wrapped: bool) -> Stream:
    """Refuses an empty stream, and a wrapping inside a wrapping: nested bombs are the only use seen for it."""
    with stream.open() as file:
        magic = file.read(TAR_AT + len(TAR)) or b""
    if not magic:
        raise FeedError(f"{stream.name} is empty", expected="products", do="deliver the file again")
    if magic[TAR_AT:] == TAR:
        raise FeedError(f"{stream.name} is a tar", expected="a feed, or several in a zip", do="unpack it")
    if wrapped and magic.startswith((GZIP, ZIP)):
        raise FeedError(f"{stream.name} is packed twice", do="pack it once")
    return stream


def _refuse_overlap(path: Path, infos: list[zipfile.ZipInfo]) -> None:
    """Members that share bytes are how a zip bomb beats every ratio (CVE-2024-0450; Python 3.11.7 opens them)."""
    spans = sorted((info.header_offset, info.header_offset + 30 + info.compress_size) for info in infos)
    if any(end > start for (_, end), (start, _) in pairwise(spans)):
        raise FeedError(f"{path.name} has overlapping members", expected="an ordinary zip")


def _is_clutter(name: str) -> bool:
    return name.startswith("__MACOSX/") or PurePosixPath(name).name.startswith(".") or name.endswith("/Thumbs.db")


def encoding_of(stream: IO[bytes]) -> str:
    """The encoding of a text: its byte order mark, else UTF-8 if it is mostly that, else a legacy guess.

    Reads the whole stream: a Latin-1 feed may show its first umlaut after megabytes of ASCII. A file of UTF-8 with
    some bad bytes stays UTF-8, so that only those rows suffer.
    """
    chunk = stream.read(1 << 20) or b""
    for mark, name in BOMS.items():
        if chunk.startswith(mark):
            return name
    if 0 in chunk[:2]:
        return "utf-16-be" if chunk[0] == 0 else "utf-16-le"
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    good, bad, odd = 0, 0, b""
    while chunk:
        text = decoder.decode(chunk)
        if not text.isascii():
            wrong = len(re.findall("[\udc80-\udcff]", text))
            bad += wrong
            good += len(re.findall("[^\x00-\x7f]", text)) - wrong
            odd += chunk if wrong and len(odd) < 1 << 20 else b""
        chunk = stream.read(1 << 20) or b""
    return "utf-8" if good >= bad else _legacy(odd)


def _legacy(sample: bytes) -> str:
    """Windows-1252, unless so many letters lie beyond ASCII that another script is likelier."""
    beyond = sum(byte > 127 for byte in sample)
    if beyond * 4 < sum(byte > 127 or chr(byte).isalpha() for byte in sample):
        return "cp1252"
    from charset_normalizer import from_bytes

    best = from_bytes(sample[: 1 << 17]).best()
    return best.encoding if best else "cp1252"
