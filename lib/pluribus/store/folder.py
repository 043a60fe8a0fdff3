"""Objects in a plain folder: the ground of `store` for one machine, with the same promises as a bucket.

An object is staged in `.tmp`, made durable, and then appears by one hard link (which fails if the name is taken) or
one rename. Every change of a name happens under one `flock` of the root folder, which the kernel releases when a
process dies. Local POSIX file systems only: NFS keeps neither promise.
"""

import errno
import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from pluribus.errors import Conflict, Exists, Missing, StoreError

ABANDONED_S = 24 * 3600  # a staged file this old belongs to a process that died
NOT_A_FILE = (FileNotFoundError, IsADirectoryError, NotADirectoryError)


@dataclass(frozen=True)
class Folder:
    """The ground interface of `store.View` over one folder, made by the first write. Keys come checked."""

    root: Path

    @property
    def url(self) -> str:
        return str(self.root)

    def get_tagged(self, key: str) -> tuple[bytes, str]:
        with self._reading(key) as path:
            data = path.read_bytes()
        return data, hashlib.sha256(data).hexdigest()

    def read(self, key: str, start: int, size: int) -> bytes:
        with self._reading(key) as path, path.open("rb") as file:
            file.seek(start)
            return file.read(size)

    def local(self, key: str, owner: str = "") -> Path:
        with self._reading(key) as path, path.open("rb"):
            return path

    def create(self, key: str, data: bytes | Path, *, given: bool = False) -> None:
        path = self.root / key
        with self._writing(key):
            if path.exists() or not self._link(data, path, given=given):
                if _sha256(path) != _sha256(data):
                    raise Exists(f"{path} already holds other bytes")
                _sync(path.parent)  # its writer may have died before this

    def swap(self, key: str, data: bytes, tag: str | None) -> str:
        path = self.root / key
        with self._writing(key):
            if tag is None:
                if not self._link(data, path):
                    raise Conflict(f"{path} exists already")
            else:
                with self._staged(data) as staged, self._locked():
                    if not path.exists() or _sha256(path) != tag:
                        raise Conflict(f"{path} changed since it was read")
                    staged.replace(path)
                    _sync(path.parent)
        return hashlib.sha256(data).hexdigest()

    def items(self, prefix: str) -> Iterator[tuple[str, int, datetime]]:
        return self._walk(prefix[: prefix.rfind("/") + 1], prefix)  # not from the root: there may be thousands of shops

    def delete(self, key: str) -> None:
        path = self.root / key
        with self._writing(key), suppress(*NOT_A_FILE), self._locked():
            path.unlink()
            _sync(path.parent)
            with suppress(OSError):  # folders that are empty now; the first one that is not ends this
                for folder in path.relative_to(self.root).parents[:-1]:
                    (self.root / folder).rmdir()

    def forget(self, owner: str) -> int:
        return 0  # `local` gives the file itself

    def remains(self, prefix: str) -> tuple[str, ...]:
        return ()

    def _link(self, data: bytes | Path, path: Path, *, given: bool = False) -> bool:
        """Make the object appear under its name, durably; False when the name is taken."""
        with self._staged(data, given=given) as staged, self._locked():
            _make_folder(path.parent)
            try:
                os.link(staged, path)
            except FileExistsError:
                return False
            finally:
                _sync(path.parent)
        return True

    @contextmanager
    def _staged(self, data: bytes | Path, *, given: bool = False) -> Iterator[Path]:
        """The data as a durable file of the same file system, gone afterwards."""
        staging = self.root / ".tmp"
        _make_folder(staging)
        for old in staging.iterdir():
            with suppress(FileNotFoundError):
                if old.stat().st_mtime < time.time() - ABANDONED_S:
                    old.unlink()
        staged = staging / uuid4().hex
        try:
            if isinstance(data, Path):
                (_take if given else shutil.copyfile)(data, staged)
            else:
                staged.write_bytes(data)
            _sync(staged)
            yield staged
        finally:
            staged.unlink(missing_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        handle = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _walk(self, inside: str, prefix: str) -> Iterator[tuple[str, int, datetime]]:
        """Depth first, in the order of whole keys: "a-b" comes before "a/b", as in a bucket."""
        try:
            with os.scandir(self.root / inside) as found:
                entries = sorted((entry.name + "/" * entry.is_dir(), entry) for entry in found)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise _told(error, self.root / inside, "listed") from error
        for name, entry in entries:
            key = inside + name
            if name.endswith("/"):
                if name != ".tmp/" and (key.startswith(prefix) or prefix.startswith(key)):
                    yield from self._walk(key, prefix)
            elif key.startswith(prefix):
                with suppress(FileNotFoundError):  # deleted while we list
                    stat = entry.stat()
                    yield key, stat.st_size, datetime.fromtimestamp(stat.st_mtime, UTC)

    @contextmanager
    def _reading(self, key: str) -> Iterator[Path]:
        path = self.root / key
        try:
            yield path
        except NOT_A_FILE as error:
            raise Missing(f"there is no {path}") from error
        except OSError as error:
            raise _told(error, path, "read") from error

    @contextmanager
    def _writing(self, key: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise _told(error, self.root / key, "written") from error


def _told(error: OSError, path: Path, done: str) -> StoreError:
    advice = {
        errno.ENOSPC: "free some space; nothing was lost",
        errno.EDQUOT: "free some space, or raise the quota; nothing was lost",
        errno.EACCES: "give this user access to the store's folder",
        errno.EPERM: "the store's file system must allow hard links",
        errno.EROFS: "the file system is read-only: mount it writable, or choose another store",
        errno.ENOTDIR: "a file lies where the store needs a folder: move it away",
        errno.EEXIST: "a file lies where the store needs a folder: move it away",
    }.get(error.errno or 0, "")
    return StoreError(f"{path} cannot be {done}: {error.strerror or error}", do=advice)


def _take(file: Path, staged: Path) -> None:
    """The file itself under a second name; a copy where it lies on another disk, or the file system refuses."""
    try:
        os.link(file, staged)
    except OSError:
        shutil.copyfile(file, staged)


def _sha256(data: bytes | Path) -> str:
    if isinstance(data, bytes):
        return hashlib.sha256(data).hexdigest()
    with data.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _make_folder(folder: Path) -> None:
    """Like mkdir -p, with every new name durable: a synced file in a lost folder would be lost too."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync(folder.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
