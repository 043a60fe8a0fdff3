"""The whole DAG as a user runs it: real processes, a folder store and an S3 server, real pictures, the real model."""

import base64
import csv
import gzip
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest
from fleets import ROOT, Fleet, fleet
from metaflow import current

from pluribus import demo, launch, releases, search
from pluribus.jobs import Job
from pluribus.records import Shop
from pluribus.store import open_store

sys.path.insert(0, str(ROOT / "flows"))
from stages import Stages


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """Three demo shops and one without a feed, refreshed once into a folder store."""
    folder = tmp_path_factory.mktemp("fleet")
    made = fleet(folder, str(folder / "store"))
    (folder / "config" / "shops" / "feedless.toml").write_text('[[feeds]]\nsource = "nowhere.csv"\n')
    made.first = made.refresh()
    return made


def test_every_shop_is_published_or_set_aside_with_a_reason(ran: Fleet) -> None:
    first = ran.first
    states = {name: job["state"] for name, job in first.items()}
    assert states == {"atelier": "published", "hearth": "published", "outpost": "published", "feedless": "set aside"}
    assert re.search(r"ingest: no feed at .*nowhere\.csv; expected a readable file; mend", first["feedless"]["reason"])
    for name in demo.DEMOS:
        counts = first[name]["counts"]
        assert counts["quarantined"] >= 1
        assert counts["embedded"] > counts["accepted"]
        assert first[name]["scores"]["title→product hits@5"] > 0.5


def test_a_model_that_does_not_serve_costs_its_own_shops_alone(tmp_path: Path) -> None:
    made = fleet(tmp_path, str(tmp_path / "store"), shops=("outpost", "hearth"))
    models = tmp_path / "config" / "models"
    models.mkdir()
    for file in (ROOT / "config" / "models").glob("mini.*"):
        shutil.copy(file, models)
    text = (models / "mini.toml").read_text()
    (models / "lost.toml").write_text(re.sub(r"(?m)^weights = .*$", 'weights = "nowhere.safetensors"', text))
    toml = tmp_path / "config" / "pluribus.toml"
    toml.write_text(toml.read_text().replace(f'"{ROOT}/config/models"', '"models"'))
    shop = tmp_path / "config" / "shops" / "hearth.toml"
    shop.write_text('model = "lost"\n' + shop.read_text())
    told = made.refresh()
    assert {name: job["state"] for name, job in told.items()} == {"outpost": "published", "hearth": "set aside"}
    assert "nowhere.safetensors" in told["hearth"]["reason"]


def test_anew_compares_with_the_live_release_where_that_can_be_read(ran: Fleet, tmp_path: Path) -> None:
    shutil.copytree(ran.store, tmp_path / "store")
    own, shop = open_store(str(tmp_path / "store")).within("shops/atelier"), Shop(name="atelier")
    anew, usual = SimpleNamespace(anew=True), SimpleNamespace(anew=False)
    live = Stages.live(anew, own, shop)
    assert live.manifest.release == releases.current(own, shop="atelier").release
    path = own.local(releases.key(live.manifest.release, "index.faiss"))
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert Stages.live(anew, own, shop) is None, "a damaged one can only be replaced"
    assert Stages.live(usual, own, shop).manifest.release == live.manifest.release


def test_a_step_that_is_tried_again_says_what_its_first_attempt_published(ran: Fleet, tmp_path: Path) -> None:
    shutil.copytree(ran.store, tmp_path / "store")
    own = open_store(str(tmp_path / "store")).within("shops/atelier")
    before = releases.open_release(own, shop="atelier")
    model = SimpleNamespace(name="mini", width=before.manifest.facts["width"])
    step = SimpleNamespace(batch=SimpleNamespace(model=model, fingerprint="f"), wave={}, anew=False)

    def attempt(run: str) -> Job:
        release = uuid4().hex
        kept = {n: releases.add(own, release=release, name=n, data=before.path(n)) for n in before.manifest.files}
        job = Job(shop="atelier", release=release, files=kept, asof=datetime.now(UTC).isoformat(), input_key="k" * 64,
                  counts={"accepted": 1})  # fmt: skip
        current._update_env({"run_id": run})
        return Stages.publish_shop(step, job, Shop(name="atelier"), own)

    first, again, other = attempt("1"), attempt("1"), attempt("2")
    assert [job.state for job in (first, again, other)] == ["published", "published", "unchanged"]
    assert again.release == first.release == releases.current(own, shop="atelier").release


def test_library_and_command_line_find_the_same(ran: Fleet) -> None:
    hits = search.open(ran.store, "atelier").query("red dress", k=5)
    assert len(hits) == 5
    assert hits == sorted(hits, key=lambda hit: -hit.score)
    told = json.loads(ran.run("search", "atelier", "red dress", "-k", "5", "--json").stdout)
    assert [row["product_id"] for row in told] == [hit.product_id for hit in hits]
    (product,) = json.loads(ran.run("products", "atelier", hits[0].product_id, "--json").stdout)
    assert product["title"] == hits[0].title


def test_quarantined_rows_can_be_looked_at_and_are_not_searchable(ran: Fleet) -> None:
    rows = json.loads(ran.run("quarantine", "atelier", "--json").stdout)
    assert len(rows) == ran.first["atelier"]["counts"]["quarantined"]
    assert all(row["reasons"] for row in rows)
    live = set(search.open(ran.store, "atelier").products["product_id"].to_pylist())
    assert not live & {row["product_id"] for row in rows if "DUP" not in row["reasons"]}


def test_the_cards_can_be_read_without_a_browser(ran: Fleet) -> None:
    told: dict[str, str] = {}
    for step, card in launch.cards(ran.folder, ran.last_run):  # a step has a card for every batch of shops
        told[step] = told.get(step, "") + card_text(card)
    assert set(told) == {"start", "ingest", "validate", "embed", "build", "evaluate", "publish", "end"}
    assert "feedless" in told["end"]
    assert "nowhere.csv" in told["end"]
    assert "data:image" in told["ingest"]
    assert "DUP" in told["validate"]


def card_text(card: Path) -> str:
    """What a Metaflow card will show: its page carries it as base64 JSON."""
    found = re.search(r'__MF_DATA__\[[^\]]*\] = "([^"]+)"', card.read_text())
    assert found, "the card carries no data"
    return base64.b64decode(found[1]).decode()


def test_an_unchanged_second_run_does_nothing(ran: Fleet) -> None:
    before = {name: ran.live(name) for name in demo.DEMOS}
    again = ran.refresh("--shops", ",".join(demo.DEMOS))
    assert {job["state"] for job in again.values()} == {"unchanged"}
    assert all(not job["counts"].get("embedded") and not job["counts"]["fetched"] for job in again.values())
    assert {name: ran.live(name) for name in demo.DEMOS} == before
    drawn = [step for step, _ in launch.cards(ran.folder, ran.last_run)]
    assert drawn == ["start", "ingest", "end"], "a step with nothing to show has no card"


def test_only_what_changed_is_embedded_and_rollback_holds(ran: Fleet) -> None:
    before = ran.live("outpost")
    feed = next((ran.folder / "data" / "outpost").glob("*.csv"))
    text = feed.read_text("cp1252")
    rows = list(csv.reader(io.StringIO(text), delimiter=";"))
    title = next(cell for cell in rows[1] if " " in cell)
    feed.write_text(text.replace(title, title + " Deluxe", 1), "cp1252")
    job = ran.refresh("--shops", "outpost")["outpost"]
    assert job["state"] == "published"
    assert 1 <= job["counts"]["embedded"] <= 6  # the title, the text that begins with it, and ways to misspell them
    assert job["counts"]["reused"] > 40
    after = ran.live("outpost")
    assert after != before
    ran.run("rollback", "outpost", "--why", "test")
    assert ran.live("outpost") == before
    feed.write_text(text.replace(title, title + " Supreme", 1), "cp1252")
    assert ran.refresh("--shops", "outpost")["outpost"]["state"] == "held"
    ran.run("unhold", "outpost")
    assert ran.refresh("--shops", "outpost")["outpost"]["state"] == "published"


def test_a_killed_run_is_resumed_without_repeating_what_was_done(ran: Fleet) -> None:
    """SIGKILL of the whole process group while the flow is in `validate`; `ingest` must not run again."""
    feed = next((ran.folder / "data" / "hearth").glob("*.json"))
    feed.write_text(feed.read_text().replace("Mug", "Cup"))
    command = [sys.executable, str(ROOT / "flows" / "refresh.py"), "--no-pylint", "run", "--shops", "hearth"]
    command += ["--config", str(ran.folder / "config")]
    env = os.environ | {"METAFLOW_DATASTORE_SYSROOT_LOCAL": str(ran.folder)}
    seen = ""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env, start_new_session=True
    ) as child:
        assert child.stdout
        for line in child.stdout:
            seen += line
            if "/validate/" in line and "Task is starting" in line:
                time.sleep(1)
                os.killpg(child.pid, signal.SIGKILL)
                break
    run = re.search(r"run-id (\d+)", seen)
    assert run, seen
    job = ran.refresh("--resume", run[1])["hearth"]
    assert job["state"] == "published"
    assert job["counts"]["embedded"] > 0


def test_what_the_gate_refuses_is_published_by_force_alone_and_says_so(ran: Fleet) -> None:
    feed = ran.folder / "data" / "atelier" / "feed.xml"
    feed.write_text(feed.read_text("utf-8").replace("<title>", "<title>Fine ", 3), "utf-8")
    with (ran.folder / "config" / "shops" / "atelier.toml").open("a") as file:
        file.write("\n[gate]\npicture_lift_at_5 = 1000.0\n")
    before = ran.live("atelier")
    refused = ran.refresh("--shops", "atelier", ok=1)["atelier"]
    assert refused["state"] == "failed gate" and "1000× chance" in refused["reason"]
    assert ran.live("atelier") == before
    forced = ran.refresh("--shops", "atelier", "--force", "the <b>sale</b> begins")["atelier"]
    assert forced["state"] == "published"
    own = open_store(ran.store).within("shops/atelier")
    told = releases.open_release(own, shop="atelier").manifest.facts["forced"]
    assert told["why"] == "the <b>sale</b> begins" and told["who"] and "1000× chance" in told["over"]
    now = releases.current(own, shop="atelier")
    assert now and "the <b>sale</b> begins" in now.why and told["who"] in now.why
    (evaluation,) = json.loads(ran.run("evaluate", "atelier", "--json").stdout).values()
    assert (evaluation[1]["verdict"]["outcome"], evaluation[1]["verdict"]["reasons"][0]["code"]) == ("fail", "CHANCE")
    assert evaluation[1]["concepts"]["improbable products found first"]["value"] > 0.5


def test_no_shop_through_is_a_failure(ran: Fleet) -> None:
    done = ran.run("refresh", "--shops", "feedless", ok=1)
    assert "feedless: set aside: ingest: no feed at" in done.stderr


def everything_written(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file a run left, unpacked where Metaflow packed it."""
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            yield str(path), gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data


def test_the_same_flow_on_s3(tmp_path: Path, bucket: str) -> None:
    made = fleet(tmp_path, f"s3://{bucket}/fleet")
    assert made.refresh("--shops", "outpost")["outpost"]["state"] == "published"
    assert made.refresh("--shops", "outpost")["outpost"]["state"] == "unchanged"
    assert len(search.open(made.store, "outpost").query("blue tent", k=3)) == 3
    written = list(everything_written(tmp_path))
    assert any("/mf.cards/" in name for name, _ in written)  # cards, artifacts, logs, downloads ...
    assert any("/RefreshFlow/data/" in name for name, _ in written)
    assert not [name for name, data in written if os.environ["AWS_SECRET_ACCESS_KEY"].encode() in data]
