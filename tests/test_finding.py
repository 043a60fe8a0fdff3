"""The verbs that find products say what the library says, and their pages are safe to open."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from pluribus import duplicates, recommend, releases, search, suggest
from pluribus.cards.hits import hits_page
from pluribus.cli import app
from pluribus.errors import ConfigError
from pluribus.store import open_store


@pytest.fixture
def run(demo_store: str) -> "Run":
    return Run(demo_store)


class Run:
    """pluribus as a user runs it, on the demo shops."""

    def __init__(self, store: str) -> None:
        self.store = store

    def __call__(self, *arguments: str, **env: str) -> str:
        command = [sys.executable, "-c", "from pluribus.cli import main; main()", "--store", self.store, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | env)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def test_search_says_what_the_library_says(run: Run, tmp_path: Path) -> None:
    Image.new("RGB", (40, 40), (200, 30, 30)).save(tmp_path / "red.png")
    shop = search.open(run.store, "atelier")
    brand = next(iter(shop.facets(["brand"])["brand"]))
    arguments = ["search", "atelier", "dress:1, striped:-0.5", "--image", str(tmp_path / "red.png"), "-k", "4"]
    told = json.loads(run(*arguments, "-f", "price<80", "--brand", brand, "--available", "--facets", "--json"))
    limits = ["price<80", f"brand={brand}", "availability=in_stock"]
    hits = shop.query([("dress", 1.0), ("striped", -0.5), tmp_path / "red.png"], 4, filters=limits)
    assert [hit["product_id"] for hit in told["hits"]] == [hit.product_id for hit in hits]
    assert [hit["score"] for hit in told["hits"]] == [round(hit.score, 4) for hit in hits]
    assert told["facets"] == shop.facets(filters=limits)


def test_similar_suggest_and_duplicates_say_what_the_library_says(run: Run, tmp_path: Path) -> None:
    shop = search.open(run.store, "hearth")
    one = shop.products["product_id"][2].as_py()
    told = json.loads(run("similar", "hearth", one, "-k", "3", "--same-category", "--json"))
    hits = recommend.similar(shop, one, 3, same_category=True)
    assert [hit["product_id"] for hit in told] == [hit.product_id for hit in hits]

    (tmp_path / "log.csv").write_text('"red vase",7\nred rug,2\n')
    told = json.loads(run("suggest", "hearth", "re", "--session", one, "--log", str(tmp_path / "log.csv"), "--json"))
    found = suggest.learn(shop, {"red vase": 7, "red rug": 2}).complete("re", session=[one])
    assert [row["completion"] for row in told] == [completion.text for completion in found]

    told = json.loads(run("duplicates", "hearth", "--least", "0.5", "--json"))
    assert [(row["product_id"], row["other_id"]) for row in told] == [
        (twins.product_id, twins.other_id) for twins in duplicates.find(shop, least=0.5, most=50)
    ]


def test_a_page_shows_pictures_asks_for_nothing_and_opens(run: Run, tmp_path: Path) -> None:
    page, seen = tmp_path / "found.html", tmp_path / "seen"
    browser = f"{sys.executable} -c \"import sys, pathlib; pathlib.Path('{seen}').write_text(sys.argv[1])\" %s"
    run("search", "atelier", "dress", "-k", "3", "--html", str(page), "--open", BROWSER=browser)
    text = page.read_text()
    assert text.count('src="data:image/jpeg;base64,') == 3
    assert not re.search(r"<script|src=\"(?!data:)|url\(|@import", text)
    assert "default-src 'none'" in text
    assert seen.read_text() == page.resolve().as_uri()


def test_hostile_text_stays_text_in_a_page(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>\"'><img src=x onerror=y>\u202e\x1b[31m"
    product = {"title": hostile, "link": "javascript:alert(1)", "pictures": []}
    page = hits_page([open_store(str(tmp_path))], hostile, hostile, [(product, [hostile])])
    assert not re.search(
        r"<script|<img|onerror=y>[^&]|javascript:|\x1b|\u202e", page.split("<body>")[1].replace("&lt;", "")
    )
    assert "<script" not in page.split("<style>")[0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["search", "atelier"], "an empty query"),
        (["search", "atelier", "dress", "-f", "colour"], "filter 'colour'"),
        (["search", "atelier", "dress", "--image", "nowhere.jpg"], "nowhere.jpg"),
        (["similar", "atelier", "no-such"], "no product 'no-such'"),
        (["similar", "atelier"], "similar items of nothing"),
        (["suggest", "atelier", "a", "--log", "nowhere.csv"], "nowhere.csv"),
        (["duplicates", "atelier", "--other", "nobody"], "shop 'nobody'"),
    ],
)
def test_nonsense_is_refused_in_one_line(demo_store: str, arguments: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        app(["--store", demo_store, *arguments], standalone_mode=False)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["icecat_electronics", "ikea_furniture", "luma_sport", "myntra_fashion", "nh_liquor"])
def test_every_use_works_on_the_real_shops(name: str) -> None:
    """On the store of `make real`, live or not: a gate's refusal does not make a release unreadable."""
    place = os.environ.get("PLURIBUS_REAL_STORE", str(Path(__file__).parents[1] / ".pluribus-real"))
    built = releases.history(open_store(place).within(f"shops/{name}"), shop=name) if Path(place).is_dir() else []
    readable = [entry for entry in built if entry.state in ("live", "never live", "retired")]
    if not readable:
        pytest.skip(f"no release of {name} in {place}: run `make real`")
    release = next((entry for entry in readable if entry.state == "live"), readable[0]).release
    shop = search.open(place, name, release)
    row = next(row for row in shop.products.slice(shop.products.num_rows // 2).to_pylist() if row["title"])
    hits = shop.query(row["title"], 10, cutoff=False)
    assert len(hits) == 10
    assert row["title"] in [hit.title for hit in hits]
    only = shop.query(row["title"], 5, filters=[f"product_id={row['product_id']}"], cutoff=False)
    assert [hit.product_id for hit in only] == [row["product_id"]]
    like = recommend.similar(shop, row["product_id"], 5)
    assert row["product_id"] not in {hit.product_id for hit in like}
    assert len(like) == 5
    words = suggest.learn(shop)
    prefix = row["title"][:3]
    assert words.complete(prefix, session=[row["product_id"]])
    live = releases.current(shop.release.store, shop=name)
    if live and live.release == release:  # the command line reads what is live
        told = json.loads(Run(place)("search", name, row["title"], "-k", "3", "--anything", "--json"))
        assert [hit["product_id"] for hit in told] == [hit.product_id for hit in hits[:3]]
