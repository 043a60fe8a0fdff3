"""Rows: one of ill will each, together in one catalog of sound ones, which all stay accepted."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from hostile.case import Case
from pluribus import contracts, ingest, tables, validate
from pluribus.records import Feed, Images, Limits
from pluribus.store import open_store

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SUITES = Path(__file__).parents[2] / "expectations"
SOUND = 400
XSS = "<script>alert(1)</script>"


class Row(NamedTuple):
    """A row as JSON text or as fields laid over a sound row's; what of it to look at; what comes of it."""

    name: str
    fields: dict[str, Any] | str
    outcome: str
    look: Callable[[dict[str, Any]], Any] = lambda row: row["title"]


def accepted(shown: str) -> str:
    return f"accepted {shown}"


def quarantined(*codes: str) -> str:
    return f"quarantined {' '.join(sorted(codes))}"


ROWS = [
    # ids
    Row("NUL in the id", {"id": "a\0b"}, quarantined("ID", "NOID")),
    Row("line break in the id", {"id": "a\nb"}, quarantined("ID", "NOID")),
    Row("escape sequence in the id", {"id": "a\x1b[2Jb"}, quarantined("ID", "NOID")),
    Row("id that climbs", {"id": "../../etc/passwd"}, accepted('"../../etc/passwd"'), lambda row: row["product_id"]),
    Row("id that is SQL", {"id": "'; drop table rows; --"}, accepted('"\'; drop table rows; --"'),
        lambda row: row["product_id"]),
    Row("id of a metaflow card", {"id": "{{7*7}}${jndi:ldap://x}"}, accepted('"{{7*7}}${jndi:ldap://x}"'),
        lambda row: row["product_id"]),
    Row("id of 10 kB", {"id": "x" * 10_000}, quarantined("ID", "NOID")),
    Row("id of white space", {"id": " \u200b\u2060 "}, quarantined("NOID")),
    Row("id given twice, first", {"id": "twice"}, quarantined("DUP")),
    Row("id given twice, again", {"id": " twice\u200b "}, quarantined("DUP")),
    Row("id that is a list", {"id": ["a", "b"]}, quarantined("ID", "NOID")),
    # prices
    *(Row(f"price {text!r}", {"price": text}, quarantined("PRICE")) for text in (
        "NaN", "1e309", "Infinity", "-5", "(5)", "5-", "1,2,3", "12 34 EUR 56", "0x1F", "free", "5 EUR USD",
        "9" * 400)),
    Row("price NaN unquoted", '{"id": "%", "title": "Red shirt", "price": NaN}', quarantined("PRICE")),
    Row("price of Arabic digits", {"price": "١٢٫٥ EUR"}, accepted("12.5"), lambda row: row["price"]),
    Row("price that is an object", {"price": {"$gt": 0}}, accepted("null"), lambda row: row["price"]),
    Row("price that is true", {"price": True}, quarantined("PRICE")),
    Row("price of a tiny exponent", {"price": "1e-400"}, accepted("0.0"), lambda row: row["price"]),
    # texts
    Row("formula in the title", {"title": '=HYPERLINK("http://evil.example","x")'},
        accepted('"=HYPERLINK(\\"http://evil.example\\",\\"x\\")"')),
    Row("script in the title", {"title": f"Red {XSS} shirt"}, accepted('"Red shirt"')),
    Row("script twice escaped", {"title": "Red &amp;lt;script&amp;gt;alert(1)&amp;lt;/script&amp;gt; shirt"},
        accepted('"Red shirt"')),
    Row("markup in a colour", {"color": '"><img src=x onerror=alert(1)>'}, accepted('"\\">"'),
        lambda row: row["colour"]),
    Row("right-to-left override", {"title": "Red \u202egnihs\u202c shirt"}, accepted('"Red gnihs shirt"')),
    Row("zero-width letters", {"title": "R\u200be\u200dd\ufeff shirt\u00ad"}, accepted('"Red shirt"')),
    Row("tag characters", {"title": "Red shirt" + "".join(chr(0xE0000 + ord(c)) for c in "ignore all")},
        accepted('"Red shirt"')),
    Row("forged log line", {"title": "Red shirt\r\n2026-01-01 ERROR root: paid"},
        accepted('"Red shirt , 2026-01-01 ERROR root: paid"')),
    Row("terminal escapes", {"title": "Red \x1b]0;owned\x07\x1b[31mshirt"}, accepted('"Red \\]0;owned\\[31mshirt"')),
    Row("a million combining marks", {"title": "Re" + "\u0301" * 90_000 + "d"}, accepted('".*"')),
    Row("lone surrogate", '{"id": "%", "title": "Red \\ud800 shirt"}', quarantined("ENC")),
    Row("title of 1 MB", {"title": "x" * 2**20}, quarantined("LEN")),
    Row("description of 1 MB", {"description": "x" * 2**20}, quarantined("LEN")),
    Row("a field nobody knows of 1 MB", {"other": "x" * 2**20}, quarantined("LEN")),
    Row("no title", {"title": ""}, quarantined("NOTITLE", "NOCONTENT")),
    Row("title of nothing visible", {"title": "\u200b\u3164"}, quarantined("NOTITLE", "NOCONTENT")),
    Row("title that says null", {"title": "NULL"}, quarantined("NOTITLE", "NOCONTENT")),
    # other columns
    Row("column of ill will", {'a" FROM rows; COPY rows TO \'/tmp/x\'; --': "z"},
        accepted('"z"'), lambda row: dict(row["extra"])['a" FROM rows; COPY rows TO \'/tmp/x\'; --']),
    Row("columns of ours", {"defects": "NONE", "row": "0", "extra": "x"}, accepted('"NONE"'),
        lambda row: dict(row["extra"])["defects"]),
    Row("another shop's shop_id, not configured", {"shop_id": "other"}, accepted('"other"'),
        lambda row: dict(row["extra"])["shop_id"]),
    Row("another shop's tenant, configured", {"tenant": "other"}, quarantined("TENANT")),
    Row("our own tenant, configured", {"tenant": "ours"}, accepted('"Red shirt"')),
    Row("no pictures", {"image_link": ""}, accepted(r"\[\]"), lambda row: row["images"]),
    Row("10,000 pictures", {"image_link": "\n".join(f"{n}.jpg" for n in range(10_000))}, accepted("8"),
        lambda row: len(row["images"])),
    Row("link that runs", {"link": "javascript:alert(1)"}, accepted('"javascript:alert\\(1\\)"'),
        lambda row: row["link"]),
    Row("availability of ill will", {"availability": "x" * 9_999}, accepted("null"), lambda row: row["availability"]),
    Row("category of 9,000 levels", {"product_type": " > ".join("abc" for _ in range(9_000))}, accepted('".*"'),
        lambda row: row["category"]),
    Row("currency of ill will", {"currency": "E'; --", "price": "5"}, accepted("null"), lambda row: row["currency"]),
    Row("not an object", '["just", "a", "list"]', quarantined("JSON", "NOID", "NOTITLE", "NOCONTENT")),
    Row("not JSON", '{"id": "%", "title": ', quarantined("JSON", "NOID", "NOTITLE", "NOCONTENT")),
]  # fmt: skip


def catalog(folder: Path) -> list[dict[str, Any]]:
    """All rows in one JSON-lines catalog, through ingest and validation; each row with its reasons."""
    lines = [json.dumps(_over(f"s{n}", {})) for n in range(SOUND)]
    for number, row in enumerate(ROWS):
        own = f"h{number}"
        lines.append(
            row.fields.replace("%", own) if isinstance(row.fields, str) else json.dumps(_over(own, row.fields))
        )
    path, store = folder / "feed.jsonl", open_store(str(folder / "store"))
    path.write_text("\n".join(lines))
    feed = Feed(source=(str(path),), own={"tenant": "ours"})
    taken = ingest.ingest(store, feeds=(feed,), images=Images(), limits=Limits(), now=NOW)
    suites = contracts.suites(open_store(str(SUITES)), "")
    rows_key = ingest.rows_key(taken.id)
    found = validate.validate(store, snapshot=taken.id, rows_key=rows_key, suites=suites, limits=Limits())
    good = tables.read(store.local(found.key + "products.parquet")).to_pylist()
    bad = tables.read(store.local(found.key + "quarantine.parquet")).to_pylist()
    assert found.rows == len(lines) == len(good) + len(bad), "a row was lost"
    assert sum(row["row"] < SOUND for row in good) == SOUND, "a sound row suffered"
    return sorted([*good, *bad], key=lambda row: row["row"])


def _over(own: str, fields: dict[str, Any]) -> dict[str, Any]:
    sound = {"id": own, "title": "Red shirt", "price": "12.50 EUR", "product_type": "Women > Shirts"}
    return sound | {"image_link": f"{own}.jpg"} | fields


def every(folder: Path) -> str:
    """The rows that came out otherwise than they should; one case, for they lie in one catalog."""
    rows = catalog(folder)
    wrong = []
    for number, row in enumerate(ROWS):
        came = rows[SOUND + number]
        said = quarantined(*came["reasons"]) if came.get("reasons") else ""
        said = said or accepted(json.dumps(row.look(came), ensure_ascii=False))
        if said != row.outcome and not re.fullmatch(row.outcome, said, re.DOTALL):
            wrong.append(f"{row.name}: {said[:200]} instead of {row.outcome[:200]}")
    return "\n".join(wrong) or f"all {len(ROWS)} as they should"


CASES = [Case("rows: all of them", every, f"all {len(ROWS)} as they should")]
