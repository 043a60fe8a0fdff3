"""Columns are known under many names, and nothing is taken twice."""

import pytest

from pluribus.feeds.fields import ALIASES, closest, found, is_known, plain
from pluribus.schemas import PRODUCT


def test_every_canonical_column_has_aliases() -> None:
    assert set(ALIASES) == set(PRODUCT.names) - {"row", "defects", "extra"}


def test_aliases_are_written_as_they_are_compared() -> None:
    for canonical, names in ALIASES.items():
        assert list(names) == [plain(name) for name in names], canonical
        assert len(set(names)) == len(names), canonical


@pytest.mark.parametrize("name", ["g:Product Type", "product_type", "productType", " Product-Type "])
def test_spelling_does_not_matter(name: str) -> None:
    assert plain(name) == "producttype"
    assert is_known(name)


@pytest.mark.parametrize(
    ("names", "mapping"),
    [
        (
            "id gender masterCategory subCategory articleType baseColour season productDisplayName",
            {"product_id": "id", "gender": "gender", "category": "masterCategory subCategory articleType",
             "colour": "baseColour", "title": "productDisplayName"},
        ),
        (
            "Artikelnr Bezeichnung Warengruppe Marke Preis Bestand Größe",
            {"product_id": "Artikelnr", "title": "Bezeichnung", "category": "Warengruppe", "brand": "Marke",
             "price": "Preis", "availability": "Bestand", "size": "Größe"},
        ),
        (
            "g:id g:title g:image_link g:additional_image_link g:price g:sale_price g:item_group_id",
            {"product_id": "g:id", "title": "g:title", "images": "g:image_link g:additional_image_link",
             "price": "g:price", "sale_price": "g:sale_price", "group_id": "g:item_group_id"},
        ),
        ("sku name base_image small_image additional_images",
         {"product_id": "sku", "title": "name", "images": "base_image additional_images"}),
        ("title name", {"title": "title"}),
        ("Bild_1 Bild_2 Bild_3", {"images": "Bild_1 Bild_2 Bild_3"}),
        ("category subcategory", {"category": "category subcategory"}),
        ("Category_1 Category_2 Category_3", {"category": "Category_1 Category_2 Category_3"}),
        ("артикул название цена", {"product_id": "артикул", "title": "название", "price": "цена"}),
        ("foo bar", {}),
    ],
)  # fmt: skip
def test_finds(names: str, mapping: dict[str, str]) -> None:
    assert found(names.split(), {}) == {canonical: tuple(sources.split()) for canonical, sources in mapping.items()}


def test_what_is_configured_wins_and_is_not_taken_twice() -> None:
    assert found(["id", "title", "name"], {"brand": ("title",), "product_id": ()}) == {
        "brand": ("title",),
        "product_id": (),
        "title": ("name",),
    }


def test_the_closest_name_comes_first() -> None:
    assert closest("prise", ["title", "Price", "id"])[0] == "Price"
