"""How outlines become a lit picture: the painter behind rendered products.

Flat polygons at a higher resolution are pasted through masks (colour, cover, and light apart) and scaled down; light,
rim, shadow and backdrop are then arithmetic at the final size. Only Pillow and NumPy; about 2 ms for 96 x 96 pixels.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from pluribus.render.colours import Rgb
from pluribus.render.shapes import Part
from pluribus.render.surfaces import MATERIALS, TILE_PX, pattern, shade, texture

Pixels = NDArray[np.float32]
Box = tuple[int, int, int, int]

_FIXED: dict[str, Rgb] = {
    "ink": (44, 44, 50),
    "paper": (240, 238, 232),
    "steel": (176, 180, 188),
    "brass": (202, 164, 88),
    "timber": (178, 128, 80),
    "rubber": (74, 74, 80),
    "leaf": (86, 140, 72),
    "flame": (250, 176, 60),
}
_OWN = ("base", "plain", "trim", "accent", "inside")  # fills that take the product's material


@dataclass(frozen=True, slots=True)
class Finish:
    """What a product's surface looks like."""

    rgb: Rgb
    pattern: str = "plain"
    pattern_rgb: Rgb | None = None  # None exactly when plain
    material: str = "matte"


@dataclass(frozen=True, slots=True)
class View:
    """How a product was photographed: nothing here is an attribute of the product."""

    rotation_deg: float = 0.0
    scale: float = 1.0
    x: float = 0.0  # shift, in half pictures
    y: float = 0.0
    flip: bool = False  # mirrored left to right
    backdrop: Rgb = (244, 243, 241)
    scene: str = "studio"  # studio, plain or floor
    light_from_right: bool = False
    exposure: float = 1.0
    pattern_scale: float = 1.0
    pattern_shift: float = 0.0  # of a tile
    drape: int = 0  # which folds cloth has, 0 ... 3


class Easel:
    """What one picture is painted on, at `side` pixels: colour, cover, and the light to be applied later."""

    def __init__(self, finish: Finish, view: View, side: int) -> None:
        self.finish, self.view, self.side = finish, view, side
        # Darker than the colour, yet lighter than black: seams must show on black, and every tone of a product must
        # grow with its lightness (a switch between "darker" and "lighter" broke that by 2 L*).
        trim = _toned(finish.rgb, 0.66, 16)
        self.edge = _toned(finish.rgb, 0.42, 30)
        self.inks = _FIXED | {
            "base": finish.rgb,
            "plain": finish.rgb,
            "trim": trim,
            "accent": finish.pattern_rgb or trim,
            "inside": _toned(finish.rgb, 0.55),
        }
        self.colour = Image.new("RGB", (side, side), self.edge)
        self.cover, self.dark, self.light = (Image.new("L", (side, side)) for _ in range(3))
        self.cloth = self._cloth()
        self.scale = view.scale * side / 2
        angle = np.deg2rad(view.rotation_deg)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) * self.scale
        self.turn = turn * ([-1], [1]) if view.flip else turn
        self.shift = np.array([1 + view.x, 1 + view.y]) * side / 2

    def _cloth(self) -> Image.Image | None:
        """The base colour with its pattern and texture over the whole picture; None where it is one flat colour."""
        finish, grain = self.finish, texture(self.finish.material)
        if finish.pattern_rgb is None and grain is None:
            return None
        cloth = Image.new("RGB", (self.side, self.side), finish.rgb)
        if finish.pattern_rgb:
            cloth.paste(finish.pattern_rgb, mask=self._tiled(pattern(finish.pattern), self.view.pattern_scale))
        if grain:
            cloth.paste(self.edge, mask=self._tiled(grain, 1.0))
        return cloth

    def _tiled(self, tile: Image.Image, scale: float) -> Image.Image:
        step = 2 * TILE_PX / (self.side * scale)
        shift = self.view.pattern_shift % 1 * TILE_PX * 0.4
        size = (self.side, self.side)
        return tile.transform(size, Image.Transform.AFFINE, (step, 0, shift, 0, step, shift), Image.Resampling.NEAREST)

    def add(self, part: Part) -> None:
        """Paint one part over what is there."""
        points = np.rint(part.outline @ self.turn + self.shift)
        width = max(1, round(part.width * self.scale)) if part.width else 0
        left, top = (int(v) for v in points.min(axis=0))
        right, bottom = (int(v) for v in points.max(axis=0))
        grow = width // 2 + 2
        box = (max(left - grow, 0), max(top - grow, 0), min(right + grow, self.side), min(bottom + grow, self.side))
        if box[0] >= box[2] or box[1] >= box[3]:
            return
        mask = Image.new("L", (box[2] - box[0], box[3] - box[1]))
        corners = [(x, y) for x, y in (points - box[:2]).tolist()]
        if width:
            ImageDraw.Draw(mask).line(corners, fill=255, width=width, joint="curve")
        else:
            ImageDraw.Draw(mask).polygon(corners, fill=255)
        self._paint(part, mask, box)
        if not width:
            rim = [(x, y) for x, y in points.tolist()]
            pen = ImageDraw.Draw(self.colour)
            pen.line([*rim, rim[0]], fill=self._rim(part), width=max(1, round(0.006 * self.side)))

    def _rim(self, part: Part) -> Rgb:
        return self.edge if part.fill in _OWN else _toned(self.inks[part.fill], 0.7)

    def _paint(self, part: Part, mask: Image.Image, box: Box) -> None:
        if part.fill == "base" and self.cloth:
            self.colour.paste(self.cloth.crop(box), box, mask)
        else:
            self.colour.paste(self.inks[part.fill], box, mask)
        own = part.fill in _OWN
        clear = MATERIALS[self.finish.material].clear if own else 0.0
        self.cover.paste(round(255 * (1 - clear)), box, mask)
        if part.width:
            return
        material = self.finish.material if own else {"steel": "metal", "brass": "metal"}.get(part.fill, "plastic")
        dark, light = shade(part.form, material, self.view.light_from_right, self.view.drape)
        self.dark.paste(dark.resize(mask.size, Image.Resampling.NEAREST), box, mask)
        self.light.paste(light.resize(mask.size, Image.Resampling.NEAREST), box, mask)


def paint(parts: Iterable[Part], finish: Finish, view: View, side_px: int) -> tuple[Pixels, Pixels]:
    """The lit product, (side, side, 3), and how much of each pixel it covers, (side, side); both 0 ... 1."""
    over = 3 if side_px <= 128 else 2
    easel = Easel(finish, view, side_px * over)
    for part in parts:
        easel.add(part)
    layers = (easel.colour, easel.cover, easel.dark, easel.light)
    colour, cover, dark, light = (_pixels(layer.reduce(over)) for layer in layers)
    relief = _relief(cover, view.light_from_right)
    lit = colour * ((1 - dark) * (1 + 0.35 * np.minimum(relief, 0)))[..., None]
    glow = np.clip(light + 0.10 * np.maximum(relief, 0), 0, 1)[..., None]
    return np.add(lit, (1 - lit) * glow, dtype=np.float32), cover


def photograph(product: Pixels, cover: Pixels, view: View, stands: bool) -> NDArray[np.uint8]:
    """The product before its backdrop, with a shadow under it (where it stands) or beside it; (side, side, 3)."""
    ground = _scene(view, len(cover)) * (1 - 0.42 * _shadow(cover, view, stands))[..., None]
    mixed = ground + (product - ground) * cover[..., None]
    return np.asarray(np.rint(np.clip(mixed * np.float32(view.exposure), 0, 1) * 255), dtype=np.uint8)


def _relief(cover: Pixels, from_right: bool) -> Pixels:
    """How much the rim of the product turns to the light (1) or away from it (-1)."""
    side = len(cover)
    soft = _image(cover).filter(ImageFilter.BoxBlur(side / 40))
    reach = max(1, side // 40)
    x = reach if from_right else -reach
    near, far = ImageChops.offset(soft, x, -reach), ImageChops.offset(soft, -x, reach)
    return _pixels(far) - _pixels(near)


def _scene(view: View, side: int) -> Pixels:
    middle = (np.arange(side, dtype=np.float32) + 0.5) / side
    x, y = middle[None, :], middle[:, None]
    if view.scene == "studio":
        fall = 1 - 0.24 * ((x - 0.5) ** 2 + (y - 0.45) ** 2)
    elif view.scene == "floor":
        fall = np.where(y > 0.66, 0.90 + 0.1 * (y - 0.66), 1 - 0.06 * y)
    else:
        fall = np.ones((1, 1), dtype=np.float32)
    return fall.astype(np.float32)[..., None] * (np.array(view.backdrop, dtype=np.float32) / np.float32(255))


def _shadow(cover: Pixels, view: View, stands: bool) -> Pixels:
    half = _image(cover).resize((len(cover) // 2, len(cover) // 2))
    side = half.width
    x = (-1 if view.light_from_right else 1) * side // 28
    if stands:
        left, top, right, bottom = half.getbbox() or (0, 0, 1, 1)
        flat = half.crop((left, (top + bottom) // 2, right, bottom)).resize((right - left, max(1, side // 9)))
        half = Image.new("L", half.size)
        half.paste(flat, (left + x, bottom - side // 14))
    else:
        half = ImageChops.offset(half, x, side // 32)
    soft = half.filter(ImageFilter.BoxBlur(side / 26)).filter(ImageFilter.BoxBlur(side / 40))
    return _pixels(soft.resize((len(cover), len(cover)), Image.Resampling.BILINEAR))


def _pixels(image: Image.Image) -> Pixels:
    return np.asarray(image, dtype=np.float32) / np.float32(255)


def _image(share: Pixels) -> Image.Image:
    return Image.fromarray(np.rint(share * 255).astype(np.uint8))


def _toned(rgb: Rgb, share: float, lift: float = 0.0) -> Rgb:
    red, green, blue = (round(value * share + lift) for value in rgb)
    return red, green, blue
