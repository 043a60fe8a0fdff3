"""Cards show what a stage left behind, for every fate a shop can have; strangers' text stays text; they never fail."""

import io
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from pluribus import build, contracts, embed, evaluate, ingest, plan, publish, releases, tables, validate
from pluribus.cards import pages, runs, stages
from pluribus.jobs import Job, advance
from pluribus.records import Feed, Gate, Images, Model, Shop, Snapshot
from pluribus.schemas import SNAPSHOT
from pluribus.store import Store, open_store

#: Metaflow's own copy of PyYAML says so when Metaflow is imported first.
pytestmark = pytest.mark.filterwarnings("ignore:The _yaml extension module:DeprecationWarning")

HOSTILE = [
    "<script>document.title='pwned'</script>",
    '<img src=x onerror="document.title=1">',
    "[a link](javascript:alert(1))",
    "`code` **bold** {{constructor}}",
    "</td></table><h1>big</h1>",
]
FINGERPRINT, WIDTH = "f" * 64, 8
MODEL = Model(name="tiny", weights="", sha256="", width=WIDTH, licence="", architecture="")
STEPS = ("ingest", "validate", "embed", "build", "evaluate", "publish")
STARTED = datetime(2026, 1, 1, tzinfo=UTC)
SUITES = Path(__file__).parents[1] / "expectations"


class Encoder:
    """Pictures and texts as directions drawn from their bytes: the same content, the same unit vector."""

    fingerprint, width = FINGERPRINT, WIDTH

    def images(self, jpegs: list[bytes]) -> np.ndarray:
        return np.stack([self._draw(jpeg) for jpeg in jpegs])

    def texts(self, texts: list[str]) -> np.ndarray:
        return np.stack([self._draw(text.encode()) for text in texts])

    def _draw(self, content: bytes) -> np.ndarray:
        vector = np.random.default_rng(list(content)).normal(size=WIDTH)
        return (vector / np.linalg.norm(vector)).astype(np.float32)


@dataclass
class Run:
    """One refresh of several shops: its store, its jobs after each step, its batch."""

    store: Store
    batch: plan.Batch
    jobs: dict[str, list[Job]]

    def draw(self, step: str) -> list[dict[str, Any]]:
        """The card of a step as Metaflow stores it."""
        found = stages.card(step, self.store, self.jobs[step])
        return rendered(found)


def rendered(components: list[Any]) -> list[dict[str, Any]]:
    tree = [component.render() for component in components]
    json.dumps(tree, allow_nan=False)  # a NaN would leave the whole card blank
    return tree


def parts(tree: Any, kind: str) -> Iterator[dict[str, Any]]:
    """Every component of a kind, however deep."""
    if isinstance(tree, dict):
        if tree.get("type") == kind:
            yield tree
        tree = list(tree.values())
    if isinstance(tree, list):
        for part in tree:
            yield from parts(part, kind)


def cells(tree: Any) -> list[str]:
    """Every text of every table."""
    return [cell for table in parts(tree, "table") for row in table["data"] for cell in row if isinstance(cell, str)]


def titles(tree: list[dict[str, Any]]) -> list[str]:
    """The card's navigation; Metaflow gives one only to cards of nothing but sections."""
    assert all(part["type"] == "section" for part in tree)
    return [part["title"] for part in tree if "title" in part]


def section_of(tree: list[dict[str, Any]], title: str) -> dict[str, Any]:
    return next(part for part in tree if part.get("title") == title)


def jpeg(number: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 50), (number * 9 % 256, number * 31 % 256, 90)).save(out, "JPEG")
    return out.getvalue()


def deliver(folder: Path, *, bad: int, pictures: bool) -> Shop:
    """A shop of 24 sound products and `bad` ones without an id; the last picture is missing."""
    (folder / "pictures").mkdir(parents=True)
    lines = ["id,title,price,brand,category,image"]
    for n in range(24):
        image = f"{n}.jpg" if pictures else ""
        lines.append(f"p{n},Red dress {n},{n + 1} EUR,Some brand,Women > Dresses {n % 2},{image}")
        if n < 23:
            (folder / "pictures" / f"{n}.jpg").write_bytes(jpeg(n))
    lines += [f",no id {n},5 EUR,,,0.jpg" for n in range(bad)]
    (folder / "feed.csv").write_text("\n".join(lines))
    sources = (str(folder / "pictures"),) if pictures else ()
    return Shop(name=folder.name, feeds=(Feed(source=(str(folder / "feed.csv"),)),), images=Images(source=sources))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Five shops through the real stages: one with pictures, one without, and one in each kind of trouble."""
    folder = tmp_path_factory.mktemp("cards")
    store = open_store(str(folder / "store"))
    shops = [
        deliver(folder / "good", bad=2, pictures=True),
        deliver(folder / "texts", bad=0, pictures=False),
        deliver(folder / "refused", bad=20, pictures=True),
        replace(
            deliver(folder / "gated", bad=0, pictures=True), gate=Gate(product_hits_at_5=1.0, picture_lift_at_5=70)
        ),
        Shop(name="absent", feeds=(Feed(source=(str(folder / "nothing.csv"),)),)),
    ]
    suites = {"": contracts.suites(open_store(str(SUITES)), "")}
    batch = plan.Batch(tuple(shops), MODEL, FINGERPRINT, suites)
    done: dict[str, list[Job]] = {}
    jobs = [Job(shop=shop.name) for shop in shops]
    for step, one in flow_steps(batch).items():
        work = lambda job, one=one: one(job, batch.shop(job.shop), store.within(f"shops/{job.shop}"))
        jobs = done[step] = advance(jobs, step, work)
    pages.keep(store, done["validate"])
    return Run(store, batch, done)


def spoil(store: Store, taken: Snapshot) -> Snapshot:
    """The snapshot with hostile text in it. Feeds take markup out of text; cards must not rely on that."""
    rows = tables.read(store.local(ingest.rows_key(taken.id))).to_pylist()
    for n, row in enumerate(rows):
        row["title"] = HOSTILE[n % len(HOSTILE)] + f" {row['product_id']}"
        row["category"], row["brand"] = f"Women > {HOSTILE[0]} {n % 2}", HOSTILE[1]
        row["extra"] = [(HOSTILE[2], "x"), ("raw", HOSTILE[3])]
        row["picture_faults"] = [f"{HOSTILE[4]}: {fault}" for fault in row["picture_faults"]]
    hostile = replace(taken, id="e" * 32, asof=(STARTED + timedelta(seconds=1)).isoformat())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        tables.write(path, pa.Table.from_pylist(rows, schema=SNAPSHOT).to_batches(), SNAPSHOT, store.owner)
        store.create(ingest.rows_key(hostile.id), path)
    store.create(f"snapshots/log/{hostile.asof}.json", json.dumps(asdict(hostile)).encode())
    return hostile


def flow_steps(batch: plan.Batch) -> dict[str, Callable[[Job, Shop, Store], Job]]:
    """The steps of the flow as functions of one job."""

    def take(job: Job, shop: Shop, store: Store) -> Job:
        taken = ingest.ingest(store, feeds=shop.feeds, images=shop.images, limits=shop.limits, now=STARTED)
        taken = spoil(store, taken) if shop.name == "good" else taken
        counts = {"rows": taken.rows, "pictures": taken.pictures, "fetched": taken.fetched}
        return job.after("ingest", taken.size_bytes, counts, snapshot=taken.id, asof=taken.asof, input_key=uuid4().hex)

    def judge(job: Job, shop: Shop, store: Store) -> Job:
        rows_key = ingest.rows_key(job.snapshot)
        asked: dict[str, Any] = {"suites": batch.suites[""], "limits": shop.limits}
        found = validate.validate(store, snapshot=job.snapshot, rows_key=rows_key, **asked)
        counts = {"accepted": found.accepted, "quarantined": found.quarantined}
        return job.after("validate", found.size_bytes, counts, validation=found.key)

    def encode(job: Job, shop: Shop, store: Store) -> Job:
        key = job.validation + "products.parquet"
        done = embed.embed(store, products_key=key, model=MODEL, fingerprint=FINGERPRINT, encoder=Encoder)
        return job.after("embed", done.size_bytes, {"embedded": done.pictures + done.texts, "reused": done.reused})

    def make(job: Job, shop: Shop, store: Store) -> Job:
        release = uuid4().hex
        key = job.validation + "products.parquet"
        of: dict[str, Any] = {"model": MODEL, "fingerprint": FINGERPRINT, "fusion": shop.fusion, "index": shop.index}
        made = build.build(store, release=release, products_key=key, **of)
        counts = {"with picture": made.with_picture, "with text": made.with_text}
        scores = {f"recall@10 {name}": value for name, value in made.recall.items()}
        return job.after("build", 1, counts, release=release, files=made.files, scores=scores)

    def score(job: Job, shop: Shop, store: Store) -> Job:
        of: dict[str, Any] = {"model": MODEL, "fingerprint": FINGERPRINT, "gate": shop.gate}
        found, file = evaluate.evaluate(store, release=job.release, live=None, **of)
        return job.after(
            "evaluate",
            file.size_bytes,
            {},
            scores=job.scores | {name: s.value for name, s in found.scores.items()},
            files=job.files | {"evaluation.json": file},
            state="running" if found.verdict.passed else "failed gate",
            reason=found.verdict.says,
        )

    def switch(job: Job, shop: Shop, store: Store) -> Job:
        made_of: dict[str, Any] = {"asof": job.asof, "input_key": job.input_key * 2, "facts": {"products": 24}}
        publish.seal(store, shop=shop.name, release=job.release, files=job.files, **made_of)
        return job.after(
            "publish", 0, {}, state=publish.publish(store, shop=shop.name, release=job.release, why="test")
        )

    return dict(zip(STEPS, (take, judge, encode, make, score, switch), strict=True))


def test_the_shops_meet_their_fates(run: Run) -> None:
    fates = {job.shop: job.state for job in run.jobs["publish"]}
    assert fates == {
        "good": "published",
        "texts": "published",
        "refused": "set aside",
        "gated": "failed gate",
        "absent": "set aside",
    }


@pytest.mark.parametrize("step", STEPS)
def test_every_card_is_drawn_whole(run: Run, step: str) -> None:
    tree = run.draw(step)
    said = cells(tree)
    assert not [cell for cell in said if "could not be drawn" in cell]
    assert {job.shop for job in run.jobs[step]} <= set(said)
    assert sorted(titles(tree)) == sorted(job.shop for job in run.jobs[step] if step in job.seconds)
    assert not any("[IMAGE_RENDER FAIL]" in str(log) for log in parts(tree, "log"))


@pytest.mark.parametrize("step", STEPS)
def test_strangers_text_stays_text(run: Run, step: str) -> None:
    """Metaflow renders Markdown unsanitised; its tables, titles and charts it draws as text."""
    tree = run.draw(step)
    trusted = json.dumps([*parts(tree, "markdown"), *parts(tree, "pythonCode")], ensure_ascii=False)
    assert not any(text[:12] in trusted for text in HOSTILE)
    shown = [text for text in HOSTILE if any(text[:20] in cell for cell in cells(tree))]
    assert shown


def test_ingest_shows_products_with_pictures_and_what_failed(run: Run) -> None:
    good = section_of(run.draw("ingest"), "good")
    said = cells(good)
    assert len(list(parts(good, "image"))) == 12
    assert any("p7\n8.00 EUR" in cell for cell in said)
    assert "MISSING" in said and f"{HOSTILE[4]}: 23.jpg: MISSING" in said
    assert len(list(parts(good, "vegaChart"))) == 3  # categories, brands, prices
    absent = section_of(run.draw("ingest"), "absent")
    assert any("no feed at" in cell for cell in cells(absent)) and "none yet" in cells(absent)


def test_validate_shows_quarantined_rows_with_reasons_and_links_the_report(run: Run) -> None:
    tree = run.draw("validate")
    for shop, n in {"good": 2, "refused": 20}.items():
        section = section_of(tree, shop)
        said = cells(section)
        assert {"NOID", f"{n}", "no id", "The product has an id."} <= set(said)
        assert len(list(parts(section, "image"))) == min(n, 4)  # four rows of each reason
        path = next(cell for cell in said if cell.endswith("report.html"))
        assert "NOID" in Path(path).read_text()
        assert f"pluribus quarantine {shop} --reason NOID" in json.dumps(section)
    assert any("20 of 44 rows are unfit" in cell for cell in cells(tree))


def test_build_shows_recall_and_neighbours_that_are_other_products(run: Run) -> None:
    section = section_of(run.draw("build"), "good")
    said = cells(section)
    assert "1.000" in said and "exact" in " ".join(said)
    asked = [cell.split("\n")[2] for cell in said if cell.startswith("nearest to")]
    near = [cell for cell in said if cell.startswith("cosine")]
    assert len(asked) == 4 and len(near) == 20
    assert len(list(parts(section, "image"))) >= 20  # only the product whose picture is missing may lack one


def test_evaluate_shows_scores_with_interval_n_chance_and_the_verdict(run: Run) -> None:
    tree = run.draw("evaluate")
    score = next(table for table in parts(tree, "table") if "95 % interval" in table["columns"])
    row = dict(zip(score["columns"], score["data"][1], strict=True))
    assert (row["score"], row["n"], row["of"]) == ("title→product hits@5", "24", "gallery of 24")
    assert float(row["chance"]) == pytest.approx(5 / 24, abs=1e-3)
    gated = section_of(tree, "gated")
    assert "failed" in [box["value"] for box in parts(gated, "valueBox")]
    assert any("title→picture hits@5 is" in cell for cell in cells(gated))
    said = cells(section_of(tree, "good"))
    assert {"duplicates", "coverage", "Answers show many different products. 24 of 24 products seen"} <= set(said)
    assert "there is no log of what shoppers look at" in said
    assert len(list(parts(section_of(tree, "good"), "image"))) >= 6  # worst cases
    texts = section_of(tree, "texts")
    assert "only 0 products could answer, and 20 are needed" in cells(texts)


def test_publish_shows_what_is_live_and_what_to_type(run: Run) -> None:
    section = section_of(run.draw("publish"), "good")
    live = releases.current(run.store.within("shops/good"), shop="good")
    assert live and any(cell.startswith(live.release) for cell in cells(section))
    assert 'pluribus search good "' in next(parts(section, "pythonCode"))["data"]


def test_the_plan_and_the_report_name_every_shop(run: Run) -> None:
    expected = {shop.name: 24 for shop in run.batch.shops}
    said = cells(rendered(runs.plan([run.batch], expected)))
    assert {*expected, "120", "feed.csv (auto, snapshot)"} <= set(said)
    tree = rendered(runs.report(run.jobs["publish"], STARTED, STARTED + timedelta(minutes=3)))
    assert {"all shops", "good", "absent"} <= set(cells(tree))
    assert {box["title"]: box["value"] for box in parts(tree, "valueBox")} == {
        "published": "2", "failed gate": "1", "set aside": "2",
    }  # fmt: skip


def test_a_source_address_keeps_its_secrets(run: Run) -> None:
    feed = Feed(source=("https://user:secret@shop.example/feeds/all.xml?token=secret",))
    batch = replace(run.batch, shops=(Shop(name="web", feeds=(feed,)),))
    tree = rendered(runs.plan([batch], {"web": 1}))
    assert "secret" not in json.dumps(tree) and "all.xml (auto, snapshot)" in cells(tree)


def test_nothing_to_do_is_a_card_too(run: Run) -> None:
    empty = replace(run.batch, shops=())
    drawn = [runs.plan([empty], {}), runs.report([], STARTED, STARTED)]
    drawn += [stages.card(step, run.store, []) for step in STEPS]
    for components in drawn:
        assert "could not be drawn" not in json.dumps(rendered(components))


def test_fifty_shops_have_a_table_and_few_sections(run: Run) -> None:
    def job(n: int) -> Job:
        done = Job(shop=f"shop{n}", seconds={"ingest": 0.1}, size_bytes={"ingest": 1})
        return replace(done, state="set aside", reason=f"no feed {n}") if n % 2 else done

    tree = rendered(stages.card("ingest", run.store, [job(n) for n in range(50)]))
    assert {f"shop{n}" for n in range(50)} | {f"no feed {n}" for n in range(1, 50, 2)} <= set(cells(tree))
    assert len(titles(tree)) == 12 and titles(tree)[0] == "shop1"  # trouble first
    asleep = rendered(stages.card("ingest", run.store, [replace(job(n), state="unchanged") for n in range(50)]))
    assert not titles(asleep) and "shop49" in cells(asleep)
    assert rendered(runs.report([job(n) for n in range(50)], STARTED, STARTED))


def test_a_card_that_cannot_be_drawn_says_so_and_costs_nothing(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    lost = replace(run.jobs["build"][0], release="0" * 32)
    tree = rendered(stages.card("build", run.store, [lost, run.jobs["build"][1]]))
    first, second = section_of(tree, "good"), section_of(tree, "texts")
    assert any("could not be drawn: Missing" in cell for cell in cells(first))
    assert not any("could not be drawn" in cell for cell in cells(second))
    assert "could not be drawn" in json.dumps(rendered(runs.plan(None, {})))  # type: ignore[arg-type]
    assert "Traceback" in capsys.readouterr().err


def test_a_validation_page_escapes_and_forbids_scripts() -> None:
    finding = {
        "code": "X", "says": "A <sentence>.", "expectation": "expect_it", "column": "title", "severity": "critical",
        "passed": False, "failed": 3, "share": 0.5, "examples": [*HOSTILE, "nan", "\u202egnihs"], "observed": "",
    }  # fmt: skip
    met = finding | {"code": "Y", "passed": True, "failed": 0, "share": 0.0, "examples": [], "observed": "<368>"}
    report = {"rows": 6, "accepted": 3, "quarantined": 3, "findings": [finding, met], "reasons": {"X": 3}}
    page = pages.validation_page("shop", report)
    assert page == pages.validation_page("shop", report)
    body = page.partition("<body>")[2]
    assert "<script" not in body and "<img" not in body and "</td></table><h1>" not in body
    assert "&lt;script&gt;" in body and "A &lt;sentence&gt;." in body and "&lt;368&gt;" in body
    assert "\u202e" not in body and "nan" not in body
    assert "default-src 'none'" in page and "http://" not in page and "https://" not in page
    assert "50.0%" in body and "1 of 2" in body


def test_a_page_is_kept_beside_every_judgement_refused_ones_too(run: Run) -> None:
    for shop in ("good", "texts", "refused"):
        assert [i for i in run.store.within(f"shops/{shop}").items("snapshots/") if i.key.endswith(pages.PAGE)]
    assert not [i for i in run.store.within("shops/absent").items() if i.key.endswith(pages.PAGE)]
    pages.keep(run.store, run.jobs["validate"])  # again: nothing to do
