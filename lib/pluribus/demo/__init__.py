"""The three demo shops: catalogs of rendered products, each delivered the way another kind of real shop does it.

    atelier   fashion   Google Merchant RSS, pictures in a folder, rich texts, variants by item_group_id
    hearth    home      Shopify products JSON, HTML descriptions, variants inside products, pictures in a tar
    outpost   outdoor   semicolon CSV in Windows-1252 with decimal commas and no descriptions, pictures in a zip

Every shop also has a few broken rows and broken pictures, as every real shop has. Beside each feed lies `truth.jsonl`:
what every product really is, which no shop would deliver and only an evaluation may read.
"""

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import PIL
from PIL import Image

from pluribus import render
from pluribus.demo import deliveries
from pluribus.demo.deliveries import ROW_FAULTS, Pictures, Row
from pluribus.render import Item
from pluribus.render.colours import HUES, colour
from pluribus.render.easel import View

PRODUCTS = 360  # with a sound row, per shop
SIDE_PX = 256

#: Pictures that are not, spread over the sound rows.
PICTURE_FAULTS = ("truncated", "missing", "html", "one pixel", "tiff")
_STAMP = "demo.json"


@dataclass(frozen=True)
class Product:
    """One row of a demo shop, with the truth about it."""

    row: Row
    item: Item
    shots: dict[str, Item]  # picture name -> what it shows: the product, seen again
    fault: str  # one of ROW_FAULTS or PICTURE_FAULTS, or ""


@dataclass(frozen=True)
class Demo:
    """How one demo shop presents itself."""

    vertical: str  # of render.VERTICALS
    prefix: str  # of its product ids
    brands: tuple[str, ...]
    caption: str  # of render.CAPTIONS: how it words its titles
    photo: Callable[[View], View]  # its photographer's habits
    write: Callable[[Path, list[Row], Pictures], None]  # its dialect


def write_shops(folder: Path, seed: int = 1, n_products: int = PRODUCTS) -> None:
    """Write the feeds and pictures of every demo shop under `folder`; nothing happens when they are already there."""
    stamp = folder / _STAMP
    wanted = json.dumps({"drawn by": _fingerprint(), "seed": seed, "products": n_products})
    if stamp.exists() and stamp.read_text() == wanted:
        return
    stamp.unlink(missing_ok=True)  # a writing that is cut short must not pass for a whole one
    for name, demo in DEMOS.items():
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        products = catalog(name, seed, n_products)
        demo.write(place, [product.row for product in products], _pictures(products))
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
    products = []
    for n in range(n_products + len(ROW_FAULTS)):
        fault = faults.get(n, "")
        number = 1000 + (n_products if fault == "twin" else n)
        products.append(_product(demo, number, *next(designs), fault, rng))
    return products


def _product(demo: Demo, number: int, group: int, item: Item, fault: str, rng: np.random.Generator) -> Product:
    identity = f"{demo.prefix}-{number}"
    views = 1 if fault else int(rng.choice([1, 2, 3], p=[0.7, 0.25, 0.05]))
    shots = [replace(item, view=demo.photo(render.view(int(rng.integers(2**31))))) for _ in range(views)]
    names = [f"{identity.lower()}-{k}.jpg" for k in range(1, views + 1)]
    row = Row(
        id=identity,
        group_id=f"{demo.prefix}-G{100 + group}",
        title=render.caption(item, demo.caption),
        name=render.caption(item, "pattern query"),
        description=f"{render.caption(item, 'sentence')} {_care(item)}",
        about=_care(item),
        brand=str(rng.choice(demo.brands)),
        price=_price(item, rng),
        category=render.KINDS[item.kind].category,
        colour=item.colour.name,
        pattern=item.pattern,
        material=item.material,
        length=render.length_word(item),
        size=item.size,
        pictures=tuple(names),
        fault=fault,
    )
    return Product(row, shots[0], dict(zip(names, shots, strict=True)), fault)


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
        "product_id": product.row.id,
        "design": product.row.group_id,
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
        "category": product.row.category,
        "pictures": product.row.pictures,
    }


# --------------------------------------------------------------------------------------------------------- pictures


def _pictures(products: Iterable[Product]) -> Pictures:
    """File name and bytes of every picture that the shop has, broken ones as it has them."""
    shots = {name: (item, product.fault) for product in products for name, item in product.shots.items()}
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
    own = Path(__file__).parent
    for file in sorted([*own.glob("*.py"), *(own.parent / "render").glob("*.py")]):
        digest.update(file.read_bytes())
    return digest.hexdigest()


DEMOS = {
    "atelier": Demo(
        vertical="fashion",
        prefix="AT",
        brands=("Maison Nord", "Lumière", "Plain & Co", "Ostwind"),
        caption="long title",
        photo=lambda view: replace(view, backdrop=(246, 246, 247), scene="studio", light_from_right=False),
        write=deliveries.google_rss,
    ),
    "hearth": Demo(
        vertical="home",
        prefix="HE",
        brands=("Hearth", "Kiln & Loom", "Ängsmark"),
        caption="title",
        photo=lambda view: replace(
            view, backdrop=(238, 230, 218), scene="floor" if view.flip else "studio", rotation_deg=view.rotation_deg / 4
        ),
        write=deliveries.shopify,
    ),
    "outpost": Demo(
        vertical="outdoor",
        prefix="OP",
        brands=("Gebrüder Läufer", "Trailhead", "Søkyst"),
        caption="keywords",
        photo=lambda view: view,
        write=deliveries.german_csv,
    ),
}
