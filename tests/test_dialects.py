"""Exports of shop systems become one row per variant, with the family they belong to."""

from pluribus.feeds.dialects import magento_rows, shopify_rows, variants, woocommerce_rows


def test_shopify_continuation_rows_are_variants_and_pictures() -> None:
    first = {"Handle": "ring", "Title": "Ring", "Vendor": "Acme", "Option1 Name": "Colour", "Option1 Value": "Gold"}
    rows: list[dict[str, str] | str] = [
        first
        | {
            "Variant Price": "42.99",
            "Variant Compare At Price": "44.99",
            "Image Src": "1.jpg",
            "Variant Image": "2.jpg",
        },
        {
            "Handle": "ring",
            "Option1 Value": "Silver",
            "Variant SKU": "R-S",
            "Variant Price": "40",
            "Image Src": "2.jpg",
        },
        {"Handle": "ring", "Image Src": "3.jpg"},
        "a row that could not be read",
        {
            "Handle": "box",
            "Title": "Box",
            "Option1 Name": "Title",
            "Option1 Value": "Default Title",
            "Variant Price": "5",
        },
    ]
    gold, silver, broken, box = shopify_rows(iter(rows))
    assert isinstance(gold, dict) and isinstance(silver, dict) and isinstance(box, dict)
    assert (gold["product_id"], silver["product_id"], box["product_id"]) == ("ring/Gold", "R-S", "box")
    assert gold["group_id"] == silver["group_id"] == "ring"
    assert (gold["price"], gold["sale_price"], silver["price"]) == ("44.99", "42.99", "40")
    assert "sale_price" not in silver
    assert gold["images"].split("\n") == ["2.jpg", "1.jpg", "2.jpg", "3.jpg"]
    assert (silver["Title"], silver["Vendor"], silver["Colour"]) == ("Ring", "Acme", "Silver")
    assert "Title" in box and "Default Title" not in (box["product_id"], box["Title"])
    assert broken == "a row that could not be read"


def test_shopify_stock_counts_only_where_it_is_tracked() -> None:
    row = {"Handle": "a", "Variant Price": "1", "Variant Inventory Qty": "0"}
    tracked = row | {"Variant Inventory Tracker": "shopify"}
    stock = [next(shopify_rows(iter([r]))) for r in (row, tracked, tracked | {"Variant Inventory Policy": "continue"})]
    assert [r["availability"] for r in stock if isinstance(r, dict)] == ["in stock", "0", "backorder"]


def test_nested_variants_inherit_what_they_do_not_say() -> None:
    product = {
        "id": 7, "title": "Shirt", "vendor": "Acme", "sku": "P", "barcode": "123",
        "options": [{"name": "Size", "position": 1}],
        "images": [{"id": 1, "src": "1.jpg"}, {"id": 2, "src": "2.jpg", "variant_ids": [72]}],
        "variants": [
            {"id": 71, "product_id": 7, "title": "S", "option1": "S", "price": "12", "compare_at_price": "15"},
            {"id": 72, "product_id": 7, "title": "M", "option1": "M", "price": "13", "sku": "P-M", "image_id": 2},
        ],
    }  # fmt: skip
    small, medium = variants(product)
    assert (small["id"], medium["id"]) == (71, 72)
    assert small["group_id"] == medium["group_id"] == 7
    assert "product_id" not in small and "sku" not in small and "barcode" not in small
    assert (small["title"], small["variant.title"], small["Size"], small["vendor"]) == ("Shirt", "S", "S", "Acme")
    assert (small["price"], small["sale_price"], medium["price"]) == ("15", "12", "13")
    assert small["images"] == ["1.jpg"]
    assert medium["images"] == ["2.jpg", "1.jpg"]
    assert small["parent.barcode"] == "123"


def test_variants_without_ids_are_told_apart() -> None:
    made = variants({"id": "P", "variants": [{"size": "S"}, {"size": "M", "sku": "P-M"}]})
    assert [item["id"] for item in made] == ["P/1", "P-M"]
    assert variants({"id": "P", "variants": [{"id": None, "size": "S"}]})[0].get("id") is None


def test_a_product_without_variants_is_itself() -> None:
    for item in ({"id": 1}, {"id": 1, "variants": []}, {"id": 1, "variants": ["S", "M"]}, {"id": 1, "variants": 3}):
        assert variants(item) == [item]


def magento(**more: str) -> dict[str, str]:
    return {"sku": "", "product_type": "simple", "configurable_variations": "", "visibility": "Catalog"} | more


def test_magento_children_find_their_parent() -> None:
    rows: list[dict[str, str] | str] = [
        magento(sku="A-S", additional_attributes="size=S,climate=Cool|Warm,note=soft, warm,color=Red"),
        magento(sku="lone"),
        "broken",
        magento(sku="A", product_type="configurable", configurable_variations="sku=A-S,size=S|sku=other,size=M"),
        magento(sku="other"),
    ]
    child, lone, broken, parent, other = magento_rows(lambda: iter(rows))
    assert isinstance(child, dict) and isinstance(lone, dict) and isinstance(parent, dict) and isinstance(other, dict)
    assert child["group_id"] == parent["group_id"] == other["group_id"] == "A"
    assert "group_id" not in lone
    assert (child["size"], child["climate"], child["note"], child["color"]) == ("S", "Cool\nWarm", "soft, warm", "Red")
    assert broken == "broken"


def test_magento_families_without_variations_are_told_by_the_sku() -> None:
    hidden = "Not Visible Individually"
    rows = [
        magento(sku="A-B", product_type="configurable"),
        magento(sku="A-B-S", visibility=hidden),
        magento(sku="A-B-M"),
    ]
    assert [row.get("group_id") for row in magento_rows(lambda: iter(rows)) if isinstance(row, dict)] == [
        "A-B",
        "A-B",
        None,
    ]


def test_woocommerce_variations_and_attributes() -> None:
    rows: list[dict[str, str] | str] = [
        {"ID": "1", "Type": "variable", "Attribute 1 name": "Colour", "Attribute 1 value(s)": "Red, Blue"},
        {"ID": "2", "Type": "variation", "Parent": "id:1", "Attribute 1 name": "Colour", "Attribute 1 value(s)": "Red"},
        {"ID": "3", "Type": "simple", "Parent": ""},
        "broken",
    ]
    first, second, third, broken = woocommerce_rows(iter(rows))
    assert isinstance(first, dict) and isinstance(second, dict) and isinstance(third, dict)
    assert (first["group_id"], second["group_id"], third.get("group_id")) == ("1", "1", None)
    assert (first["Colour"], second["Colour"]) == ("Red, Blue", "Red")
    assert broken == "broken"
