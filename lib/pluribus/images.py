"""From the picture references of a feed to pictures of our own, each fetched once.

    reference -> found in a source -> bytes -> decoded in a limited child -> our own JPEG

A picture is named by its bytes and by how our pixels are made of them (`content_of`): vectors are kept under that name,
and other pixels must never answer to it.

Nothing here fails a shop on account of a picture: what could not be had is a row with a reason. Rows of
`schemas.PICTURE` come out only for what is new or changed since `known`, so a refresh of an unchanged feed reads and
decodes nothing. A row with `content` but no `picture` says: the content known before, only its validator moved.

Reasons, besides those of `pixels` (FORMAT, DECODE, TRUNCATED, SMALL, PIXELS) and of `web`:
MISSING no source has it · READ a source lists it and cannot give it · SIZE too many bytes · CRASH the decoder died.
"""

import hashlib
import os
import queue
import re
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import pyarrow as pa

from pluribus import pixels
from pluribus.pixels import Picture
from pluribus.sandbox import Sandbox
from pluribus.schemas import PICTURE
from pluribus.sources import Source, open_source

if TYPE_CHECKING:
    from pluribus.web import Fetcher

#: Raise when the same bytes would become other pixels.
VERSION = 1
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DECODER = "pluribus.pixels:answer"
BATCH_ROWS, BATCH_BYTES = 256, 32 * 2**20
#: A child costs about as much CPU time to start as it takes to decode so many pictures.
PICTURES_PER_CHILD = 32
ACCEPT = "image/jpeg, image/png, image/webp, image/gif, */*;q=0.1"


class Known(NamedTuple):
    """What the ledger holds of a reference."""

    validator: str | None
    content: str | None
    reason: str | None
    width: int | None
    height: int | None
    checked: datetime


class Row(NamedTuple):
    """One row of schemas.PICTURE."""

    ref: str
    validator: str
    content: str | None
    reason: str | None
    width: int | None
    height: int | None
    checked: datetime
    picture: bytes | None


class _File(NamedTuple):
    ref: str
    source: Source
    name: str
    validator: str


class _Address(NamedTuple):
    ref: str
    url: str


@dataclass(frozen=True)
class _Look:
    """One look at a shop's references: what was known, the limits, the time, and how bytes become a picture."""

    known: Mapping[str, Known]
    limits: dict[str, int]  # reason -> the setting that decides
    recipe: str
    now: datetime
    decode: Callable[[bytes], Picture]

    def settled(self, ref: str, validator: str) -> bool:
        """Whether the ledger's answer still holds; a refusal by a limit only as long as the limit."""
        before = self.known.get(ref)
        return before is not None and before.validator == self._stamped(validator, before.reason)

    def refused(self, ref: str, validator: str, reason: str) -> Row:
        return Row(ref, self._stamped(validator, reason), None, reason, None, None, self.now, None)

    def same(self, ref: str, validator: str) -> Row:
        before = self.known[ref]
        return Row(ref, validator, before.content, None, before.width, before.height, self.now, None)

    def taken(self, ref: str, validator: str, data: bytes) -> Row:
        """The row of fetched bytes."""
        content = content_of(data, self.recipe)
        if ref in self.known and self.known[ref].content == content:
            return self.same(ref, validator)
        picture = self.decode(data)
        if picture.reason:  # a child may also die of the machine's troubles: the next run tries again
            return self.refused(ref, "" if picture.reason == "CRASH" else validator, picture.reason)
        return Row(ref, validator, content, None, picture.width, picture.height, self.now, picture.jpeg)

    def news(self, row: Row) -> Row | None:
        before = self.known.get(row.ref)
        told = before is not None and (before.validator, before.reason) == (row.validator, row.reason)
        return None if told else row

    def _stamped(self, validator: str, reason: str | None) -> str:
        return f"{validator} {reason}={self.limits[reason]}" if reason in self.limits else validator


def pictures(
    references: Iterable[str],
    *,
    sources: Iterable[str] = (),
    known: Mapping[str, Known],
    now: datetime,
    side_px: int = 256,
    least_px: int = 16,
    most_bytes: int = 10 * 2**20,
    most_px: int = 25_000_000,
    recheck_hours: float = 24.0,
    user_agent: str = "pluribus",
    requests_per_s: float = 1.0,
    connections: int = 32,
    own_domains: Iterable[str] = (),
    allow: Iterable[str] = (),
) -> Iterator[pa.RecordBatch]:
    """Batches of schemas.PICTURE, a row for every reference that is new, changed or newly refused.

    `sources` are what `sources.open_source` opens, or http(s) addresses that relative references complete; the first
    that has a reference wins. An http(s) reference is asked about again after `recheck_hours`; while its server is
    down, the picture known before stays. Width and height are those of the original. `connections` at a time are this
    shop's share of the machine; `requests_per_s`, `own_domains` and `allow` as in `web.Fetcher`.
    Memory: the names of the sources, and some hundred pictures. Raises FeedError when a source is absent or unreadable.
    """
    limits = {"SMALL": least_px, "SIZE": most_bytes, "PIXELS": most_px}
    sources = list(sources)
    bases = [source for source in sources if source.startswith(("http://", "https://"))]
    with ExitStack() as stack:
        opened = [stack.enter_context(open_source(source)) for source in sources if source not in bases]
        decode = stack.enter_context(_decoders({"side_px": side_px, "least_px": least_px, "most_px": most_px}))
        look = _Look(known, limits, recipe(side_px), now, decode)
        rows, files, addresses = _plan(dict.fromkeys(references), opened, bases, look)
        work = [iter(rows)]
        if files:
            threads = 2 * min(_cores(), 1 + len(files) // PICTURES_PER_CHILD)
            work.append(stack.enter_context(closing(_threaded(partial(_from_file, look), files, threads))))
        due = [address for address in addresses if _is_due(known.get(address.ref), now, recheck_hours)]
        if due:
            from pluribus.web import Fetcher

            manners: dict[str, Any] = {"requests_per_s": requests_per_s, "most_connections": connections}
            fetcher = Fetcher(user_agent=user_agent, own_domains=own_domains, allow=allow, **manners)
            ask = partial(_from_web, look, stack.enter_context(fetcher))
            work.append(stack.enter_context(closing(_threaded(ask, _by_turns(due), connections))))
        yield from _batches(chain.from_iterable(work))


def known(ledger: pa.Table) -> dict[str, Known]:
    """What `pictures` wants to know of earlier runs, from the newest row of each reference."""
    columns = [ledger[name].to_pylist() for name in ("ref", *Known._fields[:-1])]
    checked = ledger["checked"].cast(pa.int64()).to_pylist()  # as times, Arrow would import pandas: 1 CPU-s
    times = [EPOCH + timedelta(microseconds=micros) for micros in checked]
    return {ref: Known(*rest) for ref, *rest in zip(*columns, times, strict=True)}


def recipe(side_px: int) -> str:
    """What our pixels depend on besides the bytes, as a name. A ledger of another recipe is no `known`."""
    return f"{VERSION}-{side_px}px"


def content_of(data: bytes, recipe: str) -> str:
    """The name of a picture, 64 hex digits: sha256 over its bytes as fetched and the recipe of our pixels."""
    return hashlib.sha256(recipe.encode() + b"\0" + data).hexdigest()


def _plan(
    references: Iterable[str], sources: list[Source], bases: list[str], look: _Look
) -> tuple[list[Row], list[_File], list[_Address]]:
    """What is settled without reading, and what is to be read, archives in the order of their bytes."""
    rows: list[Row | None] = []
    files: list[tuple[int, int, _File]] = []
    addresses: list[_Address] = []
    for ref in references:
        number, name = next(((i, name) for i, s in enumerate(sources) if (name := s.find(ref)) is not None), (-1, ""))
        if name:
            place = sources[number].places[name]
            if place.size_bytes > look.limits["SIZE"]:
                rows.append(look.news(look.refused(ref, place.validator, "SIZE")))
            elif not look.settled(ref, place.validator):
                files.append((number, place.order, _File(ref, sources[number], name, place.validator)))
        elif url := _url(ref, bases):
            addresses.append(_Address(ref, url))
        else:
            rows.append(look.news(look.refused(ref, "", "MISSING")))
    files.sort(key=lambda file: file[:2])
    return [row for row in rows if row], [file for _, _, file in files], addresses


def _url(ref: str, bases: list[str]) -> str:
    """The address that a reference is, or that it completes; blank when neither."""
    ref = ref.strip()
    if re.match(r"(?i)[a-z][a-z0-9+.-]*://|data:", ref):  # also those that `web` will refuse, with its reason
        return ref
    if ref.startswith("//"):
        return "https:" + ref
    return bases[0].rstrip("/") + "/" + quote(ref.lstrip("/"), safe="/%?=&") if bases and ref else ""


def _is_due(before: Known | None, now: datetime, recheck_hours: float) -> bool:
    from pluribus.web import is_transient

    return before is None or is_transient(before.reason or "") or now - before.checked >= timedelta(hours=recheck_hours)


def _by_turns(addresses: list[_Address]) -> Iterator[_Address]:
    """Host after host in turn, so that a slow one does not hold up the others."""
    hosts: dict[str, list[_Address]] = {}
    for address in addresses:
        hosts.setdefault(address.url.partition("://")[2].partition("/")[0], []).append(address)
    return (address for turn in zip_longest(*hosts.values()) for address in turn if address is not None)


def _from_file(look: _Look, file: _File) -> Row | None:
    most_bytes = look.limits["SIZE"]
    try:
        data = file.source.read(file.name, most_bytes + 1)
    except OSError:
        return look.news(look.refused(file.ref, "", "READ"))
    if len(data) > most_bytes:  # it grew, or the archive lied
        return look.news(look.refused(file.ref, file.validator, "SIZE"))
    return look.news(look.taken(file.ref, file.validator, data))


def _from_web(look: _Look, fetcher: "Fetcher", address: _Address) -> Row | None:
    from pluribus.web import is_transient

    before = look.known.get(address.ref)
    validator = before.validator or "" if before is not None and before.content else ""
    fetched = fetcher.fetch(address.url, validator=validator, most_bytes=look.limits["SIZE"], accept=ACCEPT)
    if fetched.status == "same":
        return look.same(address.ref, validator)
    if fetched.status == "new":
        return look.taken(address.ref, fetched.validator, fetched.body)
    if is_transient(fetched.reason):
        return (
            None if before is not None and before.content else look.news(look.refused(address.ref, "", fetched.reason))
        )
    return look.refused(address.ref, "", fetched.reason)


@contextmanager
def _decoders(options: dict[str, Any]) -> Iterator[Callable[[bytes], Picture]]:
    """A function for many threads that decodes in one of several children. A child serves one shop only."""
    idle: queue.LifoQueue[Sandbox] = queue.LifoQueue()  # last in, first out: a child starts only when all are busy
    crew = [Sandbox(DECODER, options) for _ in range(_cores())]
    for child in crew:
        idle.put(child)

    def decode(data: bytes) -> Picture:
        child = idle.get()
        try:
            reply = child.call(data)
        finally:
            idle.put(child)
        return (pixels.read_answer(reply) if reply is not None else None) or Picture(reason="CRASH")

    try:
        yield decode
    finally:
        for child in crew:
            child.close()


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _threaded(work: Callable[[Any], Row | None], tasks: Iterable[Any], threads: int) -> Generator[Row, None, None]:
    """The rows that `work` makes of tasks, in order, a bounded number under way."""
    waiting: deque[Future[Row | None]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="pictures") as pool:
        try:
            for task in tasks:
                waiting.append(pool.submit(work, task))
                if len(waiting) > 4 * threads and (row := waiting.popleft().result()):
                    yield row
            while waiting:
                if row := waiting.popleft().result():
                    yield row
        finally:
            for future in waiting:
                future.cancel()


def _batches(rows: Iterable[Row]) -> Iterator[pa.RecordBatch]:
    batch: list[dict[str, Any]] = []
    size_bytes = 0
    for row in rows:
        batch.append(row._asdict())
        size_bytes += len(row.picture or b"")
        if len(batch) == BATCH_ROWS or size_bytes > BATCH_BYTES:
            yield pa.RecordBatch.from_pylist(batch, schema=PICTURE)
            batch, size_bytes = [], 0
    if batch:
        yield pa.RecordBatch.from_pylist(batch, schema=PICTURE)
