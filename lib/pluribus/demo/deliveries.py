"""How shops deliver: the same plain rows written in three dialects, each with the faults that such feeds have.

These writers are the opposite of `feeds` and know nothing of it, so that reading and writing cannot share a mistake.
The same rows give the same bytes: archives carry no clock.
"""

import csv
import io
import json
import tarfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path

Pictures = Iterable[tuple[str, bytes]]  # file name and content

#: What is wrong with a row. Two rows with "twin" bear one id.
ROW_FAULTS = ("twin", "twin", "no title", "price in words", "negative price", "script in title", "no id", "ragged")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One product as a shop knows it; every text in English, the price in euros."""

    id: str  # letters, "-", and a number of four digits
    group_id: str  # of its variants
    title: str
    name: str  # kind and pattern alone
    description: str
    about: str  # of its material alone
    brand: str
    price: float
    category: str  # a path, "Clothing > Tops > Shirts"
    colour: str
    pattern: str
    material: str
    length: str
    size: str
    pictures: tuple[str, ...]  # file names
    fault: str = ""  # one of ROW_FAULTS makes the row broken

    @property
    def number(self) -> int:
        """What the id counts."""
        return int(self.id[-4:])


def google_rss(folder: Path, rows: list[Row], pictures: Pictures) -> None:
    """feed.xml: Google Merchant's RSS 2.0; pictures in the folder images."""
    (folder / "images").mkdir(exist_ok=True)
    for name, data in pictures:
        (folder / "images" / name).write_bytes(data)
    items = "\n".join(map(_rss_item, rows))
    head = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0">\n<channel>'
    )
    text = f"{head}\n<title>Products</title>\n<link>https://shop.example/</link>\n{items}\n</channel>\n</rss>\n"
    (folder / "feed.xml").write_text(text, encoding="utf-8", newline="\n")


def _rss_item(row: Row) -> str:
    first, *more = [f"images/{name}" for name in row.pictures]
    tags = [
        ("g:id", row.id),
        ("g:item_group_id", row.group_id),
        ("title", _title(row)),
        ("description", row.description),
        ("link", f"https://shop.example/p/{row.id.lower()}"),
        ("g:image_link", first),
        *(("g:additional_image_link", name) for name in more),
        ("g:price", _price(row, f"{row.price:.2f} EUR")),
        ("g:availability", "out of stock" if row.number % 10 == 7 else "in stock"),
        ("g:condition", "new"),
        ("g:brand", row.brand),
        ("g:color", row.colour),
        ("g:pattern", row.pattern),
        ("g:material", row.material),
        ("g:size", row.size[0].upper()),
        ("g:product_type", row.category),
    ]
    left_out = {"no id": ("g:id",), "ragged": ("title", "description", "g:price")}.get(row.fault, ())
    return "<item>" + "".join(f"<{tag}>{escape(text)}</{tag}>" for tag, text in tags if tag not in left_out) + "</item>"


def shopify(folder: Path, rows: list[Row], pictures: Pictures) -> None:
    """products.json: Shopify's products with their variants; pictures in images.tar."""
    with tarfile.open(folder / "images.tar", "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in pictures:
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1_704_067_200
            archive.addfile(info, io.BytesIO(data))
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.group_id, row.colour, row.fault * (row.fault in ROW_FAULTS)), []).append(row)
    listed = [_shopify_product(number, group) for number, group in enumerate(groups.values())]
    (folder / "products.json").write_text(json.dumps({"products": listed}, indent=1, ensure_ascii=False), "utf-8")


def _shopify_product(number: int, group: list[Row]) -> dict[str, object] | str:
    first = group[0]
    if first.fault == "ragged":
        return f"{first.id}: export failed"
    about = f"<p>{escape(first.name.capitalize())} by {escape(first.brand)}.</p>"
    facts = f"<ul>\n<li>Material: {first.material}</li>\n<li>{escape(first.about)}</li>\n</ul>"
    return {
        "id": 7_000_000_000_000 + number,
        "title": _title(replace(first, title=f"{first.colour} {first.name}".title())),
        "handle": f"{first.group_id}-{number}".lower(),
        "body_html": f"{about}\n{facts}",
        "vendor": first.brand,
        "product_type": first.category,
        "tags": [first.pattern, first.material],
        "options": [{"name": "Size" if len(group) > 1 else "Title", "position": 1}],
        "variants": [_shopify_variant(place, row, len(group)) for place, row in enumerate(group, 1)],
        "images": [
            {"id": 9_000_000 + 10 * row.number + n, "src": name, "variant_ids": [_variant_id(row)]}
            for row in group
            for n, name in enumerate(row.pictures)
        ],
    }


def _shopify_variant(position: int, row: Row, siblings: int) -> dict[str, object]:
    option = (row.length.capitalize() or "Regular") if siblings > 1 else "Default Title"
    return {
        "id": None if row.fault == "no id" else _variant_id(row),
        "title": option,
        "option1": option,
        "sku": "" if row.fault == "no id" else row.id,
        "price": _price(row, f"{row.price:.2f}"),
        "compare_at_price": f"{row.price * 1.25:.2f}" if row.number % 10 == 3 else None,
        "available": row.number % 10 != 7,
        "position": position,
        "featured_image": {"src": row.pictures[0]},
    }


def _variant_id(row: Row) -> int:
    return 41_000_000_000_000 + row.number


def german_csv(folder: Path, rows: list[Row], pictures: Pictures) -> None:
    """artikel.csv: German columns, semicolons, decimal commas, Windows-1252; pictures in bilder.zip."""
    with zipfile.ZipFile(folder / "bilder.zip", "w") as archive:
        for name, data in pictures:
            archive.writestr(zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0)), data)
    with (folder / "artikel.csv").open("w", encoding="cp1252", newline="") as file:
        lines = csv.writer(file, delimiter=";", lineterminator="\r\n")
        lines.writerow(["Artikelnr", "Bezeichnung", "Warengruppe", "Marke", "Preis", "Bestand", "Bild 1", "Bild 2"])
        for row in rows:
            first, second, *_ = [*row.pictures, ""]
            price = _price(row, f"{row.price:,.2f} €".translate(str.maketrans(",.", ".,")))
            identity = "" if row.fault == "no id" else row.id
            surplus = ["Restposten", "?"] if row.fault == "ragged" else []
            lines.writerow(
                [identity, _title(row), row.category, row.brand, price, row.number % 40, first, second, *surplus]
            )


def _title(row: Row) -> str:
    if row.fault == "no title":
        return ""
    return f"<script>alert('{row.id}')</script>" * (row.fault == "script in title") + row.title


def _price(row: Row, price: str) -> str:
    return {"price in words": "N/A", "negative price": f"-{price}"}.get(row.fault, price)
