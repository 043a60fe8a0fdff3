"""Objects in an S3 bucket: the ground of `store` for fleets. The only module that knows boto3.

Credentials, region and endpoint come from the standard AWS settings only (AWS_PROFILE, AWS_ENDPOINT_URL ...). Two
clients: one retries as those settings say; the one that swaps never retries, because a silent second attempt answers
412 to a first one that landed (aws-sdk-java-v2#6580, seen with botocore as well).
"""

import atexit
import base64
import hashlib
import io
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

import botocore.exceptions as foreign

from pluribus.errors import Conflict, Exists, Missing, StoreError

if TYPE_CHECKING:
    from boto3.session import Session
    from mypy_boto3_s3 import S3Client

MOST_BYTES = 5 * 2**30  # of one PUT; only a single PUT can be conditional on every store tried
PAUSES_S = (0.1, 0.5, 2.0)  # between attempts whose fate is unknown
PIECE_BYTES = 2**20
MOST_CACHE_BYTES = int(float(os.environ.get("PLURIBUS_CACHE_GB", "20")) * 1e9)  # of downloads on this machine
FOREIGN = (foreign.BotoCoreError, foreign.ClientError)
BROKEN_BODY = (
    foreign.FlexibleChecksumError,
    foreign.IncompleteReadError,
    foreign.ReadTimeoutError,
    foreign.ResponseStreamingError,
)
Answer = TypeVar("Answer")
Body = io.BufferedReader | io.BytesIO

#: S3 error code -> what to do about it
ADVICE = {
    "NoSuchBucket": "create the bucket, or correct the store's location",
    "AccessDenied": "check the bucket policy; without s3:ListBucket an absent object is answered like this too",
    "403": "check credentials and bucket policy; without s3:ListBucket an absent object is answered like this too",
    "InvalidAccessKeyId": "check AWS_ACCESS_KEY_ID or AWS_PROFILE",
    "SignatureDoesNotMatch": "check AWS_SECRET_ACCESS_KEY, and this machine's clock",
    "RequestTimeTooSkewed": "set this machine's clock",
    "ExpiredToken": "log in again: the session token has expired",
    "PermanentRedirect": "set AWS_REGION to the bucket's region",
    "AuthorizationHeaderMalformed": "set AWS_REGION to the bucket's region",
    "NoCredentialsError": "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "PartialCredentialsError": "set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "ProfileNotFound": "correct AWS_PROFILE",
    "NoRegionError": "set AWS_REGION",
    "ValueError": "correct AWS_ENDPOINT_URL: it starts with http:// or https://",
}


@dataclass(frozen=True)
class S3:
    """The ground interface of `store.View` over one bucket. Keys come checked."""

    bucket: str

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}"

    def get_tagged(self, key: str) -> tuple[bytes, str]:
        def fetch() -> tuple[bytes, str]:
            answer = self._client.get_object(Bucket=self.bucket, Key=key)
            return answer["Body"].read(), answer["ETag"]

        return self._persist("read", key, fetch)

    def read(self, key: str, start: int, size: int) -> bytes:
        def fetch() -> bytes:
            span = f"bytes={start}-{start + size - 1}"
            return self._client.get_object(Bucket=self.bucket, Key=key, Range=span)["Body"].read()

        try:
            return self._persist("read", key, fetch) if size else b""
        except StoreError as error:
            if "InvalidRange" in error.came:  # nothing lies beyond the end
                return b""
            raise

    def create(self, key: str, data: bytes | Path, *, given: bool = False) -> None:
        with _opened(data) as body:
            digest = hashlib.file_digest(body, "sha256")
            size_bytes = body.seek(0, os.SEEK_END)
            if size_bytes > MOST_BYTES:
                raise StoreError(
                    f"{self.url}/{key} would be {size_bytes:,} bytes",
                    expected=f"at most {MOST_BYTES:,}, the largest single PUT",
                    do="write it in several parts",
                )
            for pause_s in PAUSES_S:
                body.seek(0)
                if self._put(self._client, key, body, digest.digest(), {"IfNoneMatch": "*"}):
                    return
                found = self._digest(key)  # somebody was first, or our own first attempt was, or nobody knows
                if found == digest.hexdigest():
                    return
                if found:
                    raise Exists(f"{self.url}/{key} already holds other bytes")
                time.sleep(pause_s)
        raise StoreError(f"{self.url}/{key} cannot be written: the store neither takes it nor has it", do="try again")

    def swap(self, key: str, data: bytes, tag: str | None) -> str:
        # Without its quotes: radosgw 16 (and services built on it) answers 412 to a PUT with a good tag in quotes.
        condition = {"IfNoneMatch": "*"} if tag is None else {"IfMatch": tag.strip('"')}
        new = self._put(self._hasty_client, key, io.BytesIO(data), hashlib.sha256(data).digest(), condition)
        if new is None:
            raise Conflict(f"{self.url}/{key} changed since it was read, or the answer was lost")
        return new

    def items(self, prefix: str) -> Iterator[tuple[str, int, datetime]]:
        try:
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
                for found in page.get("Contents", ()):
                    yield found["Key"], found["Size"], found["LastModified"]
        except FOREIGN as error:
            raise self._told(error, prefix, "listed") from error

    def delete(self, key: str) -> None:
        self._persist("deleted", key, lambda: self._client.delete_object(Bucket=self.bucket, Key=key))

    def local(self, key: str, owner: str = "") -> Path:
        """The object's download, cached by shop, bucket, key and ETag; the least used make room for new ones."""
        tag = self._persist("read", key, lambda: self._client.head_object(Bucket=self.bucket, Key=key))["ETag"]
        name = "\0".join((self._client.meta.endpoint_url, self.bucket, key, tag))
        cached = _cache_of(owner) / hashlib.sha256(name.encode()).hexdigest()

        def fetch() -> None:
            part = cached.with_name(f"{cached.name}.{uuid4().hex}.part")
            try:
                body = self._client.get_object(Bucket=self.bucket, Key=key, IfMatch=tag)["Body"]
                with part.open("wb") as file:
                    for piece in body.iter_chunks(PIECE_BYTES):
                        file.write(piece)
                    file.flush()
                    os.fsync(file.fileno())
                part.replace(cached)
            finally:
                part.unlink(missing_ok=True)

        if cached.exists():
            os.utime(cached)  # used: not the next to go
        else:
            try:
                _make_room()
                self._persist("read", key, fetch)
            except OSError as error:
                raise StoreError(f"{cached.parent} cannot keep a download: {error}", do="free some space") from error
        return cached

    def forget(self, owner: str) -> int:
        kept = _cache_of(owner)
        n_files = sum(1 for _ in kept.iterdir())
        shutil.rmtree(kept)
        return n_files

    def remains(self, prefix: str) -> tuple[str, ...]:
        try:
            page = self._client.list_object_versions(Bucket=self.bucket, Prefix=prefix, MaxKeys=1000)
        except FOREIGN as error:
            return (f"whether the bucket keeps old versions under {self.url}/{prefix} cannot be seen: {_code(error)}",)
        n_old = len(page.get("Versions", ())) + len(page.get("DeleteMarkers", ()))
        if not n_old:
            return ()
        more = "more than " if page.get("IsTruncated") else ""
        until = "until its lifecycle rules, or somebody with s3:DeleteObjectVersion, ends them"
        return (f"{more}{n_old:,} old versions under {self.url}/{prefix}: the bucket keeps them {until}",)

    def _put(self, client: "S3Client", key: str, body: Body, sha256: bytes, condition: dict[str, Any]) -> str | None:
        """The new tag; None when the condition failed or nobody knows whether the bytes landed."""
        checksum = base64.b64encode(sha256).decode()
        try:
            done = client.put_object(
                Bucket=self.bucket, Key=key, Body=body, ChecksumSHA256=checksum, **_encryption(), **condition
            )
        except FOREIGN as error:
            if _code(error) != "NoSuchBucket" and (_status(error) in (404, 409, 412) or _transient(error)):
                return None
            raise self._told(error, key, "written") from error
        return done["ETag"]

    def _digest(self, key: str) -> str:
        """The sha256 of the object as it lies there; "" when there is none."""

        def fetch() -> str:
            digest = hashlib.sha256()
            for piece in self._client.get_object(Bucket=self.bucket, Key=key)["Body"].iter_chunks(PIECE_BYTES):
                digest.update(piece)
            return digest.hexdigest()

        try:
            return self._persist("read", key, fetch)
        except Missing:
            return ""

    def _persist(self, done: str, key: str, ask: Callable[[], Answer]) -> Answer:
        """The answer, its body included: botocore retries requests, but not bodies that break off."""
        for pause_s in (*PAUSES_S[:2], None):
            try:
                return ask()
            except FOREIGN as error:
                if pause_s is None or not isinstance(error, BROKEN_BODY):
                    raise self._told(error, key, done) from error
                time.sleep(pause_s)
        raise AssertionError("unreachable: the last attempt returns or raises")

    @cached_property
    def _client(self) -> "S3Client":
        return self._connected({})

    @cached_property
    def _hasty_client(self) -> "S3Client":
        return self._connected({"retries": {"total_max_attempts": 1}})

    @cached_property
    def _session(self) -> "Session":
        import boto3  # 0.3 s

        return boto3.session.Session()  # of our own: boto3's default one would be shared with everybody in the process

    def _connected(self, options: Any) -> "S3Client":
        from botocore.config import Config

        try:
            return self._session.client("s3", config=Config(connect_timeout=5, **options))
        except (*FOREIGN, ValueError) as error:
            raise self._told(error, "", "opened") from error

    def _told(self, error: Exception, key: str, done: str) -> StoreError:
        """The one place where botocore's exceptions become ours."""
        place = f"{self.url}/{key}".rstrip("/")
        if _code(error) in ("NoSuchKey", "404"):
            return Missing(f"there is no {place}")
        if _code(error) == "NoSuchBucket":
            return StoreError(f"there is no bucket {self.url}", do=ADVICE["NoSuchBucket"])
        if _transient(error) and not _status(error):
            where = urlsplit(self._client.meta.endpoint_url).netloc.rpartition("@")[2]  # not its password
            came = f"{place} cannot be {done}: {where} does not answer"
            return StoreError(f"{came} ({_code(error)})", do="check AWS_ENDPOINT_URL and the network")
        return StoreError(f"{place} cannot be {done}: {error}", do=ADVICE.get(_code(error), ""))


def _answer(error: Exception) -> dict[str, Any]:
    return getattr(error, "response", None) or {}


def _code(error: Exception) -> str:
    return str(_answer(error).get("Error", {}).get("Code", type(error).__name__))


def _status(error: Exception) -> int:
    return int(_answer(error).get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _transient(error: Exception) -> bool:
    return isinstance(error, (foreign.ConnectionError, foreign.HTTPClientError)) or _status(error) >= 500


def _opened(data: bytes | Path) -> Body:
    return data.open("rb") if isinstance(data, Path) else io.BytesIO(data)


def _encryption() -> Any:
    """How objects are encrypted at rest: by the setting that Metaflow's artifacts follow, else by the bucket's own."""
    asked = os.environ.get("METAFLOW_S3_SERVER_SIDE_ENCRYPTION")
    return {"ServerSideEncryption": asked} if asked else {}


def _cache_of(owner: str) -> Path:
    kept = _cache() / (owner or "-")  # which no shop is called
    kept.mkdir(exist_ok=True, mode=0o700)
    return kept


@cache
def _make_room() -> None:
    """Delete the least used downloads beyond MOST_CACHE_BYTES, once a process; none that was used in the last hour."""
    files = sorted((stat.st_mtime, stat.st_size, path) for path in _cache().rglob("*") if (stat := _stat(path)))
    size_bytes = sum(size for _, size, _ in files)
    for used, size, path in files:
        if size_bytes <= MOST_CACHE_BYTES or used > time.time() - 3600:
            break
        path.unlink(missing_ok=True)
        size_bytes -= size


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat() if path.is_file() else None
    except FileNotFoundError:  # another process makes room too
        return None


def _cache() -> Path:
    """Where downloads are kept: XDG_CACHE_HOME or ~/.cache, else a folder of this process alone."""
    try:
        kept = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pluribus" / "objects"
        kept.mkdir(parents=True, exist_ok=True, mode=0o700)
    except (OSError, RuntimeError):  # no home, or one that cannot be written
        return _cache_of_this_process()
    return kept


@cache
def _cache_of_this_process() -> Path:
    kept = Path(tempfile.mkdtemp(prefix="pluribus-"))
    atexit.register(shutil.rmtree, kept, ignore_errors=True)
    return kept
