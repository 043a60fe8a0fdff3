"""Where a shop's pictures lie: folders, archives and bucket prefixes, all read through one list of names.

A reference is text of strangers. It is never made into a path: it is looked up among the names that a source has
listed, so "../../etc/passwd" is merely a name no source knows. What a source holds may be hostile too: symbolic links
out of a folder, links and devices in archives are not listed, odd compressions are left alone, every read is capped.

An absent or unreadable source is a FeedError, lest a mislaid archive empty a shop of its pictures.
"""

import errno
import gzip
import io
import os
import tarfile
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple
from urllib.parse import unquote

from pluribus.errors import FeedError, Missing, StoreError
from pluribus.store import open_store

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".zip")
#: A tar header has 512 bytes and its extensions a few kB; more in one read is an attack on memory.
MOST_HEADER_BYTES = 2**20
#: An unpacked .tar.gz may be this many times its size (headers and padding of small pictures make about 3).
MOST_GROWTH = 100
BROKEN = (OSError, EOFError, ValueError, OverflowError, RuntimeError, tarfile.TarError, zipfile.BadZipFile, zlib.error)


class Place(NamedTuple):
    """Where a source keeps one picture. `order` sorts for the cheapest reading; another `validator`, other bytes."""

    order: int
    size_bytes: int
    validator: str


@dataclass(frozen=True)
class Source:
    """The pictures of one source by name, and how to read at most so many bytes of one (raises OSError)."""

    places: dict[str, Place]
    read: Callable[[str, int], bytes]
    folded: dict[str, str] = field(default_factory=dict)

    def find(self, reference: str) -> str | None:
        """The name a reference means: exactly, percent-decoded, or else in other case or Unicode form.

        Of two names that differ only so, none is guessed.
        """
        slashed = reference.strip().replace("\\", "/")
        spellings = [_relative(spelling) for spelling in (reference, slashed, unquote(slashed))]
        exact = next((spelling for spelling in spellings if spelling in self.places), None)
        if exact is not None:
            return exact
        if not self.folded:
            for name in self.places:
                self.folded[_folded(name)] = "" if _folded(name) in self.folded else name
        return next((self.folded[form] for form in map(_folded, spellings) if self.folded.get(form)), None)


@contextmanager
def open_source(location: str) -> Iterator[Source]:
    """The source at a folder, a .tar, .tar.gz or .zip file (told by its first bytes), or an s3:// prefix of either.

    Raises FeedError when it is absent or unreadable.
    """
    with ExitStack() as stack:
        try:
            source = _open(location, stack)
        except Missing as error:
            raise FeedError(f"pictures: nothing at {location}", do="mend [images] source") from error
        except (StoreError, *BROKEN) as error:
            raise FeedError(f"pictures: {location} cannot be read: {error}", do="mend [images] source") from error
        yield source


def _open(location: str, stack: ExitStack) -> Source:
    if location.startswith("s3://"):
        if not location.lower().endswith(ARCHIVES):
            return _prefix(location)
        parent, _, name = location.rpartition("/")
        path = open_store(parent).local(name)
    else:
        path = Path(location)
    if path.is_dir():
        return _folder(path.resolve())
    if not path.is_file():
        raise Missing(f"nothing at {location}")
    with path.open("rb") as file:
        magic = file.read(2)
    return _zip(path, stack) if magic == b"PK" else _tar(path, magic == b"\x1f\x8b", stack)


def _folder(root: Path) -> Source:
    places: dict[str, Place] = {}
    folders = [root]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                elif entry.is_file(follow_symlinks=False) or _stays(entry, root):
                    status = entry.stat()
                    validator = f"{status.st_size}-{status.st_mtime_ns}"
                    places[Path(entry.path).relative_to(root).as_posix()] = Place(
                        status.st_ino, status.st_size, validator
                    )

    return Source(places, partial(_read_file, root))


def _stays(entry: os.DirEntry[str], root: Path) -> bool:
    """Whether a symbolic link leads to a file within the folder."""
    if not entry.is_symlink():
        return False
    target = Path(entry.path).resolve()
    return target.is_relative_to(root) and target.is_file()


def _read_file(root: Path, name: str, most_bytes: int) -> bytes:
    try:
        handle = os.open(root / name, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as error:
        target = (root / name).resolve()
        if error.errno != errno.ELOOP or not target.is_relative_to(root):
            raise
        handle = os.open(target, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(handle, "rb") as file:
        return file.read(most_bytes)


def _tar(path: Path, zipped: bool, stack: ExitStack) -> Source:
    status = path.stat()
    file = stack.enter_context(path.open("rb"))
    plain = stack.enter_context(_unzipped(file, status.st_size * MOST_GROWTH)) if zipped else file
    handle, places = plain.fileno(), {}
    with _Frugal(handle) as headers, tarfile.open(fileobj=headers, mode="r:") as archive:
        for member in archive:
            archive.members = []  # type: ignore[attr-defined]  # or it keeps all of them, 1 kB each
            if member.size < 0:  # tarfile would read the same header for ever (CVE-2025-8194)
                raise ValueError(f"a member of {member.size} bytes")
            if member.isreg() and not member.issparse():
                validator = f"{status.st_size}-{status.st_mtime_ns}-{member.offset_data}-{member.size}"
                places[_relative(member.name)] = Place(member.offset_data, member.size, validator)

    def read(name: str, most_bytes: int) -> bytes:
        place = places[name]
        data = os.pread(handle, min(place.size_bytes, most_bytes), place.order)
        if len(data) < min(place.size_bytes, most_bytes):
            raise OSError("the archive is cut short")
        return data

    return Source(places, read)


class _Frugal(io.FileIO):
    """A tar file whose headers cannot make tarfile take all memory."""

    def __init__(self, handle: int) -> None:
        super().__init__(handle, closefd=False)
        self.seek(0)

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= MOST_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return super().read(size) or b""


@contextmanager
def _unzipped(file: IO[bytes], most_bytes: int) -> Iterator[IO[bytes]]:
    """The gzip file's content as a temporary file: members can only be read in any order from a plain tar."""
    with tempfile.TemporaryFile(prefix="pluribus-") as plain, gzip.GzipFile(fileobj=file, mode="rb") as unpacked:
        while piece := unpacked.read(2**20):
            plain.write(piece)
            if plain.tell() > most_bytes:
                raise ValueError(f"it unpacks to more than {MOST_GROWTH} times its size")
        plain.flush()
        yield plain


def _zip(path: Path, stack: ExitStack) -> Source:
    archive = stack.enter_context(zipfile.ZipFile(path))
    members = {
        _relative(member.filename): member
        for member in archive.infolist()
        if not member.is_dir() and member.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    }  # the other compressions unpack as much as they like at a time

    def read(name: str, most_bytes: int) -> bytes:
        try:
            with archive.open(members[name]) as file:
                return file.read(most_bytes)
        except BROKEN as error:
            raise OSError(str(error)) from error

    places = {
        name: Place(member.header_offset, member.file_size, f"{member.CRC:08x}-{member.file_size}")
        for name, member in members.items()
    }
    return Source(places, read)


def _prefix(location: str) -> Source:
    store = open_store(location)
    places = {
        item.key: Place(order, item.size_bytes, f"{item.size_bytes}-{item.modified.isoformat()}")
        for order, item in enumerate(store.items())
    }

    def read(name: str, most_bytes: int) -> bytes:
        try:
            return store.read(name, 0, most_bytes)
        except StoreError as error:
            raise OSError(str(error)) from error

    return Source(places, read)


def _relative(name: str) -> str:
    while name.startswith(("/", "./")):
        name = name.lstrip("/").removeprefix("./")
    return name


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
