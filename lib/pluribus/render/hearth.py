"""How furniture and household goods are drawn: the kinds of the demo shop "hearth"."""

from itertools import pairwise

import numpy as np

from pluribus.render.shapes import (
    Fill,
    Part,
    arc,
    box,
    curve,
    ellipse,
    kind,
    line,
    mirrored,
    mix,
    named,
    pair,
    polygon,
    turned,
)

# Outlines read better as paths than with one point to a line.
# fmt: off

CERAMIC = ("glossy", "matte", "plastic")
UPHOLSTERY = ("corduroy", "leather", "cotton")


@kind("mug", "coffee mug", "cup", category="Kitchen > Tableware > Mugs", materials=CERAMIC, lengths=("short", "tall"),
    price=12)
def mug(length: float) -> list[Part]:
    top = mix(0.02, -0.66, length)
    low = 0.66
    middle = (top + low) / 2
    handle = Part(arc(0.42, middle, 0.34, 0.42 * (low - top) / 1.1, start=-0.27, stop=0.27), "base", width=0.12)
    body = curve((-0.5, top, 0), (0.5, top, 0), (0.48, low - 0.08, 0.4), (0.4, low, 0.4), (0, low + 0.03),
        (-0.4, low, 0.4), (-0.48, low - 0.08, 0.4))
    rim, mouth = (Part(ellipse(0, top, 0.5, 0.1), "plain"), Part(ellipse(0, top, 0.455, 0.08), "inside", "hollow"))
    return [handle, Part(body, form="round"), rim, mouth]


@kind("vase", "flower vase", category="Decoration > Vases", materials=("glossy", "matte", "glass", "metal"),
    lengths=("short", "tall"), price=29)
def vase(length: float) -> list[Part]:
    top = mix(0.1, -0.88, length)
    span = 0.82 - top
    body = mirrored((0, top), (0.18, top, 0), (0.13, top + 0.22 * span), (0.42, top + 0.58 * span), (0.24, 0.8, 0.4),
        (0, 0.84))
    return [Part(body, form="round"), Part(ellipse(0, top, 0.185, 0.04), "plain"),
        Part(ellipse(0, top, 0.15, 0.028), "inside", "hollow")]


@kind("lamp", "table lamp", "lampshade", category="Lighting > Table Lamps", materials=("cotton", "straw", "paper"),
    lengths=("short", "tall"), price=65)
def lamp(length: float) -> list[Part]:
    top = mix(0.0, -0.88, length)
    shade = mirrored((0, top, 0), (0.26, top, 0), (0.46, top + 0.56, 0), (0.2, top + 0.6), (0, top + 0.61))
    foot = mirrored((0, 0.74, 0), (0.08, 0.74), (0.3, 0.8), (0.32, 0.86, 0), (0, 0.88))
    cord = Part(line((0.14, top + 0.58), (0.145, top + 0.72)), "brass", width=0.015)
    return [Part(box(-0.03, top + 0.5, 0.03, 0.8), "brass", "round"), cord, Part(foot, "brass", "ball"),
        Part(shade, form="round"), Part(ellipse(0, top, 0.262, 0.03), "inside", "hollow")]


@kind("chair", "dining chair", "side chair", category="Furniture > Chairs",
    materials=("corduroy", "leather", "wood", "plastic"), lengths=("low-backed", "high-backed"), price=110)
def chair(length: float) -> list[Part]:
    top = mix(-0.3, -0.9, length)
    back = curve((-0.38, top + 0.05), (0, top), (0.38, top + 0.05), (0.36, 0.12, 0), (-0.36, 0.12, 0), roundness=0.8)
    seat = curve((-0.42, 0.1, 0.3), (0.42, 0.1, 0.3), (0.5, 0.3, 0.4), (0, 0.34), (-0.5, 0.3, 0.4))
    front = [Part(polygon((x - 0.05, 0.3), (x + 0.05, 0.3), (x * 1.08 + 0.032, 0.9), (x * 1.08 - 0.032, 0.9)),
        "timber", "round") for x in (-0.42, 0.42)]
    rear = [Part(polygon((x - 0.04, 0.3), (x + 0.04, 0.3), (x + 0.025, 0.78), (x - 0.025, 0.78)), "rubber", "round")
        for x in (-0.28, 0.28)]
    return [*rear, *front, Part(back, form="ball"), Part(seat, form="lying")]


@kind("table", "dining table", "desk", category="Furniture > Tables", materials=("wood", "matte", "metal"),
    lengths=("narrow", "long"), price=240)
def table(length: float) -> list[Part]:
    wide = mix(0.46, 0.92, length)
    top = polygon((-wide * 0.84, -0.36), (wide * 0.84, -0.36), (wide, 0.0), (-wide, 0.0))
    legs = [Part(polygon((x - 0.05, 0.05), (x + 0.05, 0.05), (x + 0.035, 0.74), (x - 0.035, 0.74)), "trim", "round")
        for x in (-wide * 0.88, wide * 0.88)]
    rear = [Part(polygon((x - 0.04, 0.05), (x + 0.04, 0.05), (x + 0.025, 0.56), (x - 0.025, 0.56)), "inside", "round")
        for x in (-wide * 0.7, wide * 0.7)]
    return [*rear, *legs, Part(box(-wide * 0.92, 0.03, wide * 0.92, 0.14), "trim"), Part(top, form="flat"),
        Part(box(-wide, -0.005, wide, 0.055, 0.02), "plain")]


@kind("sofa", "couch", "settee", category="Furniture > Sofas", materials=UPHOLSTERY, lengths=("compact", "long"),
    price=690)
def sofa(length: float) -> list[Part]:
    wide = mix(0.52, 0.92, length)
    seats = max(1, round(mix(1, 3, length)))
    inner = wide - 0.16
    feet = [Part(polygon((x - 0.045, 0.5), (x + 0.045, 0.5), (x + 0.03, 0.64), (x - 0.03, 0.64)), "timber")
        for x in (-wide + 0.12, wide - 0.12)]
    back = curve((-inner - 0.02, -0.36, 0.5), (0, -0.4), (inner + 0.02, -0.36, 0.5), (inner + 0.02, 0.2, 0),
        (-inner - 0.02, 0.2, 0))
    frame = box(-wide + 0.04, 0.26, wide - 0.04, 0.52, 0.04)
    edges = np.linspace(-inner, inner, seats + 1)
    cushions = [Part(box(a + 0.008, 0.06, b - 0.008, 0.3, 0.07), "base", "lying")
        for a, b in pairwise(edges)]
    backs = [Part(box(a + 0.01, -0.32, b - 0.01, 0.1, 0.09), "base", "ball")
        for a, b in pairwise(edges)]
    arm = Part(box(inner - 0.02, -0.1, wide, 0.54, 0.09), "base", "round")
    return [*feet, Part(back, "trim"), *backs, Part(frame, "trim", "lying"), *cushions, *pair(arm)]


@kind("cushion", "throw pillow", "pillow", category="Textiles > Cushions", materials=("cotton", "corduroy", "knitted",
    "silk"), stands=False, price=22)
def cushion(_: float) -> list[Part]:
    body = curve((-0.7, -0.66, 0.4), (0, -0.58), (0.7, -0.66, 0.4), (0.62, 0), (0.7, 0.66, 0.4), (0, 0.58),
        (-0.7, 0.66, 0.4), (-0.62, 0))
    piping = Part(curve((-0.66, -0.62, 0.4), (0, -0.545), (0.66, -0.62, 0.4), (0.585, 0), (0.66, 0.62, 0.4),
        (0, 0.545), (-0.66, 0.62, 0.4), (-0.585, 0), (-0.66, -0.62, 0.4)), "trim", width=0.014)
    return [Part(body, form="ball"), piping]


@kind("rug", "carpet", category="Textiles > Rugs", materials=("straw", "plush", "canvas"), lengths=("short", "long"),
    stands=False, price=130)
def rug(length: float) -> list[Part]:
    tall = mix(0.34, 0.8, length)
    rows = [Part(line((x, side * tall), (x * 1.02, side * (tall + 0.08))), "paper", width=0.02) for side in (-1, 1)
        for x in np.linspace(-0.5, 0.5, 22)]
    return [*rows, Part(box(-0.54, -tall, 0.54, tall, 0.015), "accent", "flat"),
        Part(box(-0.47, -tall + 0.07, 0.47, tall - 0.07), "base", "flat"), Part(line((-0.43, -tall + 0.11, 0),
        (0.43, -tall + 0.11, 0), (0.43, tall - 0.11, 0), (-0.43, tall - 0.11, 0), (-0.43, -tall + 0.11, 0)), "accent",
        width=0.018)]


@kind("clock", "wall clock", category="Decoration > Clocks", materials=("wood", "metal", "plastic", "glossy"),
    stands=False, price=39)
def clock(_: float) -> list[Part]:
    ticks = [Part(turned(box(-0.016, -0.55, 0.016, -0.4 if t % 3 == 0 else -0.46), 30 * t), "ink") for t in range(12)]
    hands = [Part(line((0.02, 0.07), (-0.16, -0.26)), "ink", width=0.055), Part(line((-0.06, 0.04), (0.4, -0.18)),
        "ink", width=0.038)]
    return [Part(ellipse(0, 0, 0.78, 0.78), "base", "ball"), Part(ellipse(0, 0, 0.6, 0.6), "paper", "flat"), *ticks,
        *hands, Part(ellipse(0, 0, 0.045, 0.045), "brass", "ball")]


@kind("plate", "dinner plate", "dish", category="Kitchen > Tableware > Plates", materials=CERAMIC, stands=False,
    price=14)
def plate(_: float) -> list[Part]:
    return [Part(ellipse(0, 0, 0.82, 0.82), "base", "flat"), Part(ellipse(0, 0, 0.8, 0.8), "base", "ball"),
        Part(ellipse(0, 0.01, 0.54, 0.54), "plain", "ball"), Part(ellipse(0, 0.0, 0.51, 0.51), "plain", "flat")]


@kind("bottle", "wine bottle", category="Kitchen > Bottles", materials=("glass", "glossy", "matte"),
    lengths=("squat", "tall"), price=18)
def bottle(length: float) -> list[Part]:
    top = mix(-0.24, -0.92, length)
    shoulder = mix(0.06, -0.3, length)
    body = mirrored((0, top, 0), (0.085, top, 0), (0.085, (top + shoulder) / 2, 0.3), (0.12, shoulder - 0.08),
        (0.3, shoulder + 0.16, 0.7), (0.3, 0.78, 0.2), (0.24, 0.86, 0.4), (0, 0.87))
    label = Part(box(-0.29, shoulder + 0.36, 0.29, 0.66), "paper", "round")
    lines = [Part(box(-w, y, w, y + 0.028), "accent") for w, y in ((0.18, shoulder + 0.42), (0.12, shoulder + 0.48))]
    return [Part(body, form="round"), label, *lines, Part(box(-0.095, top - 0.02, 0.095, top + 0.09, 0.02), "timber",
        "round"), Part(box(-0.105, top + 0.09, 0.105, top + 0.12, 0.01), "trim", "round")]


@kind("candle", "pillar candle", category="Decoration > Candles", materials=("matte", "glossy"),
    lengths=("short", "tall"), price=11)
def candle(length: float) -> list[Part]:
    top = mix(0.24, -0.52, length)
    flame = curve((0, top - 0.36, 0), (0.075, top - 0.16), (0, top - 0.07), (-0.075, top - 0.16))
    dish = mirrored((0, 0.7), (0.5, 0.66, 0.4), (0.4, 0.8), (0, 0.84))
    wax = curve((-0.21, top, 0), (0.21, top, 0), (0.21, 0.72, 0), (0, 0.74), (-0.21, 0.72, 0))
    return [Part(dish, "brass", "lying"), Part(wax, form="round"), Part(ellipse(0, top, 0.21, 0.045), "plain"),
        Part(line((0, top), (0.008, top - 0.1)), "ink", width=0.025), Part(flame, "flame", "ball")]


@kind("bookshelf", "bookcase", "shelf", category="Furniture > Bookshelves", materials=("wood", "matte", "metal"),
    lengths=("short", "tall"), price=180)
def bookshelf(length: float) -> list[Part]:
    top = mix(-0.06, -0.9, length)
    shelves = round(mix(1, 4, length))
    rows = np.linspace(top + 0.05, 0.4, shelves + 1)
    books: list[Part] = []
    tones: tuple[Fill, ...] = ("accent", "paper", "ink", "leaf", "trim", "timber", "steel")
    for n, (a, b) in enumerate(pairwise(rows)):
        height = b - a - 0.05
        for k in range(6 - 2 * (n % 2)):
            left = -0.38 + 0.08 * k + 0.26 * (n % 2)
            books.append(Part(box(left, b - 0.04 - height * (0.62 + 0.08 * ((k * 5 + n) % 4)), left + 0.07, b - 0.02),
                tones[(k * 3 + n * 2) % 7], "round"))
    boards = [Part(box(-0.48, y - 0.03, 0.48, y + 0.03), "base", "flat") for y in rows]
    sides = pair(Part(box(0.42, top, 0.55, 0.9), "base", "round"))
    doors = pair(Part(box(0.005, 0.43, 0.42, 0.84), "base", "flat"))
    knobs = pair(Part(ellipse(0.06, 0.62, 0.025, 0.025), "brass", "ball"))
    return [Part(box(-0.5, top + 0.02, 0.5, 0.86), "inside", "hollow"), *books, *boards, *doors, *knobs, *sides,
        Part(box(-0.57, top - 0.04, 0.57, top + 0.05, 0.01), "base", "flat")]


@kind("curtain", "drapes", category="Textiles > Curtains", materials=("cotton", "corduroy", "silk"),
    lengths=("short", "floor-length"), stands=False, price=49)
def curtain(length: float) -> list[Part]:
    hem = mix(-0.2, 0.86, length)
    wing = curve((0.03, -0.76, 0), (0.68, -0.76, 0), (0.72, hem, 0), (0.54, hem + 0.04), (0.36, hem),
        (0.2, hem + 0.04), (0.05, hem, 0))
    rings = [Part(ellipse(x, -0.8, 0.03, 0.05), "brass") for x in (-0.62, -0.44, -0.26, -0.08, 0.08, 0.26, 0.44, 0.62)]
    rod = Part(box(-0.84, -0.84, 0.84, -0.79, 0.02), "steel", "lying")
    return [rod, *pair(Part(ellipse(0.86, -0.815, 0.055, 0.055), "steel", "ball")), *rings,
        *pair(Part(wing, form="cloth"))]


@kind("bowl", "salad bowl", category="Kitchen > Tableware > Bowls", materials=("glossy", "matte", "wood", "metal",
    "glass"), lengths=("shallow", "deep"), price=19)
def bowl(length: float) -> list[Part]:
    low = mix(0.22, 0.78, length)
    body = mirrored((0, -0.16), (0.76, -0.16, 0), (0.58, mix(-0.16, low, 0.62)), (0.24, low, 0.3), (0, low + 0.02))
    foot = mirrored((0, low - 0.04, 0), (0.25, low - 0.04, 0), (0.28, low + 0.06, 0), (0, low + 0.08))
    return [Part(foot, "trim", "round"), Part(body, form="round"), Part(ellipse(0, -0.16, 0.76, 0.17), "plain"),
        Part(ellipse(0, -0.15, 0.7, 0.14), "inside", "hollow")]


@kind("teapot", "tea pot", category="Kitchen > Tableware > Teapots", materials=("glossy", "matte", "metal"), price=45)
def teapot(_: float) -> list[Part]:
    spout = curve((0.36, 0.34, 0), (0.62, 0.16), (0.7, -0.22), (0.88, -0.3, 0), (0.84, -0.1), (0.74, 0.34),
        (0.4, 0.6, 0))
    handle = Part(arc(-0.44, 0.1, 0.36, 0.36, start=0.2, stop=0.78), "trim", width=0.11)
    body = mirrored((0, -0.36), (0.3, -0.34), (0.56, 0.1), (0.46, 0.56), (0.26, 0.7, 0.3), (0, 0.72))
    lid = mirrored((0, -0.46), (0.24, -0.4), (0.32, -0.29, 0), (0, -0.25))
    return [handle, Part(spout, form="round"), Part(body, form="ball"), Part(lid, "plain", "ball"),
        Part(ellipse(0, -0.52, 0.075, 0.075), "accent", "ball")]


@kind("plant pot", "potted plant", "planter", category="Decoration > Plants", materials=("matte", "glossy", "straw"),
    lengths=("short", "tall"), price=24)
def plant_pot(length: float) -> list[Part]:
    """A leafy plant; its length is the plant's, above a pot that stays."""
    rise = mix(0.2, 0.98, length)
    leaves: list[Part] = []
    for angle, share in ((-62, 0.66), (58, 0.7), (-34, 0.88), (32, 0.86), (-10, 1.0), (14, 0.95)):
        tall = rise * share + 0.06
        leaf = curve((0, 0.1, 0), (0.13, 0.1 - tall * 0.55), (0, 0.1 - tall, 0), (-0.13, 0.1 - tall * 0.55))
        leaves.append(Part(turned(leaf, angle, 0, 0.1), "leaf", "flat"))
        leaves.append(Part(turned(line((0, 0.08), (0, 0.1 - tall * 0.9)), angle, 0, 0.1), "ink", width=0.01))
    pot = mirrored((0, 0.1, 0), (0.44, 0.1, 0), (0.32, 0.84, 0.2), (0, 0.87))
    return [*leaves, Part(pot, form="round"), Part(box(-0.49, 0.04, 0.49, 0.2, 0.03), "base", "round")]


KINDS = named(mug, vase, lamp, chair, table, sofa, cushion, rug, clock, plate, bottle, candle, bookshelf, curtain,
    bowl, teapot, plant_pot)
