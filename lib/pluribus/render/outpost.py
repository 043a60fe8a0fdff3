"""How sports goods, toys and stationery are drawn: the kinds of the demo shop "outpost"."""

import numpy as np

from pluribus.render.shapes import (
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

NYLON = ("canvas", "plastic", "leather")


@kind("backpack", "rucksack", category="Outdoor > Bags > Backpacks", materials=NYLON, lengths=("compact", "tall"),
    price=69)
def backpack(length: float) -> list[Part]:
    top = mix(-0.3, -0.78, length)
    loop = Part(arc(0, top, 0.14, 0.13, start=0.5), "trim", width=0.06)
    strap = Part(line((0.4, top + 0.26), (0.62, 0.0), (0.58, 0.5)), "trim", width=0.1)
    body = mirrored((0, top), (0.36, top + 0.05), (0.5, top + 0.34), (0.54, 0.6), (0.42, 0.76), (0, 0.78))
    pocket = box(-0.36, 0.18, 0.36, 0.68, 0.1)
    zipper = Part(line((-0.42, top + 0.36), (-0.26, top + 0.14), (0, top + 0.1), (0.26, top + 0.14),
        (0.42, top + 0.36)), "ink", width=0.025)
    return [loop, *pair(strap), Part(body, form="round"), zipper, Part(pocket, "base", "lying"),
        Part(line((-0.3, 0.28), (0.3, 0.28)), "ink", width=0.025), Part(box(0.2, 0.27, 0.24, 0.38, 0.01), "steel")]


@kind("tent", "camping tent", category="Outdoor > Camping > Tents", materials=("canvas", "plastic", "cotton"),
    price=159)
def tent(_: float) -> list[Part]:
    left = polygon((-0.1, -0.58), (-0.88, 0.56), (0.34, 0.64))
    right = polygon((-0.1, -0.58), (0.34, 0.64), (0.9, 0.4), (0.44, -0.54))
    door = polygon((-0.12, -0.34), (-0.46, 0.595), (0.14, 0.63))
    flap = curve((-0.12, -0.34, 0), (-0.46, 0.595, 0), (-0.56, 0.58, 0), (-0.36, 0.2))
    ropes = [Part(line((0.44, -0.54), (0.94, 0.3)), "paper", width=0.014), Part(line((-0.1, -0.58), (-0.94, 0.46)),
        "paper", width=0.014)]
    return [*ropes, Part(right, "base", "hollow"), Part(left, "base", "flat"), Part(door, "ink", "hollow"),
        Part(flap, "trim", "cloth"), Part(line((-0.1, -0.64), (-0.1, -0.5)), "steel", width=0.03)]


@kind("ball", "play ball", category="Sport > Balls", materials=("plastic", "leather", "glossy"), price=19)
def ball(_: float) -> list[Part]:
    seams = [Part(arc(0, 0, 0.26, 0.72), "trim", width=0.018), Part(line((-0.72, -0.02), (0, 0.08), (0.72, -0.02)),
        "trim", width=0.018), Part(line((0, -0.72), (0, 0.72)), "trim", width=0.018)]
    return [Part(ellipse(0, 0, 0.73, 0.73), form="ball"), *seams]


@kind("kayak", "canoe", category="Sport > Water > Kayaks", materials=("plastic", "glossy", "wood"),
    lengths=("short", "long"), stands=False, price=499)
def kayak(length: float) -> list[Part]:
    wide = mix(0.48, 0.95, length)
    hull = curve((-wide, -0.22, 0), (-wide * 0.5, -0.05), (0, -0.02), (wide * 0.5, -0.05), (wide, -0.22, 0),
        (wide * 0.66, 0.24), (0, 0.34), (-wide * 0.66, 0.24))
    deck = curve((-wide, -0.22, 0), (-wide * 0.5, -0.15), (0, -0.14), (wide * 0.5, -0.15), (wide, -0.22, 0),
        (wide * 0.5, 0.0), (0, 0.05), (-wide * 0.5, 0.0))
    shaft = Part(line((-0.42, -0.5), (0.48, 0.4)), "timber", width=0.04)
    blades = [Part(turned(ellipse(x, y, 0.17, 0.08), 43, x, y), "accent", "lying")
        for x, y in ((-0.5, -0.58), (0.56, 0.48))]
    return [Part(hull, "base", "lying"), Part(deck, "plain", "flat"), Part(ellipse(0, -0.06, 0.24, 0.065), "ink",
        "hollow"), Part(line((-wide * 0.9, 0.02), (0, 0.14), (wide * 0.9, 0.02)), "paper", width=0.02), shaft, *blades]


@kind("bicycle helmet", "bike helmet", "cycling helmet", category="Sport > Cycling > Helmets",
    materials=("glossy", "matte", "plastic"), price=59)
def helmet(_: float) -> list[Part]:
    shell = curve((-0.8, 0.22, 0.3), (-0.74, -0.24), (-0.3, -0.6), (0.26, -0.6), (0.7, -0.24), (0.82, 0.14, 0.3),
        (0.36, 0.24), (-0.2, 0.34))
    vents = [Part(turned(ellipse(x, y, 0.17, 0.055), tilt, x, y), "ink", "hollow")
        for x, y, tilt in ((-0.36, -0.32, -38), (0.02, -0.42, -4), (0.38, -0.32, 32), (-0.42, 0.0, -16),
        (-0.02, -0.1, -3), (0.4, -0.05, 16))]
    straps = [Part(line((-0.52, 0.28), (-0.3, 0.62), (-0.12, 0.76)), "ink", width=0.05),
        Part(line((0.36, 0.24), (0.06, 0.58), (-0.12, 0.76)), "ink", width=0.05)]
    return [*straps, Part(box(-0.2, 0.7, -0.04, 0.8, 0.03), "rubber"), Part(shell, form="ball"), *vents,
        Part(line((-0.8, 0.22), (-0.2, 0.33), (0.36, 0.24), (0.82, 0.14)), "trim", width=0.05)]


@kind("water bottle", "drinking bottle", "flask", category="Outdoor > Bottles",
    materials=("metal", "plastic", "matte"), lengths=("short", "tall"), price=24)
def water_bottle(length: float) -> list[Part]:
    top = mix(0.06, -0.6, length)
    loop = Part(arc(0, top - 0.26, 0.13, 0.12, start=0.5), "rubber", width=0.06)
    body = mirrored((0, top, 0), (0.24, top, 0), (0.31, top + 0.14, 0.6), (0.31, 0.74, 0.2), (0.26, 0.84, 0.5),
        (0, 0.85))
    return [loop, Part(box(-0.21, top - 0.26, 0.21, top + 0.01, 0.05), "rubber", "round"), Part(body, form="round"),
        Part(box(-0.315, 0.66, 0.315, 0.7), "trim", "round")]


@kind("skateboard", "longboard", category="Sport > Skateboards", materials=("wood", "plastic", "glossy"),
    lengths=("short", "long"), stands=False, price=79)
def skateboard(length: float) -> list[Part]:
    tall = mix(0.44, 0.88, length)
    deck = box(-0.25, -tall, 0.25, tall, 0.24)
    parts = [Part(deck, form="round")]
    for y in (-tall * 0.58, tall * 0.58):
        parts += [Part(box(-0.27, y - 0.025, 0.27, y + 0.025), "steel", "lying"),
            Part(box(-0.1, y - 0.11, 0.1, y + 0.11, 0.03), "steel", "flat")]
        parts += pair(Part(box(0.23, y - 0.1, 0.36, y + 0.1, 0.05), "paper", "lying"))
        parts += [Part(ellipse(x, y + 0.075 * side, 0.015, 0.015), "ink") for x in (-0.06, 0.06) for side in (-1, 1)]
    return [Part(turned(part.outline, 24), part.fill, part.form, part.width) for part in parts]


@kind("racket", "tennis racket", category="Sport > Tennis > Rackets", materials=("plastic", "wood", "metal"),
    lengths=("short", "long"), stands=False, price=89)
def racket(length: float) -> list[Part]:
    end = mix(0.42, 0.9, length)
    strings = []
    for share in np.linspace(-0.8, 0.8, 9):
        reach = float(np.sqrt(1 - share**2))
        across = line((-0.43 * reach, -0.42 + 0.5 * share), (0.43 * reach, -0.42 + 0.5 * share))
        along = line((0.43 * share, -0.42 - 0.5 * reach), (0.43 * share, -0.42 + 0.5 * reach))
        strings += [Part(across, "paper", width=0.016), Part(along, "paper", width=0.016)]
    throat = pair(Part(line((0.2, 0.02), (0.05, 0.28)), "base", width=0.075))
    return [*strings, Part(arc(0, -0.42, 0.43, 0.5), "base", width=0.11), *throat,
        Part(box(-0.055, 0.22, 0.055, end), "base", "round"),
        Part(box(-0.07, end - 0.36, 0.07, end, 0.03), "rubber", "round")]


@kind("surfboard", "surf board", category="Sport > Water > Surfboards", materials=("glossy", "matte", "wood"),
    lengths=("short", "long"), stands=False, price=349)
def surfboard(length: float) -> list[Part]:
    top = mix(-0.34, -0.92, length)
    middle = (top + 0.86) / 2
    board = mirrored((0, top, 0.6), (0.24, mix(top, middle, 0.6)), (0.27, middle), (0.22, mix(middle, 0.86, 0.6)),
        (0.1, 0.86, 0.6), (0, 0.83))
    return [Part(board, form="round"), Part(line((0, top + 0.04), (0, 0.8)), "timber", width=0.022),
        Part(polygon((-0.2, mix(middle, 0.86, 0.55)), (0.2, mix(middle, 0.86, 0.55)), (0.195, mix(middle, 0.86, 0.65)),
        (-0.195, mix(middle, 0.86, 0.65))), "accent"), *pair(Part(polygon((0.12, 0.62), (0.15, 0.76), (0.09, 0.74)),
        "ink"))]


@kind("umbrella", "parasol", category="Outdoor > Umbrellas", materials=("canvas", "plastic", "silk"),
    lengths=("short", "long"), stands=False, price=25)
def umbrella(length: float) -> list[Part]:
    foot = mix(0.36, 0.84, length)
    canopy = curve((-0.86, 0.08, 0), (-0.7, -0.36), (0, -0.72), (0.7, -0.36), (0.86, 0.08, 0), (0.58, -0.02),
        (0.29, 0.08, 0), (0, -0.02), (-0.29, 0.08, 0), (-0.58, -0.02))
    ribs = [Part(line((0, -0.72), (x * 0.8, -0.4), (x, 0.07)), "trim", width=0.014) for x in (-0.29, 0.29)]
    stick = Part(line((0, -0.06), (0, foot)), "steel", width=0.035)
    crook = Part(line((0, foot - 0.16), (0, foot), (0.07, foot + 0.08), (0.16, foot + 0.06), (0.18, foot - 0.03)),
        "timber", width=0.06)
    return [stick, crook, Part(box(-0.02, -0.82, 0.02, -0.68), "steel"), Part(canopy, form="ball"), *ribs]


@kind("kite", "flying kite", category="Toys > Kites", materials=("paper", "canvas", "plastic"),
    lengths=("short-tailed", "long-tailed"), stands=False, price=22)
def kite(length: float) -> list[Part]:
    wag = mix(0.1, 0.62, length)
    tail = Part(line((0.0, 0.28), (0.1, 0.28 + wag * 0.3), (-0.08, 0.28 + wag * 0.62), (0.06, 0.28 + wag)), "paper",
        width=0.02)
    bows = [Part(polygon((x, y), (x - 0.1, y - 0.055), (x - 0.1, y + 0.055), (x, y), (x + 0.1, y - 0.055),
        (x + 0.1, y + 0.055)), "accent") for x, y in ((0.09, 0.28 + wag * 0.36), (-0.06, 0.28 + wag * 0.68),
        (0.05, 0.27 + wag))]
    return [tail, *bows, Part(polygon((0, -0.9), (0.56, -0.42), (0, 0.3), (-0.56, -0.42)), "base", "flat"),
        Part(line((0, -0.9), (0, 0.3)), "timber", width=0.024), Part(line((-0.56, -0.42), (0.56, -0.42)), "timber",
        width=0.024)]


@kind("notebook", "spiral notebook", "exercise book", category="Stationery > Notebooks",
    materials=("paper", "leather", "canvas"), lengths=("square", "tall"), stands=False, price=8)
def notebook(length: float) -> list[Part]:
    tall = mix(0.44, 0.82, length)
    pages = Part(box(-0.5, -tall + 0.03, 0.585, tall + 0.03, 0.02), "paper")
    cover = Part(box(-0.54, -tall, 0.55, tall, 0.05), "base", "flat")
    rings = [Part(box(-0.62, y, -0.46, y + 0.035, 0.015), "steel", "lying")
        for y in np.linspace(-tall + 0.08, tall - 0.12, max(5, round(11 * tall)))]
    label = Part(box(-0.22, -tall * 0.62, 0.34, -tall * 0.62 + 0.26, 0.02), "paper")
    lines = [Part(line((-0.14, -tall * 0.62 + y), (0.26, -tall * 0.62 + y)), "ink", width=0.014) for y in (0.09, 0.17)]
    return [pages, cover, label, *lines, Part(box(0.4, -tall, 0.45, tall), "accent"), *rings]


@kind("pencil", "colouring pencil", category="Stationery > Pencils", materials=("wood", "matte", "glossy"),
    lengths=("short", "long"), stands=False, price=2)
def pencil(length: float) -> list[Part]:
    end = mix(0.0, 0.84, length)
    tip = -0.86
    parts = [Part(box(tip + 0.3, -0.1, end, 0.1), "base", "lying"), Part(polygon((tip, 0), (tip + 0.3, -0.1),
        (tip + 0.3, 0.1)), "timber", "lying"), Part(polygon((tip, 0), (tip + 0.1, -0.034), (tip + 0.1, 0.034)), "ink"),
        Part(box(end, -0.105, end + 0.1, 0.105), "steel", "lying"), Part(box(end + 0.1, -0.1, end + 0.2, 0.1, 0.04),
        "accent", "lying"), Part(line((tip + 0.3, -0.035), (end, -0.035)), "trim", width=0.012),
        Part(line((tip + 0.3, 0.035), (end, 0.035)), "trim", width=0.012)]
    return [Part(turned(part.outline * (1, 1.25), -32), part.fill, part.form, part.width) for part in parts]


@kind("teddy bear", "stuffed bear", "soft toy", category="Toys > Soft Toys", materials=("plush", "cotton", "knitted"),
    price=27)
def teddy_bear(_: float) -> list[Part]:
    foot = [*pair(Part(ellipse(0.36, 0.66, 0.22, 0.2), "base", "ball")), *pair(Part(ellipse(0.38, 0.69, 0.12, 0.11),
        "accent"))]
    arms = pair(Part(turned(ellipse(0.46, 0.14, 0.15, 0.3), -32, 0.46, 0.14), "base", "ball"))
    ears = [*pair(Part(ellipse(0.3, -0.72, 0.17, 0.17), "base", "ball")), *pair(Part(ellipse(0.3, -0.71, 0.09, 0.09),
        "accent"))]
    face = [*pair(Part(ellipse(0.15, -0.5, 0.04, 0.045), "ink", "ball")), Part(ellipse(0, -0.32, 0.17, 0.13), "paper",
        "ball"), Part(ellipse(0, -0.38, 0.06, 0.042), "ink", "ball"), Part(line((-0.07, -0.29), (0, -0.26),
        (0.07, -0.29)), "ink", width=0.018)]
    return [*arms, Part(ellipse(0, 0.34, 0.42, 0.44), "base", "ball"), *foot, *ears,
        Part(ellipse(0, -0.44, 0.42, 0.38), "base", "ball"), *face]


@kind("toy car", "model car", category="Toys > Cars", materials=("glossy", "metal", "wood", "plastic"),
    lengths=("short", "long"), price=15)
def toy_car(length: float) -> list[Part]:
    wide = mix(0.6, 0.9, length)
    body = curve((-wide, 0.06), (-wide * 0.92, -0.08), (-wide * 0.55, -0.14, 0.3), (-wide * 0.34, -0.46, 0.5),
        (wide * 0.22, -0.46, 0.5), (wide * 0.52, -0.12, 0.3), (wide * 0.94, -0.04), (wide, 0.12),
        (wide * 0.96, 0.26, 0.2), (-wide * 0.97, 0.26, 0.2))
    panes = [Part(polygon((-wide * 0.42, -0.14), (-wide * 0.27, -0.38), (-wide * 0.06, -0.38), (-wide * 0.06, -0.14)),
        "steel", "flat"), Part(polygon((wide * 0.0, -0.14), (wide * 0.0, -0.38), (wide * 0.19, -0.38),
        (wide * 0.38, -0.14)), "steel", "flat")]
    wheels = [p for x in (-wide * 0.56, wide * 0.58) for p in (Part(ellipse(x, 0.26, 0.185, 0.185), "rubber", "ball"),
        Part(ellipse(x, 0.26, 0.09, 0.09), "steel", "ball"))]
    return [Part(body, form="lying"), *panes, Part(line((-wide * 0.03, -0.12), (-wide * 0.03, 0.24)), "trim",
        width=0.016), Part(ellipse(wide * 0.93, 0.04, 0.05, 0.06), "flame", "ball"), *wheels,
        Part(line((0.04, -0.02), (0.14, -0.02)), "ink", width=0.025)]


@kind("guitar", "acoustic guitar", category="Music > Guitars", materials=("wood", "glossy", "matte"),
    lengths=("short-necked", "long-necked"), stands=False, price=189)
def guitar(length: float) -> list[Part]:
    top = mix(-0.52, -0.92, length)
    body = mirrored((0, -0.02), (0.22, -0.04), (0.3, 0.12), (0.22, 0.28), (0.4, 0.56), (0.26, 0.84), (0, 0.88))
    strings = [Part(line((x, top + 0.1), (x, 0.64)), "steel", width=0.008) for x in (-0.03, -0.01, 0.01, 0.03)]
    pegs = [Part(ellipse(x, top + y, 0.03, 0.022), "steel") for x in (-0.11, 0.11) for y in (0.0, 0.08)]
    return [Part(body, form="ball"), Part(ellipse(0, 0.28, 0.115, 0.115), "ink", "hollow"),
        Part(box(-0.05, top + 0.1, 0.05, 0.24), "timber", "round"), *pegs, Part(box(-0.085, top - 0.06, 0.085,
        top + 0.14, 0.03), "timber", "flat"), Part(box(-0.14, 0.62, 0.14, 0.67, 0.01), "ink"), *strings]


@kind("drum", "toy drum", category="Music > Drums", materials=("glossy", "wood", "metal"), lengths=("shallow", "deep"),
    price=55)
def drum(length: float) -> list[Part]:
    low = mix(0.2, 0.8, length)
    body = curve((-0.62, -0.26, 0), (0.62, -0.26, 0), (0.62, low - 0.08, 0), (0, low + 0.06), (-0.62, low - 0.08, 0))
    sticks = [Part(line((-0.66, -0.72), (0.1, -0.22)), "timber", width=0.05),
        Part(line((0.66, -0.74), (-0.02, -0.3)), "timber", width=0.05), Part(ellipse(0.1, -0.22, 0.05, 0.04), "timber",
        "ball"), Part(ellipse(-0.02, -0.3, 0.05, 0.04), "timber", "ball")]
    lacing = [Part(line((-0.58 + 0.29 * i, -0.12), (-0.435 + 0.29 * i, low - 0.07), (-0.29 + 0.29 * i, -0.12),
        roundness=0), "paper", width=0.018) for i in range(4)]
    return [Part(body, form="round"), *lacing, Part(curve((-0.65, -0.28, 0), (0.65, -0.28, 0), (0.65, -0.16, 0),
        (0, 0.0), (-0.65, -0.16, 0)), "accent", "round"), Part(ellipse(0, -0.28, 0.65, 0.16), "accent"),
        Part(ellipse(0, -0.28, 0.58, 0.13), "paper", "flat"), *sticks]


KINDS = named(backpack, tent, ball, kayak, helmet, water_bottle, skateboard, racket, surfboard, umbrella, kite,
    notebook, pencil, teddy_bear, toy_car, guitar, drum)
