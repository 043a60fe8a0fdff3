"""The verbs of the uses say what the library says, and their pages stay harmless."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pluribus import classify, compare, explain, plots, search
from pluribus.cards.galleries import Row, Tile, gallery
from pluribus.cli import app
from pluribus.errors import ConfigError
from pluribus.search import Searcher

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


@pytest.fixture(scope="module")
def atelier(demo_store: str) -> Searcher:
    return search.open(demo_store, "atelier")


@pytest.fixture
def first(atelier: Searcher) -> str:
    return str(atelier.products["product_id"][0].as_py())


@pytest.fixture
def run(demo_store: str) -> Any:
    def told(*arguments: str) -> Any:
        done = CliRunner().invoke(app, ["--store", demo_store, *arguments, "--json"], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    return told


def test_compare_says_what_the_library_says_and_shows_it(
    run: Any, atelier: Searcher, first: str, tmp_path: Path
) -> None:
    page = tmp_path / "path.html"
    asked = ("compare", "atelier", first, "--more", "darker", "--any-category", "--per-step", "2")
    told = run(*asked, "--html", str(page))
    path = compare.walk(atelier, first, more="darker", per_step=2, same_category=False)
    assert [row["product_id"] for row in told] == [first, *(hit.product_id for hit in path.hits)]
    assert [row["step"] for row in told] == [0, *(s.number for s in path.steps for _ in s.hits)]
    shown = page.read_text()
    assert shown.count("data:image/jpeg") == len(told)
    assert "default-src 'none'" in shown


def test_classify_and_tag_say_what_the_library_says(run: Any, atelier: Searcher, first: str, tmp_path: Path) -> None:
    names = ["dress", "t-shirt", "boot"]
    told = run("classify", "atelier", first, "--labels", ",".join(names))
    assert [row["label"] for row in told] == [one.label for one in classify.labels(atelier, names, product_id=first)]
    file = tmp_path / "tags.csv"
    rows = run("tag", "atelier", "--labels", ",".join(names), "--sure", "0.7", "--out", str(file))
    assert rows == classify.tag(atelier, names, sure=0.7).to_pylist()
    assert len(file.read_text().splitlines()) == 1 + len(rows)
    tree = tmp_path / "tree.txt"
    tree.write_text("Clothing > Dresses\nClothing > T-Shirts\nShoes > Boots\n")
    guess = run("classify", "atelier", first, "--taxonomy", str(tree), "--sure", "0.4")
    assert guess["path"] == classify.descend(atelier, classify.Taxonomy.read(tree), product_id=first, sure=0.4).path


@pytest.mark.parametrize(
    "options",
    [["--text", "red dress", "--picture", "x.png"], ["--labels", "a,b", "--taxonomy", "t.csv"],
     ["--suspicious", "--labels", "a,b"], ["AT-1020", "--agreement"]],
)  # fmt: skip
def test_of_two_questions_none_is_ignored(run: Any, options: list[str]) -> None:
    with pytest.raises(ConfigError, match="expected one of them"):
        run("classify", "atelier", *options)


@pytest.mark.parametrize(
    "verb", [["quarantine", "hearth", "--reason", "NOPE"], ["classify", "atelier", "--labels", ","]]
)
def test_what_means_nothing_is_one_line(run: Any, verb: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"expected (one of|names)"):
        run(*verb)


def test_a_product_without_a_picture_is_explained_by_words(run: Any, atelier: Searcher, tmp_path: Path) -> None:
    bare = next(row["product_id"] for row in atelier.products.to_pylist() if not row["pictures"])
    told = run("explain", "atelier", bare, "--text", "red dress", "--html", str(tmp_path / "page.html"))
    assert told["why"]["words"]
    assert "seen" not in told
    assert (tmp_path / "page.html").exists()


def test_what_is_to_be_paid_is_shown(run: Any, demo_store: str) -> None:
    rows = search.open(demo_store, "hearth").products.to_pylist()
    reduced = next(row for row in rows if row["sale_price"] and row["price"])
    told = run("search", "hearth", reduced["title"], "-f", f"product_id={reduced['product_id']}")
    assert told[0]["price"] == f"{reduced['sale_price']:,.2f} {reduced['currency']}, was {reduced['price']:,.2f}"


def test_explain_and_map_say_what_the_library_says(run: Any, atelier: Searcher, first: str, tmp_path: Path) -> None:
    png, page = tmp_path / "heat.png", tmp_path / "map.html"
    told = run("explain", "atelier", first, "--text", "yellow shirt", "--png", str(png))
    assert told["why"]["rank"] == explain.why(atelier, "yellow shirt", first).rank
    assert [row["word"] for row in told["concepts"]] == [c.word for c in explain.concepts(atelier, product_id=first)]
    assert png.read_bytes().startswith(b"\x89PNG")
    drawn = run("map", "atelier", "--html", str(page))
    assert len(drawn["points"]) == atelier.products.num_rows
    assert "default-src 'none'" in page.read_text()


def test_what_shops_write_stays_text_on_every_page() -> None:
    page = gallery(HOSTILE, [Row(HOSTILE, [Tile("", HOSTILE, (HOSTILE,))], [(HOSTILE, 0.5)])], about=[HOSTILE])
    assert "<script" not in page
    assert "<img" not in page
    point = {"product_id": HOSTILE, "title": HOSTILE, "group": HOSTILE, "x": 0.0, "y": 0.0}
    drawn = plots.page(plots.points([point]), title=HOSTILE)
    assert "alert(1)</script>" not in drawn
    assert "<img src=x" not in drawn
