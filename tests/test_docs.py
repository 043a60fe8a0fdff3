"""The documents tell the truth: every verb is explained, every target exists, every link leads somewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from pluribus.cli import app

ROOT = Path(__file__).parents[1]
VERBS = sorted(get_command(app).commands)  # type: ignore[attr-defined]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "NOTES.md"]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_and_a_line_in_the_readme(verb: str) -> None:
    assert get_command(app).commands[verb].help, verb  # type: ignore[attr-defined]
    assert re.search(rf"\b{verb}\b", (ROOT / "README.md").read_text()), f"README does not mention {verb}"


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        named = set(re.findall(r"`make ([a-z-]+)|^make ([a-z-]+)", page.read_text(), re.MULTILINE))
        assert {a or b for a, b in named} <= targets, page.name


def test_every_target_explains_itself() -> None:
    text = (ROOT / "Makefile").read_text()
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in re.findall(r"^([a-z]+):(?!=)", text, re.MULTILINE):
        assert re.search(rf"^{target}\s+\w", shown, re.MULTILINE), target


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_help_starts_fast_and_needs_no_heavy_library() -> None:
    """Listing verbs must not import torch: it takes seconds."""
    code = "import sys, pluribus.cli; print([m for m in ('torch', 'faiss', 'duckdb', 'boto3') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_ci_runs_the_readmes_test_command() -> None:
    assert "exec make test" in (ROOT / ".ci" / "run").read_text()
    assert "make test" in (ROOT / "README.md").read_text()


def test_no_index_address_and_no_machine_path_is_tracked() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    if not tracked:
        pytest.skip("not a git checkout")
    bad = re.compile(r"--(extra-)?index-url|--find-links|registry *= *\"?http|/root/|/home/\w+/")
    for name in tracked:
        path = ROOT / name
        if path.suffix in {".safetensors", ".png"} or name == "tests/test_docs.py" or not path.is_file():
            continue
        assert not bad.search(path.read_text(errors="replace")), name
