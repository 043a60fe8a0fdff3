"""The demo shops: reproducible deliveries in three dialects, with known faults and known truth."""

import csv
import io
import json
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from defusedxml import ElementTree
from PIL import Image

from pluribus import demo, render
from pluribus.demo import deliveries

N = 25
GOOGLE = "{http://base.google.com/ns/1.0}"


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    demo.write_shops(folder, n_products=N)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def pictures(shops: Path, name: str) -> dict[str, bytes]:
    """Every picture file of a shop by the name its feed uses."""
    if name == "atelier":
        return {f"images/{path.name}": path.read_bytes() for path in (shops / "atelier" / "images").iterdir()}
    if name == "hearth":
        with tarfile.open(shops / "hearth" / "images.tar") as archive:
            return {member.name: archive.extractfile(member).read() for member in archive}
    with zipfile.ZipFile(shops / "outpost" / "bilder.zip") as archive:
        return {member: archive.read(member) for member in archive.namelist()}


def test_two_writings_are_the_same_bytes(shops: Path, tmp_path: Path) -> None:
    demo.write_shops(tmp_path, n_products=N)
    assert contents(tmp_path) == contents(shops)


def test_what_is_there_is_left_alone_and_another_seed_is_other_shops(tmp_path: Path) -> None:
    demo.write_shops(tmp_path, n_products=6)
    (tmp_path / "atelier" / "feed.xml").write_text("touched")
    demo.write_shops(tmp_path, n_products=6)
    assert (tmp_path / "atelier" / "feed.xml").read_text() == "touched"
    demo.write_shops(tmp_path, seed=2, n_products=6)
    assert (tmp_path / "atelier" / "feed.xml").read_text() != "touched"


@pytest.mark.parametrize("name", demo.DEMOS)
def test_a_shop_is_large_varied_and_nearly_sound(name: str) -> None:
    products = demo.catalog(name)
    sound = [product for product in products if not product.fault]
    assert len(sound) >= 350
    assert len(products) - len(sound) < 0.05 * len(products)
    assert {product.item.kind for product in sound} == set(render.VERTICALS[demo.DEMOS[name].vertical])
    assert {product.item.pattern for product in sound} == {"plain", *render.MOTIFS}
    assert len({product.item.colour.name for product in sound}) == len(render.COLOURS)
    assert len({product.row.id for product in sound}) == len(sound)
    assert sum(len(product.row.pictures) > 1 for product in sound) > 60
    assert Counter(product.fault for product in products if product.fault) == Counter(
        [*deliveries.ROW_FAULTS, *demo.PICTURE_FAULTS]
    )


@pytest.mark.parametrize("name", demo.DEMOS)
def test_titles_name_the_kind_and_the_colour(name: str) -> None:
    for product in demo.catalog(name):
        words = product.row.title.lower()
        assert product.item.kind in words
        assert product.item.colour.name in words


@pytest.mark.parametrize("name", demo.DEMOS)
def test_variants_of_a_group_are_one_kind_with_one_pattern(name: str) -> None:
    groups: dict[str, set[tuple[str, str]]] = {}
    for product in demo.catalog(name):
        groups.setdefault(product.row.group_id, set()).add((product.item.kind, product.item.pattern))
    assert all(len(designs) == 1 for designs in groups.values())


@pytest.mark.parametrize("name", demo.DEMOS)
def test_pictures_are_broken_in_the_ways_that_the_truth_says(shops: Path, name: str) -> None:
    there = {Path(file).name: data for file, data in pictures(shops, name).items()}
    for line in (shops / name / "truth.jsonl").read_text().splitlines():
        truth = json.loads(line)
        files = [there.get(file) for file in truth["pictures"]]
        match truth["fault"]:
            case "missing":
                assert files == [None]
            case "html":
                assert files[0].startswith(b"<!DOCTYPE html>")
            case "tiff":
                assert Image.open(io.BytesIO(files[0])).format == "TIFF"
            case "one pixel":
                assert Image.open(io.BytesIO(files[0])).size == (1, 1)
            case "truncated":
                with pytest.raises(OSError, match="truncated"):
                    Image.open(io.BytesIO(files[0])).load()
            case _:
                assert {Image.open(io.BytesIO(data)).size for data in files} == {(demo.SIDE_PX, demo.SIDE_PX)}


def test_atelier_delivers_google_rss(shops: Path) -> None:
    items = ElementTree.parse(shops / "atelier" / "feed.xml").getroot().findall("channel/item")
    assert len(items) == N + len(deliveries.ROW_FAULTS)
    prices = [item.findtext(f"{GOOGLE}price") for item in items]
    assert prices[0].endswith(".95 EUR")
    assert "N/A" in prices
    assert any(price.startswith("-") for price in prices)
    ids = Counter(item.findtext(f"{GOOGLE}id") for item in items)
    assert ids[None] == 1
    assert sorted(ids.values())[-1] == 2
    references = {item.findtext(f"{GOOGLE}image_link") for item in items}
    assert len(references - set(pictures(shops, "atelier"))) == 1


def test_hearth_delivers_shopify_products(shops: Path) -> None:
    products = json.loads((shops / "hearth" / "products.json").read_text("utf-8"))["products"]
    whole = [product for product in products if isinstance(product, dict)]
    assert len(products) - len(whole) == 1
    assert {len(product["variants"]) for product in whole} == {1, 3}
    variants = [variant for product in whole for variant in product["variants"]]
    assert len(variants) == N + len(deliveries.ROW_FAULTS) - 1
    assert len([variant for variant in variants if variant["id"] is None]) == 1
    for product in whole:
        shown = {identity for image in product["images"] for identity in image["variant_ids"]}
        assert {variant["id"] for variant in product["variants"]} <= shown | {None}
    assert "<li>" in whole[0]["body_html"]


def test_outpost_delivers_a_german_csv(shops: Path) -> None:
    text = (shops / "outpost" / "artikel.csv").read_bytes().decode("cp1252")
    head, *rows = csv.reader(io.StringIO(text), delimiter=";")
    assert [len(row) for row in rows if len(row) != len(head)] == [len(head) + 2]
    assert rows[0][4].endswith(",95 €")
    assert any("ü" in row[3] for row in rows)
    assert any("<script>" in row[1] for row in rows)


def test_a_truth_is_known_of_every_row(shops: Path) -> None:
    for name in demo.DEMOS:
        lines = [json.loads(line) for line in (shops / name / "truth.jsonl").read_text().splitlines()]
        assert [line["product_id"] for line in lines] == [
            product.row.id for product in demo.catalog(name, n_products=N)
        ]
        assert all(0 <= line["lightness"] <= 100 for line in lines)
