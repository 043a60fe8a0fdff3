"""Shop systems whose files need more than a mapping: one product spread over several rows, columns inside a column.

Each function turns rows of one file (values by source name) into one row per variant, and adds what it worked out
under our own column names; the source's values stay as they are.
"""

import re
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any

Row = dict[str, str]
DEFAULT = "Default Title"  # Shopify's name for the only variant of a product without options


def shopify_rows(rows: Iterator[Row | str]) -> Iterator[Row | str]:
    """Shopify's CSV: rows of one Handle are a product; those with a price are variants, the others bring pictures."""
    for handle, group in groupby(rows, key=lambda row: row if isinstance(row, str) else row.get("Handle", "")):
        lines = list(group)
        if isinstance(lines[0], str):
            yield from lines
            continue
        whole: list[Row] = [line for line in lines if not isinstance(line, str)]
        yield from _shopify_variants(handle, whole)


def _shopify_variants(handle: str, lines: list[Row]) -> Iterator[Row]:
    product = lines[0]
    pictures = [line["Image Src"] for line in lines if line.get("Image Src")]
    options = {number: product.get(f"Option{number} Name", "") for number in "123"}
    shared = {name: value for name, value in product.items() if not re.match(r"Variant |Option\d Value|Image ", name)}
    variants = [line for line in lines if line.get("Variant Price") or line.get("Option1 Value")] or [product]
    for line in variants:
        own = [line.get(f"Option{number} Value", "") for number in "123"]
        chosen = [value for value in own if value and value != DEFAULT]
        named = {options[n]: value for n, value in zip("123", own, strict=True) if options[n] and value != DEFAULT}
        yield {
            **shared,
            **{name: value for name, value in named.items() if value},
            **{name: value for name, value in line.items() if value},
            "product_id": line.get("Variant SKU") or "/".join([handle, *chosen]),
            "group_id": handle,
            "images": "\n".join(dict.fromkeys([line["Variant Image"]] * bool(line.get("Variant Image")) + pictures)),
            **_reduced(line.get("Variant Price", ""), line.get("Variant Compare At Price", "")),
        }


def _reduced(price: str, before: str) -> Row:
    """Shopify's price is what is paid now; "compare at" is the price it is compared with."""
    try:
        lowered = float(before) > float(price)
    except ValueError:
        lowered = False
    return {"price": before, "sale_price": price} if lowered else {"price": price}


def variants(item: dict[str, Any]) -> list[dict[str, Any]]:
    """A product with nested variants as one item per variant, or as itself.

    A variant inherits what it does not say. Its own title ("Red / S") stays aside: titles are the product's.
    """
    for key in ("variants", "variations", "skus"):
        nested = item.get(key)
        if isinstance(nested, list) and nested and all(isinstance(part, dict) for part in nested):
            break
    else:
        return [item]
    product = {name: value for name, value in item.items() if name != key}
    return [_variant(product, part) for part in nested]


def _variant(product: dict[str, Any], variant: dict[str, Any]) -> dict[str, Any]:
    own = {name: value for name, value in variant.items() if value is not None and value != ""}
    for name in {"title", "name"} & own.keys() & product.keys():
        own[f"variant.{name}"] = own.pop(name)
    merged = product | own
    if product.get("id") is not None:
        merged["group_id"] = product["id"]
    options = product.get("options")
    for option in options if isinstance(options, list) else []:
        if isinstance(option, dict) and (value := own.get(f"option{option.get('position')}")) not in (None, DEFAULT):
            merged[str(option.get("name"))] = value
    if "compare_at_price" in variant:
        merged |= _reduced(str(own.get("price", "")), str(own.get("compare_at_price", "")))
    return merged | _own_picture(product, own)


def _own_picture(product: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """The pictures of a Shopify variant: its own first, then the product's."""
    pictures = [part for part in product.get("images") or [] if isinstance(part, dict) and part.get("src")]
    if not pictures:
        return {}
    mine = own.get("featured_image")
    first = [mine["src"]] if isinstance(mine, dict) and mine.get("src") else []
    first += [part["src"] for part in pictures if part.get("id") is not None and part.get("id") == own.get("image_id")]
    return {"images": list(dict.fromkeys(first + [part["src"] for part in pictures]))}


def magento_rows(open_rows: Callable[[], Iterator[Row | str]]) -> Iterator[Row | str]:
    """Magento's CSV: attributes unfolded, and the children of a configurable product joined by its sku.

    Children come before their parent, so the file is read twice. Exports without `configurable_variations` tell the
    family only by the sku: a product not shown on its own whose sku continues a configurable one's with "-".
    """
    parents: dict[str, str] = {}
    configurable: set[str] = set()
    for row in open_rows():
        if isinstance(row, dict) and row.get("product_type") == "configurable":
            configurable.add(row.get("sku", ""))
            children = re.findall(r"(?:^|[|,])sku=([^,|]+)", row.get("configurable_variations", ""))
            parents |= dict.fromkeys(children, row.get("sku", ""))
    for row in open_rows():
        if isinstance(row, str):
            yield row
            continue
        sku = row.get("sku", "")
        parent = sku if sku in configurable else parents.get(sku) or _prefix(sku, row, configurable)
        yield {**_attributes(row), **row, **({"group_id": parent} if parent else {})}


def _prefix(sku: str, row: Row, configurable: set[str]) -> str:
    if not row.get("visibility", "").startswith("Not Visible"):
        return ""
    stems = [sku[:i] for i, c in enumerate(sku) if c == "-"]
    return next((stem for stem in reversed(stems) if stem in configurable), "")


def _attributes(row: Row) -> Row:
    """"size=XS,color=Black" as columns; a comma inside a value is none of a new name's."""
    listed = row.get("additional_attributes", "")
    pairs = re.findall(r"(?:^|,)([a-z][a-z0-9_]*)=(.*?)(?=,[a-z][a-z0-9_]*=|$)", listed, re.DOTALL)
    return {name: value.replace("|", "\n") for name, value in pairs if value}
