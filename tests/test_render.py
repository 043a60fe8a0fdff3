"""Rendered products: what an item says is what its picture shows."""

from dataclasses import replace

import numpy as np
import pytest

from pluribus import render
from pluribus.render import CAPTIONS, COLOURS, KINDS, VERTICALS, Item
from pluribus.render.colours import colour, lightness
from pluribus.render.surfaces import MATERIALS, PATTERNS


def plain(kind: str, colour_name: str = "blue", share: float = 0.5, length: float | None = 0.5) -> Item:
    return Item(kind, colour(colour_name, share), material="matte", length=length if KINDS[kind].lengths else None)


def pixels(item: Item, side_px: int = 96) -> np.ndarray:
    return np.asarray(render.draw(item, side_px))


def inside(item: Item, side_px: int = 96) -> np.ndarray:
    return np.asarray(render.silhouette(item, side_px)) > 127


@pytest.mark.parametrize("vertical", VERTICALS)
def test_the_same_seed_gives_the_same_picture_and_another_seed_another(vertical: str) -> None:
    first, again, other = (render.sample(vertical, seed) for seed in (7, 7, 8))
    assert first == again != other
    assert render.draw(first, 64).tobytes() == render.draw(again, 64).tobytes() != render.draw(other, 64).tobytes()


def test_a_picture_is_the_same_whatever_was_drawn_before() -> None:
    item = render.sample("home", 3)
    before = render.draw(item, 64).tobytes()
    for seed in range(5):
        render.draw(render.sample("fashion", seed), 96)
    assert render.draw(item, 64).tobytes() == before


@pytest.mark.parametrize("side_px", [32, 64, 127, 256])
def test_pictures_of_every_size_are_square_rgb(side_px: int) -> None:
    image = render.draw(render.sample("outdoor", 1), side_px)
    assert (image.mode, image.size) == ("RGB", (side_px, side_px))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_wholly_in_the_picture_and_fills_much_of_it(kind: str) -> None:
    for length in (0.0, 1.0):
        mask = inside(replace(plain(kind, length=length), size="large"))
        rim = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
        assert not rim.any()
        assert mask.mean() > 0.025


def test_every_pattern_material_and_colour_can_be_seen_on_every_kind() -> None:
    for n, kind in enumerate(KINDS):
        base = plain(kind, "light blue")
        shown = pixels(base, 64)
        for pattern in list(PATTERNS)[1:]:
            patterned = replace(base, pattern=pattern, pattern_colour=colour("dark red"))
            differs = np.abs(pixels(patterned, 64).astype(int) - shown).max(axis=2) > 40
            assert (differs & inside(base, 64)).sum() > 0.015 * inside(base, 64).sum(), (kind, pattern)
        recoloured = replace(
            base, colour=colour(COLOURS[n % len(COLOURS)]), material=list(MATERIALS)[n % len(MATERIALS)]
        )
        assert not np.array_equal(pixels(recoloured, 64), shown)


@pytest.mark.parametrize("name", COLOURS)
def test_a_colour_is_as_light_as_its_name_says(name: str) -> None:
    low, middle, high = (colour(name, share) for share in (0.0, 0.5, 1.0))
    assert low.lightness < middle.lightness < high.lightness
    assert middle.words[0] == name


def test_lightness_is_that_of_cie_lab() -> None:
    grey, red = np.array([[119, 119, 119], [255, 0, 0]], dtype=np.uint8)
    assert lightness(np.array([0, 0, 0], dtype=np.uint8)) == 0
    assert lightness(np.array([255, 255, 255], dtype=np.uint8)) == pytest.approx(100)
    assert lightness(grey) == pytest.approx(50.03, abs=0.01)
    assert lightness(red) == pytest.approx(53.24, abs=0.01)


def test_tones_of_a_colour_do_not_overlap() -> None:
    for hue in ("blue", "green", "grey", "brown", "purple", "turquoise", "pink"):
        edges = [colour(name, share).lightness for name in (f"dark {hue}", hue, f"light {hue}") for share in (0.0, 1.0)]
        assert edges == sorted(edges)


@pytest.mark.parametrize("kind", KINDS)
def test_a_lighter_product_is_lighter_in_its_picture(kind: str) -> None:
    steps = [plain(kind, name, share) for name in ("dark blue", "blue", "light blue") for share in (0.0, 0.5, 1.0)]
    measured = [float(lightness(pixels(step))[inside(step)].mean()) for step in steps]
    assert measured == sorted(measured)
    assert measured[-1] - measured[0] > 3


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if kind.lengths])
def test_a_longer_product_is_longer_in_its_picture(kind: str) -> None:
    masks = [inside(plain(kind, length=length), 128) for length in (0.0, 0.25, 0.5, 0.75, 1.0)]
    extents = [int(np.hypot(np.ptp(np.where(mask)[0]), np.ptp(np.where(mask)[1]))) for mask in masks]
    assert extents == sorted(extents)
    assert extents[-1] > extents[0] + 5


def test_a_large_product_is_larger_than_a_small_one() -> None:
    areas = [inside(replace(plain("mug"), size=size)).sum() for size in ("small", "medium", "large")]
    assert areas == sorted(areas)


def test_another_view_is_another_picture_of_the_same_product() -> None:
    item = render.sample("fashion", 5)
    other = replace(item, view=render.view(99))
    assert render.caption(item, "full") == render.caption(other, "full")
    assert not np.array_equal(pixels(item), pixels(other))


def test_a_pattern_stands_out_from_its_ground() -> None:
    for seed in range(200):
        item = render.sample("home", seed)
        assert (item.pattern == "plain") == (item.pattern_colour is None)
        if item.pattern_colour:
            assert abs(item.pattern_colour.lightness - item.lightness) >= 30


@pytest.mark.parametrize("style", CAPTIONS)
def test_captions_are_clean_english(style: str) -> None:
    for vertical in VERTICALS:
        for seed in range(60):
            text = render.caption(render.sample(vertical, seed), style, seed)
            assert text == " ".join(text.split())
            assert text
            assert " ," not in text
            assert " ." not in text


def test_a_caption_says_what_the_item_is() -> None:
    item = Item("mug", colour("dark blue"), "dotted", colour("white"), "glossy", length=0.9, size="small")
    assert render.caption(item, "title") == "Tall Dark Blue Dotted Mug"
    assert render.caption(item, "full") == "a small tall dark blue glossy mug with white dots"
    assert render.caption(replace(item, pattern="plain", pattern_colour=None, length=0.5), "photo") == (
        "a photo of a dark blue mug"
    )
    assert len({render.caption(item, "motif", seed) for seed in range(1, 40)}) > 3
    assert render.caption(Item("trousers", colour("orange")), "photo") == "a photo of orange trousers"


def test_an_improbable_product_is_one_by_kind_and_the_other_by_finish() -> None:
    for a, b in render.opposites("home", 5):
        made = render.improbable(a, b)
        assert (made.kind, made.length) == (a.kind, a.length)
        assert (made.colour, made.pattern, made.material) == (b.colour, b.pattern, b.material)
        assert len({a.kind, b.kind}) == len({a.pattern, b.pattern}) == len({a.colour.name, b.colour.name}) == 2
        render.draw(made, 64)
