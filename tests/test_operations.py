"""What operators hear and pay: logs, figures, alerts, the ledger, and what of the past may go."""

import json
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from fleets import Fleet
from prometheus_client.parser import text_string_to_metric_families

from pluribus import alerts, ledger, prune, releases, runs, settings
from pluribus.errors import ConfigError
from pluribus.fleet import Alerts, Rates
from pluribus.jobs import SAID, Job, advance
from pluribus.store import open_store

RATES = Rates(gpu_hour=3600.0, cpu_hour=36.0, gb_month=0, thousand_writes=0, thousand_reads=0)
GOOD = {
    "shop": "a", "state": "published", "reason": "", "counts": {"rows": 100, "accepted": 100, "embedded": 300},
    "seconds": {"ingest": 10.0, "embed": 6.0}, "size_bytes": {"ingest": 1000}, "scores": {},
}  # fmt: skip
BAD = GOOD | {"shop": 'b"\n', "state": "set aside", "reason": "ingest: no feed\x1b[2J", "counts": {}, "seconds": {}}
REPORT: dict[str, Any] = {
    "run": "7", "started": "2026-01-01T00:00:00+00:00", "finished": "2026-01-01T00:01:00+00:00",
    "loads": [2.0, 2.0], "jobs": [GOOD, BAD],
}  # fmt: skip


@pytest.fixture
def heard() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A webhook's address, and what it was told."""
    messages: list[dict[str, Any]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/secret-path", messages
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_webhook_hears_of_shops_in_trouble_and_of_what_costs_too_much(heard: Any) -> None:
    url, messages = heard
    said = alerts.tell(REPORT, Alerts(webhook=url, most_usd=1.0), RATES)
    assert said == "2 alerts told, answered 204"
    (message,) = messages
    assert [one["kind"] for one in message["alerts"]] == ["shop set aside", "cost overrun"]
    assert "no feed" in message["alerts"][0]["why"]
    assert "\x1b" not in json.dumps(message["alerts"][0], ensure_ascii=False)
    assert "the limit is 1.00" in message["alerts"][1]["why"]


def test_a_quiet_run_tells_nobody_and_a_dead_webhook_fails_nothing(heard: Any) -> None:
    url, messages = heard
    assert alerts.tell(REPORT | {"jobs": [GOOD]}, Alerts(webhook=url), RATES) == "nothing to tell"
    assert messages == []
    said = alerts.tell(REPORT, Alerts(webhook="http://127.0.0.1:9/secret-path"), RATES)
    assert said.startswith("1 alerts could not be told: ")
    assert "secret-path" not in said
    assert alerts.tell(REPORT, Alerts(webhook="no address"), RATES).startswith("1 alerts could not be told")


def test_a_release_that_was_refused_long_ago_keeps_nothing(tmp_path: Path) -> None:
    own = open_store(str(tmp_path)).within("shops/a")
    own.create("vectors/deadbeef/old.parquet", b"x")
    releases.add(own, release="r", name="evaluation.json", data=b"{}")
    asked: dict[str, Any] = {"shop": "a", "keep_days": 1, "models": frozenset()}
    now = datetime.now(UTC)
    assert prune.garbage(own, now=now + timedelta(days=2), **asked) == [], "it may still be built"
    gone = prune.garbage(own, now=now + timedelta(days=30), **asked)
    assert [item.key for item in gone] == ["vectors/deadbeef/old.parquet"]


def test_what_goes_wrong_with_figures_silences_no_alert(heard: Any, tmp_path: Path) -> None:
    url, messages = heard
    store = open_store(str(tmp_path))
    store.create("runs/7.json", json.dumps(REPORT).encode())
    whom = Alerts(webhook=url, metrics=str(tmp_path / "nowhere" / "x.prom"))
    said = alerts.after(store, "runs/7.json", lambda: (RATES, whom))
    assert said.startswith(f"{alerts.FAILED}: alerts: 1 alerts told, answered 204; no figures: ")
    assert len(messages) == 1


def test_alerts_that_reach_nobody_are_said_where_somebody_looks(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.create("runs/7.json", json.dumps(REPORT).encode())
    dead = Alerts(webhook="http://127.0.0.1:9/x")
    assert alerts.after(store, "runs/7.json", lambda: (RATES, dead)).startswith(f"{alerts.FAILED}: alerts: 1 alerts")
    assert next(iter(store.items("metrics/"))), "and figures are kept all the same"


def test_the_metrics_file_lies_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "pluribus.toml").write_text('[alerts]\nmetrics = "../$PLACE/fleet.prom"\n')
    found = settings.operations(str(tmp_path / "."), env={"PLACE": "prom"})[1]
    assert found.metrics == str(tmp_path.parent / "prom" / "fleet.prom")


def test_large_figures_are_exact() -> None:
    text = alerts.prometheus(REPORT | {"jobs": [GOOD | {"counts": {"rows": 1_234_567}}]}, RATES)
    assert 'kind="rows"} 1234567\n' in text


def test_the_runs_of_one_shop_are_sought_among_all(tmp_path: Path) -> None:
    store, began = open_store(str(tmp_path)), datetime(2026, 1, 1, tzinfo=UTC)
    for n in range(40):
        started = began + timedelta(hours=n)
        job = Job(shop="daily" if n % 24 == 0 else "hourly")
        runs.write_report(store, run=str(n), started=started, finished=started, jobs=[job])
    assert [job["run"] for job in runs.of_shop(store, "daily", 5)] == ["24", "0"]
    assert [job["run"] for job in runs.of_shop(store, "daily", 1)] == ["24"]
    assert [job["run"] for job in runs.of_shop(store, "", 2)] == ["39", "38"]


def test_a_webhook_that_answers_nonsense_fails_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def babble() -> None:
            link = server.accept()[0]
            with link:
                link.recv(65_536)
                link.sendall(b"hello\r\n\r\n")

        thread = threading.Thread(target=babble)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        assert alerts.tell(REPORT, Alerts(webhook=url), RATES).startswith("1 alerts could not be told: ")
        thread.join()
    assert "could not be told" in alerts.tell(REPORT, Alerts(webhook="http://x y/"), RATES)


def test_a_webhooks_secret_comes_from_the_environment(tmp_path: Path) -> None:
    (tmp_path / "pluribus.toml").write_text('[alerts]\nwebhook = "$HOOK"\n')
    assert settings.operations(str(tmp_path), env={"HOOK": "https://x/y"})[1].webhook == "https://x/y"
    with pytest.raises(ConfigError, match=r"alerts.webhook = '\$HOOK' and HOOK is not set"):
        settings.operations(str(tmp_path), env={})


def test_figures_are_what_prometheus_reads(tmp_path: Path) -> None:
    text = alerts.prometheus(REPORT, RATES)
    found = {sample.name: sample for family in text_string_to_metric_families(text) for sample in family.samples}
    assert found["pluribus_shop_in_trouble"].labels == {"shop": 'b"\n', "state": "set aside"}
    assert found["pluribus_run_stage_seconds"].value == 6.0
    assert found["pluribus_run_finished_seconds"].value - found["pluribus_run_started_seconds"].value == 60
    alerts.keep(text, str(tmp_path / "pluribus.prom"))
    alerts.keep(text, str(tmp_path / "pluribus.prom"))
    assert [path.name for path in tmp_path.iterdir()] == ["pluribus.prom"]


def test_the_ledger_adds_up_by_stage_and_shop() -> None:
    spent = ledger.of_job(GOOD, RATES)
    assert spent == {"ingest": pytest.approx(10 * 2 * 0.01), "embed": pytest.approx(6.0), "storage": 0.0}
    told = ledger.of_run(REPORT, RATES)
    assert told["USD"] == pytest.approx(0.2 + 6 + 4)
    assert told["embed s for 1,000 new products"] == pytest.approx(100.0)


def test_own_models_cost_a_load_and_a_look_for_each_shop_and_use() -> None:
    told = ledger.saved(REPORT | {"jobs": [GOOD] * 10}, RATES, training_minutes=60)
    assert told["embed s, shared"] == pytest.approx(60 + 4)
    assert told["embed s, own"] == pytest.approx(3 * 60 + 30 * 2)
    assert told["times less"] == pytest.approx(240 / 64)
    assert told["USD of training, own"] == pytest.approx(30 * told["USD of training, shared"])


def test_log_lines_for_machines_carry_run_shop_and_stage(capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [Job(shop="a"), Job(shop="b")]
    advance(jobs, "ingest", lambda job: job.after("ingest", 0, {"rows": 3}), run="7", as_json=True)
    lines = [json.loads(line.removeprefix(SAID)) for line in capsys.readouterr().out.splitlines()]
    assert [(line["run"], line["shop"], line["stage"], line["counts"]) for line in lines] == [
        ("7", "a", "ingest", {"rows": 3}),
        ("7", "b", "ingest", {"rows": 3}),
    ]


def test_a_real_run_left_its_figures_and_its_cost(operated: Fleet) -> None:
    store = open_store(operated.store)
    keys = [item.key for item in store.items("metrics/")]
    text = store.get(keys[0]).decode()
    assert any(s.labels.get("state") == "published" for f in text_string_to_metric_families(text) for s in f.samples)
    (told,) = json.loads(operated.run("ledger", operated.runs[0], "--json").stdout)
    assert told["USD"] > 0
    assert told["model loads"] == 1
    assert told["saved"]["times less"] > 1
    lines = json.loads(operated.run("ledger", operated.runs[0], "--by-shop", "--json").stdout)
    assert {line["shop"] for line in lines} == {"atelier", "outpost"}


def test_prune_keeps_what_releases_were_made_of(operated: Fleet) -> None:
    """Young things stay; with no days kept, only what nothing refers to goes: here, vectors of a model of the past."""
    store = open_store(operated.store)
    own = store.within("shops/atelier")
    own.create("vectors/0123456789abcdef/old.parquet", b"x")
    own.create("snapshots/0123456789abcdef/rows.parquet", b"x")
    before = {item.key for item in own.items()}
    now, model = datetime.now(UTC), frozenset({"none"})
    asked = {"shop": "atelier", "models": model}
    assert prune.garbage(own, now=now, keep_days=1, **asked) == []  # type: ignore[arg-type]
    later = now + timedelta(days=2)
    gone = {item.key for item in prune.garbage(own, now=later, keep_days=1, **asked)}  # type: ignore[arg-type]
    assert gone == {"vectors/0123456789abcdef/old.parquet", "snapshots/0123456789abcdef/rows.parquet"}
    rows = json.loads(operated.run("prune", "--keep-days", "0", "--shops", "atelier", "--dry-run", "--json").stdout)
    assert rows[0]["objects"] == 2
    assert {item.key for item in own.items()} == before
    operated.run("prune", "--keep-days", "0", "--shops", "atelier")
    assert {item.key for item in own.items()} == before - gone
    operated.run(
        "lineage", "atelier", json.loads(operated.run("search", "atelier", "red", "--json").stdout)[0]["product_id"]
    )
