"""Ingest: a shop's deliveries and pictures become one immutable snapshot of canonical rows.

Raw feed bytes are kept as they came; pictures are fetched once and kept re-encoded. A snapshot is named by its
content, so that the same catalog in other bytes is the same snapshot and everything made of it is reused. `log/` is
the shop's diary: which feeds gave which snapshot, and when; its last entry is what a delta feed builds upon.

    feeds/<sha256>.<ext> · images/ledger/*.parquet · images/packs/*.parquet
    snapshots/<id>/rows.parquet · snapshots/log/<asof>.json
"""

import hashlib
import json
import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pluribus import deltas, pictures, tables
from pluribus import feeds as formats
from pluribus import images as decoders
from pluribus.errors import CatalogRejected, Exists, FeedError, Missing, check_owner
from pluribus.records import Feed, Images, Limits, Snapshot
from pluribus.schemas import PRODUCT, SNAPSHOT
from pluribus.store import Store, open_store

VERSION = 2  # raise when the same feed would now give other rows
FEED_TIMEOUT_S = 900.0  # of a feed's download
JOINED_ROWS = 100_000  # in memory while rows meet what became of their pictures

OURS = ", ".join(PRODUCT.names)
FILL_IMAGES = f"""
    select * replace (
        case when len(coalesce(images, [])) > 0 then images[:$most]
             when $path = '' or product_id is null then []
             else [replace(replace($path, '{{product_id}}', product_id),
                           '{{group_id}}', coalesce(group_id, product_id))]
        end as images)
    from (select {OURS} from rows)"""  # noqa: S608 - our names

JOIN_PICTURES = f"""
    with wanted as (select row, unnest(images) as ref, generate_subscripts(images, 1) as place from rows),
    found as (
        select row,
            list(content order by place) filter (where content is not null) as pictures,
            list(ref || ': ' || coalesce(reason, 'MISSING') order by place) filter (where content is null) as faults
        from wanted left join ledger using (ref) group by row)
    select {OURS}, coalesce(found.pictures, []) as pictures, coalesce(faults, []) as picture_faults
    from rows left join found using (row) order by row"""  # noqa: S608 - our names

LINES = """
    select sha256(to_json(content)::varchar) as line from (
        select * exclude (row, picture_faults) replace (
            if(cardinality(extra) > 1, map_from_entries(list_sort(map_entries(extra))), extra) as extra)
        from rows) as content order by line"""


@dataclass(frozen=True)
class Delivery:
    """One configured feed with the raw files it delivered, already kept in the store."""

    feed: Feed
    keys: tuple[str, ...]
    paths: tuple[Path, ...]


def ingest(store: Store, *, feeds: tuple[Feed, ...], images: Images, limits: Limits, now: datetime) -> Snapshot:
    """Read a shop's feeds and pictures into a snapshot in the shop's `store`.

    Where neither the feeds nor what is known of their pictures changed, the last snapshot is the answer as it is.
    Raises FeedError when a feed is absent or unreadable, CatalogRejected when there is not one row.
    """
    if not feeds:
        raise FeedError(
            "no feed is configured", expected="at least one [[feeds]] table", do="add it to the shop's file"
        )
    last = latest(store)
    with tempfile.TemporaryDirectory(prefix="pluribus-") as folder:
        here = Path(folder)
        deliveries = [_receive(store, feed, here, limits) for feed in feeds]
        feed_key = _feed_key(deliveries, images, last if feeds[0].mode == "delta" else None)
        filled: pa.Table | Path
        if last and last.feed_key == feed_key:
            filled, n_rows, deleted = tables.local(store, rows_key(last.id)), last.rows, last.deleted
        else:
            rows, deleted = _parse(store, deliveries, last, limits)
            told = {"most": images.per_product, "path": images.path}
            filled = tables.scratch(tables.stream(FILL_IMAGES, told, rows=rows), PRODUCT)
            n_rows = filled.num_rows
        if not n_rows:
            raise CatalogRejected("the feed holds no row", expected="at least one product", do="look at the delivery")
        n_pictures = tables.query("select coalesce(sum(len(images)), 0)::bigint as n from rows", rows=filled)["n"][
            0
        ].as_py()
        if n_pictures > limits.pictures:
            raise CatalogRejected(f"the feed has {n_pictures:,} references to pictures",
                                  expected=f"at most {limits.pictures:,}", do="raise limits.pictures")  # fmt: skip
        ledger, fetched, size_bytes = _pictures(store, filled, settings=images, now=now)
        known = pictures.state(store, decoders.recipe(images.side_px))
        if last and (last.feed_key, last.ledger) == (feed_key, known):
            return replace(last, fetched=0, size_bytes=0)
        joined = here / "rows.parquet"
        tables.write(joined, _with_pictures(filled, ledger), SNAPSHOT, store.owner)
        snapshot = Snapshot(
            shop=store.owner,
            id=_digest(joined),
            asof=now.isoformat(),
            feed_key=feed_key,
            feeds=tuple(key for delivery in deliveries for key in delivery.keys),
            rows=n_rows,
            deleted=deleted,
            ledger=known,
            fetched=fetched,
            size_bytes=size_bytes,
            **_picture_counts(joined),
        )
        return _keep(store, snapshot, joined, last)


def recall(store: Store, snapshot: str) -> Snapshot:
    """A snapshot taken earlier, as of the last time it was the shop's catalog. Raises FeedError when it never was."""
    entry = latest(store, snapshot)
    if entry is None:
        known = ", ".join(dict.fromkeys(s.id for s in reversed(list(history(store))))) or "none yet"
        raise FeedError(f"no snapshot {snapshot!r} of this shop", expected=f"one of {known}")
    return replace(entry, fetched=0, size_bytes=0)


def again(store: Store, snapshot: str, *, feeds: tuple[Feed, ...], images: Images, limits: Limits) -> Snapshot:
    """Read the raw feeds of a snapshot once more, as they were kept: for a mended parser or column mapping.

    What comes of it is a microsecond newer than what it mends. Raises FeedError where the raw files cannot be told
    apart, or build upon an earlier catalog.
    """
    entry = recall(store, snapshot)
    if any(feed.mode == "delta" for feed in feeds):
        raise FeedError("a delta builds upon the catalog before it", do="backfill from the stage validate")
    if len(feeds) > 1 and len(feeds) != len(entry.feeds):
        raise FeedError(f"{len(entry.feeds)} raw files of {len(feeds)} feeds", expected="one file of each feed")
    paths = [str(store.local(key)) for key in entry.feeds]
    sources = [tuple(paths)] if len(feeds) == 1 else [(path,) for path in paths]
    kept = tuple(replace(feed, source=source) for feed, source in zip(feeds, sources, strict=True))
    now = datetime.fromisoformat(entry.asof) + timedelta(microseconds=1)
    return ingest(store, feeds=kept, images=images, limits=limits, now=now)


def rows_key(snapshot: str) -> str:
    """Where a snapshot's rows lie."""
    return f"snapshots/{snapshot}/rows.parquet"


def history(store: Store) -> Iterator[Snapshot]:
    """Every snapshot this shop ever took, oldest first."""
    return (_entry(store, item.key) for item in store.items("snapshots/log/"))


def latest(store: Store, snapshot: str = "") -> Snapshot | None:
    """The last snapshot taken, or the last entry of the one named; None when there is none."""
    keys = [item.key for item in store.items("snapshots/log/")]
    entries = (_entry(store, key) for key in reversed(keys))
    return next((entry for entry in entries if snapshot in ("", entry.id)), None)


def _entry(store: Store, key: str) -> Snapshot:
    entry = json.loads(store.get(key))
    check_owner(f"{store.url}/{key}", entry.get("shop", ""), store.owner)
    return Snapshot(**entry | {"feeds": tuple(entry["feeds"])})


def _receive(store: Store, feed: Feed, here: Path, limits: Limits) -> Delivery:
    """Fetch one feed's raw files and keep them, named by their content."""
    files = [path for source in feed.source for path in _files(source, here, limits)]
    if not files:
        raise FeedError("a feed names no source", expected="source = a path, glob, s3:// or https:// address")
    size_bytes = sum(path.stat().st_size for path in files)
    if size_bytes > limits.feed_bytes:
        raise FeedError(
            f"the feed is {size_bytes:,} bytes", expected=f"at most {limits.feed_bytes:,}", do="raise limits.feed_bytes"
        )
    keys = []
    for path in files:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        ending = re.search(r"(\.[a-z0-9]{1,8}){1,2}$", path.name.lower())
        keys.append(f"feeds/{digest}{ending[0] if ending else ''}")
        store.create(keys[-1], path)
    return Delivery(feed, tuple(keys), tuple(files))


def _files(source: str, here: Path, limits: Limits) -> list[Path]:
    """The local files behind one source: a path, a glob, s3://… or http(s)://…"""
    if source.startswith("s3://"):
        parent, _, name = source.rpartition("/")
        try:
            return [open_store(parent).local(name)]
        except Missing:
            raise FeedError(f"no feed at {source}", do="mend [[feeds]] source") from None
    if source.startswith(("http://", "https://")):
        return [_download(source, here, limits)]
    path = Path(source)
    pattern = set(path.name) & set("*?[") and not path.is_file()
    found = sorted(path.parent.glob(path.name)) if pattern else [path]
    if not found or not all(path.is_file() for path in found):
        raise FeedError(f"no feed at {source}", expected="a readable file", do="mend [[feeds]] source or data_root")
    return found


def _download(url: str, here: Path, limits: Limits) -> Path:
    from pluribus import web

    path = here / (hashlib.sha256(url.encode()).hexdigest() + Path(url.partition("?")[0]).suffix[:8])
    with web.Fetcher(total_s=FEED_TIMEOUT_S, own_domains=["*"]) as fetcher, path.open("wb") as file:
        fetched = fetcher.fetch(url, most_bytes=limits.feed_bytes, into=file)
    if fetched.reason:
        raise FeedError(f"the feed at {url} could not be fetched: {fetched.reason}", do="mend [[feeds]] source")
    return path


def _feed_key(deliveries: Iterable[Delivery], images: Images, parent: Snapshot | None) -> str:
    how = [asdict(replace(delivery.feed, source=())) | {"keys": delivery.keys} for delivery in deliveries]
    return digest_of([VERSION, how, images.path, images.per_product, parent.id if parent else ""])


def digest_of(value: Any) -> str:
    """sha256 of a JSON-able value: what cache keys are made of."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _parse(store: Store, deliveries: list[Delivery], last: Snapshot | None, limits: Limits) -> tuple[pa.Table, int]:
    """All deliveries in order, each a new catalog or a change to the one before it; of deltas each file."""
    old = rows = None
    if last and deliveries[0].feed.mode == "delta":
        old = tables.batches(tables.local(store, rows_key(last.id)), tables.BATCH_ROWS, PRODUCT.names)
    deleted = 0
    parts = [(delivery.feed, paths) for delivery in deliveries for paths in
             ([(path,) for path in delivery.paths] if delivery.feed.mode == "delta" else [delivery.paths])]  # fmt: skip
    for feed, paths in parts:
        rows = tables.scratch(formats.products(paths, feed=feed, limits=limits), PRODUCT)
        gone = pc.sum(rows["deleted"]).as_py() or 0
        if feed.mode != "delta":
            old = None
        if old or gone:  # else it is the next catalog as it came
            rows = tables.scratch(deltas.apply(old, rows, own=feed.own), PRODUCT)
        old = rows.to_batches()
        deleted += gone
    assert rows is not None
    return rows, deleted


def _pictures(store: Store, rows: pa.Table | Path, *, settings: Images, now: datetime) -> tuple[pa.Table, int, int]:
    """Settle every picture reference of the rows: the ledger after it, references settled now, bytes written."""
    sql = "select distinct unnest(images) as ref from rows order by ref"
    recipe = decoders.recipe(settings.side_px)
    ledger = pictures.ledger(store, recipe)
    fresh = decoders.pictures(
        tables.query(sql, rows=rows)["ref"].to_pylist(),
        sources=settings.source,
        known=decoders.known(ledger),
        now=now,
        side_px=settings.side_px,
        least_px=settings.least_px,
        most_bytes=settings.most_bytes,
        most_px=settings.most_px,
        recheck_hours=settings.recheck_hours,
        user_agent=settings.user_agent,
        requests_per_s=settings.requests_per_s,
        connections=settings.connections,
        own_domains=settings.own_domains,
    )
    settled, size_bytes = pictures.shelve(store, fresh, known=ledger, recipe=recipe, now=now)
    return pictures.ledger(store, recipe) if settled else ledger, settled, size_bytes


def _with_pictures(rows: pa.Table | Path, ledger: pa.Table) -> Iterator[pa.RecordBatch]:
    """The rows with what became of their pictures, in order: some at a time, since a sort holds what it sorts."""
    table = tables.unpacked(rows, PRODUCT.names) if isinstance(rows, Path) else rows
    for first in range(0, table.num_rows, JOINED_ROWS):
        yield from tables.stream(JOIN_PICTURES, rows=table.slice(first, JOINED_ROWS), ledger=ledger)


def _digest(rows: Path) -> str:
    """What a catalog is, whatever the order of its rows."""
    whole = hashlib.sha256()
    for batch in tables.stream(LINES, rows=rows):
        whole.update("".join(batch["line"].to_pylist()).encode())
    return whole.hexdigest()[:32]


def _picture_counts(rows: Path) -> dict[str, int]:
    sql = """select (select count(distinct p) from (select unnest(pictures) as p from rows)) as pictures,
                    (select coalesce(sum(len(picture_faults)), 0)::bigint from rows) as picture_faults"""
    counts: dict[str, int] = tables.query(sql, rows=rows).to_pylist()[0]
    return counts


def _keep(store: Store, snapshot: Snapshot, rows: Path, last: Snapshot | None) -> Snapshot:
    """Store the rows under their digest and write the diary; the same catalog as last time is as old as it was."""
    if not any(store.items(rows_key(snapshot.id))):
        store.create(rows_key(snapshot.id), rows, given=True)
        snapshot = replace(snapshot, size_bytes=snapshot.size_bytes + rows.stat().st_size)
    moment = snapshot.asof
    if last is not None and last.id == snapshot.id:
        snapshot = replace(snapshot, asof=last.asof)
    while last is None or not _alike(last, snapshot):
        try:
            store.create(_diary(moment), json.dumps(asdict(snapshot)).encode())
            break
        except Exists:  # read once more before (`again`), now by another mapping: the same, or still newer
            last = replace(_entry(store, _diary(moment)), fetched=snapshot.fetched, size_bytes=snapshot.size_bytes)
            if _alike(last, snapshot):
                return last
            later = (datetime.fromisoformat(moment) + timedelta(microseconds=1)).isoformat()
            snapshot = replace(snapshot, asof=later) if snapshot.asof == moment else snapshot
            moment = later
    return snapshot


def _diary(moment: str) -> str:
    return f"snapshots/log/{moment}.json"


def _alike(one: Snapshot, other: Snapshot) -> bool:
    return (one.id, one.feed_key, one.ledger) == (other.id, other.feed_key, other.ledger)
