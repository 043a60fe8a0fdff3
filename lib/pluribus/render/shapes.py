"""Outlines: the geometry from which rendered products are assembled.

A kind of product is a function from its length (0 shortest, 1 longest) to a list of parts, back to front. A part is
one outline with a fill and a form; nothing here knows pixels or colours. Coordinates: x to the right, y down, the
picture spans -1 ... 1 both ways.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Outline = NDArray[np.float64]  # (n, 2)
Point = tuple[float, ...]  # x, y and, where it differs from its outline's, roundness

#: What a part is painted with. base: colour and pattern; plain: colour alone; trim: a shade of the colour; accent: the
#: pattern's colour where there is a pattern, else trim; inside: the colour in shadow. The others are fixed colours.
Fill = Literal[
    "base", "plain", "trim", "accent", "inside", "ink", "paper", "steel", "brass", "timber", "rubber", "leaf", "flame"
]

#: How light falls on a part.
Form = Literal["flat", "cloth", "round", "ball", "hollow", "lying"]


@dataclass(frozen=True, slots=True)
class Part:
    """One outline to paint; with a `width` its line is drawn instead of its area."""

    outline: Outline
    fill: Fill = "base"
    form: Form = "flat"
    width: float = 0.0


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of product: how it is drawn, and what people call it."""

    parts: Callable[[float], list[Part]]
    words: tuple[str, ...]  # synonyms; the first is the name
    category: str  # a path, "Clothing > Tops > Shirts"
    materials: tuple[str, ...]
    lengths: tuple[str, str] | None  # words for the shortest and the longest; None: has no length
    stands: bool  # on its base; otherwise photographed lying flat
    price: float  # of a medium one


def kind(
    *words: str,
    category: str,
    materials: tuple[str, ...],
    price: float,
    lengths: tuple[str, str] | None = None,
    stands: bool = True,
) -> Callable[[Callable[[float], list[Part]]], Kind]:
    """Make a drawing function a Kind: the words for a thing stand where it is drawn."""
    return lambda parts: Kind(parts, words, category, materials, lengths, stands, price)


def named(*kinds: Kind) -> dict[str, Kind]:
    """Kinds by their name."""
    return {kind.words[0]: kind for kind in kinds}


def mix(a: float, b: float, share: float) -> float:
    """The value between `a` (share 0) and `b` (share 1)."""
    return a + (b - a) * share


def curve(*points: Point, closed: bool = True, roundness: float = 1.0) -> Outline:
    """A smooth outline through the points (cubic Hermite, Catmull-Rom tangents); roundness 0 makes a corner."""
    rows = [p if len(p) == 3 else (*p, roundness) for p in points]
    table = np.array(rows, dtype=np.float64)
    knots, soft = table[:, :2], table[:, 2:]
    if not closed:
        knots = np.vstack([knots[:1], knots, knots[-1:]])
        soft = np.vstack([soft[:1], soft, soft[-1:]])
    tangents = (np.roll(knots, -1, 0) - np.roll(knots, 1, 0)) * 0.5 * soft
    terms = np.stack([knots, tangents, np.roll(knots, -1, 0), np.roll(tangents, -1, 0)])
    line = np.tensordot(_hermite(), terms, axes=(1, 0)).transpose(1, 0, 2)  # (knot, step, xy)
    if not closed:
        return np.vstack([line[1:-2].reshape(-1, 2), knots[-1:]])
    return np.asarray(line.reshape(-1, 2))


def polygon(*points: Point) -> Outline:
    """A closed outline with straight edges."""
    return np.array([p[:2] for p in points], dtype=np.float64)


def mirrored(*points: Point, roundness: float = 1.0) -> Outline:
    """A closed outline, symmetric about x = 0, from its right half; points on the axis are not doubled."""
    left = [(-p[0], *p[1:]) for p in reversed(points) if p[0] != 0]
    return curve(*points, *left, roundness=roundness)


def ellipse(x: float, y: float, rx: float, ry: float) -> Outline:
    """An ellipse around (x, y)."""
    return np.array([x, y]) + _circle() * (rx, ry)


def box(left: float, top: float, right: float, bottom: float, corner: float = 0.0) -> Outline:
    """A rectangle whose corners are rounded with the given radius."""
    if corner <= 0:
        return polygon((left, top), (right, top), (right, bottom), (left, bottom))
    centres = np.array([[right, bottom], [left, bottom], [left, top], [right, top]]) + corner * np.array(
        [[-1, -1], [1, -1], [1, 1], [-1, 1]]
    )
    quarters = _circle().reshape(4, -1, 2) * corner
    return np.reshape(centres[:, None, :] + quarters, (-1, 2))


def line(*points: Point, roundness: float = 1.0) -> Outline:
    """An open curve, for parts with a width."""
    return curve(*points, closed=False, roundness=roundness)


def arc(x: float, y: float, rx: float, ry: float, *, start: float = 0.0, stop: float = 1.0) -> Outline:
    """A piece of an ellipse between two angles in turns: 0 is right, 0.25 is down."""
    turns = np.linspace(start, stop, 25) * 2 * np.pi
    return np.stack([x + rx * np.cos(turns), y + ry * np.sin(turns)], axis=1)


def turned(outline: Outline, degrees: float, x: float = 0.0, y: float = 0.0) -> Outline:
    """The outline turned clockwise about (x, y)."""
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return np.asarray((outline - (x, y)) @ turn + (x, y))


def pair(part: Part) -> list[Part]:
    """The part and its mirror image about x = 0."""
    return [part, Part(part.outline * (-1, 1), part.fill, part.form, part.width)]


@lru_cache
def _hermite() -> NDArray[np.float64]:
    t = np.arange(8) / 8
    return np.stack([2 * t**3 - 3 * t**2 + 1, t**3 - 2 * t**2 + t, -2 * t**3 + 3 * t**2, t**3 - t**2], axis=1)


@lru_cache
def _circle() -> Outline:
    turns = np.arange(48) / 48 * 2 * np.pi
    return np.stack([np.cos(turns), np.sin(turns)], axis=1)
