"""How garments, shoes and bags are drawn: the kinds of the demo shop "atelier"."""

from pluribus.render.shapes import Part, box, curve, ellipse, kind, line, mirrored, mix, named, pair, polygon, turned

# Outlines read better as paths than with one point to a line.
# fmt: off

CLOTH = ("cotton", "knitted", "denim", "corduroy", "silk")
SHOE = ("leather", "canvas", "suede")


def _sleeves(length: float) -> list[Part]:
    reach = mix(0.42, 1.16, length)
    x, y = (0.5 * reach, 0.93 * reach)
    sleeve = curve((0.3, -0.655, 0), (0.47, -0.56), (0.4 + x, -0.5 + y, 0), (0.17 + x, -0.4 + y, 0), (0.33, -0.12, 0))
    cuff = polygon((0.4 + x, -0.5 + y), (0.17 + x, -0.4 + y), (0.155 + x, -0.45 + y), (0.385 + x, -0.55 + y))
    return [*pair(Part(sleeve, form="cloth")), *pair(Part(cuff, "trim"))]


def _torso(hem: float, flare: float=0.0, neck: float=-0.56) -> Part:
    return Part(mirrored((0, neck), (0.17, -0.7, 0), (0.3, -0.66), (0.43, -0.58, 0), (0.37, -0.16),
        (0.37 + flare, hem, 0), (0, hem + 0.03)), form="cloth")


def _neck(depth: float=0.07) -> Part:
    return Part(ellipse(0, -0.685, 0.175, depth), "inside", "hollow")


@kind("t-shirt", "tee", "tshirt", category="Clothing > Tops > T-Shirts", materials=CLOTH[:3],
    lengths=("short sleeved", "long sleeved"), stands=False, price=19)
def t_shirt(length: float) -> list[Part]:
    collar = Part(line((-0.175, -0.695), (-0.1, -0.6), (0, -0.565), (0.1, -0.6), (0.175, -0.695)), "trim", width=0.035)
    return [_neck(), *_sleeves(length), _torso(0.68), collar]


@kind("shirt", "button-up shirt", "button-down shirt", category="Clothing > Tops > Shirts",
    materials=("cotton", "denim", "silk"), lengths=("short sleeved", "long sleeved"), stands=False, price=39)
def shirt(length: float) -> list[Part]:
    collar = polygon((0.0, -0.55), (0.13, -0.4), (0.22, -0.62), (0.16, -0.74))
    buttons = [Part(ellipse(0, y, 0.018, 0.018), "paper") for y in (-0.36, -0.15, 0.06, 0.27, 0.48)]
    placket = Part(box(-0.045, -0.5, 0.045, 0.7), "plain")
    pocket = Part(curve((0.11, -0.26), (0.28, -0.26), (0.28, -0.08), (0.195, -0.04), (0.11, -0.08), roundness=0),
        "base")
    return [_neck(), *_sleeves(length), _torso(0.7), placket, *buttons, pocket, *pair(Part(collar, "plain"))]


@kind("dress", "summer dress", "sleeveless dress", category="Clothing > Dresses",
    materials=("cotton", "corduroy", "silk"), lengths=("mini", "maxi"), stands=False, price=59)
def dress(length: float) -> list[Part]:
    hem = mix(0.22, 0.92, length)
    flare = mix(0.42, 0.58, length)
    skirt_part = mirrored((0.0, -0.13), (0.24, -0.13, 0), (0.3, 0.0), (flare, hem, 0), (flare * 0.5, hem + 0.04),
        (0, hem + 0.05))
    bodice = mirrored((0, -0.6), (0.13, -0.66), (0.18, -0.86, 0), (0.26, -0.86, 0), (0.28, -0.6), (0.27, -0.35),
        (0.24, -0.12, 0), (0, -0.11))
    back = Part(mirrored((0, -0.72), (0.19, -0.8), (0.2, -0.6), (0, -0.5)), "inside", "hollow")
    belt = Part(mirrored((0, -0.15, 0), (0.245, -0.155, 0), (0.245, -0.085, 0), (0, -0.08, 0)), "accent")
    return [back, Part(skirt_part, form="cloth"), Part(bodice, form="cloth"), belt]


@kind("skirt", "pleated skirt", category="Clothing > Skirts", materials=CLOTH, lengths=("mini", "maxi"), stands=False,
    price=45)
def skirt(length: float) -> list[Part]:
    hem = mix(-0.12, 0.85, length)
    flare = mix(0.5, 0.66, length)
    body = mirrored((0, -0.66), (0.32, -0.68, 0), (0.42, -0.4), (flare, hem, 0), (flare * 0.5, hem + 0.05),
        (0, hem + 0.06))
    pleats = [Part(line((0.32 * s, -0.55), (flare * s * 0.98, hem + 0.05 - 0.05 * abs(s))), "trim", width=0.012)
        for s in (-0.66, -0.33, 0.0, 0.33, 0.66)]
    band = Part(mirrored((0, -0.71), (0.32, -0.75, 0), (0.335, -0.62, 0), (0, -0.58)), "plain")
    return [Part(body, form="cloth"), *pleats, band]


def _legs(hem: float, spread: float, width: float) -> list[Part]:
    leg = curve((0, -0.74, 0), (0.34, -0.76, 0), (0.4, -0.45), (spread + width, hem, 0),
        (spread - width, hem + 0.02, 0), (0.03, -0.22, 0), (0, -0.26, 0))
    seam = Part(line((0.395, -0.6), (0.38, -0.45), (0.25, -0.42)), "trim", width=0.014)
    return [Part(mirrored((0, -0.74), (0.33, -0.785, 0), (0.33, -0.7), (0, -0.66)), "inside", "hollow"),
        *pair(Part(leg, form="cloth")), *pair(seam), Part(line((0, -0.66), (0.012, -0.45), (0, -0.28)), "trim",
        width=0.014), Part(mirrored((0, -0.72), (0.345, -0.77, 0), (0.355, -0.66, 0), (0, -0.62)), "plain"),
        Part(ellipse(0, -0.67, 0.025, 0.025), "brass")]


@kind("trousers", "pants", category="Clothing > Trousers", materials=CLOTH, lengths=("cropped", "long"), stands=False,
    price=55)
def trousers(length: float) -> list[Part]:
    return _legs(mix(0.42, 0.92, length), 0.27, 0.13)


@kind("shorts", "short pants", category="Clothing > Shorts", materials=("cotton", "denim", "corduroy"),
    lengths=("short", "knee-length"), stands=False, price=29)
def shorts(length: float) -> list[Part]:
    return _legs(mix(-0.08, 0.34, length), 0.31, 0.21)


@kind("coat", "overcoat", "jacket", category="Clothing > Outerwear > Coats",
    materials=("cotton", "corduroy", "leather", "suede"), lengths=("short", "long"), stands=False, price=149)
def coat(length: float) -> list[Part]:
    hem = mix(0.3, 0.9, length)
    flare = mix(0.06, 0.16, length)
    lapel = polygon((0.0, -0.22), (0.25, -0.44), (0.21, -0.52), (0.27, -0.58), (0.17, -0.76))
    buttons = [Part(ellipse(x, y, 0.032, 0.032), "ink", "ball") for x in (-0.11, 0.11)
        for y in (-0.1, 0.1, 0.3) if y < hem - 0.1]
    pocket = Part(box(0.17, 0.1, 0.34, 0.15), "trim")
    edge = Part(line((0, -0.22), (0, hem + 0.02)), "trim", width=0.016)
    return [_neck(0.08), *_sleeves(0.97), _torso(hem, flare, -0.4), edge, *buttons, *pair(pocket),
        *pair(Part(lapel, "plain"))]


@kind("hoodie", "hooded sweatshirt", "hooded sweater", category="Clothing > Tops > Hoodies",
    materials=("cotton", "knitted", "corduroy"), lengths=("cropped", "long"), stands=False, price=49)
def hoodie(length: float) -> list[Part]:
    hem = mix(0.16, 0.84, length)
    hood = mirrored((0, -0.96), (0.22, -0.88), (0.31, -0.68), (0.24, -0.5), (0, -0.44))
    opening = mirrored((0, -0.86), (0.14, -0.8), (0.17, -0.66), (0, -0.5))
    pouch = mirrored((0, hem - 0.36, 0), (0.16, hem - 0.36, 0), (0.27, hem - 0.13, 0), (0.27, hem - 0.06, 0),
        (0, hem - 0.06, 0))
    rib = Part(box(-0.375, hem - 0.06, 0.375, hem + 0.04, 0.03), "trim")
    cords = pair(Part(line((0.07, -0.54), (0.08, -0.4), (0.075, -0.28)), "paper", width=0.022))
    return [*_sleeves(0.97), _torso(hem), rib, Part(hood, form="ball"), Part(opening, "inside", "hollow"),
        Part(pouch, "base", "flat"), *cords]


@kind("sneaker", "trainer", "running shoe", category="Shoes > Sneakers", materials=SHOE, price=79)
def sneaker(_: float) -> list[Part]:
    upper = curve((-0.8, -0.3), (-0.62, -0.36), (-0.42, -0.3, 0.5), (-0.16, -0.42, 0), (0.02, -0.2), (0.3, 0.02),
        (0.66, 0.1), (0.84, 0.3, 0), (-0.84, 0.3, 0), (-0.86, -0.02))
    sole = curve((-0.88, 0.26, 0), (0.84, 0.24, 0.4), (0.92, 0.34), (0.84, 0.44), (0, 0.45), (-0.8, 0.45), (-0.9, 0.38))
    toe = curve((0.5, 0.07), (0.66, 0.1), (0.85, 0.28, 0), (0.46, 0.29, 0))
    heel = curve((-0.8, -0.3), (-0.66, -0.35), (-0.6, 0.0), (-0.58, 0.29, 0), (-0.85, 0.29, 0), (-0.86, -0.02))
    tongue = curve((-0.26, -0.36), (-0.16, -0.56), (-0.03, -0.52), (0.08, -0.18), (-0.1, -0.2))
    laces = [Part(line((-0.15 + 0.11 * i, -0.29 + 0.085 * i), (0.01 + 0.11 * i, -0.27 + 0.085 * i)), "paper",
        width=0.045) for i in range(5)]
    swoosh = Part(line((-0.42, 0.18), (-0.1, 0.14), (0.22, -0.02)), "accent", width=0.07)
    return [Part(tongue, "trim"), Part(upper, form="lying"), Part(heel, "trim"), Part(toe, "trim"), swoosh, *laces,
        Part(sole, "paper", "lying"), Part(line((-0.86, 0.37), (0.88, 0.36)), "trim", width=0.02)]


@kind("boot", "heeled boot", category="Shoes > Boots", materials=("leather", "suede", "glossy"),
    lengths=("ankle", "knee-high"), price=119)
def boot(length: float) -> list[Part]:
    top = mix(-0.06, -0.86, length)
    upper = curve((-0.46, top, 0), (0.08, top - 0.01, 0), (0.06, 0.12), (0.18, 0.34), (0.52, 0.46), (0.66, 0.68, 0),
        (-0.5, 0.68, 0), (-0.49, 0.3))
    sole = curve((-0.54, 0.66, 0), (0.66, 0.66, 0), (0.7, 0.76, 0), (-0.16, 0.76, 0), (-0.18, 0.9, 0), (-0.54, 0.9, 0))
    mouth = Part(ellipse(-0.19, top, 0.27, 0.05), "inside", "hollow")
    seam = Part(line((0.07, 0.2), (-0.02, 0.42), (0.04, 0.66)), "trim", width=0.016)
    zipper = Part(line((-0.3, top + 0.06), (-0.31, 0.5)), "steel", width=0.02)
    return [Part(upper, form="round"), mouth, seam, zipper, Part(sole, "rubber"),
        Part(line((-0.53, 0.67), (0.67, 0.67)), "trim", width=0.02)]


@kind("sandal", "summer sandal", "open shoe", category="Shoes > Sandals", materials=SHOE, stands=False, price=49)
def sandal(_: float) -> list[Part]:
    sole = curve((0.02, -0.88), (0.3, -0.74), (0.38, -0.4), (0.28, 0.05), (0.3, 0.5), (0.2, 0.82), (-0.02, 0.9),
        (-0.24, 0.8), (-0.3, 0.5), (-0.26, 0.1), (-0.36, -0.35), (-0.26, -0.74))
    bed = curve((0.02, -0.8), (0.24, -0.69), (0.31, -0.4), (0.21, 0.05), (0.23, 0.5), (0.15, 0.76), (-0.02, 0.83),
        (-0.18, 0.75), (-0.23, 0.5), (-0.19, 0.1), (-0.29, -0.35), (-0.2, -0.69))
    parts = [Part(sole, "rubber"), Part(bed, "timber", "ball")]
    for y, left, right in ((-0.42, -0.4, 0.42), (-0.06, -0.34, 0.36)):
        band = curve((left, y - 0.13, 0), ((left + right) / 2, y - 0.19), (right, y - 0.13, 0), (right, y + 0.13, 0),
            ((left + right) / 2, y + 0.07), (left, y + 0.13, 0))
        parts += [Part(band, form="round"), Part(box(right - 0.15, y - 0.09, right - 0.05, y + 0.07, 0.02), "brass")]
    heel = Part(line((-0.27, 0.36), (-0.2, 0.64), (0, 0.72), (0.2, 0.64), (0.27, 0.36)), "base", width=0.13)
    return [*parts, heel]


@kind("handbag", "bag", "purse", category="Accessories > Bags", materials=("leather", "canvas", "glossy", "suede"),
    lengths=("short-handled", "long-handled"), price=89)
def handbag(length: float) -> list[Part]:
    rise = mix(-0.42, -0.9, length)
    handle = Part(line((-0.36, -0.12), (-0.32, rise + 0.1), (0, rise - 0.0), (0.32, rise + 0.1), (0.36, -0.12)),
        "trim", width=0.075)
    body = mirrored((0, -0.22), (0.52, -0.2, 0.3), (0.68, 0.62, 0.3), (0.6, 0.7), (0, 0.72))
    flap = mirrored((0, -0.23), (0.53, -0.21, 0.2), (0.56, 0.1, 0.4), (0, 0.3))
    return [handle, Part(body, form="lying"), Part(flap, form="flat"), Part(box(-0.07, 0.2, 0.07, 0.36, 0.03), "brass",
        "ball"), *pair(Part(ellipse(0.36, -0.13, 0.05, 0.05), "brass", "ball"))]


@kind("hat", "sun hat", "fedora", category="Accessories > Hats", materials=("straw", "cotton", "suede"),
    lengths=("narrow-brimmed", "wide-brimmed"), price=35)
def hat(length: float) -> list[Part]:
    brim = mix(0.56, 0.92, length)
    under = Part(ellipse(0, 0.34, brim, 0.17), "base", "lying")
    crown = mirrored((0, -0.38), (0.24, -0.46), (0.38, -0.3), (0.46, 0.3, 0), (0, 0.42))
    band = mirrored((0, 0.22), (0.44, 0.13, 0), (0.462, 0.3, 0), (0, 0.42))
    dent = Part(curve((-0.22, -0.4), (0, -0.3), (0.22, -0.4), (0, -0.35)), "trim")
    return [under, Part(crown, form="round"), dent, Part(band, "accent", "round")]


@kind("scarf", "shawl", category="Accessories > Scarves", materials=("knitted", "cotton", "silk"),
    lengths=("short", "long"), stands=False, price=25)
def scarf(length: float) -> list[Part]:
    left, right = (mix(0.1, 0.78, length), mix(-0.02, 0.62, length))
    ends = []
    for x, hem, tilt in ((-0.17, left, -0.05), (0.15, right, 0.07)):
        fringe = [Part(line((x + tilt - 0.14 + 0.056 * i, hem - 0.01), (x + tilt - 0.14 + 0.056 * i, hem + 0.1)),
            "trim", width=0.022) for i in range(6)]
        strip = curve((x - 0.14, -0.45, 0), (x + 0.14, -0.45, 0), (x + tilt + 0.15, hem, 0), (x + tilt - 0.15, hem, 0))
        ends += [*fringe, Part(strip, form="cloth")]
    loop = mirrored((0, -0.8), (0.34, -0.7), (0.42, -0.48), (0.24, -0.28), (0, -0.22))
    hole = mirrored((0, -0.66), (0.2, -0.62), (0.22, -0.54), (0, -0.46))
    return [*ends, Part(loop, form="ball"), Part(hole, "inside", "hollow")]


@kind("sock", "stocking", category="Clothing > Socks", materials=("knitted", "cotton"), lengths=("ankle", "knee-high"),
    stands=False, price=9)
def sock(length: float) -> list[Part]:
    top = mix(0.02, -0.84, length)
    body = curve((-0.34, top, 0), (0.06, top, 0), (0.05, 0.12), (0.16, 0.36), (0.5, 0.52), (0.62, 0.7), (0.46, 0.82),
        (0.1, 0.78), (-0.24, 0.62), (-0.37, 0.36), (-0.35, 0.1))
    heel = curve((-0.37, 0.28), (-0.16, 0.36), (-0.02, 0.56), (-0.1, 0.72, 0), (-0.27, 0.6), (-0.37, 0.42))
    toe = curve((0.4, 0.475, 0), (0.52, 0.53), (0.62, 0.7), (0.46, 0.82), (0.3, 0.81, 0), (0.3, 0.64))
    ribs = [Part(line((-0.3 + 0.08 * i, top + 0.02), (-0.3 + 0.08 * i, top + 0.13)), "trim", width=0.012)
        for i in range(5)]
    return [Part(body, form="round"), Part(heel, "accent"), Part(toe, "accent"),
        Part(box(-0.35, top - 0.02, 0.07, top + 0.15, 0.03), "plain", "round"), *ribs]


@kind("sunglasses", "shades", "dark glasses", category="Accessories > Sunglasses",
    materials=("glossy", "matte", "wood"), stands=False, price=69)
def sunglasses(_: float) -> list[Part]:
    lens = curve((0.1, -0.2, 0.5), (0.44, -0.26), (0.74, -0.2, 0.5), (0.74, 0.08), (0.46, 0.26), (0.16, 0.14))
    frame = curve((0.03, -0.28, 0.4), (0.44, -0.35), (0.84, -0.28, 0.3), (0.82, 0.12), (0.46, 0.35), (0.09, 0.22))
    temple = polygon((0.8, -0.28), (0.93, -0.3), (0.95, -0.14), (0.8, -0.14))
    bridge = Part(line((-0.1, -0.14), (0, -0.21), (0.1, -0.14)), "base", width=0.08)
    shine = Part(polygon((0.24, -0.18), (0.38, -0.2), (0.22, 0.08), (0.16, 0.02)), "rubber")
    return [*pair(Part(temple)), bridge, *pair(Part(frame, form="flat")), *pair(Part(lens, "ink", "hollow")), shine,
        Part(shine.outline - (0.9, 0.0), "rubber")]


@kind("watch", "wristwatch", category="Accessories > Watches", materials=("leather", "canvas", "metal"), stands=False,
    price=99)
def watch(_: float) -> list[Part]:
    strap = curve((-0.17, -0.92, 0.6), (0.17, -0.92, 0.6), (0.24, -0.3, 0), (0.24, 0.3, 0), (0.16, 0.92, 0.6),
        (-0.16, 0.92, 0.6), (-0.24, 0.3, 0), (-0.24, -0.3, 0))
    hands = [Part(line((0, 0), (0.0, -0.22)), "ink", width=0.03), Part(line((0, 0), (0.14, 0.08)), "ink", width=0.04)]
    ticks = [Part(turned(box(-0.01, -0.285, 0.01, -0.235), 30 * t), "ink") for t in range(12)]
    holes = [Part(ellipse(0, y, 0.018, 0.022), "ink") for y in (0.5, 0.6, 0.7, 0.8)]
    return [Part(strap, form="round"), *holes, Part(box(0.33, -0.05, 0.44, 0.05, 0.02), "steel"),
        Part(ellipse(0, 0, 0.38, 0.38), "steel", "ball"), Part(ellipse(0, 0, 0.31, 0.31), "paper", "flat"), *ticks,
        *hands]


KINDS = named(t_shirt, shirt, dress, skirt, trousers, shorts, coat, hoodie, sneaker, boot, sandal, handbag, hat, scarf,
    sock, sunglasses, watch)
