"""Surfaces: seamless pattern and texture tiles, and how light falls on a form.

Everything is drawn once per process and kept: a picture then needs only crops, scalings and pastes of these.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Grey = NDArray[np.float64]

TILE_PX = 384  # of a tile before it is repeated; 1.0 of a picture's coordinates
_SHADE_PX = 64


@dataclass(frozen=True, slots=True)
class Material:
    """What a material looks like."""

    words: tuple[str, ...]  # "cotton"; empty first word: not worth mentioning
    texture: str = ""  # an entry of TEXTURES
    strength: float = 0.0  # of the texture, 0 ... 1
    sheen: float = 0.1  # brightness of highlights, 0 ... 1
    sharpness: float = 1.0  # of highlights
    clear: float = 0.0  # share of the background that shines through


MATERIALS = {
    "matte": Material(("matte",), sheen=0.14, sharpness=0.7),
    "glossy": Material(("glossy", "shiny"), sheen=0.75, sharpness=2.2),
    "cotton": Material(("cotton",), "weave", 0.12, 0.08),
    "knitted": Material(("knitted", "knit", "wool"), "knit", 0.6, 0.05),
    "denim": Material(("denim", "jean"), "twill", 0.5, 0.08),
    "corduroy": Material(("corduroy", "ribbed"), "cord", 0.45, 0.2),
    "silk": Material(("silk", "satin"), sheen=0.6, sharpness=1.4),
    "leather": Material(("leather",), "grain", 0.22, 0.38, 1.2),
    "suede": Material(("suede",), "nap", 0.3, 0.05),
    "canvas": Material(("canvas",), "weave", 0.5, 0.05),
    "straw": Material(("straw", "wicker", "woven"), "basket", 0.7, 0.1),
    "wood": Material(("wooden", "wood"), "timber", 0.6, 0.15),
    "metal": Material(("metal", "steel", "metallic"), "brushed", 0.2, 0.95, 1.6),
    "glass": Material(("glass", "transparent"), sheen=0.9, sharpness=2.2, clear=0.5),
    "plastic": Material(("plastic",), sheen=0.4, sharpness=1.4),
    "plush": Material(("plush", "fluffy", "furry"), "fur", 0.5, 0.05),
    "paper": Material(("paper",), sheen=0.05),
}


# --------------------------------------------------------------------------------------------------------- patterns


def _lattice(n: int, columns: int) -> Iterator[tuple[float, float]]:
    """Staggered places on a tile and just beyond its edges, so that what is drawn there repeats without a seam."""
    step = n / columns
    for row in range(-1, 2 * columns + 2):
        for column in range(-1, columns + 2):
            yield (column + 0.5 * (row % 2)) * step, row * step / 2


def _disc(pen: ImageDraw.ImageDraw, x: float, y: float, radius: float, fill: int = 255) -> None:
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)


def _striped(pen: ImageDraw.ImageDraw, n: int) -> None:
    for k in range(4):
        pen.rectangle((0, k * n // 4, n, k * n // 4 + n // 8 - 1), fill=255)


def _pinstriped(pen: ImageDraw.ImageDraw, n: int) -> None:
    for k in range(8):
        pen.rectangle((k * n // 8, 0, k * n // 8 + n // 44, n), fill=255)


def _dotted(pen: ImageDraw.ImageDraw, n: int) -> None:
    for x, y in _lattice(n, 3):
        _disc(pen, x, y, n / 14)


def _checked(pen: ImageDraw.ImageDraw, n: int) -> None:
    step = n // 4
    for k in range(4):
        pen.rectangle((0, k * step, n, k * step + step // 2 - 1), fill=120)
    for k in range(4):
        for j in range(8):
            both = 255 if j % 2 == 0 else 120
            pen.rectangle((k * step, j * step // 2, k * step + step // 2 - 1, (j + 1) * step // 2 - 1), fill=both)


def _zigzag(pen: ImageDraw.ImageDraw, n: int) -> None:
    step = n // 4
    for k in range(-1, 5):
        points = [(j * step // 2, k * step + (step // 2 if j % 2 else 0)) for j in range(-1, 10)]
        pen.line(points, fill=255, width=step // 3, joint="curve")


def _floral(pen: ImageDraw.ImageDraw, n: int) -> None:
    for x, y in _lattice(n, 2):
        for k in range(5):
            angle = 2 * np.pi * k / 5
            _disc(pen, x + n / 15 * np.sin(angle), y - n / 15 * np.cos(angle), n / 20)
        _disc(pen, x, y, n / 30, 0)


def _starred(pen: ImageDraw.ImageDraw, n: int) -> None:
    for x, y in _lattice(n, 2):
        spikes = [(n / (24 if k % 2 else 9), np.pi * k / 5) for k in range(10)]
        pen.polygon([(x + radius * np.sin(a), y - radius * np.cos(a)) for radius, a in spikes], fill=255)


def _camouflage(pen: ImageDraw.ImageDraw, n: int) -> None:
    field = _periodic_noise(n, 6, 5) + 0.6 * _periodic_noise(n, 10, 15) + 0.25 * _periodic_noise(n, 24, 25)
    mask = Image.fromarray(((field > np.median(field)) * 255).astype(np.uint8))
    pen.bitmap((0, 0), mask, fill=255)


PATTERNS: dict[str, Callable[[ImageDraw.ImageDraw, int], None] | None] = {
    "plain": None,
    "striped": _striped,
    "pinstriped": _pinstriped,
    "dotted": _dotted,
    "checked": _checked,
    "zigzag": _zigzag,
    "floral": _floral,
    "starred": _starred,
    "camouflage": _camouflage,
}

PATTERN_WORDS: dict[str, tuple[str, ...]] = {
    "plain": ("plain", "solid"),
    "striped": ("striped", "stripy"),
    "pinstriped": ("pinstriped", "vertically striped"),
    "dotted": ("dotted", "polka dot", "spotted"),
    "checked": ("checked", "gingham", "plaid"),
    "zigzag": ("zigzag", "chevron"),
    "floral": ("floral", "flower print", "flowered"),
    "starred": ("starred", "star print"),
    "camouflage": ("camouflage", "camo"),
}

# --------------------------------------------------------------------------------------------------------- textures


def _grid(n: int) -> tuple[Grey, Grey]:
    y, x = np.mgrid[0:n, 0:n] / n
    return x, y


def _wave(turns: Grey) -> Grey:
    return 0.5 + 0.5 * np.sin(2 * np.pi * turns)


def _knit(n: int) -> Grey:
    x, y = _grid(n)
    return _wave(24 * y + 0.55 * np.abs((x * 20) % 1 - 0.5) * 2) * _wave(20 * x - 0.25) ** 0.3


def _basket(n: int) -> Grey:
    x, y = _grid(n)
    across = (np.floor(x * 16) + np.floor(y * 16)) % 2
    return np.where(across == 1, _wave(48 * y), _wave(48 * x))


def _timber(n: int) -> Grey:
    _, y = _grid(n)
    bend = _periodic_noise(n, 2, 11) + 0.12 * _periodic_noise(n, 8, 12)
    return 0.6 * _wave(11 * y + 1.6 * bend) ** 2 + 0.4 * _stretched(n, 13, along=0)


TEXTURES: dict[str, Callable[[int], Grey]] = {
    "weave": lambda n: _wave(64 * _grid(n)[0]) * _wave(64 * _grid(n)[1]),
    "knit": _knit,
    "twill": lambda n: 0.6 * _wave(40 * (_grid(n)[0] + _grid(n)[1])) + 0.4 * _periodic_noise(n, 96, 3),
    "cord": lambda n: _wave(36 * _grid(n)[0]) ** 2,
    "grain": lambda n: np.clip(_periodic_noise(n, 80, 4) * 2 - 0.6, 0, 1),
    "nap": lambda n: 0.4 * _periodic_noise(n, 20, 6) + 0.6 * _periodic_noise(n, 128, 7),
    "basket": _basket,
    "timber": _timber,
    "brushed": lambda n: _stretched(n, 8, along=1),
    "fur": lambda n: np.clip(0.3 * _periodic_noise(n, 24, 9) + 0.9 * _periodic_noise(n, 64, 10) - 0.1, 0, 1),
}


def _periodic_noise(n: int, cells: int, seed: int) -> Grey:
    """Smooth noise that repeats after n pixels, 0 ... 1: random knots, interpolated with cosines."""
    knots = np.random.default_rng(seed).random((cells, cells))
    at = np.arange(n) * cells / n
    low = at.astype(int) % cells
    blend = 0.5 - 0.5 * np.cos(np.pi * (at % 1))
    rows = knots[low] * (1 - blend)[:, None] + knots[(low + 1) % cells] * blend[:, None]
    return np.asarray(rows[:, low] * (1 - blend) + rows[:, (low + 1) % cells] * blend)


def _stretched(n: int, seed: int, along: int) -> Grey:
    lines = np.random.default_rng(seed).random((n // 3, 1)).repeat(3, axis=0)
    lines = np.pad(lines, ((0, n - len(lines)), (0, 0)), mode="wrap").repeat(n, axis=1)
    return lines if along == 1 else 0.5 * lines + 0.5 * _periodic_noise(n, 32, seed)


# ------------------------------------------------------------------------------------------------------------ tiles


@lru_cache
def pattern(name: str) -> Image.Image:
    """The mask of a pattern ("L", 3 tiles wide and high), white where the pattern's colour goes."""
    drawing = PATTERNS[name]
    image = Image.new("L", (TILE_PX, TILE_PX))
    if drawing is not None:
        drawing(ImageDraw.Draw(image), TILE_PX)
    return _repeated(image)


@lru_cache
def texture(material: str) -> Image.Image | None:
    """The mask of a material's darker places ("L", 3 tiles wide and high), or None where it has none."""
    made = MATERIALS[material]
    if not made.texture:
        return None
    values = np.clip(TEXTURES[made.texture](TILE_PX), 0, 1) * made.strength
    return _repeated(Image.fromarray(np.rint(values * 255).astype(np.uint8)))


def _repeated(image: Image.Image) -> Image.Image:
    wide = Image.new("L", (3 * TILE_PX, 3 * TILE_PX))
    for x in range(3):
        for y in range(3):
            wide.paste(image, (x * TILE_PX, y * TILE_PX))
    return wide


# ------------------------------------------------------------------------------------------------------------ light


@lru_cache(maxsize=512)
def shade(form: str, material: str, from_right: bool, variant: int = 0) -> tuple[Image.Image, Image.Image]:
    """How much darker and how much brighter each place of a form is: two small "L" images to be stretched over it."""
    made = MATERIALS[material]
    y, x = (np.mgrid[0:_SHADE_PX, 0:_SHADE_PX] + 0.5) / _SHADE_PX
    dark, light = FORMS[form](x, y, made.sharpness, variant)
    light = light * made.sheen
    if material == "metal":
        bands = _wave(2.3 * (y if form == "lying" else x) + 0.2)
        dark, light = dark * 0.7 + 0.34 * (1 - bands), np.maximum(light, 0.30 * bands**3)
    if from_right:
        dark, light = dark[:, ::-1], light[:, ::-1]
    to_image = [np.rint(np.clip(values, 0, 0.9) * 255).astype(np.uint8) for values in (dark, light)]
    return Image.fromarray(to_image[0]), Image.fromarray(to_image[1])


def _bump(distance: Grey, width: float) -> Grey:
    return np.exp(-((distance / width) ** 2))


def _flat(x: Grey, y: Grey, sharpness: float, _: int) -> tuple[Grey, Grey]:
    return 0.06 + 0.12 * (0.4 * x + 0.6 * y), 0.45 * _bump(x + 0.6 * y - 0.5, 0.22 / sharpness)


def _round(x: Grey, y: Grey, sharpness: float, _: int) -> tuple[Grey, Grey]:
    dark = 0.05 + 0.46 * np.clip((x - 0.42) / 0.58, 0, 1) ** 2 + 0.28 * np.clip((0.2 - x) / 0.2, 0, 1) ** 1.5
    return dark, 0.85 * _bump(x - 0.27, 0.13 / sharpness) * np.clip(1.15 - 0.4 * y, 0, 1)


def _lying(x: Grey, y: Grey, sharpness: float, _: int) -> tuple[Grey, Grey]:
    dark = 0.05 + 0.40 * np.clip((y - 0.5) / 0.5, 0, 1) ** 2 + 0.08 * x
    return dark, 0.7 * _bump(y - 0.24, 0.14 / sharpness) * np.clip(1.2 - x, 0, 1)


def _ball(x: Grey, y: Grey, sharpness: float, _: int) -> tuple[Grey, Grey]:
    distance = np.hypot(x - 0.36, y - 0.32)
    return 0.03 + 0.55 * np.clip(distance - 0.18, 0, 1) ** 1.4, 0.95 * _bump(distance, 0.20 / sharpness)


def _cloth(x: Grey, y: Grey, sharpness: float, variant: int) -> tuple[Grey, Grey]:
    rng = np.random.default_rng(100 + variant)
    fold = np.zeros_like(x)
    for width in (2.0, 3.5, 6.0):
        lean, phase = rng.uniform(-0.25, 0.25), rng.random()
        fold += _wave(width * (x + lean * y * (1 - y)) + phase) * (0.35 + 0.65 * y) / width
    fold /= fold.max()
    dark = 0.05 + 0.22 * fold**1.5 + 0.10 * np.clip(x - 0.5, 0, 1)
    return dark, 0.6 * (1 - fold) ** (2 * sharpness)


def _hollow(x: Grey, y: Grey, _sharpness: float, _: int) -> tuple[Grey, Grey]:
    return 0.12 + 0.4 * np.clip(0.8 - y, 0, 1), 0.0 * x


FORMS = {"flat": _flat, "round": _round, "lying": _lying, "ball": _ball, "cloth": _cloth, "hollow": _hollow}
