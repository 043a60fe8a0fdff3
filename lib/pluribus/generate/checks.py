"""What a picture shows, by somebody who did not make it.

    colour    measured: which named colours the pixels are that differ from the backdrop (CIELAB); the wished one must
              be among the two most frequent. Of our own drawings it holds for 0.84 of plain ones and 0.54 of patterned
              ones, of another colour's drawings for 0.04: it refuses more than it should, and lets little through
    kind, pattern    the nearest words by a model, which must be none of the generator's own

The renderer's whole vocabulary stands beside the grid's: among three kinds anything passes for one of them.
"""

import io
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, Protocol

import numpy as np
from PIL import Image

from pluribus import pixels, render
from pluribus.generate.grid import Grid, Wish
from pluribus.records import Model
from pluribus.render.colours import colour, lab
from pluribus.render.surfaces import PATTERNS

FAR = 14.0  # from the backdrop's CIELAB: the product
LEAST = 50  # pixels, or there is no product
SIDE_PX = 64  # colours are counted at
LIGHTNESS = 0.7  # what a difference in L* weighs beside a and b: shade is not another colour
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of a name's range of lightness


class Judges(Protocol):
    """A model that names what it sees."""

    @property
    def model(self) -> Model: ...
    def images(self, pictures: Iterable[Any]) -> np.ndarray: ...
    def texts(self, texts: list[str]) -> np.ndarray: ...


def agree(judge: Judges, grid: Grid, wanted: Sequence[Wish], jpegs: Sequence[bytes]) -> dict[str, np.ndarray]:
    """For each attribute which pictures show what was wished, bool [n]; the pictures are all that is looked at."""
    seen = judge.images(list(jpegs))
    kinds = list(dict.fromkeys([*grid.kind, *render.KINDS]))
    patterns = list(dict.fromkeys([*grid.pattern, *PATTERNS]))
    return {
        "kind": _nearest(seen, judge.texts(kinds)) == [kinds.index(wish.kind) for wish in wanted],
        "colour": np.array([wish.colour in colours(jpeg)[:2] for wish, jpeg in zip(wanted, jpegs, strict=True)]),
        "pattern": np.array([
            patterns[_nearest(one[None], judge.texts([f"{name} {wish.kind}" for name in patterns]))[0]] == wish.pattern
            for one, wish in zip(seen, wanted, strict=True)
        ]),
    }  # fmt: skip


def colours(jpeg: bytes) -> list[str]:
    """The named colours of what stands before the backdrop, the most frequent first; none where nothing does."""
    image = pixels.decode_picture(jpeg)
    image.thumbnail((SIDE_PX, SIDE_PX))
    whole = np.asarray(image)
    edge = np.concatenate([whole[0], whole[-1], whole[:, 0], whole[:, -1]])
    spread = lab(whole)
    before = spread[np.linalg.norm(spread - np.median(lab(edge), axis=0), axis=-1) > FAR]
    if len(before) < LEAST:
        return []
    names, places = _palette()
    weigh = np.array([LIGHTNESS, 1.0, 1.0])
    near = np.linalg.norm((before[:, None] - places[None]) * weigh, axis=-1).argmin(axis=1)
    counts = np.bincount(near // len(SHARES), minlength=len(names))
    return [names[i] for i in np.argsort(-counts, kind="stable") if counts[i]]


def jpeg(picture: Image.Image) -> bytes:
    """As files and checks have it."""
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


@cache
def _palette() -> tuple[tuple[str, ...], np.ndarray]:
    """Every named colour, and CIELAB of each at SHARES of its lightness [names * shares, 3]."""
    names = render.COLOURS
    shades = np.array([colour(name, share).rgb for name in names for share in SHARES], np.uint8)
    return names, lab(shades)


def _nearest(seen: np.ndarray, said: np.ndarray) -> np.ndarray:
    return np.asarray((seen @ said.T).argmax(axis=1))
