"""From the text columns of a file to canonical rows: what each column means, and what went wrong in which row."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pluribus.errors import FeedError, printable
from pluribus.feeds import fields, prices, values
from pluribus.feeds.raws import Raw
from pluribus.records import Feed
from pluribus.schemas import PRODUCT

RAW_CHARS = 4_000  # kept of a row that could not be read

Mapped = Mapping[str, tuple[str, ...]]


class Reading:
    """One file while it is read: which of its columns means what, and how it writes prices and categories.

    `configured` (canonical -> source columns) wins over `usual`, what the format's columns usually mean, and that
    over the alias table. What a column means is settled by the first batch in which it holds something.
    """

    def __init__(self, feed: Feed, *, configured: Mapped, usual: Mapped, fixed: bool, field_chars: int) -> None:
        self.feed, self.usual, self.field_chars = feed, usual, field_chars
        self.configured, self.fixed = configured, fixed
        self.mapping: dict[str, tuple[str, ...]] = dict(configured)
        self.learnt = False
        self.filled: dict[str, bool] = {}  # known names that hold something: whether it may be what the name says
        self.decimals: dict[str, str] = {}
        self.levels = ""

    def learn(self, raw: Raw) -> None:
        """Settle what the columns of this batch mean. Raises FeedError when a configured one is missing.

        Where rows need not name every column, only the one of the product id must be there: no row on sale is no
        mistake.
        """
        for name, column in raw.columns.items():
            if name not in self.filled and fields.is_known(name) and pc.any(pc.not_equal(column, "")).as_py():
                self.filled[name] = not (fields.plain(name) in ("type", "producttype") and values.are_kinds(column))
        names = [name for name, telling in self.filled.items() if telling]
        if not self.learnt and len(raw.broken) < raw.rows:
            _require(raw.columns, {c: s for c, s in self.configured.items() if self.fixed or c == "product_id"})
            self.learnt = True
        usual = {c: s for c, s in self.usual.items() if c not in self.mapping and set(s) <= set(names)}
        self.mapping = fields.found(names, self.mapping | usual)

    def batch(self, raw: Raw, row: int) -> pa.RecordBatch:
        """The rows of schemas.PRODUCT, the first of which is number `row`."""
        rows = Rows(raw, self.field_chars)
        for name, ours in self.feed.own.items():
            rows.own(name, ours)
        made = {name: array for name in self.mapping if (array := self._made(name, rows)) is not None}
        made |= self._money(rows)
        if self.feed.locale:
            made["locale"] = pc.coalesce(made.get("locale", rows.blank), pa.scalar(self.feed.locale))
        made["row"] = pa.array(np.arange(row, row + raw.rows))
        made["deleted"] = made.get("deleted", pa.array(np.zeros(raw.rows, bool)))
        made["defects"] = pa.array(rows.defects, PRODUCT.field("defects").type)
        made["extra"] = values.maps(rows.rest({name for names in self.mapping.values() for name in names}), raw.rows)
        columns = [made[f.name] if f.name in made else pa.nulls(raw.rows, f.type) for f in PRODUCT]
        return pa.RecordBatch.from_arrays(columns, schema=PRODUCT)

    def _made(self, canonical: str, rows: "Rows") -> pa.Array | None:
        """One canonical column; those about money are made together."""
        sources = self.mapping[canonical]
        column = rows.joined(sources, fields.JOINTS.get(canonical, " "))
        if column is None or canonical in ("price", "sale_price", "currency"):
            return None
        match canonical:
            case "product_id":
                made, bad = values.identifiers(column)
                rows.refuse(canonical, values.shown(made, bad, RAW_CHARS), bad, "ID")
                made = pc.if_else(bad, None, made)
            case "group_id":
                made, _ = values.identifiers(column)
                made = pc.if_else(values.nothing(made), None, made)
            case "link":
                made = values.links(column)
            case "deleted":
                made = values.flags(column)
            case "images":
                made = values.pictures([rows.columns[name] for name in sources if name in rows.columns])
                for name in set(sources) & rows.columns.keys():
                    rows.note(name, rows.columns[name], values.no_pictures(rows.columns[name]))
            case "availability":
                made = values.availabilities(column)
                rows.note(sources[0], column, pc.is_null(made))
            case "category":
                self.levels = self.levels or values.level_mark(column)
                made, more = values.paths(column, self.levels, several=fields.plain(sources[0]) == "categories")
                rows.note(sources[0], column, more)
            case "description":
                made = values.texts(column)
            case _:
                made = values.texts(pc.replace_substring(column, "\n", ", "))
        return made

    def _money(self, rows: "Rows") -> dict[str, pa.Array]:
        """price, sale_price and the currency of both: said beside the price, in its own column, or configured."""
        made: dict[str, pa.Array] = {}
        said: list[pa.Array] = []
        own = rows.joined(self.mapping.get("currency", ()), " ")
        codes = prices.currencies(own, self.feed.currency) if own is not None else None
        one = pc.unique(codes.drop_null()).to_pylist() if codes is not None else []
        usual = self.feed.currency or (one[0] if len(one) == 1 else "")
        for name, code in (("price", "PRICE"), ("sale_price", "SALE_PRICE")):
            column = rows.joined(self.mapping.get(name, ()), " ")
            if column is not None:
                self.decimals[name] = self.decimals.get(name) or prices.decimal_mark(column)
                decimal = self.decimals[name] or self.decimals.get("price", "")
                made[name], currency, bad = prices.prices(column, usual, decimal)
                rows.refuse(name, column, bad, code)
                said.append(currency)
        if "price" in made and "sale_price" in made:  # 0 is how exports write that there is no sale
            sale = made["sale_price"]
            given_away = pc.fill_null(pc.and_(pc.equal(sale, 0.0), pc.greater(made["price"], 0.0)), False)
            made["sale_price"] = pc.if_else(given_away, None, sale)
        if codes is not None:
            said.append(codes)
            rows.note(self.mapping["currency"][0], own, pc.is_null(codes))
        if made and self.feed.currency:
            priced = pc.is_valid(pc.coalesce(*made.values()))
            said.append(pc.if_else(priced, self.feed.currency, None))
        if said:
            made["currency"] = pc.coalesce(*said)
        if self.feed.price_unit == "cents":
            made |= {name: pc.divide(made[name], 100.0) for name in ("price", "sale_price") if name in made}
        return made


class Rows:
    """A batch under way: its columns, what has gone wrong in which row, and the texts that were not understood."""

    def __init__(self, raw: Raw, field_chars: int) -> None:
        self.columns = dict(raw.columns)
        self.blank = pa.nulls(raw.rows, pa.string())
        self.defects: list[list[str] | None] = [None] * raw.rows
        self.notes: dict[str, pa.Array] = {}
        texts: list[str | None] = [None] * raw.rows
        for place, (code, text) in raw.broken.items():
            self.defects[place], texts[place] = [code], printable(text.rstrip("\r\n"), RAW_CHARS)
        if raw.broken:
            self.notes["raw"] = pa.array(texts, pa.string())
        for name, column in raw.columns.items():
            if column.nbytes > field_chars and (pc.max(pc.binary_length(column)).as_py() or 0) > field_chars:
                self._mark(pc.greater(pc.utf8_length(column), field_chars), "LEN")
                self.columns[name] = pc.utf8_slice_codeunits(column, 0, field_chars)

    def joined(self, sources: Sequence[str], joint: str) -> pa.Array | None:
        """Source columns as one, with `joint` between what is there; None if none of them is."""
        columns = [self.columns[name] for name in sources if name in self.columns]
        return values.join(columns, joint) if columns else None

    def refuse(self, name: str, column: pa.Array, bad: pa.Array, code: str) -> None:
        """Records a defect in the `bad` rows, and notes their text."""
        self._mark(bad, code)
        self.note(name, column, bad)

    def own(self, name: str, ours: str) -> None:
        """Marks the rows that say to be another shop's; a row that says nothing is ours."""
        column = self.columns.get(name, self.blank)
        self._mark(pc.and_(pc.not_equal(column, ours), pc.not_equal(column, "")), "TENANT")

    def note(self, name: str, column: pa.Array, where: pa.Array) -> None:
        """Keeps for `extra` what some rows say."""
        noted = pc.if_else(pc.fill_null(where, False), column, None)
        self.notes[name] = pc.coalesce(noted, self.notes.get(name, self.blank))

    def rest(self, used: set[str]) -> dict[str, pa.Array]:
        """The columns without a canonical place, and the notes."""
        rest = {name: column for name, column in self.columns.items() if name not in used}
        return rest | {name: pc.coalesce(note, rest.get(name, self.blank)) for name, note in self.notes.items()}

    def _mark(self, where: pa.Array, code: str) -> None:
        for place in np.flatnonzero(pc.fill_null(where, False).to_numpy(zero_copy_only=False)).tolist():
            codes = self.defects[place] or []
            self.defects[place] = codes if code in codes else [*codes, code]


def configured(columns: Mapping[str, str | Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """A shop's own mapping as tuples; "" leaves a column out. Raises FeedError for a canonical name we do not have."""
    for canonical in columns:
        if canonical not in fields.ALIASES:
            known = ", ".join(fields.closest(canonical, fields.ALIASES))
            raise FeedError(f"columns names {canonical!r}, which is no column of ours", expected=f"one of {known}")
    return {c: tuple(filter(None, (names,) if isinstance(names, str) else names)) for c, names in columns.items()}


def _require(there: Mapping[str, pa.Array], mapping: Mapped) -> None:
    for canonical, sources in mapping.items():
        for source in sources:
            if source not in there:
                names = ", ".join(repr(name) for name in fields.closest(source, there))
                raise FeedError(
                    f"columns.{canonical} names {source!r}, which the feed does not have",
                    expected=f"one of {names}",
                    do="mend [feeds.columns]",
                )
