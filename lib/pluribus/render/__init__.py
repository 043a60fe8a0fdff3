"""Rendered products: pictures of which every attribute is known exactly.

They fill the demo shops, teach the shared model compositions ("a dark blue dotted mug"), and are the ground truth of
what real catalogs only guess: lightness in CIELAB L*, length, and products that do not exist ("improbable" ones).
Drawing is flat polygons at a higher resolution, pasted through masks and scaled down: only Pillow and NumPy.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from pluribus.render import atelier, hearth, outpost
from pluribus.render.colours import Colour, colour, names
from pluribus.render.easel import Finish, Pixels, View, paint, photograph
from pluribus.render.shapes import Kind
from pluribus.render.surfaces import MATERIALS, PATTERN_WORDS, PATTERNS

VERTICALS: dict[str, dict[str, Kind]] = {"fashion": atelier.KINDS, "home": hearth.KINDS, "outdoor": outpost.KINDS}
KINDS: dict[str, Kind] = {name: kind for kinds in VERTICALS.values() for name, kind in kinds.items()}
SIZES = {"small": 0.70, "medium": 0.82, "large": 0.94}  # scale in the picture
COLOURS = names()


@dataclass(frozen=True, slots=True)
class Item:
    """One product: what it is, and how its picture was taken."""

    kind: str
    colour: Colour
    pattern: str = "plain"
    pattern_colour: Colour | None = None  # None exactly when plain
    material: str = "matte"
    length: float | None = None  # 0 shortest ... 1 longest; None: this kind has no length
    size: str = "medium"
    view: View = View()

    @property
    def lightness(self) -> float:
        """CIELAB L* of the base colour."""
        return self.colour.lightness


def draw(item: Item, side_px: int = 256) -> Image.Image:
    """The picture of an item: RGB, side_px square. The same item gives the same picture."""
    product, cover = _paint(item, side_px)
    return Image.fromarray(photograph(product, cover, item.view, KINDS[item.kind].stands))


def silhouette(item: Item, side_px: int = 256) -> Image.Image:
    """Which pixels of `draw` the product covers: "L", 255 inside."""
    cover = _paint(replace(item, material="matte"), side_px)[1]
    return Image.fromarray(np.rint(cover * 255).astype(np.uint8))


def _paint(item: Item, side_px: int) -> tuple[Pixels, Pixels]:
    second = item.pattern_colour.rgb if item.pattern_colour else None
    finish = Finish(item.colour.rgb, item.pattern, second, item.material)
    length = 0.5 if item.length is None else item.length
    sized = replace(item.view, scale=item.view.scale * SIZES[item.size])
    return paint(KINDS[item.kind].parts(length), finish, sized, side_px)


def caption(item: Item, style: str = "title", seed: int = 0) -> str:
    """What a person might write of an item, in one of CAPTIONS; seed 0 uses the plainest words, others synonyms."""
    return " ".join(CAPTIONS[style](_words(item, seed)).split()).replace(" .", ".")


def improbable(a: Item, b: Item) -> Item:
    """A product that probably does not exist: the kind of `a` with pattern, colours and material of `b`."""
    return replace(a, colour=b.colour, pattern=b.pattern, pattern_colour=b.pattern_colour, material=b.material)


def opposites(vertical: str, n: int, seed: int = 0) -> list[tuple[Item, Item]]:
    """Pairs of patterned products that differ in kind, colour, pattern and material.

    What `improbable` makes of such a pair, either way round, shares with each half just what it took from it: a search
    for its caption must find it before both halves and before the other way round.
    """
    rng = np.random.default_rng(seed)
    pairs: list[tuple[Item, Item]] = []
    while len(pairs) < n:
        a, b = (sample(vertical, int(rng.integers(2**31))) for _ in range(2))
        clash = a.kind == b.kind or a.colour.name == b.colour.name or a.material == b.material
        if not clash and a.pattern != b.pattern and "plain" not in (a.pattern, b.pattern):
            pairs.append((a, b))
    return pairs


# --------------------------------------------------------------------------------------------------------- sampling


def sample(vertical: str, seed: int, kind_name: str = "") -> Item:
    """One random product of a vertical, of the named kind if any; every seed gives another."""
    rng = np.random.default_rng([seed, list(VERTICALS).index(vertical)])
    name = str(rng.choice(list(VERTICALS[vertical])))
    name = kind_name or name
    kind = KINDS[name]
    ground = colour(str(rng.choice(COLOURS)), rng.random())
    motif = "plain" if rng.random() < 0.4 else str(rng.choice(list(PATTERNS)[1:]))
    return Item(
        kind=name,
        colour=ground,
        pattern=motif,
        pattern_colour=None if motif == "plain" else contrast(ground, int(rng.integers(2**31))),
        material=str(rng.choice(kind.materials)),
        length=round(float(rng.random()), 3) if kind.lengths else None,
        size=str(rng.choice(list(SIZES), p=(0.2, 0.6, 0.2))),
        view=view(int(rng.integers(2**31))),
    )


def contrast(ground: Colour, seed: int) -> Colour:
    """A pattern colour that stands out: at least 30 L* from the ground."""
    rng = np.random.default_rng(seed)
    likely = ["white", "black"] if rng.random() < 0.5 else list(rng.permutation(COLOURS))
    choices = [colour(str(name)) for name in (*likely, "white", "black")]
    return next(choice for choice in choices if abs(choice.lightness - ground.lightness) >= 30)


def view(seed: int) -> View:
    """A random photograph: slightly turned, shifted and lit, mostly before a pale backdrop."""
    rng = np.random.default_rng(seed)
    tint = rng.uniform(-10, 10, 3) + rng.choice([246, 236, 220, 200], p=[0.5, 0.25, 0.15, 0.1])
    red, green, blue = (int(value) for value in np.clip(tint, 0, 252))
    return View(
        rotation_deg=round(float(rng.normal(0, 3)), 2),
        scale=round(float(rng.uniform(0.92, 1.04)), 3),
        x=round(float(rng.uniform(-0.04, 0.04)), 3),
        y=round(float(rng.uniform(-0.04, 0.04)), 3),
        flip=bool(rng.random() < 0.5),
        backdrop=(red, green, blue),
        scene=str(rng.choice(["studio", "plain", "floor"], p=[0.6, 0.2, 0.2])),
        light_from_right=bool(rng.random() < 0.3),
        exposure=round(float(rng.uniform(0.96, 1.03)), 3),
        pattern_scale=round(float(rng.uniform(0.85, 1.25)), 3),
        pattern_shift=round(float(rng.random()), 3),
        drape=int(rng.integers(4)),
    )


# ----------------------------------------------------------------------------------------------------------- wording


@dataclass(frozen=True, slots=True)
class Words:
    """The words for one item; an empty one is not worth saying."""

    kind: str
    colour: str
    pattern: str  # "striped"
    motif: str  # "white stripes"
    material: str
    length: str
    size: str


MOTIFS = {
    "striped": "stripes", "pinstriped": "pinstripes", "dotted": "dots", "checked": "checks", "zigzag": "zigzags",
    "floral": "flowers", "starred": "stars", "camouflage": "patches",
}  # fmt: skip

CAPTIONS: dict[str, Callable[[Words], str]] = {
    "kind": lambda w: w.kind,
    "title": lambda w: _title(f"{w.length} {w.colour} {w.pattern} {w.kind}"),
    "long title": lambda w: _title(f"{w.size} {w.length} {w.colour} {w.pattern} {w.material} {w.kind}"),
    "query": lambda w: f"{w.colour} {w.kind}",
    "pattern query": lambda w: f"{w.pattern} {w.kind}",
    "length query": lambda w: f"{w.length} {w.kind}",
    "material query": lambda w: f"{w.material} {w.kind}",
    "size query": lambda w: f"{w.size} {w.colour} {w.kind}",
    "keywords": lambda w: ", ".join(word for word in (w.kind, w.colour, w.pattern, w.material, w.length) if word),
    "photo": lambda w: f"a photo of {_a(f'{w.colour} {w.pattern} {w.kind}')}",
    "motif": lambda w: f"{_a(f'{w.colour} {w.kind}')} {w.motif and f'with {w.motif}'}",
    "made of": lambda w: f"{_a(f'{w.length} {w.pattern} {w.kind}')} in {w.colour}, {w.material}",
    "full": lambda w: f"{_a(f'{w.size} {w.length} {w.colour} {w.material} {w.kind}')} {w.motif and f'with {w.motif}'}",
    "sentence": lambda w: f"Our {w.length} {w.material} {w.kind} in {w.colour} {w.motif and f'with {w.motif}'}.",
}


def length_word(item: Item) -> str:
    """What people call the item's length: nothing where it is middling."""
    lengths = KINDS[item.kind].lengths
    if not lengths or item.length is None or abs(item.length - 0.5) < 0.2:
        return ""
    return lengths[item.length > 0.5]


def _words(item: Item, seed: int) -> Words:
    rng = np.random.default_rng(seed) if seed else None

    def pick(words: Sequence[str]) -> str:
        return str(words[int(rng.integers(len(words)))]) if rng else words[0]

    kind, motif = KINDS[item.kind], ""
    if item.pattern_colour:
        motif = f"{pick(item.pattern_colour.words)} {MOTIFS[item.pattern]}"
    return Words(
        kind=pick(kind.words),
        colour=pick(item.colour.words),
        pattern=pick(PATTERN_WORDS[item.pattern]) if motif or (rng and rng.random() < 0.2) else "",
        motif=motif,
        material=pick(MATERIALS[item.material].words),
        length=length_word(item),
        size="" if item.size == "medium" else item.size,
    )


def _title(text: str) -> str:
    return " ".join(word[:1].upper() + word[1:] for word in text.split())


def _a(noun: str) -> str:
    """The noun with its article: none for what comes in pairs."""
    noun = " ".join(noun.split())
    if noun.endswith("s") and not noun.endswith("ss"):
        return noun
    return f"an {noun}" if noun[:1] in "aeiou" else f"a {noun}"
