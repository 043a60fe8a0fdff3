"""Whoever is killed at any write point, with everybody else at work: no reader sees a mixed, missing or older release.

The suite runs a part of it; `make kill` all points, 20 times, and prints the figures.
"""

import json
import multiprocessing
import os
from pathlib import Path

import pytest
from kills import kill_all

RUNS = int(os.environ.get("PLURIBUS_KILL_RUNS", "0"))
SOME = {"publish": [3, 10], "rollback": [1, 2], "collect": [2, 5, 8]}


@pytest.mark.parametrize("ground", ["folder", "s3"])
def test_no_kill_breaks_what_readers_see(
    ground: str, tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    location = str(tmp_path / "store") if ground == "folder" else f"s3://{request.getfixturevalue('bucket')}"
    asked = (location, str(tmp_path), RUNS or 1, None if RUNS else SOME)
    work = multiprocessing.get_context("spawn").Process(target=kill_all, args=asked)
    work.start()
    work.join()
    assert work.exitcode == 0
    result = json.loads((tmp_path / "result.json").read_text())
    if RUNS:
        with capsys.disabled():
            print(f"\n{ground}: {result}")
    assert result["wrong"] == []
    assert result["died"] == 0
    assert result["reads"] > 5
    n_points = sum(result["points"].values())
    assert n_points >= (21 if RUNS else 7)
    assert result["points met"] == n_points
    # the others sometimes leave a collector less to delete than its last points need
    assert result["kills"] >= 0.9 * (RUNS or 1) * n_points
