"""An evaluation as tables: every number with its n and interval, by the verb as in the file; concepts of a model."""

import json
import re
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import silhouette_samples
from typer.testing import CliRunner

from pluribus import findings, models, releases, settings, tables
from pluribus.cli import app
from pluribus.evaluate import concepts
from pluribus.store import open_store

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def told(demo_store: str) -> dict[str, object]:
    opened = releases.open_release(open_store(demo_store).within("shops/atelier"), shop="atelier")
    found: dict[str, object] = json.loads(opened.path("evaluation.json").read_bytes())
    return found


def test_every_number_has_its_n_and_interval(told: dict[str, object]) -> None:
    tables = findings.tables(told)
    assert {"Verdict", "Retrieval", "Behaviour", "Not measured"} <= set(tables)
    for title in ("Retrieval", "Labels", "Behaviour"):
        for row in tables.get(title, []):
            interval = next(value for name, value in row.items() if "95 %" in name)
            assert re.fullmatch(r"-?\d\.\d{3} – -?\d\.\d{3}", interval) and int(row["n"].replace(",", "")) > 0
    assert all(row["because"] for row in tables["Not measured"])
    assert not any("nan" in value.lower().split() for rows in tables.values() for row in rows for value in row.values())


def test_an_evaluation_of_an_older_pluribus_still_has_tables() -> None:
    old = {"scores": {}, "not_measured": {"x": "because"}, "verdict": {"passed": True, "reasons": []}}
    assert set(findings.tables(old)) == {"Verdict", "Not measured"}


def test_the_verb_says_what_the_file_says(demo_store: str, told: dict[str, object]) -> None:
    run = CliRunner().invoke(app, ["--store", demo_store, "evaluate", "atelier", "--json"])
    ((_, evaluation),) = json.loads(run.stdout).values()
    beside = evaluation.pop("beside")
    assert evaluation == told
    assert {"graded relevance", "demand", "cost"} <= beside["not_measured"].keys(), "nothing of the kind was given"
    assert {row["of"] for row in beside["apart"]} == {"category", "brand"}
    assert beside["release"]["live"] and beside["release"]["fusion"] == {"image": 0.5, "text": 0.5}
    shown = CliRunner().invoke(app, ["--store", demo_store, "evaluate", "atelier", "hearth"])
    assert shown.exit_code == 0
    for title in ("Retrieval", "Behaviour", "Not measured"):
        assert len(re.findall(rf"^(atelier|hearth) \w+: {title}", shown.stdout, re.MULTILINE)) == 2


def test_what_a_shop_knows_of_its_shoppers_stands_beside_its_release(
    demo_store: str, tmp_path: Path, bucket: str
) -> None:
    config = tmp_path / "config"
    shutil.copytree(ROOT / "config", config)
    (config / "pluribus.toml").write_text((config / "pluribus.toml").read_text().replace("../demo", str(tmp_path)))
    (config / "pluribus.toml").write_text((config / "pluribus.toml").read_text().replace("../expect", f"{ROOT}/expect"))
    with (config / "shops" / "atelier.toml").open("a") as file:
        file.write(f'\n[evidence]\njudgements = "rated.csv"\nlog = "s3://{bucket}/log.csv"\n')
    opened = releases.open_release(open_store(demo_store).within("shops/atelier"), shop="atelier")
    rows = tables.read(opened.path("products.parquet"), ["product_id", "title"]).to_pylist()
    rated = "".join(f"{row['title']},{row['product_id']},3\n" for row in rows[:10])
    (tmp_path / "rated.csv").write_text(f"query,product_id,rating\n{rated}")
    log = "query,count\n" + "".join(f"q{n},{1000 // n}\n" for n in range(1, 400))
    open_store(f"s3://{bucket}").create("log.csv", log.encode())
    command = ["--config", str(config), "--store", demo_store, "evaluate", "atelier", "nowhere"]
    shown = CliRunner().invoke(app, [*command, "--png", str(tmp_path / "drawn")])
    assert shown.exit_code == 0, shown.output
    for title in ("Release", "Graded relevance", "Demand", "Apart from the other shops"):
        assert re.search(rf"^atelier \w+: {title}", shown.stdout, re.MULTILINE), title
    assert "399 different in query" in " ".join(shown.stdout.split())
    assert "nowhere: not measured, because shop 'nowhere' has nothing in" in shown.stdout
    assert (tmp_path / "drawn" / "atelier.png").read_bytes().startswith(b"\x89PNG")
    (tmp_path / "rated.csv").unlink()
    shown = CliRunner().invoke(app, [*command[:-1], "--json"])
    assert "rated.csv" in json.loads(shown.stdout)["atelier"][1]["beside"]["not_measured"]["graded relevance"]


def test_mred_over_shops() -> None:
    told = {
        shop: {"scores": {"title→product hits@5": {"value": value}}} for shop, value in {"a": 1.0, "b": 0.5}.items()
    }
    (row,) = findings.across(told)
    assert (row["mean miss rate"], row["MRED (0 is even)"], row["worst"]) == ("0.250", "-0.250", "b, 0.500")


def test_cases_come_in_turns_and_failed_tests_first(told: dict[str, object]) -> None:
    rows = [
        {"name": "a_b", "passed": True, "worst": [{"product_id": "1"}, {"product_id": "2"}]},
        {"name": "c", "passed": False, "worst": [{"product_id": "3"}]},
    ]
    shown = [(one["behaviour"], one["product_id"]) for one in findings.cases({"behaviours": rows}, 3)]
    assert shown == [("c", "3"), ("a b", "1"), ("a b", "2")]


def test_concepts_of_the_bundled_model_and_of_one_that_knows_nothing(demo_store: str) -> None:
    store = open_store(demo_store)
    fingerprint = models.register(store, settings.load("config").models["mini"])
    known = {score.name: score for score in concepts.measure(models.load(store, fingerprint), pairs=3)}
    assert known["improbable products found first"].value >= 0.8
    assert known["direction dark to light"].value >= 0.8
    assert known["separation of kinds"].value > known["separation of kinds"].chance + 0.3

    class Blind:
        def images(self, jpegs: list[bytes]) -> np.ndarray:
            return self._noise(len(jpegs))

        def texts(self, texts: list[str]) -> np.ndarray:
            return self._noise(len(texts))

        def _noise(self, n: int) -> np.ndarray:
            found = np.random.default_rng(n).normal(size=(n, 64))
            return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))

    blind = {score.name: score for score in concepts.measure(Blind(), pairs=3)}
    assert blind["improbable products found first"].value < 0.6
    assert abs(blind["direction dark to light"].value) < 0.6
    assert all(json.dumps(asdict(score), allow_nan=False) for score in blind.values())


def test_concepts_are_measured_once_a_model(tmp_path: object) -> None:
    store = open_store(str(tmp_path))
    assert concepts.of_model(store, "f" * 16) is None
    store.create(f"models/{'f' * 16}/concepts-{concepts.VERSION}.json", b'{"x": {"value": 1}}')
    assert concepts.of_model(store, "f" * 16, lambda: pytest.fail("measured twice")) == {"x": {"value": 1}}


def test_the_silhouette_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(40, 6))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    labels = rng.integers(0, 5, 40)
    theirs = silhouette_samples(rows, labels, metric="cosine")
    assert concepts.silhouette(rows, list(map(str, labels))) == pytest.approx(theirs, abs=1e-9)
