"""Colours with a name and an exact lightness, for pictures whose truth must be known.

A hue is a chroma and an angle in CIE LCh(ab) with the range of lightness in which people still call it so; "dark" and
"light" are the ranges beside it. Conversions: IEC 61966-2-1 (sRGB) and CIE 15 (CIELAB, white point D65).
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Rgb = tuple[int, int, int]

_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = _TO_XYZ.sum(axis=1)
_FROM_XYZ = np.linalg.inv(_TO_XYZ)


@dataclass(frozen=True, slots=True)
class Hue:
    """Where a colour word holds: chroma, angle in degrees, and ranges of L*."""

    chroma: float
    angle: float
    middle: tuple[float, float]
    dark: tuple[float, float] | None = None
    light: tuple[float, float] | None = None
    words: tuple[str, ...] = ()
    dark_words: tuple[str, ...] = ()
    light_words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Colour:
    """A named colour; `rgb` is exact, its lightness follows from it."""

    name: str  # "dark blue"
    rgb: Rgb

    @property
    def lightness(self) -> float:
        """CIELAB L*, 0 (black) to 100 (white)."""
        return float(lightness(np.array(self.rgb, dtype=np.uint8)))

    @property
    def words(self) -> tuple[str, ...]:
        """What people call it; the first is the name."""
        return _words(self.name)


HUES = {
    "black": Hue(0, 0, (6, 17)),
    "grey": Hue(0, 0, (48, 62), (28, 40), (72, 84), ("gray",), ("dark gray", "charcoal"), ("light gray", "silver")),
    "white": Hue(0, 0, (95, 99)),
    "red": Hue(72, 34, (44, 53), (23, 34), None, ("scarlet",), ("maroon", "burgundy")),
    "pink": Hue(42, 0, (68, 76), (52, 60), (84, 90), ("rose",), ("dusky pink",), ("pale pink",)),
    "orange": Hue(78, 60, (64, 72), None, (79, 86), (), (), ("peach", "apricot")),
    "brown": Hue(36, 62, (34, 43), (18, 26), (52, 61), ("chestnut",), ("chocolate",), ("tan", "caramel")),
    "beige": Hue(19, 86, (80, 89), None, None, ("cream", "sand")),
    "yellow": Hue(84, 97, (81, 87), (64, 71), (91, 94), (), ("mustard",), ("pale yellow", "lemon")),
    "green": Hue(58, 140, (48, 58), (22, 34), (76, 87), (), ("forest green",), ("mint", "pale green")),
    "turquoise": Hue(40, 195, (64, 72), (36, 46), (82, 89), ("aqua",), ("teal",), ("pale turquoise",)),
    "blue": Hue(60, 275, (42, 52), (14, 25), (70, 82), (), ("navy", "navy blue"), ("sky blue", "pale blue")),
    "purple": Hue(60, 308, (42, 50), (18, 28), (68, 80), ("violet",), ("plum",), ("lilac", "lavender")),
}  # fmt: skip


def names() -> tuple[str, ...]:
    """Every colour name, as in `Colour.name`."""
    tones = ("dark", "", "light")
    return tuple(f"{tone} {word}".strip() for word, hue in HUES.items() for tone in tones if _range(hue, tone))


def colour(name: str, share: float = 0.5) -> Colour:
    """The colour at a share (0 darkest, 1 lightest) of the range of L* that bears the name. KeyError: no such name."""
    tone, _, hue = name.rpartition(" ")
    low, high = _range(HUES[hue], tone) or _missing(name)
    wanted = HUES[hue]
    # A pale tone with the full chroma would leave sRGB: chroma shrinks until the colour can be shown.
    return Colour(name, _to_rgb(round(low + (high - low) * share, 2), wanted.chroma, wanted.angle))


def lightness(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """CIELAB L* of 8-bit sRGB pixels of shape (..., 3)."""
    luminance = _linear()[pixels] @ (_TO_XYZ[1] / _WHITE[1])
    return np.asarray(np.where(luminance > (6 / 29) ** 3, 116 * np.cbrt(luminance) - 16, luminance * (29 / 3) ** 3))


def lab(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """CIELAB of 8-bit sRGB pixels of shape (..., 3)."""
    xyz = _linear()[pixels] @ (_TO_XYZ / _WHITE[:, None]).T
    x, y, z = np.moveaxis(np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def _range(hue: Hue, tone: str) -> tuple[float, float] | None:
    return {"": hue.middle, "dark": hue.dark, "light": hue.light}.get(tone)


def _missing(name: str) -> tuple[float, float]:
    raise KeyError(name)


@lru_cache
def _words(name: str) -> tuple[str, ...]:
    tone, _, hue = name.rpartition(" ")
    more = {"": HUES[hue].words, "dark": HUES[hue].dark_words, "light": HUES[hue].light_words}
    return (name, *more[tone])


@lru_cache
def _linear() -> NDArray[np.float64]:
    encoded = np.arange(256) / 255
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


@lru_cache(maxsize=4096)
def _to_rgb(light: float, chroma: float, angle: float) -> Rgb:
    for left in np.linspace(1, 0, 41):
        encoded = _encode(light, chroma * left, math.radians(angle))
        if encoded.min() >= -0.001 and encoded.max() <= 1.001:
            break
    red, green, blue = (int(v) for v in np.clip(np.rint(encoded * 255), 0, 255))
    return red, green, blue


def _encode(light: float, chroma: float, angle: float) -> NDArray[np.float64]:
    y = (light + 16) / 116
    f = np.array([y + chroma * math.cos(angle) / 500, y, y - chroma * math.sin(angle) / 200])
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * _WHITE
    linear = _FROM_XYZ @ xyz
    return np.asarray(np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.abs(linear) ** (1 / 2.4) - 0.055))
