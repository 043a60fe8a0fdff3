"""The house stands: imports go strictly down, each heavy library has one owner, importing does no work.

The rows, from the ground up; a package is one member of its row, and what is inside it is its own affair.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

LIBRARY = Path(__file__).parents[1] / "lib" / "pluribus"

ROWS = [
    {"errors", "versions"},
    {"jobs"},  # what every step of the flow knows
    {"records", "schemas", "manifests", "schedules"},  # words: what things are called
    # ground: each owns a library or an idea, and knows only the words
    {"store", "web", "tables", "texts", "metrics", "indexes", "pixels", "sandbox", "render", "costs", "lexical"}
    | {"policies", "fleet", "tails"},
    # doors
    {"settings", "contracts", "sources", "releases", "vectors", "pictures", "models", "feeds", "deltas", "demo"},
    {"images", "search", "probes", "runs"},
    {"plan", "ingest", "validate", "embed", "build", "evaluate", "publish", "train", "offboard"}  # stages of the flow
    | {
        "generate",
        "relevance",
        "recommend",
        "suggest",
        "duplicates",
        "compare",
        "classify",
        "explain",
    },  # uses of a release, each given an opened one
    {"answers", "plots", "findings", "newshop", "launch", "doctor", "mini", "inspect"}
    | {"deploy", "backfill", "ledger", "prune", "benchmark"},  # faces: what people see of it
    {"cards", "serve", "alerts"},
    {"app"},
    {"cli"},
]

#: Library -> the only members that may import it.
OWNERS = {
    "boto3": {"store"},
    "botocore": {"store"},
    "duckdb": {"tables"},
    "powerlaw": {"tails"},
    "faiss": {"indexes"},
    "great_expectations": {"validate"},
    "httpx": {"web"},
    "httpcore": {"web"},
    "open_clip": {"models"},
    "openvino": {"models"},
    "torch": {"models", "train", "mini", "doctor", "generate"},  # doctor asks for the GPU
    "torchvision": {"models", "train"},
    "simplejpeg": {"models"},
    "pydantic": {"settings", "serve"},
    "fastapi": {"serve"},
    "starlette": {"serve"},
    "uvicorn": {"serve"},
    "prometheus_client": {"serve"},
    "metaflow": {"cards", "doctor", "inspect", "launch"},
    "altair": set(),  # plots writes Vega-Lite itself
    "sklearn": {"explain"},
    "diffusers": {"generate"},
    "streamlit": {"app"},
    "typer": {"cli"},
    "rich": {"answers"},
    "defusedxml": {"feeds"},
    "selectolax": {"feeds"},
}


def member(path: Path) -> str:
    """The member of the house a file belongs to."""
    return path.relative_to(LIBRARY).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Every module a file imports, at the top or inside functions; type-checking imports are not imports."""
    tree = ast.parse(path.read_text())
    hidden = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if node in hidden:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


FILES = [path for path in sorted(LIBRARY.rglob("*.py")) if path.parent != LIBRARY or path.name != "__init__.py"]


def test_every_member_has_its_row() -> None:
    assert {member(path) for path in FILES} == set().union(*ROWS)
    assert sum(map(len, ROWS)) == len(set().union(*ROWS)), "a member stands in two rows"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(LIBRARY)))
def test_imports_go_strictly_down(path: Path) -> None:
    row = {name: number for number, names in enumerate(ROWS) for name in names}
    own = member(path)
    for name in imports(path):
        if name.startswith("pluribus."):
            other = name.split(".")[1]
            assert other == own or row[other] < row[own], f"{own} (row {row[own]}) imports {other} (row {row[other]})"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(LIBRARY)))
def test_each_heavy_library_has_one_owner(path: Path) -> None:
    for name in imports(path):
        owners = OWNERS.get(name.split(".")[0])
        assert owners is None or member(path) in owners, f"{name} belongs to {owners}"


def test_only_faces_read_settings() -> None:
    """Stages receive plain keyword values, never "the config"."""
    readers = {member(path) for path in FILES if any(name.startswith("pluribus.settings") for name in imports(path))}
    assert readers <= {"cli", "doctor", "newshop"}


def test_importing_everything_loads_no_heavy_library_and_writes_nothing(tmp_path: Path) -> None:
    parts = [path.relative_to(LIBRARY.parent).with_suffix("").parts for path in FILES]
    names = [".".join(part).removesuffix(".__init__") for part in parts]
    light = {
        "botocore",
        "pydantic",
        "typer",
        "rich",
        "streamlit",
        "metaflow",
        "httpcore",
        "httpx",
        "defusedxml",
        "selectolax",
        "fastapi",
        "starlette",
        "prometheus_client",
    }
    heavy = sorted(set(OWNERS) - light)
    code = f"import sys\nfor name in {names}: __import__(name)\nprint([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
    assert not list(tmp_path.iterdir())
