"""Where in a picture a text is seen: the picture is covered again and again, and the model asked each time.

`bands` is FashionCLIP's grounding map: all but one band is covered, and a band that answers better than the whole
picture is where the text is. `occlusion` is the classic opposite: a small cover slides, and where the answer suffers is
where the text is. The two should agree; both are grids of shares, 0 to 1.

Both were published with grey covers. On a white packshot a grey band is a thing of its own: of two products in one
picture the map found the one that was named in 72 % with grey, and in 97 % with the picture's own backdrop (NOTES.md).
So the backdrop is the default, and `cover="grey"` is as published.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pluribus import pictures, pixels
from pluribus.errors import ConfigError
from pluribus.search import Searcher
from pluribus.search.terms import Encodes, picture

BLOCKS = 14  # a side. The published map takes blocks of 15 px of 224, so its last 14 px were never inside a band.
GREY = 128
COVERS = ("backdrop", "grey")
SHARPEN = 5  # rounds of taking the mean away
SLIDING = 4  # blocks a side of the sliding cover
BATCH = 64


@dataclass(frozen=True)
class Heat:
    """How much of a text is seen where: a grid [rows, columns] from 0 to 1, all 0 where nothing stands out."""

    text: str
    method: str
    cosine: float  # of the whole picture
    grid: np.ndarray = field(repr=False)
    picture: np.ndarray = field(repr=False)  # uint8 [height, width, 3]

    @property
    def peak(self) -> tuple[float, float]:
        """The middle of the hottest block, as shares of width and height from the top left."""
        row, column = np.unravel_index(int(self.grid.argmax()), self.grid.shape)
        return (float(column) + 0.5) / self.grid.shape[1], (float(row) + 0.5) / self.grid.shape[0]

    def overlay(self) -> bytes:
        """The picture under its heat, PNG."""
        return pixels.overlay(self.picture, self.grid)


def heat(
    shop: Searcher, text: str, *, product_id: str | None = None, what: Any = None, method: str = "bands",
    cover: str = "backdrop", nth: int = 0,
) -> Heat:  # fmt: skip
    """The map of a text on a product's picture (`nth`, from 0), or on a picture (`what`). Raises ConfigError."""
    if (product_id is None) == (what is None):
        raise ConfigError("a map of nothing, or of two things", expected="a product, or a picture")
    shown = picture(what) if product_id is None else _picture_of(shop, product_id, nth)
    return heat_of(shop.encoder, shown, text, method=method, cover=cover)


def pictured(shop: Searcher, product_id: str) -> bool:
    """Whether a product has a picture that a map could lie on. Raises ConfigError on an unknown product."""
    return bool(shop.get([product_id])[0]["pictures"])


def heat_of(
    encoder: Encodes, shown: bytes | np.ndarray, text: str, *, method: str = "bands", cover: str = "backdrop"
) -> Heat:
    """The map of a text on a picture of our own, JPEG or pixels."""
    for name, choice, choices in (("method", method, tuple(METHODS)), ("cover", cover, COVERS)):
        if choice not in choices:
            raise ConfigError(f"{name} {choice!r:.40}", expected=f"one of {', '.join(choices)}")
    if not text.strip():
        raise ConfigError("a map of no words", expected="some words")
    whole = np.asarray(pixels.decode_picture(shown)) if isinstance(shown, bytes) else shown
    said = encoder.texts([text])[0]
    at = float(encoder.images([whole])[0] @ said)
    under = _Under(encoder, whole, said, _paint(whole, cover))
    return Heat(text, method, at, _scaled(METHODS[method](under, at)), whole)


@dataclass(frozen=True, eq=False)
class _Under:
    """A picture and a text, to be asked about under any covering."""

    encoder: Encodes
    whole: np.ndarray
    said: np.ndarray
    paint: np.ndarray

    def answers(self, covered: np.ndarray) -> np.ndarray:
        """The cosine under each mask [n, blocks, blocks]; blocks fill the picture to its very edges."""
        rows = np.arange(self.whole.shape[0]) * BLOCKS // self.whole.shape[0]
        columns = np.arange(self.whole.shape[1]) * BLOCKS // self.whole.shape[1]
        found = []
        for start in range(0, len(covered), BATCH):
            masks = covered[start : start + BATCH]
            shown = [np.where(mask[np.ix_(rows, columns)][..., None], self.paint, self.whole) for mask in masks]
            found.append(self.encoder.images(shown) @ self.said)
        return np.concatenate(found)


def bands(under: _Under, at: float) -> np.ndarray:
    """Every band of whole rows or columns of blocks alone, the rest covered: what answers better than the whole."""
    spans = [(first, last) for first in range(BLOCKS) for last in range(first + 1, BLOCKS + 1)]
    inside = np.zeros((2 * len(spans), BLOCKS, BLOCKS), dtype=bool)
    for n, (first, last) in enumerate(spans):
        inside[n, first:last, :] = True
        inside[n + len(spans), :, first:last] = True
    gains = np.maximum(0, under.answers(~inside) - at)
    return np.asarray((gains[:, None, None] * inside).mean(axis=0))


def occlusion(under: _Under, at: float) -> np.ndarray:
    """A square cover slides over the picture, beyond its edges too: the mean loss of all that cover a block."""
    starts = range(1 - SLIDING, BLOCKS)
    covered = np.zeros((len(starts) ** 2, BLOCKS, BLOCKS), dtype=bool)
    for n, (top, left) in enumerate((top, left) for top in starts for left in starts):
        covered[n, max(0, top) : top + SLIDING, max(0, left) : left + SLIDING] = True
    losses = np.maximum(0, at - under.answers(covered))
    return np.asarray((losses[:, None, None] * covered).sum(axis=0) / covered.sum(axis=0))


METHODS: dict[str, Callable[[_Under, float], np.ndarray]] = {"bands": bands, "occlusion": occlusion}


def _paint(whole: np.ndarray, cover: str) -> np.ndarray:
    if cover == "grey":
        return np.full(3, GREY, np.uint8)
    edge = np.concatenate([whole[0], whole[-1], whole[:, 0], whole[:, -1]])
    return np.asarray(np.median(edge, axis=0)).astype(np.uint8)


def _scaled(grid: np.ndarray) -> np.ndarray:
    """What stands out, 0 to 1; a flat map stays 0 and does not become noise."""
    for _ in range(SHARPEN):
        grid = np.maximum(0, grid - grid.mean())
    top = float(grid.max())
    return grid / top if top > 1e-9 else np.zeros_like(grid)


def _picture_of(shop: Searcher, product_id: str, nth: int) -> bytes:
    contents = shop.get([product_id])[0]["pictures"] or []
    if not 0 <= nth < len(contents):
        raise ConfigError(f"picture {nth} of {product_id!r:.80}", expected=f"one of its {len(contents)}, from 0")
    return next(iter(pictures.load(shop.release.store, [contents[nth]])))[1][0]
