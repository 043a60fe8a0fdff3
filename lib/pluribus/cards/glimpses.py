"""Glimpses: a few rows, counts and neighbours out of a shop's files, for people to look at.

Everything here only reads, and reads a bounded part: what it gives is for a card or a page, never for a decision.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pluribus import indexes, releases, tables, vectors
from pluribus.schemas import PRODUCT

CANDIDATES = 240  # rows spread over a catalog, of which those are shown whose pictures lie together
INDEX_MOST_BYTES = 256 * 2**20  # a larger index is not opened for a glimpse

SHOWN = """
    select row, product_id, group_id, title, category, price, currency, pictures[1] as picture {more}
    from rows {which} limit $most"""
SPREAD = SHOWN.format(more="", which="where row % $step = 0 order by row")

#: The first rows of each reason, so that a reason of ten rows is seen beside one of ten thousand.
REFUSED = SHOWN.format(
    more=", reasons, extra",
    which="qualify row_number() over (partition by reasons[1] order by row) <= 4 order by reasons[1], row",
)

FILLED = r"""
    select count(columns('(.*)')) / count(*) as '\1' from (
        select * exclude (row, deleted, defects, extra, picture_faults)
            replace (nullif(images, []) as images, nullif(pictures, []) as pictures)
        from rows)"""

TALLY = """
    select {column} as name, count(*) as n from rows where {column} is not null
    group by all order by n desc, name limit $most"""

FAULTS = r"""
    select split_part(fault, ': ', -1) as reason, count(*) as n, min(fault) as example
    from (select unnest(picture_faults) as fault from rows) group by all order by n desc limit 20"""

PRICES = """
    select currency, price from rows where price is not null and row % $step = 0 and
        currency is not distinct from (select mode(currency) from rows where price is not null) limit 5000"""

UNPLACED = """
    select name, count(*) as n from (select unnest(map_keys(extra)) as name from (select extra from rows limit 1000))
    group by name order by n desc, name limit 40"""


#: What the reasons of `pixels`, `images` and `web` mean to a merchant.
FAULT_MEANS = {
    "MISSING": "no source has a picture of this name",
    "READ": "the archive or folder lists it and cannot give it",
    "FORMAT": "it is no JPEG, PNG, WebP or GIF",
    "DECODE": "the file is broken",
    "TRUNCATED": "the file is cut short",
    "SMALL": "it has too few pixels",
    "PIXELS": "it has too many pixels",
    "SIZE": "it has too many bytes",
    "CRASH": "the decoder died of it; the next run tries again",
    "URL": "it is no address that may be fetched",
    "ADDRESS": "its server is not on the public internet",
    "HTTP_403": "the server forbids us to fetch it",
    "HTTP_404": "the server does not have it",
    "HTTP_410": "the server does not have it any more",
}

#: What a release has that the one before had not, and the other way round, product by product.
CHANGES = """
    select case when old.product_id is null then 'added' when new.product_id is null then 'removed'
                when new.pictures is distinct from old.pictures then 'other pictures'
                when new.title is distinct from old.title then 'other title'
                when new.price is distinct from old.price then 'other price' else 'unchanged' end as name,
        count(*) as n
    from rows as new full join old on new.product_id = old.product_id group by all order by n desc"""
ADDED = SHOWN.format(more="", which="anti join old using (product_id) order by row")


@dataclass(frozen=True)
class Neighbourhood:
    """A product and those nearest to it by fused vector, other variants of itself left out."""

    product: dict[str, Any]
    nearest: list[tuple[float, dict[str, Any]]]  # cosine, row


def spread(path: Path, n_rows: int) -> list[dict[str, Any]]:
    """Up to CANDIDATES rows of a snapshot, evenly spread."""
    step = max(1, n_rows // CANDIDATES)
    return _rows(SPREAD, {"step": step, "most": CANDIDATES}, rows=path)


def refused(path: Path, most: int) -> list[dict[str, Any]]:
    """A few quarantined rows of each first reason; `came` is the text that could not be read."""
    rows = _rows(REFUSED, {"most": most}, rows=path)
    return [row | {"came": _unread(dict(row["extra"] or []))} for row in rows]


def filled(path: Path) -> dict[str, float]:
    """The share of rows that have each column, an image reference, and a good picture."""
    return _rows(FILLED, {}, rows=path)[0]


def tally(path: Path, column: str, most: int = 200) -> dict[str, int]:
    """How many rows have each value of a column of schemas.PRODUCT, the most frequent first."""
    assert column in PRODUCT.names
    return _counts(TALLY.format(column=column), {"most": most}, rows=path)


def prices(path: Path, n_rows: int) -> tuple[str, list[float]]:
    """The most frequent currency and up to 5,000 prices in it."""
    found = _rows(PRICES, {"step": max(1, n_rows // 5_000)}, rows=path)
    return (found[0]["currency"] or "no currency" if found else ""), [row["price"] for row in found]


def faults(path: Path) -> list[dict[str, Any]]:
    """Why pictures could not be had: reason, how many references, one of them."""
    return _rows(FAULTS, {}, rows=path)


def unplaced(path: Path) -> dict[str, int]:
    """Source columns that went to `extra`, by how many of the first 1,000 rows have them."""
    return _counts(UNPLACED, {}, rows=path)


def coverage(path: Path) -> dict[str, int]:
    """How many products have pictures, texts, both or neither: what their vectors are made of."""
    sql = """select case when len(pictures) > 0 and coalesce(title, description) is not null then 'picture and text'
        when len(pictures) > 0 then 'picture only' when coalesce(title, description) is not null then 'text only'
        else 'neither' end as name, count(*) as n from rows group by all order by n desc"""
    return _counts(sql, {}, rows=path)


def changes(before: Path, path: Path) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """How many products of a release were added, removed or changed since the one before, and some of the added."""
    both = {"old": before, "rows": path}
    return _counts(CHANGES, {}, **both), _rows(ADDED, {"most": CANDIDATES}, **both)


def first_pictures(path: Path, product_ids: Sequence[str]) -> dict[str, str]:
    """The first picture of each of these products, "" where it has none."""
    sql = "select product_id, pictures[1] as picture from rows where list_contains($ids, product_id)"
    return {row["product_id"]: row["picture"] or "" for row in _rows(sql, {"ids": list(product_ids)}, rows=path)}


def neighbours(built: releases.Release, *, products: int, nearest: int) -> list[Neighbourhood]:
    """A few products spread over a release, each with its nearest others, by the release's own index and vectors."""
    path = built.path("products.parquet")
    table = built.path(vectors.space_file(built.manifest.files))
    width = vectors.width_of(table)
    fused = vectors.read_space(table, width).fused
    index = indexes.load(built.path("index.faiss"), width=width, n=len(fused))
    asked = [len(fused) * (2 * i + 1) // (2 * products) for i in range(min(products, len(fused)))]
    scores, positions = indexes.search(index, fused[asked], min(4 * nearest, len(fused)))
    rows = _at(path, {*asked, *positions.ravel().tolist()})
    return [
        Neighbourhood(rows[one], list(_others(rows, one, zip(found, where, strict=True)))[:nearest])
        for one, found, where in zip(asked, scores.tolist(), positions.tolist(), strict=True)
    ]


def _rows(sql: str, parameters: dict[str, Any], **files: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = tables.query(sql, parameters, **files).to_pylist()
    return rows


def _counts(sql: str, parameters: dict[str, Any], **files: Any) -> dict[str, int]:
    return {row["name"]: row["n"] for row in _rows(sql, parameters, **files)}


def _others(
    rows: Mapping[int, dict[str, Any]], one: int, hits: Iterable[tuple[float, int]]
) -> Iterable[tuple[float, dict[str, Any]]]:
    """The hits that are neither the product itself nor a variant of one already there."""
    seen = {_group(rows[one])}
    for score, position in hits:
        if position in rows and _group(rows[position]) not in seen:
            seen.add(_group(rows[position]))
            yield score, rows[position]


def _unread(extra: Mapping[str, str]) -> str:
    """What a feed's reader kept of text that fits nowhere: a whole row as "raw", or a value by its column's name."""
    return extra.get("raw") or ", ".join(f"{name} {text}" for name, text in extra.items() if name in PRODUCT.names)


def _group(row: Mapping[str, Any]) -> str:
    return str(row["group_id"] or row["product_id"])


def _at(path: Path, positions: Iterable[int]) -> dict[int, dict[str, Any]]:
    """Rows of a file by their position in it."""
    table = tables.read(path, ["row", "product_id", "group_id", "title", "category", "price", "currency", "pictures"])
    wanted = sorted(position for position in set(positions) if position >= 0)
    rows: Sequence[dict[str, Any]] = table.take(vectors.column_of(np.array(wanted))).to_pylist()
    return {p: row | {"picture": (row["pictures"] or [None])[0]} for p, row in zip(wanted, rows, strict=True)}
