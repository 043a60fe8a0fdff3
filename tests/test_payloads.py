"""Text of ill will in every field of a product stays text: in cards, in pages, in the lines of errors and logs."""

import ast
import csv
import json
import tempfile
from dataclasses import asdict, replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_cards import parts, rendered

from pluribus import contracts, ingest, tables, validate
from pluribus.cards import pages, stages
from pluribus.errors import FeedError
from pluribus.jobs import Job
from pluribus.records import Limits, Snapshot
from pluribus.schemas import SNAPSHOT
from pluribus.store import Store, open_store

pytestmark = pytest.mark.filterwarnings("ignore:The _yaml extension module:DeprecationWarning")

ROOT = Path(__file__).parents[1]
PAYLOADS = [
    "<script>alert(1)</script>", "<ScRiPt src=//evil.example></sCrIpT>", "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>", "<img/src/onerror=alert(1)>", "<svg onload=alert(1)>", "<svg><script>1</script>",
    "<body onload=alert(1)>", "<iframe src=javascript:alert(1)>", "<iframe srcdoc='<script>1</script>'>",
    "<object data=javascript:alert(1)>", "<embed src=//evil.example>", "<link rel=stylesheet href=//evil.example>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>", "<base href=//evil.example>", "<form action=//evil>",
    "<input autofocus onfocus=alert(1)>", "<details open ontoggle=alert(1)>", "<video><source onerror=alert(1)>",
    "<math><mtext><script>1</script></mtext></math>", "<style>@import '//evil.example'</style>",
    "<!--><script>1</script>",
    "<![CDATA[<script>1</script>]]>", "<template><script>1</script></template>", "</title><script>1</script>",
    "</textarea><script>1</script>", "</td></table><h1>big</h1>", '"><script>alert(1)</script>',
    "' onmouseover='alert(1)", '" onmouseover="alert(1)', "`-alert(1)-`", "{{constructor.constructor('alert(1)')()}}",
    "${alert(1)}", "#{7*7}", "{% import os %}", "[a](javascript:alert(1))", "![a](//evil.example/x.png)",
    "<a href=javascript:alert(1)>x</a>", "<javascript:alert(1)>", "<x onclick=alert(1)>y",
    "<\x00script>alert(1)</script>",
    "=cmd|'/c calc'!A1", "\r\n2026-01-01 ERROR forged",
]  # fmt: skip
TEXTS = [f.name for f in SNAPSHOT if f.type == pa.string()]
LISTS = ["images", "picture_faults"]


class Tags(HTMLParser):
    """The elements and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Job, str]:
    """A shop each of whose fields holds each payload once, judged; its store, its job, its page.

    Feeds take most of this out of the text; cards and pages must not rely on it.
    """
    store = open_store(str(tmp_path_factory.mktemp("payloads") / "store"))
    own, rows = store.within("shops/spoilt"), [_row(number) for number in range(len(PAYLOADS))]
    at = datetime(2026, 1, 1, tzinfo=UTC).isoformat()
    taken = Snapshot(id="e" * 32, asof=at, feed_key="", feeds=(PAYLOADS[0],), rows=len(rows))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        tables.write(path, pa.Table.from_pylist(rows, schema=SNAPSHOT).to_batches(), SNAPSHOT, own.owner)
        own.create(ingest.rows_key(taken.id), path)
    own.create(f"snapshots/log/{at}.json", json.dumps(asdict(taken)).encode())
    suites = contracts.suites(open_store(str(ROOT / "expectations")), "fashion")
    of: dict[str, Any] = {"snapshot": taken.id, "rows_key": ingest.rows_key(taken.id), "suites": suites}
    found = validate.validate(own, **of, limits=Limits(quarantine=1.0))
    counts = {"rows": len(rows), "accepted": found.accepted, "quarantined": found.quarantined}
    job = Job(shop="spoilt", snapshot=taken.id, asof=at, validation=found.key, counts=counts)
    job = replace(job, reason=PAYLOADS[0], seconds={"ingest": 1.0, "validate": 1.0}, state="set aside")
    pages.keep(store, [job])
    return store, job, own.get(found.key + pages.PAGE).decode()


def _row(number: int) -> dict[str, Any]:
    of = lambda place: PAYLOADS[(number + place) % len(PAYLOADS)]
    row: dict[str, Any] = {name: of(place) for place, name in enumerate(TEXTS)}
    row |= {name: [of(place)] for place, name in enumerate(LISTS, len(TEXTS))}
    bad = ["PRICE"] if number % 3 == 0 else []
    row |= {"row": number, "product_id": f"{number} {row['product_id']}", "price": 1.0, "deleted": False}
    return row | {"defects": bad, "pictures": [], "extra": [(of(90), of(91)), ("price", of(92))]}


def test_no_payload_is_markup_on_a_page(spoilt: tuple[Store, Job, str]) -> None:
    *_, page = spoilt
    bare = Tags(
        pages.validation_page("shop", {"rows": 1, "accepted": 1, "quarantined": 0, "findings": [], "reasons": {}})
    )
    tags = Tags(page)
    assert tags.names <= bare.names | {"td", "th", "tr", "table", "code", "small", "br"}
    assert tags.attributes <= bare.attributes | {"class"}
    assert "alert(1)" in page and "&lt;" in page, "the payloads did not reach the page: it proves nothing"


@pytest.mark.parametrize("step", ["ingest", "validate"])
def test_no_payload_is_markup_on_a_card(spoilt: tuple[Store, Job, str], step: str) -> None:
    """Metaflow renders Markdown unsanitised; its tables, titles and charts it draws as text."""
    store, job, _ = spoilt
    tree = rendered(stages.card(step, store, [job]))
    trusted = json.dumps(
        [*parts(tree, "markdown"), *parts(tree, "pythonCode"), *parts(tree, "html")], ensure_ascii=False
    )
    assert not [payload for payload in PAYLOADS if payload.strip() in trusted]
    assert "alert(1)" in json.dumps(tree), "the payloads did not reach the card: it proves nothing"


@given(st.text() | st.sampled_from(PAYLOADS), st.text(), st.text())
def test_an_error_is_one_line_that_drives_no_terminal(came: str, expected: str, do: str) -> None:
    line = str(FeedError(came, expected=expected, do=do))
    assert line.isprintable() and len(line.splitlines()) <= 1


def test_nothing_writes_tables_that_a_spreadsheet_would_run() -> None:
    """One module writes CSV for people; who adds another must make text harmless as it does, and name it here."""
    drawn = {"mini.py", "demo/__init__.py", "demo/deliveries.py"}  # our own drawings, not strangers' text
    drawn |= {"train/choosing.py"}  # figures of models
    drawn |= {"classify/spreadsheets.py"}  # the one that makes text harmless
    library = ROOT / "lib" / "pluribus"
    for path in library.rglob("*.py"):
        names = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        writes = names & {"to_csv", "write_csv", "DictWriter"} or (
            "writer" in names and "import csv" in path.read_text()
        )
        assert not writes or path.relative_to(library).as_posix() in drawn, path


def test_no_cell_of_a_table_for_people_begins_a_formula(tmp_path: Path) -> None:
    from pluribus.classify import spreadsheets

    triggers = [
        f"{start}{rest}" for start in ("=", "+", "-", "@", "\t", "\r", "\n") for rest in ("", "1+1", "cmd|'/c'!A1")
    ]
    texts = [*PAYLOADS, *triggers]
    spreadsheets.write(pa.table(dict.fromkeys((*TEXTS, "=2+2"), texts)), tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(encoding="utf-8-sig", newline="") as file:
        cells = [cell for line in csv.reader(file) for cell in line]
    assert len(cells) == (len(TEXTS) + 1) * (len(texts) + 1)
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]
