"""The picture shelf of a shop: re-encoded pictures packed by content, and the ledger of where each reference led.

    images/packs/<sha256>.parquet      content, picture      each picture once
    images/ledger/<recipe>/<time>-<sha256>.parquet     ref, validator, content, reason, pack …

The newest line of a reference counts. A recipe names how pixels were made (`images.recipe`): under another one every
picture is fetched and shelved anew. Nothing is ever rewritten: a refresh that meets new pictures adds one ledger part
and a pack per `PACK_BYTES`.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import pyarrow as pa

from pluribus import tables
from pluribus.errors import ReleaseError
from pluribus.schemas import LEDGER, PACK
from pluribus.store import Store

PACK_BYTES = 32 * 2**20

NEWEST = "select * from ledger qualify row_number() over (partition by ref order by checked desc) = 1 order by ref"


def ledger(store: Store, recipe: str) -> pa.Table:
    """What is known of every picture reference under a recipe: one LEDGER row each."""
    parts = [tables.read(tables.local(store, item.key)) for item in store.items(f"images/ledger/{recipe}/")]
    if not parts:
        return tables.empty(LEDGER)
    return tables.query(NEWEST, ledger=pa.concat_tables(parts)).cast(LEDGER)


def state(store: Store, recipe: str) -> str:
    """A digest of the ledger under a recipe: it changes with every line."""
    keys = [item.key for item in store.items(f"images/ledger/{recipe}/")]
    return hashlib.sha256("\n".join(keys).encode()).hexdigest()[:32]


def shelve(
    store: Store, fresh: Iterable[pa.RecordBatch], *, known: pa.Table, recipe: str, now: datetime
) -> tuple[int, int]:
    """Pack the pictures of `fresh` (PICTURE batches), add their lines to the ledger.

    Returns how many references were settled, and the bytes written. Memory: one pack.
    """
    where = dict(zip(known["content"].to_pylist(), known["pack"].to_pylist(), strict=True))
    waiting: dict[str, bytes] = {}
    lines: list[pa.RecordBatch] = []
    size_bytes = 0
    for batch in fresh:
        lines.append(batch.drop_columns(["picture"]))
        for content, picture in zip(batch["content"].to_pylist(), batch["picture"].to_pylist(), strict=True):
            if content and content not in where:
                waiting.setdefault(content, picture)
        if sum(map(len, waiting.values())) > PACK_BYTES:
            size_bytes += _pack(store, waiting, where)
            waiting = {}
    if waiting:
        size_bytes += _pack(store, waiting, where)
    if not lines:
        return 0, 0
    table = pa.Table.from_batches(lines)
    packs = pa.array([where.get(content) for content in table["content"].to_pylist()], pa.string())
    part = table.append_column("pack", packs).cast(LEDGER)
    _, written = tables.keep(store, f"images/ledger/{recipe}/{now:%Y%m%dT%H%M%S.%fZ}-", part)
    return table.num_rows, size_bytes + written


def load(store: Store, contents: Sequence[str], batch: int = 512) -> Iterator[tuple[list[str], list[bytes]]]:
    """The pictures of these contents, in any order, `batch` at a time: (contents, JPEG bytes).

    Raises ReleaseError when the ledger knows nothing of one of them.
    """
    every = [tables.read(tables.local(store, item.key), ["content", "pack"]) for item in store.items("images/ledger/")]
    table = pa.concat_tables([tables.empty(LEDGER).select(["content", "pack"]), *every])
    where = dict(zip(table["content"].to_pylist(), table["pack"].to_pylist(), strict=True))
    wanted: dict[str, set[str]] = {}
    for content in contents:
        if not where.get(content):
            raise ReleaseError(
                f"picture {content[:12]} is not on the shelf of {store.url}", do="refresh the shop again"
            )
        wanted.setdefault(where[content], set()).add(content)
    for pack, of_pack in sorted(wanted.items()):
        for part in tables.batches(tables.local(store, pack), batch):
            rows = [
                (c, p)
                for c, p in zip(part["content"].to_pylist(), part["picture"].to_pylist(), strict=True)
                if c in of_pack
            ]
            if rows:
                yield [content for content, _ in rows], [picture for _, picture in rows]


def _pack(store: Store, waiting: dict[str, bytes], where: dict[str, str]) -> int:
    table = pa.table({"content": list(waiting), "picture": list(waiting.values())}, schema=PACK)
    key, size_bytes = tables.keep(store, "images/packs/", table)
    where.update(dict.fromkeys(waiting, key))
    return size_bytes
