"""Bad input gets one clear line and an exit code that is not 0; verbs say the same to people and machines."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pluribus import releases
from pluribus.store import open_store

ROOT = Path(__file__).parents[1]


def pluribus(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from pluribus.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | env)


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode != 0
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    assert all(word in lines[0] for word in words), lines[0]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    folder = tmp_path / "config"
    (folder / "shops").mkdir(parents=True)
    (folder / "pluribus.toml").write_text(
        f'store = "../store"\nmodels = "{ROOT}/config/models"\nexpectations = "{ROOT}/expectations"\n'
    )
    (folder / "shops" / "a.toml").write_text('[[feeds]]\nsource = "a.csv"\n')
    return folder


def test_an_unknown_model(config: Path) -> None:
    done = pluribus("--config", str(config), "refresh", "--model", "gpt")
    refused(done, "model 'gpt' is not configured", "mini")


def test_an_unknown_shop(config: Path) -> None:
    refused(pluribus("--config", str(config), "refresh", "--shops", "a,b"), "no shop 'b'", "a")


def test_a_half_written_configuration(config: Path) -> None:
    (config / "shops" / "a.toml").write_text('[[feeds]]\nsource = "a.cs')
    refused(pluribus("--config", str(config), "refresh"), "shops/a.toml", "valid TOML")


def test_an_unreachable_store(config: Path, s3_endpoint: str) -> None:
    keys = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_MAX_ATTEMPTS": "1"}
    refused(
        pluribus("--config", str(config), "--store", "s3://bucket/x", "refresh", **keys), "s3://bucket", "127.0.0.1:1"
    )


def test_a_store_that_is_neither_folder_nor_s3(config: Path) -> None:
    refused(pluribus("--config", str(config), "--store", "ftp://x/y", "shops"), "ftp://x/y", "s3://")


@pytest.mark.parametrize(
    "verb", [["search", "a", "red dress"], ["products", "a", "1"], ["quarantine", "a"], ["releases", "a"]]
)
def test_reading_a_shop_that_was_never_refreshed(config: Path, verb: list[str]) -> None:
    refused(pluribus("--config", str(config), *verb), "shop 'a'", "pluribus refresh --shops a")


@pytest.mark.parametrize(
    "verb",
    [
        ["search", "atelier", "dress", "--html"],
        ["compare", "atelier", "AT-1000", "--more", "darker", "--html"],
        ["map", "atelier", "--html"],
        ["tag", "atelier", "--labels", "dress,boot", "--out"],
    ],
)
def test_a_file_that_cannot_be_written(demo_store: str, tmp_path: Path, verb: list[str]) -> None:
    to = tmp_path / "nowhere" / "page.csv"
    refused(pluribus("--store", demo_store, *verb, str(to)), str(to), "No such file or directory")


def test_a_refused_release_can_be_looked_at_beside_the_live_one(demo_store: str, tmp_path: Path) -> None:
    shutil.copytree(demo_store, tmp_path / "store")
    own = open_store(str(tmp_path / "store")).within("shops/atelier")
    live = releases.open_release(own, shop="atelier")
    told = json.loads(live.path("evaluation.json").read_bytes())
    told["verdict"]["outcome"] = "fail"
    for name in live.manifest.files:
        data = json.dumps(told).encode() if name == "evaluation.json" else live.path(name)
        releases.add(own, release="refused", name=name, data=data)
    done = pluribus("--store", str(tmp_path / "store"), "evaluate", "atelier", "--release", "refused", "--json")
    assert done.returncode == 0, done.stderr
    assert '"fail"' in done.stdout


def test_a_shop_name_never_becomes_a_path(config: Path) -> None:
    refused(pluribus("--config", str(config), "releases", "../../etc"), "'../../etc'", "a-z")


def test_shops_for_people_and_for_machines(config: Path) -> None:
    told = json.loads(pluribus("--config", str(config), "shops", "--json").stdout)
    assert [row["shop"] for row in told] == ["a"]
    assert "never published" in pluribus("--config", str(config), "shops").stdout


def test_nothing_due_is_fine(config: Path) -> None:
    (config / "shops" / "a.toml").unlink()
    done = pluribus("--config", str(config), "refresh", "--shops", "due")
    assert (done.returncode, done.stdout.strip()) == (0, "no shop is due")


def test_doctor_says_what_is_wrong_and_only_that(config: Path) -> None:
    done = pluribus("--config", str(config), "doctor", "--json")
    assert done.returncode == 1
    found = {check["what"]: check for check in json.loads(done.stdout)}
    assert [what for what, check in found.items() if check["state"] == "wrong"] == ["shop a"]
    assert "a.csv" in found["shop a"]["found"]
    assert "conditional writes" in found["store"]["found"]


def test_debug_shows_where_it_came_from(config: Path) -> None:
    done = pluribus("--debug", "--config", str(config), "refresh", "--shops", "zzz")
    assert "Traceback" in done.stderr
