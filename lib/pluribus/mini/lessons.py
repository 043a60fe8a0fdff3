"""What mini is taught: four teachers, and of the pictures we draw ourselves everything but what the exam asks.

Fashion-MNIST's training pictures (shapes), CC0 photographs of clothes (real light), a demo shop of sportswear (people
wearing things), and drawn products with compositional captions (colour, pattern, kind, material, length).
"""

import csv
import hashlib
import io
import re
import tarfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image

from pluribus import render, train
from pluribus.models.squares import to_square
from pluribus.records import Model
from pluribus.render.surfaces import PATTERN_WORDS

#: Drawn products: training uses seeds from here up, the exam those below.
FIRST_TRAINING_SEED = 1_000_000
EXAM_SEED = 900_000
HELD_OUT = 0.05
#: The files of the data folder that it learns from.
TAUGHT = ("train/fashion_mnist/train-00.tar.gz", "train/clothing_cc0/train-00.tar", "shops/luma_sport/images-00.tar",
          "shops/luma_sport/products.csv")  # fmt: skip
MARK = "<!-- written by `mini.make` -->"
SEEN_AS = ("{}", "a {}", "a photo of a {}")
#: What people call the classes of Fashion-MNIST and of the CC0 photographs; the first is the data set's own word.
GREY_CLASSES = (
    ("t-shirt/top", "t-shirt", "tee", "short sleeve top"), ("trouser", "trousers", "pants"),
    ("pullover", "sweater", "jumper"), ("dress", "sleeveless dress"), ("coat", "long coat"), ("sandal", "sandals"),
    ("shirt", "button-up shirt"), ("sneaker", "trainers", "running shoe"), ("bag", "handbag"),
    ("ankle boot", "boot", "boots"),
)  # fmt: skip
PHOTO_CLASSES = {
    "dress": ("dress",), "hat": ("hat", "cap"), "longsleeve": ("longsleeve", "long sleeve top", "sweater"),
    "outwear": ("outwear", "jacket", "coat"), "pants": ("pants", "trousers", "jeans"),
    "shirt": ("shirt", "button-up shirt"),
    "shoes": ("shoes", "pair of shoes"), "shorts": ("shorts",), "skirt": ("skirt",), "t-shirt": ("t-shirt", "tee"),
}  # fmt: skip


def held_out(item: render.Item) -> bool:
    """Whether this (kind, colour, pattern) is kept for the exam, by hash."""
    words = f"{item.kind}|{item.colour.words[0]}|{item.pattern}"
    return hashlib.sha256(words.encode()).digest()[0] < 256 * HELD_OUT


def sources(model: Model, data: Path, drawn: int) -> tuple[list[train.Pairs], list[train.Pairs]]:
    """What the first course teaches, and what the second. `data` is laid out as its README says."""
    others = [grey(model, data), photographs(model, data), sportswear(model, data)]
    compositions, *pairs = drawings(model, drawn)
    return [*others, compositions], [*others, *pairs]


def grey(model: Model, data: Path) -> train.Pairs:
    """Fashion-MNIST, 60,000 training pictures of 28 px."""
    pictures, labels = [], []
    for name, picture in unpacked(data / "train/fashion_mnist/train-00.tar.gz"):
        pictures.append(to_square(picture, model).transpose(2, 0, 1))
        labels.append(int(name.split("/")[0]))
    ways = [_said(words) for words in GREY_CLASSES]
    return train.Pairs(np.stack(pictures), [ways[label] for label in labels], share=0.22, vary=0.7, recolour=True)


def photographs(model: Model, data: Path) -> train.Pairs:
    """3,068 people's own photographs of clothes."""
    pictures, labels = [], []
    for name, picture in unpacked(data / "train/clothing_cc0/train-00.tar"):
        pictures.append(to_square(picture, model).transpose(2, 0, 1))
        labels.append(name.split("/")[-2])
    return train.Pairs(
        np.stack(pictures), [_said(PHOTO_CLASSES[label]) for label in labels], share=0.3, vary=2, recolour=True
    )


def sportswear(model: Model, data: Path) -> train.Pairs:
    """The demo shop: every picture of a product in one colour, under its title, colour and category."""
    with tarfile.open(data / "shops/luma_sport/images-00.tar") as tar:
        names = set(tar.getnames())
    captions: dict[str, set[str]] = {}
    with (data / "shops/luma_sport/products.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            for ref in (row["base_image"], *row["additional_images"].split(",")):
                if ref.lstrip("/") in names:
                    captions.setdefault(ref.lstrip("/"), set()).update(_sport_captions(row))
    kept = [(captions[name], picture) for name, picture in unpacked(data / "shops/luma_sport/images-00.tar")
            if name in captions]  # fmt: skip
    squares = np.stack([to_square(picture, model).transpose(2, 0, 1) for _, picture in kept])
    return train.Pairs(squares, [sorted(said) for said, _ in kept], share=0.04)


def _sport_captions(row: dict[str, str]) -> Iterator[str]:
    colour = re.search(r"color=(\w+)", row["additional_attributes"])
    title = re.sub(r"-(XS|S|M|L|XL|\d+)(-\w+)?$", "", row["name"]).strip()
    kind = title.split()[-1].lower()
    yield from (title, kind)
    if colour:
        yield from (f"{title} {colour[1]}", f"{colour[1].lower()} {kind}", f"a photo of a {colour[1].lower()} {kind}")


def drawings(model: Model, drawn: int) -> tuple[train.Pairs, train.Pairs, train.Pairs]:
    """Products of our own: under captions of all styles and several wordings; the same again, and under properties.

    Where captions name kind, colour and pattern, the first two tell nearly all products of a batch apart, and the
    pattern goes unlearnt: after 3,200 steps "dotted dress" and "floral dress" were one vector. Where one course draws
    from both, a picture must know the captions of both: else "red dress", drawn for one, denies the red dresses of the
    other, and colours fade.
    """
    chunk = 2_500
    tasks = [(vertical, FIRST_TRAINING_SEED + first, chunk, model.image_size_px)
             for vertical in render.VERTICALS for first in range(0, drawn // len(render.VERTICALS), chunk)]  # fmt: skip
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:  # torch has threads: forking it may hang
        squares, items = zip(*pool.map(drawn_products, *zip(*tasks, strict=True)), strict=True)
    seen, taught = np.concatenate(squares), [pair for part in items for pair in part]
    kinds = np.array([item.kind for _, item in taught])
    whole = [captions(item, seed) for seed, item in taught]
    apart = [property_captions(item, seed) for seed, item in taught]

    def pairs(share: float, first: list[list[str]], then: list[list[str]]) -> train.Pairs:
        every = [list(dict.fromkeys(a + b)) for a, b in zip(first, then, strict=True)]
        return train.Pairs(seen, every, share=share, groups=kinds, drawn=list(map(len, first)))

    return train.Pairs(seen, whole, share=0.44, groups=kinds), pairs(0.44, whole, apart), pairs(0.9, apart, whole)


def drawn_products(
    vertical: str, first_seed: int, seeds: int, side_px: int
) -> tuple[np.ndarray, list[tuple[int, render.Item]]]:
    """The products of these seeds that may be taught: pictures [n, 3, side, side], and (seed, item) of each."""
    items = [(seed, render.sample(vertical, seed)) for seed in range(first_seed, first_seed + seeds)]
    taught = [(seed, item) for seed, item in items if not held_out(item)]
    return np.stack([np.asarray(render.draw(item, side_px)).transpose(2, 0, 1) for _, item in taught]), taught


def property_captions(item: render.Item, seed: int) -> list[str]:
    """What is said of the pattern, with the kind or alone; and twice what is said of the colour."""
    kinds, words, hues = render.KINDS[item.kind].words, PATTERN_WORDS[item.pattern], item.colour.words
    said = {f"{word} {kind}" for word in words for kind in (kinds[0], kinds[seed % len(kinds)])} | set(words)
    if item.pattern != "plain":
        said |= {f"{kinds[0]} with {render.MOTIFS[item.pattern]}", f"a photo of a {words[0]} {kinds[0]}"}
    said |= {f"{hues[0]} {kinds[0]}", f"{hues[seed % len(hues)]} {kinds[seed % len(kinds)]}"}
    return sorted(said)


def captions(item: render.Item, seed: int) -> list[str]:
    """The plainest words, which make equal captions of equal products, and two other wordings."""
    said = {render.caption(item, style, words) for style in render.CAPTIONS for words in (0, seed, seed + 500_000_000)}
    if item.pattern == "plain":  # shops seldom say so
        said |= {f"plain {render.caption(item, style)}" for style in ("kind", "query")}
    return sorted(said)


def _said(words: tuple[str, ...]) -> list[str]:
    return [way.format(word) for word in words for way in SEEN_AS]


def unpacked(tar: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Every picture of a tar with its name, [height, width, 3]."""
    with tarfile.open(tar) as members:
        for member in members:
            file = members.extractfile(member)
            if file and member.name.endswith((".png", ".jpg")):
                yield member.name, np.array(Image.open(io.BytesIO(file.read())).convert("RGB"))
