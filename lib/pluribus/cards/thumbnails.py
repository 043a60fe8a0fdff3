"""A few of a shop's pictures, small enough for a page, without reading the whole shelf.

A pack holds up to 32 MiB and Parquet cannot hand out one picture of it alone, so what costs is the number of packs
opened, not the number of pictures: those pictures are taken that the fewest packs hold.
"""

from collections.abc import Iterable

from pluribus import pixels, tables
from pluribus.store import Store

SIDE_PX = 112
BATCH = 256

FIND = "select content, any_value(pack) as pack from ledger where list_contains($wanted, content) group by content"


def thumbnails(
    store: Store, contents: Iterable[str], *, most: int = 48, packs: int = 8, side_px: int = SIDE_PX
) -> dict[str, str]:
    """`data:` addresses of at most `most` of these pictures, opening at most `packs` packs of the shop's `store`.

    Pictures that no ledger knows, or that would need one more pack, are absent from the answer.
    """
    wanted = list(dict.fromkeys(contents))
    where = _where(store, wanted)
    by_pack: dict[str, list[str]] = {}
    for content in wanted:
        if content in where:
            by_pack.setdefault(where[content], []).append(content)
    found: dict[str, str] = {}
    for pack, members in sorted(by_pack.items(), key=lambda item: -len(item[1]))[:packs]:
        found |= _read(store, pack, _spread(members, most - len(found)), side_px)
    return found


def _spread(members: list[str], most: int) -> set[str]:
    """At most `most` of them, evenly spread."""
    n = min(most, len(members))
    return {members[i * len(members) // n] for i in range(n)}


def _where(store: Store, wanted: list[str]) -> dict[str, str]:
    """The pack of each picture, from the newest ledger parts backwards."""
    where: dict[str, str] = {}
    for item in reversed(list(store.items("images/ledger/"))):
        left = [content for content in wanted if content not in where]
        if not left:
            break
        rows = tables.query(FIND, {"wanted": left}, ledger=tables.local(store, item.key)).to_pylist()
        where |= {row["content"]: row["pack"] for row in rows if row["pack"]}
    return where


def _read(store: Store, pack: str, wanted: set[str], side_px: int) -> dict[str, str]:
    found: dict[str, str] = {}
    for batch in tables.batches(tables.local(store, pack), BATCH) if wanted else ():
        for place, content in enumerate(batch["content"].to_pylist()):
            if content in wanted:
                found[content] = pixels.data_uri(batch["picture"][place].as_py(), side_px)
        if len(found) == len(wanted):
            break
    return found
