"""The app in a real headless Chromium: search, a picture, a comparison, another shop, titles that want to be more."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser, button, field, tab
from PIL import Image
from test_app import HOSTILE, published

from pluribus.store import open_store


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The verb in a process of its own, over two shops; the second one's titles are hostile."""
    folder = tmp_path_factory.mktemp("browser")
    store = open_store(str(folder / "store"))
    published(store, folder / "plain", [f"{colour} dress" for colour in ("red", "green", "blue", "black", "white")])
    published(store, folder / "spiky", [HOSTILE, "yellow boots"])
    command = [sys.executable, "-c", "from pluribus.cli import main; main()", "--store", store.url, "app"]
    with subprocess.Popen([*command, "--port", "8611"], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        assert any("URL" in line for line in child.stdout)
        yield "http://127.0.0.1:8611"
        child.terminate()
        child.communicate(timeout=30)


@pytest.fixture(scope="module")
def page(app: str) -> Iterator[Browser]:
    browser = Browser()
    browser.open(app)
    browser.until("document.body.innerText.includes('What are you looking for?')")
    browser.settle()
    yield browser
    browser.close()


def shown(name: str) -> str:
    return f"document.body.innerText.includes({name!r})"


def test_words_find_products_with_pictures(page: Browser) -> None:
    page.type(field("What are you looking for?"), "black dress")
    page.until(shown("plain-3 · "))
    assert page.until("document.querySelectorAll('[class*=st-key-card-] img').length === 5")
    page.until("[...document.querySelectorAll('[class*=st-key-card-] img')].every(i => i.naturalWidth > 50)")
    assert "3.50 EUR" in page.text()


def test_a_picture_finds_products(page: Browser, tmp_path: Path) -> None:
    page.run(f"({button('red dresses')}) && 1")
    page.type(field("What are you looking for?"), " ")
    page.until(shown("5 products. Type some words"))
    page.click("document.querySelector('[data-testid=stExpander] summary')")
    Image.new("RGB", (60, 80), (60, 140, 90)).save(tmp_path / "mine.png")
    page.upload("input[type=file]", tmp_path / "mine.png")
    page.until(shown("plain-3 · "))
    page.run("document.querySelector('[data-testid=stFileUploaderDeleteBtn] button')?.click() || 1")


def test_a_comparison_shows_the_way(page: Browser) -> None:
    page.click(tab("Does it come in …?"))
    page.until(shown("The same, but …"))
    page.until("!!document.querySelector('[class*=st-key-card-path-] img')")
    assert "this one" in page.text()


def test_another_shop_is_another_catalog_and_its_titles_stay_text(page: Browser) -> None:
    page.click(tab("Search"))
    page.click("document.querySelector('.st-key-shop input')")
    page.click("[...document.querySelectorAll('[role=option]')].find(o => o.innerText.trim() === 'spiky')")
    page.until(shown("live since"))
    page.settle()
    page.type(field("What are you looking for?"), "boots")
    page.until(shown("spiky-1 · "))
    page.type(field("What are you looking for?"), "big")
    page.until(shown("spiky-0 · "))
    page.settle()
    assert "![x](https://evil.example/x.png) :red[**big**]" in page.text()
    assert page.run("document.title") == "pluribus"


def test_nothing_was_asked_of_anybody_else(page: Browser, app: str) -> None:
    strangers = [
        url for url in page.requests if not url.startswith((app, "data:", "blob:", "about:", "ws://127.0.0.1"))
    ]
    assert page.requests
    assert strangers == []
