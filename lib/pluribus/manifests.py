"""The two JSON documents that publication rests on, read strictly: what a release is, and which release is live.

Both are read by every server and written by every refresh, so a member too many, a wrong type or another format is
refused (ValueError) instead of guessed at.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

FORMAT = 1
MOST_CURRENT_BYTES = 64 * 2**10
MOST_MANIFEST_BYTES = 4 * 2**20
FILE_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)*", re.ASCII)
RELEASE = re.compile(r"[0-9a-z][0-9a-z-]{0,63}")
NONCE = re.compile(r"[0-9a-f]{32}")
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class File:
    """What a manifest promises of one file."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a release is. `facts` is free: model, width, counts, scores, versions."""

    shop: str
    release: str
    asof: str  # when its feed was read, ISO 8601 with offset
    input_key: str  # sha256 of everything the release is a function of
    created: str
    files: Mapping[str, File]
    facts: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Retired:
    """A release that was live until `at`."""

    release: str
    at: str


@dataclass(frozen=True, kw_only=True)
class Current:
    """Which release is live, and what readers, publishers and the collector must agree on."""

    shop: str
    seq: int  # counts the changes of this object, from 1
    nonce: str  # of the last change: makes the bytes unlike any earlier ones, and lets its writer find them again
    release: str
    manifest_sha256: str
    asof: str
    input_key: str
    why: str
    at: str  # when this release went live
    hold: bool  # nothing is published until somebody lifts it
    recent: tuple[str, ...] = ()  # nonces of the last changes, the newest last
    retired: tuple[Retired, ...] = ()  # the newest last
    doomed: tuple[str, ...] = ()  # about to be deleted: may never go live again


def encode(record: Current | Manifest) -> bytes:
    """The one spelling of a record. Raises ValueError on what no reader would take."""
    raw = {"format": FORMAT, **asdict(record)}
    data = _spell(raw | {"sha256": _digest(raw)} if isinstance(record, Current) else raw)
    decode_current(data) if isinstance(record, Current) else decode_manifest(data)
    return data


def decode_current(data: bytes) -> Current:
    """Raises ValueError, or RecursionError on hostile nesting.

    A manifest's digest stands in CURRENT; CURRENT's own stands in itself, so that a changed byte is damage and not
    another number of changes.
    """
    kinds = {"shop": str, "seq": int, "nonce": str, "release": str, "manifest_sha256": str, "asof": str}
    kinds |= {"input_key": str, "why": str, "at": str, "hold": bool, "recent": list, "retired": list, "doomed": list}
    raw = _json(data, MOST_CURRENT_BYTES)
    digest = raw.pop("sha256", None)  # none: written before there were any
    if digest is not None and digest != _digest({"format": FORMAT, **raw}):
        raise ValueError("its bytes are not those that were written")
    raw = _members(raw, kinds)
    retired = [Retired(**_members(entry, {"release": str, "at": str})) for entry in raw["retired"]]
    found = Current(**raw | {"recent": tuple(raw["recent"]), "doomed": tuple(raw["doomed"]), "retired": tuple(retired)})
    for release in (found.release, *found.doomed, *(entry.release for entry in retired)):
        _spelled(RELEASE, release)
    for nonce in (found.nonce, *found.recent):
        _spelled(NONCE, nonce)
    for text in (found.asof, found.at, *(entry.at for entry in retired)):
        moment(text)
    _spelled(SHA256, found.manifest_sha256)
    if found.release in found.doomed:
        raise ValueError("its release is doomed")
    return found


def decode_manifest(data: bytes) -> Manifest:
    """Raises ValueError, or RecursionError on hostile nesting."""
    kinds = {"shop": str, "release": str, "asof": str, "input_key": str, "created": str, "files": dict, "facts": dict}
    raw = _members(_json(data, MOST_MANIFEST_BYTES), kinds)
    files = {name: File(**_members(file, {"sha256": str, "size_bytes": int})) for name, file in raw["files"].items()}
    found = Manifest(**raw | {"files": files})
    _spelled(RELEASE, found.release)
    for name, file in files.items():
        _spelled(FILE_NAME, name)
        _spelled(SHA256, file.sha256)
    for text in (found.asof, found.created):
        moment(text)
    return found


def moment(text: str) -> datetime:
    """A point in time; one without an offset is refused, it could not be compared. Raises ValueError."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text!r} has no offset from UTC")
    return found


def _spell(raw: Mapping[str, Any]) -> bytes:
    return json.dumps(raw, allow_nan=False, indent=1, sort_keys=True).encode()


def _digest(raw: Mapping[str, Any]) -> str:
    return hashlib.sha256(_spell(raw)).hexdigest()


def _json(data: bytes, most_bytes: int) -> dict[str, Any]:
    """A JSON object of our format, without its "format" member."""
    if len(data) > most_bytes:
        raise ValueError(f"{len(data):,} bytes, more than {most_bytes:,}")
    raw = json.loads(data, parse_constant=_no_number)
    if not isinstance(raw, dict) or raw.pop("format", None) != FORMAT:
        raise ValueError(f"it is not of format {FORMAT}, the one this pluribus knows")
    return raw


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _members(raw: Any, kinds: Mapping[str, type]) -> dict[str, Any]:
    """A JSON object that has exactly these members, each of its type."""
    if not isinstance(raw, dict) or raw.keys() != kinds.keys():
        raise ValueError(f"expected an object with {', '.join(kinds)}")
    for name, kind in kinds.items():
        if type(raw[name]) is not kind:  # isinstance would take true for 1
            raise ValueError(f"{name} is {raw[name]!r:.40}, expected {kind.__name__}")
    return raw


def _spelled(pattern: re.Pattern[str], text: Any) -> None:
    if not isinstance(text, str) or not pattern.fullmatch(text):
        raise ValueError(f"{text!r:.80} does not match {pattern.pattern}")
