"""The three demo shops: catalogs of rendered products, each delivered the way another kind of real shop does it.

    atelier   fashion   Google Merchant RSS, pictures in a folder, rich texts, variants by item_group_id
    hearth    home      Shopify products JSON, HTML descriptions, variants inside products, pictures in a tar
    outpost   outdoor   semicolon CSV in Windows-1252 with decimal commas and no descriptions, pictures in a zip

Every shop also has a few broken rows and broken pictures, as every real shop has. Beside each feed lies `truth.jsonl`:
what every product really is, which no shop would deliver and only an evaluation may read.
"""

import csv
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path

import numpy as np
import PIL
from PIL import Image

from pluribus import render
from pluribus.colours import HUES, colour
from pluribus.easel import View
from pluribus.render import Item

PRODUCTS = 360  # with a sound row, per shop
SIDE_PX = 256

#: Pictures that are not, spread over the sound rows.
PICTURE_FAULTS = ("truncated", "missing", "html", "one pixel", "tiff")
#: Rows that are not; they follow the sound ones.
ROW_FAULTS = ("twin", "twin", "no title", "price in words", "negative price", "script in title", "no id", "ragged")

_STAMP = "demo.json"
_TIME = (2024, 1, 1, 0, 0, 0)  # of files in archives, so that the same shop is the same bytes


@dataclass(frozen=True)
class Product:
    """One row of a demo shop, with the truth about it."""

    id: str
    group_id: str
    item: Item
    title: str
    brand: str
    price: float
    pictures: dict[str, Item]  # file name -> what it shows: the product, seen again
    fault: str = ""  # one of ROW_FAULTS or PICTURE_FAULTS


@dataclass(frozen=True)
class Demo:
    """How one demo shop presents itself."""

    vertical: str  # of render.VERTICALS
    prefix: str  # of its product ids
    brands: tuple[str, ...]
    caption: str  # of render.CAPTIONS: how it words its titles
    photo: Callable[[View], View]  # its photographer's habits
    write: Callable[[Path, list[Product]], None]


def write_shops(folder: Path, seed: int = 1, n_products: int = PRODUCTS) -> None:
    """Write the feeds and pictures of every demo shop under `folder`; nothing happens when they are already there."""
    stamp = folder / _STAMP
    wanted = json.dumps({"drawn by": _fingerprint(), "seed": seed, "products": n_products})
    if stamp.exists() and stamp.read_text() == wanted:
        return
    for name, demo in DEMOS.items():
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        products = catalog(name, seed, n_products)
        demo.write(place, products)
        (place / "truth.jsonl").write_text("".join(json.dumps(_truth(product)) + "\n" for product in products))
    stamp.write_text(wanted)


def catalog(name: str, seed: int = 1, n_products: int = PRODUCTS) -> list[Product]:
    """The products of a demo shop, those with a sound row first, then the broken ones. Draws nothing."""
    demo = DEMOS[name]
    rng = np.random.default_rng([seed, *name.encode()])
    designs = _designs(demo.vertical, rng)
    every = n_products // (len(PICTURE_FAULTS) + 1)
    faults = dict(enumerate(ROW_FAULTS, n_products)) | {
        (n + 1) * every: fault for n, fault in enumerate(PICTURE_FAULTS)
    }
    return [_product(demo, n, *next(designs), faults.get(n, ""), rng) for n in range(n_products + len(ROW_FAULTS))]


def _product(demo: Demo, n: int, group: int, item: Item, fault: str, rng: np.random.Generator) -> Product:
    number = 1000 + n // 2 * 2 if fault == "twin" else 1000 + n  # the two twins share an even one
    identity = f"{demo.prefix}-{number}"
    views = 1 if fault else int(rng.choice([1, 2, 3], p=[0.7, 0.25, 0.05]))
    shots = [replace(item, view=demo.photo(render.view(int(rng.integers(2**31))))) for _ in range(views)]
    return Product(
        id=identity,
        group_id=f"{demo.prefix}-G{100 + group}",
        item=shots[0],
        title=render.caption(item, demo.caption),
        brand=str(rng.choice(demo.brands)),
        price=_price(item, rng),
        pictures={f"{identity.lower()}-{k}.jpg": shot for k, shot in enumerate(shots, 1)},
        fault=fault,
    )


def _designs(vertical: str, rng: np.random.Generator) -> Iterator[tuple[int, Item]]:
    """Endless variants of designs, three of each: in tone, in colour, or in length; with their group's number."""
    kinds = list(render.VERTICALS[vertical])
    toned = [name for name, hue in HUES.items() if hue.dark and hue.light]
    group = 0
    while True:
        item = render.sample(vertical, int(rng.integers(2**31)), kinds[group % len(kinds)])
        if item.length is not None and group // len(kinds) % 3 == 0:
            variants = [replace(item, length=round(at + float(rng.uniform(-0.08, 0.08)), 3)) for at in (0.1, 0.5, 0.9)]
        else:
            hue = str(rng.choice(toned))
            in_tones = [f"dark {hue}", hue, f"light {hue}"]
            names = in_tones if group // len(kinds) % 3 == 1 else rng.choice(render.COLOURS, 3, replace=False)
            variants = [_recoloured(item, str(name), rng) for name in names]
        yield from ((group, variant) for variant in variants)
        group += 1


def _recoloured(item: Item, name: str, rng: np.random.Generator) -> Item:
    ground = colour(name, float(rng.random()))
    second = item.pattern_colour and render.contrast(ground, int(rng.integers(2**31)))
    return replace(item, colour=ground, pattern_colour=second)


def _price(item: Item, rng: np.random.Generator) -> float:
    size = {"small": 0.8, "medium": 1.0, "large": 1.25}[item.size]
    return max(1, round(render.KINDS[item.kind].price * size * float(rng.uniform(0.75, 1.35)))) - 0.05


def _truth(product: Product) -> dict[str, object]:
    item = product.item
    return {
        "product_id": product.id,
        "group_id": product.group_id,
        "fault": product.fault,
        "kind": item.kind,
        "colour": item.colour.name,
        "rgb": item.colour.rgb,
        "lightness": round(item.lightness, 3),
        "pattern": item.pattern,
        "pattern_colour": item.pattern_colour and item.pattern_colour.name,
        "material": item.material,
        "length": item.length,
        "size": item.size,
        "category": render.KINDS[item.kind].category,
        "pictures": list(product.pictures),
    }


# --------------------------------------------------------------------------------------------------------- pictures


def _pictures(products: Iterable[Product]) -> Iterator[tuple[str, bytes]]:
    """File name and bytes of every picture that the shop has, broken ones as it has them."""
    shots = {name: (item, product.fault) for product in products for name, item in product.pictures.items()}
    for name, (item, fault) in shots.items():
        data = _picture(item, fault)
        if data:
            yield name, data


def _picture(item: Item, fault: str) -> bytes:
    if fault == "missing":
        return b""
    if fault == "html":
        return b"<!DOCTYPE html><html><title>404</title><body>This picture has moved.</body></html>"
    image = render.draw(item, SIDE_PX)
    if fault == "one pixel":
        image = image.resize((1, 1))
    data = _encoded(image, "TIFF" if fault == "tiff" else "JPEG")
    return data[: len(data) // 3] if fault == "truncated" else data


def _encoded(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, quality=88)
    return buffer.getvalue()


# ------------------------------------------------------------------------------------------------------------ feeds


def _write_rss(folder: Path, products: list[Product]) -> None:
    (folder / "images").mkdir(exist_ok=True)
    for name, data in _pictures(products):
        (folder / "images" / name).write_bytes(data)
    items = "\n".join(_rss_item(product) for product in products)
    head = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0">\n<channel>'
    )
    text = f"{head}\n<title>Atelier</title>\n<link>https://atelier.example/</link>\n{items}\n</channel>\n</rss>\n"
    (folder / "feed.xml").write_text(text, encoding="utf-8", newline="\n")


def _rss_item(product: Product) -> str:
    item, (first, *more) = product.item, [f"images/{name}" for name in product.pictures]
    tags = [
        ("g:id", product.id),
        ("g:item_group_id", product.group_id),
        ("title", _title(product)),
        ("description", f"{render.caption(item, 'sentence')} {_care(item)}"),
        ("link", f"https://atelier.example/p/{product.id.lower()}"),
        ("g:image_link", first),
        *(("g:additional_image_link", name) for name in more),
        ("g:price", _priced(product, f"{product.price:.2f} EUR")),
        ("g:availability", "out of stock" if product.id.endswith("7") else "in stock"),
        ("g:condition", "new"),
        ("g:brand", product.brand),
        ("g:color", item.colour.name),
        ("g:pattern", item.pattern),
        ("g:material", item.material),
        ("g:size", item.size[0].upper()),
        ("g:product_type", render.KINDS[item.kind].category),
    ]
    left_out = {"no id": "g:id", "ragged": "description"}.get(product.fault)
    return "<item>" + "".join(f"<{tag}>{escape(text)}</{tag}>" for tag, text in tags if tag != left_out) + "</item>"


def _write_shopify(folder: Path, products: list[Product]) -> None:
    with tarfile.open(folder / "images.tar", "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in _pictures(products):
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1_704_067_200
            archive.addfile(info, io.BytesIO(data))
    groups: dict[str, list[Product]] = {}
    for product in products:
        groups.setdefault(product.group_id + product.fault * (product.fault in ROW_FAULTS), []).append(product)
    listed = [_shopify_product(number, group) for number, group in enumerate(groups.values())]
    (folder / "products.json").write_text(json.dumps({"products": listed}, indent=1, ensure_ascii=False), "utf-8")


def _shopify_product(number: int, group: list[Product]) -> dict[str, object] | str:
    first = group[0]
    if first.fault == "ragged":
        return f"{first.id}: export failed"
    name = render.caption(first.item, "pattern query")
    about = f"<p>{escape(f'A {first.item.material} {name}.')}</p>\n<ul><li>{escape(_care(first.item))}</li></ul>"
    return {
        "id": 7_000_000_000_000 + number,
        "title": _title(replace(first, title=name.title())),
        "handle": f"{first.group_id.lower()}-{number}",
        "body_html": about,
        "vendor": first.brand,
        "product_type": render.KINDS[first.item.kind].category,
        "tags": [first.item.pattern, first.item.material],
        "options": [{"name": "Color", "position": 1}, {"name": "Size", "position": 2}],
        "variants": [_shopify_variant(place, product) for place, product in enumerate(group, 1)],
        "images": [
            {"id": 9_000_000 + 10 * int(product.id[-4:]) + n, "src": name, "variant_ids": [_variant_id(product)]}
            for product in group
            for n, name in enumerate(product.pictures)
        ],
    }


def _shopify_variant(position: int, product: Product) -> dict[str, object]:
    item = product.item
    size = render.length_word(item).title() or "Regular"
    return {
        "id": None if product.fault == "no id" else _variant_id(product),
        "title": f"{item.colour.name.title()} / {size}",
        "option1": item.colour.name.title(),
        "option2": size,
        "sku": "" if product.fault == "no id" else product.id,
        "price": _priced(product, f"{product.price:.2f}"),
        "compare_at_price": f"{product.price * 1.25:.2f}" if product.id.endswith("3") else None,
        "available": not product.id.endswith("7"),
        "position": position,
        "featured_image": {"src": next(iter(product.pictures))},
    }


def _variant_id(product: Product) -> int:
    return 41_000_000_000_000 + int(product.id[-4:])


def _write_csv(folder: Path, products: list[Product]) -> None:
    with zipfile.ZipFile(folder / "bilder.zip", "w") as archive:
        for name, data in _pictures(products):
            archive.writestr(zipfile.ZipInfo(name, _TIME), data)
    with (folder / "artikel.csv").open("w", encoding="cp1252", newline="") as file:
        rows = csv.writer(file, delimiter=";", lineterminator="\r\n")
        rows.writerow(["Artikelnr", "Bezeichnung", "Warengruppe", "Marke", "Preis", "Bestand", "Bild 1", "Bild 2"])
        for product in products:
            first, second, *_ = [*product.pictures, ""]
            price = _priced(product, f"{product.price:,.2f} €".translate(str.maketrans(",.", ".,")))
            identity = "" if product.fault == "no id" else product.id
            category, stock = render.KINDS[product.item.kind].category, int(product.id[-2:]) // 3
            surplus = ["Restposten", "?"] if product.fault == "ragged" else []
            rows.writerow([identity, _title(product), category, product.brand, price, stock, first, second, *surplus])


def _title(product: Product) -> str:
    if product.fault == "no title":
        return ""
    return f"<script>alert('{product.id}')</script>" * (product.fault == "script in title") + product.title


def _priced(product: Product, price: str) -> str:
    return {"price in words": "N/A", "negative price": f"-{price}"}.get(product.fault, price)


def _care(item: Item) -> str:
    """A sentence as shops like them; it says nothing of the colour."""
    return {
        "wood": "Solid wood, oiled by hand.",
        "glass": "Mouth-blown glass, dishwasher safe.",
        "metal": "Made of recycled metal, wipe clean.",
        "leather": "Full-grain leather that ages well.",
        "knitted": "Soft knit, wash by hand.",
        "silk": "Fine silk with a soft lustre, dry clean only.",
    }.get(item.material, "Made to last, easy to care for.")


def _fingerprint() -> str:
    """Changes with everything that decides what is drawn and written."""
    digest = hashlib.sha256(f"{PIL.__version__} {np.__version__}".encode())
    for name in ("shapes", "colours", "surfaces", "atelier", "hearth", "outpost", "easel", "render", "demo"):
        digest.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    return digest.hexdigest()


DEMOS = {
    "atelier": Demo(
        vertical="fashion",
        prefix="AT",
        brands=("Maison Nord", "Lumière", "Plain & Co", "Ostwind"),
        caption="long title",
        photo=lambda view: replace(view, backdrop=(246, 246, 247), scene="studio", light_from_right=False),
        write=_write_rss,
    ),
    "hearth": Demo(
        vertical="home",
        prefix="HE",
        brands=("Hearth", "Kiln & Loom", "Ängsmark"),
        caption="title",
        photo=lambda view: replace(
            view, backdrop=(238, 230, 218), scene="floor" if view.flip else "studio", rotation_deg=view.rotation_deg / 4
        ),
        write=_write_shopify,
    ),
    "outpost": Demo(
        vertical="outdoor",
        prefix="OP",
        brands=("Gebrüder Läufer", "Trailhead", "Søkyst"),
        caption="keywords",
        photo=lambda view: view,
        write=_write_csv,
    ),
}
