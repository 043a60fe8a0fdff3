"""From the picture references of a feed to pictures of our own, each fetched once.

    reference -> found in a source -> bytes (content = their sha256) -> decoded in a limited child -> our own JPEG

Nothing here fails a shop on account of a picture: what could not be had is a row with a reason. Rows of
`records.PICTURE` come out only for what is new or changed since `known`, so a refresh of an unchanged feed reads and
decodes nothing. A row with `content` but no `picture` says: the content known before, only its validator moved.

Reasons, besides those of `pixels` (FORMAT, DECODE, TRUNCATED, SMALL, PIXELS) and of `web`:
MISSING no source has it · READ a source lists it and cannot give it · SIZE too many bytes · CRASH the decoder died.
"""

import hashlib
import os
import queue
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any, NamedTuple

import pyarrow as pa

from pluribus import pixels
from pluribus.pixels import Picture
from pluribus.records import PICTURE
from pluribus.sandbox import Sandbox
from pluribus.sources import Source, open_source

#: Raise when the same bytes would become other pixels.
VERSION = 1
BATCH_ROWS, BATCH_BYTES = 256, 32 * 2**20
#: A child costs about as much CPU time to start as it takes to decode so many pictures.
PICTURES_PER_CHILD = 32


class Known(NamedTuple):
    """What the ledger holds of a reference."""

    validator: str | None
    content: str | None
    reason: str | None
    checked: datetime


class Row(NamedTuple):
    """One row of records.PICTURE."""

    ref: str
    validator: str
    content: str | None
    reason: str | None
    width: int | None
    height: int | None
    checked: datetime
    picture: bytes | None


class _Task(NamedTuple):
    ref: str
    source: Source
    name: str
    validator: str


@dataclass(frozen=True)
class _Look:
    """One look at a shop's references: what was known, the limits and the time."""

    known: Mapping[str, Known]
    limits: dict[str, int]  # reason -> the setting that decided
    now: datetime

    def is_known(self, ref: str, validator: str) -> bool:
        before = self.known.get(ref)
        return before is not None and before.validator == self.stamp(validator, before.reason)

    def stamp(self, validator: str, reason: str | None) -> str:
        """A refusal by a limit holds only as long as the limit."""
        return f"{validator} {reason}={self.limits[reason]}" if reason in self.limits else validator

    def refused(self, ref: str, validator: str, reason: str) -> Row | None:
        """The row of a refusal, None when the ledger says so already."""
        validator = self.stamp(validator, reason)
        before = self.known.get(ref)
        if before is not None and (before.validator, before.reason) == (validator, reason):
            return None
        return Row(ref, validator, None, reason, None, None, self.now, None)

    def taken(self, ref: str, validator: str, data: bytes, decode: Callable[[bytes], Picture]) -> Row | None:
        """The row of fetched bytes."""
        content = hashlib.sha256(data).hexdigest()
        before = self.known.get(ref)
        if before is not None and before.content == content:
            return Row(ref, validator, content, None, None, None, self.now, None)
        picture = decode(data)
        if picture.reason:
            return self.refused(ref, "" if picture.reason == "CRASH" else validator, picture.reason)
        return Row(ref, validator, content, None, picture.width, picture.height, self.now, picture.jpeg)


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
) -> Iterator[pa.RecordBatch]:
    """Batches of records.PICTURE, a row for every reference that is new, changed or newly refused.

    `sources` are what `sources.open_source` opens; the first that has a reference wins. Width and height are those
    of the original. Memory: the names of the sources, and some hundred pictures.
    Raises FeedError when a source is absent or unreadable.
    """
    look = _Look(known, {"SMALL": least_px, "SIZE": most_bytes, "PIXELS": most_px}, now)
    with ExitStack() as stack:
        opened = [stack.enter_context(open_source(source)) for source in sources]
        rows, tasks = _plan(dict.fromkeys(references), opened, look)
        cores = len(os.sched_getaffinity(0))
        children = min(cores, 1 + len(tasks) // PICTURES_PER_CHILD)
        options = {"side_px": side_px, "least_px": least_px, "most_px": most_px}
        decode = stack.enter_context(_decoders(children, options))
        work = _threaded(lambda task: _fetch(task, look, decode), tasks, threads=2 * children)
        yield from _batches(chain(rows, stack.enter_context(closing(work))))


def known(ledger: pa.Table) -> dict[str, Known]:
    """What `pictures` wants to know of earlier runs, from the newest row of each reference."""
    columns = [ledger[name].to_pylist() for name in ("ref", "validator", "content", "reason", "checked")]
    return {ref: Known(*rest) for ref, *rest in zip(*columns, strict=True)}


def recipe(side_px: int) -> str:
    """What our pixels depend on besides the bytes, as a name. A ledger of another recipe is no `known`."""
    return f"{VERSION}-{side_px}px"


def _plan(references: Iterable[str], sources: list[Source], look: _Look) -> tuple[list[Row], list[_Task]]:
    """What is settled without reading, and what is to be read, in the cheapest order of reading."""
    rows, tasks = [], []
    for ref in references:
        source, name = next(((s, n) for s in sources if (n := s.find(ref)) is not None), (None, ""))
        if source is None:
            rows.append(look.refused(ref, "", "MISSING"))
            continue
        place = source.places[name]
        if look.is_known(ref, place.validator):
            continue
        if place.size_bytes > look.limits["SIZE"]:
            rows.append(look.refused(ref, place.validator, "SIZE"))
        else:
            tasks.append(_Task(ref, source, name, place.validator))
    rank = {id(source): number for number, source in enumerate(sources)}
    tasks.sort(key=lambda task: (rank[id(task.source)], task.source.places[task.name].order))
    return [row for row in rows if row], tasks


def _fetch(task: _Task, look: _Look, decode: Callable[[bytes], Picture]) -> Row | None:
    most_bytes = look.limits["SIZE"]
    try:
        data = task.source.read(task.name, most_bytes + 1)
    except OSError:
        return look.refused(task.ref, "", "READ")
    if len(data) > most_bytes:  # it grew, or the archive lied
        return look.refused(task.ref, task.validator, "SIZE")
    return look.taken(task.ref, task.validator, data, decode)


@contextmanager
def _decoders(children: int, options: dict[str, Any]) -> Iterator[Callable[[bytes], Picture]]:
    """A function that decodes in one of several children, for many threads. A child serves one shop only."""
    idle: queue.LifoQueue[Sandbox] = queue.LifoQueue()  # last in, first out: the others start only when needed
    crew = [Sandbox("pluribus.pixels:answer", options) for _ in range(children)]
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
