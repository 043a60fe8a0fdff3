"""The app finds what the library finds, shows shops' text as text, and says what is wrong in one line."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from pluribus import build, contracts, embed, evaluate, ingest, models, publish, search, settings, validate
from pluribus.records import Feed, Fusion, Gate, Images, Index, Limits
from pluribus.store import Store, open_store

ROOT = Path(__file__).parents[1]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOSTILE = "![x](https://evil.example/x.png) :red[**big**] $x$ `c`"


def published(store: Store, folder: Path, titles: list[str]) -> None:
    """A shop with these products and one row without an id, taken through the real stages by the real model."""
    (folder / "pictures").mkdir(parents=True)
    lines = ["id,title,price,category,image"]
    for n, title in enumerate(titles):
        Image.new("RGB", (60, 80), (20 * n, 200 - 20 * n, 90)).save(folder / "pictures" / f"{n}.jpg")
        lines.append(f'{folder.name}-{n},"{title}",{n}.50 EUR,Things > Dresses,{n}.jpg')
    (folder / "feed.csv").write_text("\n".join([*lines, ",no id,5 EUR,,"]))
    own = store.within(f"shops/{folder.name}")
    model = settings.load(str(ROOT / "config")).models["mini"]
    fingerprint = models.register(store, model)
    feeds, images = (Feed(source=(str(folder / "feed.csv"),)),), Images(source=(str(folder / "pictures"),))
    limits = Limits(quarantine=0.5)
    taken = ingest.ingest(own, feeds=feeds, images=images, limits=limits, now=NOW)
    suites = contracts.suites(open_store(str(ROOT / "expectations")), "")
    rows_key = ingest.rows_key(taken.id)
    judged = validate.validate(own, snapshot=taken.id, rows_key=rows_key, suites=suites, limits=limits)
    of: dict[str, Any] = {"model": model, "fingerprint": fingerprint}
    key, release = judged.key + "products.parquet", f"{len(titles):032x}"
    embed.embed(own, products_key=key, encoder=lambda: models.load(store, fingerprint), **of)
    made = build.build(own, release=release, products_key=key, fusion=Fusion(), index=Index(), **of)
    _, scores = evaluate.evaluate(own, release=release, live=None, gate=Gate(products_least=2), **of)
    facts = {"fingerprint": fingerprint, "width": model.width, "products": judged.accepted}
    files = made.files | {"evaluation.json": scores}
    publish.seal(own, shop=folder.name, release=release, files=files, asof=taken.asof, input_key="0" * 64, facts=facts)
    assert publish.publish(own, shop=folder.name, release=release, why="test") == "published"


@pytest.fixture(autouse=True)
def main_module() -> Iterator[None]:
    """Streamlit puts a page in the place of __main__, and processes that later tests spawn would run that."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two shops; the second one's titles are hostile."""
    folder = tmp_path_factory.mktemp("app")
    store = open_store(str(folder / "store"))
    published(store, folder / "plain", [f"{colour} dress" for colour in ("red", "green", "blue", "black", "white")])
    published(store, folder / "spiky", [HOSTILE, "yellow boots"])
    return store


def opened(location: str) -> AppTest:
    def script(location: str) -> None:
        from pluribus import app

        app.page(location)

    return AppTest.from_function(script, args=(location,), default_timeout=60).run()


def texts(page: AppTest) -> list[str]:
    assert not page.exception, page.exception
    return [element.value for element in page.text]


def ids(page: AppTest) -> list[str]:
    return [text.split(" · ")[0] for text in texts(page) if " · " in text]


def test_a_query_finds_what_the_library_finds(store: Store) -> None:
    page = opened(store.url)
    assert ids(page) == []
    page.text_input(key="query").set_value("black dress").run()
    assert ids(page) == [hit.product_id for hit in search.open(store, "plain").query("black dress", 8)]
    assert len(ids(page)) == 5
    assert "black dress" in texts(page)
    assert "3.50 EUR" in texts(page)
    assert len(page.get("image")) == 5
    page.slider(key="k").set_value(4).run()
    assert len(ids(page)) == 4


def test_an_example_is_one_click_away(store: Store) -> None:
    page = opened(store.url)
    page.button(key="example-red dresses").click().run()
    assert page.text_input(key="query").value == "red dresses"
    assert len(ids(page)) == 5


def test_switching_the_shop_asks_the_other_one_and_its_titles_stay_text(store: Store) -> None:
    page = opened(store.url)
    assert page.selectbox(key="shop").options == ["plain", "spiky"]
    page.text_input(key="query").set_value("boots")
    page.selectbox(key="shop").set_value("spiky").run()
    assert sorted(ids(page)) == ["spiky-0", "spiky-1"]
    assert HOSTILE in texts(page)
    trusted = [*page.markdown, *page.caption, *page.title, *page.button, *page.get("html")]
    assert not [element for element in trusted if "evil" in str(element)]


def test_quality_shows_the_scores_what_was_refused_and_every_release(store: Store) -> None:
    page = opened(store.url)
    page.session_state["tab"] = "Quality"
    page.run()
    assert {metric.label: metric.value for metric in page.metric}.items() >= {
        "Rows": "6",
        "Accepted": "5",
        "Quarantined": "1",
    }.items()
    tables = [frame.value for frame in page.dataframe]
    assert any("title→product hits@1" in set(table["score"]) for table in tables if "score" in table)
    (refused,) = [table for table in tables if "why" in table]
    assert refused["title"].tolist() == ["no id"]
    assert refused["why"].tolist() == ["NOID"]
    (history,) = [table for table in tables if "release" in table]
    assert history["state"].tolist() == ["live"]


def test_what_is_wrong_is_one_line(store: Store, tmp_path: Path) -> None:
    for location in (str(tmp_path / "nothing"), "ftp://x/y"):
        (said,) = texts(opened(location))
        assert location in said
    own = store.within("shops/plain")
    damaged = open_store(str(tmp_path / "damaged"))
    for item in own.items():
        text = own.get(item.key)
        damaged.create(f"shops/plain/{item.key}", text[:-1] if item.key.endswith("index.faiss") else text)
    assert any("index.faiss" in said and "damaged" in said for said in texts(opened(damaged.url)))


def test_the_verb_serves_this_machine_only(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from pluribus.cli import main; main()", "--store", str(tmp_path), "app"]
    with subprocess.Popen([*command, "--port", str(port)], stdout=subprocess.PIPE, text=True, env=os.environ) as child:
        assert child.stdout is not None
        told = next(line for line in child.stdout if "URL" in line)
        assert f"http://127.0.0.1:{port}" in told
        assert httpx.get(f"http://127.0.0.1:{port}/_stcore/health").text == "ok"
        child.terminate()
        child.communicate(timeout=30)  # it says goodbye, and would hang on a closed pipe
