"""Shop systems whose files need more than a mapping: one product spread over several rows, columns inside a column.

Each function turns the rows or items of a file into one per variant, and adds what it worked out under our own
column names; the source's values stay as they are.
"""

import re
from collections.abc import Callable, Iterator
from itertools import groupby, islice
from typing import Any

from pluribus.errors import FeedError
from pluribus.feeds import fields

Row = dict[str, Any]
Rows = Iterator[Row | str]  # text is a row that could not be read, and passes through

SKU_CHARS, PICTURES = (
    512,
    100,
)  # looked at: each variant repeats its product's pictures, so that few bytes make very many
HANDLE_ROWS = 10_000  # Shopify allows a product 2,048 variants
DEFAULT = "Default Title"  # Shopify's name for the only variant of a product without options
VARIANTS = ("variants", "variations", "skus")
IDENTITIES = ("id", "product_id", "productId", "sku")
OWN = (*IDENTITIES, "barcode", "ean", "gtin", "upc", "mpn")  # say which article it is: a variant does not inherit them


def shopify_rows(rows: Rows) -> Rows:
    """Shopify's CSV: rows of one Handle are a product; those with a price are variants, the others bring pictures."""
    for handle, group in groupby(rows, key=lambda row: row if isinstance(row, str) else row["Handle"]):
        lines = list(islice(group, HANDLE_ROWS + 1))
        if len(lines) > HANDLE_ROWS:
            raise FeedError(f"more than {HANDLE_ROWS:,} rows have one Handle", expected="a row per variant or picture")
        yield from [line for line in lines if isinstance(line, str)]
        yield from _shopify_variants(handle, [line for line in lines if not isinstance(line, str)])


def _shopify_variants(handle: Any, lines: list[Row]) -> Iterator[Row]:
    product = next((line for line in lines if line.get("Title")), lines[0]) if lines else {}
    pictures = [line["Image Src"] for line in lines if line.get("Image Src")][:PICTURES]
    shared = {name: value for name, value in product.items() if not re.match(r"Variant |Option\d Value|Image ", name)}
    for line in [line for line in lines if line.get("Variant Price") or line.get("Option1 Value")] or lines[:1]:
        own = {product.get(f"Option{n} Name", ""): line.get(f"Option{n} Value", "") for n in "123"}
        options = {name: value for name, value in own.items() if name and value and value != DEFAULT}
        yield {
            **shared,
            **options,
            **{name: value for name, value in line.items() if value},
            "product_id": line.get("Variant SKU") or "/".join([handle, *options.values()]),
            "group_id": handle,
            "images": "\n".join(filter(None, [line.get("Variant Image"), *pictures])),
            "availability": _shopify_stock(line),
            **_reduced(line.get("Variant Price", ""), line.get("Variant Compare At Price", "")),
        }


def _shopify_stock(line: Row) -> str:
    """A variant without tracker is always sold; one with the policy "continue" also when there is none left."""
    if not line.get("Variant Inventory Tracker"):
        return "in stock"
    left = line.get("Variant Inventory Qty", "")
    return "backorder" if line.get("Variant Inventory Policy") == "continue" and left.startswith(("0", "-")) else left


def _reduced(price: str, before: str) -> Row:
    """Shopify's price is what is paid now; "compare at" is the price it is compared with."""
    try:
        lowered = float(before) > float(price)
    except ValueError:
        lowered = False
    return {"price": before, "sale_price": price} if lowered else {"price": price}


def variants(item: Row) -> list[Row]:
    """A product with nested variants as one item per variant, or as itself.

    A variant inherits what it does not say, except what identifies a product. Its own title ("Red / S") stays aside:
    titles are the product's.
    """
    key = next((key for key in VARIANTS if item.get(key) and isinstance(item[key], list)), "")
    if not key or not all(isinstance(part, dict) for part in item[key]):
        return [item]
    product = {name: value for name, value in item.items() if name != key}
    named = (name for name, value in product.items() if value and fields.means(name, "product_id"))
    identity = next((name for name in IDENTITIES if product.get(name)), None) or next(named, "id")
    group = product.get(identity) or product.get("handle")
    if not group:
        return [item]  # nothing could name its variants
    made = []
    for place, part in enumerate(item[key], 1):
        own = {name: value for name, value in part.items() if name not in (*IDENTITIES, identity) or value != group}
        if identity not in own:  # then products without variants could not be told from these by one column
            own[identity] = next((own[name] for name in IDENTITIES if own.get(name)), f"{group}/{place}")
        made.append({"group_id": group} | _variant(product, own))
    return made


def _variant(product: Row, variant: Row) -> Row:
    own = {name: value for name, value in variant.items() if value is not None and value != ""}
    for name in {"title", "name"} & own.keys() & product.keys():
        own[f"variant.{name}"] = own.pop(name)
    options = product.get("options")
    for option in options if isinstance(options, list) else []:
        if isinstance(option, dict) and (value := own.get(f"option{option.get('position')}")) not in (None, DEFAULT):
            own[str(option.get("name"))] = value
    if "compare_at_price" in variant:
        own |= _reduced(str(own.get("price", "")), str(own.get("compare_at_price", "")))
    inherited = {f"parent.{name}" if name in OWN else name: value for name, value in product.items()}
    return inherited | own | _own_pictures(product, own)


def _own_pictures(product: Row, own: Row) -> Row:
    """The pictures of a Shopify variant: its own first, then those of the product that are no other variant's."""
    pictures = [part for part in product.get("images") or [] if isinstance(part, dict) and part.get("src")][:PICTURES]
    if not pictures:
        return {}
    featured = own.get("featured_image")
    first = [featured["src"]] if isinstance(featured, dict) and featured.get("src") else []
    mine = {str(value) for value in (own.get("image_id"), own.get("id")) if value is not None}
    first += [p["src"] for p in pictures if mine & {str(p.get("id")), *map(str, p.get("variant_ids") or [])}]
    return {"images": first + [part["src"] for part in pictures if not part.get("variant_ids")]}


def magento_rows(open_rows: Callable[[], Rows]) -> Rows:
    """Magento's CSV: attributes unfolded, and the children of a configurable product joined by its sku.

    Children come before their parent, so the file is read twice. Exports without `configurable_variations` tell the
    family only by the sku: a product not shown on its own whose sku continues a configurable one's with "-".
    """
    parents: dict[str, str] = {}
    for row in open_rows():
        if isinstance(row, dict) and row["product_type"] == "configurable":
            children = re.findall(r"(?:^|[|,])sku=([^,|]+)", row.get("configurable_variations", ""))
            parents |= dict.fromkeys([*children, row["sku"]], row["sku"])
    for row in open_rows():
        if isinstance(row, str):
            yield row
        else:
            parent = parents.get(row["sku"]) or _prefix(row, parents)
            yield {**_attributes(row), **row, **({"group_id": parent} if parent else {})}


def _prefix(row: Row, parents: dict[str, str]) -> str:
    if not row.get("visibility", "").startswith("Not Visible"):
        return ""
    stems = [row["sku"][:place] for place, c in enumerate(row["sku"][:SKU_CHARS]) if c == "-"]
    return next((stem for stem in reversed(stems) if parents.get(stem) == stem), "")


def _attributes(row: Row) -> Row:
    """ "size=XS,color=Black" as columns; a comma that no new name follows belongs to the value."""
    listed = row.get("additional_attributes", "")
    pairs = re.findall(r"(?:^|,)([a-z][a-z0-9_]*)=(.*?)(?=,[a-z][a-z0-9_]*=|$)", listed, re.DOTALL)
    return {name: value.replace("|", "\n") for name, value in pairs if value}


def woocommerce_rows(rows: Rows) -> Rows:
    """WooCommerce's CSV: "Attribute 1 name" and "Attribute 1 value(s)" become a column; variations have a parent.

    They name it by its SKU, or as "id:1" where it has none.
    """
    skus: dict[str, str] = {}
    for row in rows:
        if isinstance(row, str):
            yield row
            continue
        names = {key: name for key, name in row.items() if name and re.fullmatch(r"Attribute \d+ name", key)}
        values = {name: row.get(f"{key.removesuffix('name')}value(s)", "") for key, name in names.items()}
        if row["Type"] == "variable":
            skus[row["ID"]] = row.get("SKU") or row["ID"]
        named = row.get("Parent", "")
        parent = skus.get(named.removeprefix("id:"), named.removeprefix("id:")) if named else skus.get(row["ID"], "")
        yield {**values, **row, **({"group_id": parent} if parent else {})}
