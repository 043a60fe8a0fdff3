"""What fuzzing once found stays mended: every file of crashes/ (named target-…) goes through its target again."""

from pathlib import Path

import fuzz
import pytest

FOUND = sorted(path for path in fuzz.CRASHES.glob("*-*"))


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_every_target_takes_its_seeds(name: str) -> None:
    for seed in (b"", *fuzz.seeds(name)):
        fuzz.TARGETS[name](seed)
        fuzz.TARGETS[name](seed[: len(seed) // 2])


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.name)
def test_what_crashed_once_does_so_no_more(path: Path) -> None:
    fuzz.TARGETS[path.name.partition("-")[0]](path.read_bytes())
