"""Every hostile input meets its exact outcome, within 20 CPU-seconds and 1.5 GiB."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hostile.corpus import CASES

LEAST_CASES, MOST_MB = 200, 1536
TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def forge() -> Iterator[Callable[[int, Path], dict[str, float | str]]]:
    command = [sys.executable, "-W", "ignore", "-m", "hostile.forge"]
    with subprocess.Popen(command, cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout

        def forged(number: int, folder: Path) -> dict[str, float | str]:
            process.stdin.write(f"{number} {folder}\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield forged
        process.stdin.close()


@pytest.mark.parametrize("number", range(len(CASES)), ids=[case.name for case in CASES])
def test_a_hostile_input_meets_its_outcome(
    forge: Callable[[int, Path], dict[str, float | str]], number: int, tmp_path: Path
) -> None:
    case = CASES[number]
    done = forge(number, tmp_path)
    shutil.rmtree(tmp_path)  # some inputs weigh 100 MB, and pytest keeps folders
    said = str(done["outcome"])
    assert re.fullmatch(case.outcome, said, re.DOTALL), f"{case.outcome}\n!=\n{said[:2000]}"
    assert float(done["peak_mb"]) <= MOST_MB, f"{done['peak_mb']:.0f} MB"


def test_the_corpus_is_large_and_its_names_unlike() -> None:
    names = [case.name for case in CASES]
    assert len(names) >= LEAST_CASES and len(set(names)) == len(names)
