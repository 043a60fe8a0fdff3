"""`mini`, the embedded model: how it is taught, from data whose licence lets its weights be published, and examined.

Four teachers: Fashion-MNIST's training pictures (shapes), CC0 photographs of clothes (real light), a demo shop of
sportswear (people wearing things), and products that we draw ourselves with compositional captions (colour, pattern,
kind, material, length). What the exam uses is never taught: the benchmarks' own pictures, drawn products of other
seeds, and every drawn (kind, colour, pattern) of `held_out`.
"""

import csv
import hashlib
import io
import re
import tarfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import count, islice
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image

from pluribus import demo, metrics, render, train
from pluribus.models import towers_torch
from pluribus.models.encoders import Encoder
from pluribus.models.squares import to_square
from pluribus.models.weights import sha256_of
from pluribus.records import Model, Score
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


def make(
    model: Model,
    data: Path,
    card: Path,
    *,
    steps: int = 3200,
    batch_size: int = 256,
    learning_rate: float = 2e-3,
    drawn: int = 90_000,
    seed: int = 0,
    checkpoint: Path | None = None,
    report: Callable[[train.Progress], None] = lambda progress: None,
) -> list[Score]:
    """Train mini from nothing, write its weights where `model` says, pin them in its model file, fill in its card.

    `data` is laid out as its README says. A killed run goes on from `checkpoint`. Raises ConfigError without the data.
    """
    import torch

    torch.manual_seed(seed)
    encoder = towers_torch.untrained(model)
    started = time.process_time()
    losses: list[float] = []

    def note(progress: train.Progress) -> None:
        losses.append(progress.loss)
        report(progress)

    train.fit(encoder, sources(model, data, drawn), steps=steps, batch_size=batch_size, learning_rate=learning_rate,
              seed=seed, checkpoint=checkpoint, report=note)  # fmt: skip
    weights = Path(model.weights)
    digest = towers_torch.save(encoder, weights, recipe=f"{steps=} {batch_size=} {learning_rate=} {drawn=} {seed=}")
    file = weights.with_suffix(".toml")
    file.write_text(re.sub(r'^sha256 = ".*"$', f'sha256 = "{digest}"', file.read_text(), flags=re.MULTILINE))
    found = scores(towers_torch.read(replace(model, sha256=digest), "cpu"), data)
    facts = {
        "pictures seen": f"{steps * batch_size:,} in {steps:,} steps of {batch_size}",
        "learning rate": f"{learning_rate}, warm-up 5 %, cosine to 0; AdamW, weight decay 0.1, gradients clipped to 1",
        "drawn products": f"{drawn:,}, less the {HELD_OUT:.0%} of compositions kept for the exam",
        "seed": str(seed),
        "processor time": f"{(time.process_time() - started) / 60:.0f} minutes",
        "loss, mean of the last 100 steps": f"{np.mean(losses[-100:]):.3f} (ln(batch) = {np.log(batch_size):.3f})",
        "weights": f"{weights.stat().st_size:,} bytes, sha256 {digest}",
    } | {name: f"sha256 {sha256_of(data / name)}" for name in TAUGHT}
    fill_in(card, facts, found)
    return found


def fill_in(card: Path, facts: dict[str, str], found: list[Score]) -> None:
    """Replace what stands between the card's two marks by these figures."""
    rows = [f"| {name} | {value} |" for name, value in facts.items()]
    table = [f"| {s.name} | **{s.value:.3f}** | {s.low:.3f} to {s.high:.3f} | {s.chance:.3f} | {s.n:,} | {s.note} |"
             for s in found]  # fmt: skip
    head = "| Exam | score | 95 % interval | chance | cases | |"
    figures = "\n".join(["| Recipe | |", "|---|---|", *rows, "", head, "|---|---|---|---|---|---|", *table])
    before, _, rest = card.read_text().partition(MARK)
    after = rest.partition(MARK)[2]
    card.write_text(f"{before}{MARK}\n{figures}\n{MARK}{after}")


# --------------------------------------------------------------------------------------------------------- teaching


def sources(model: Model, data: Path, drawn: int) -> list[train.Pairs]:
    """All that mini learns from; `drawn` products are drawn. `data` is laid out as its README says."""
    return [grey(model, data), photographs(model, data), sportswear(model, data), drawings(model, drawn)]


def grey(model: Model, data: Path) -> train.Pairs:
    """Fashion-MNIST, 60,000 training pictures of 28 px."""
    pictures, labels = [], []
    for name, picture in _pictures(data / "train/fashion_mnist/train-00.tar.gz"):
        pictures.append(to_square(picture, model).transpose(2, 0, 1))
        labels.append(int(name.split("/")[0]))
    ways = [_said(words) for words in GREY_CLASSES]
    return train.Pairs(np.stack(pictures), [ways[label] for label in labels], share=0.22, vary=0.7, recolour=True)


def photographs(model: Model, data: Path) -> train.Pairs:
    """3,068 people's own photographs of clothes."""
    pictures, labels = [], []
    for name, picture in _pictures(data / "train/clothing_cc0/train-00.tar"):
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
    kept = [(captions[name], picture) for name, picture in _pictures(data / "shops/luma_sport/images-00.tar")
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


def drawings(model: Model, drawn: int) -> train.Pairs:
    """Products of our own, each under captions of all styles and several wordings."""
    chunk = 2_500
    tasks = [(vertical, FIRST_TRAINING_SEED + first, chunk, model.image_size_px)
             for vertical in render.VERTICALS for first in range(0, drawn // len(render.VERTICALS), chunk)]  # fmt: skip
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:  # torch has threads: forking it may hang
        parts = list(pool.map(_drawn, *zip(*tasks, strict=True)))
    squares, captions, kinds = (np.concatenate([part[0] for part in parts]), [c for part in parts for c in part[1]],
                                np.concatenate([part[2] for part in parts]))  # fmt: skip
    return train.Pairs(squares, captions, share=0.44, groups=kinds)


def _drawn(vertical: str, first_seed: int, seeds: int, side_px: int) -> tuple[np.ndarray, list[list[str]], np.ndarray]:
    items = [(seed, render.sample(vertical, seed)) for seed in range(first_seed, first_seed + seeds)]
    taught = [(seed, item) for seed, item in items if not held_out(item)]
    squares = np.stack([np.asarray(render.draw(item, side_px)).transpose(2, 0, 1) for _, item in taught])
    return squares, [_captions(item, seed) for seed, item in taught], np.array([item.kind for _, item in taught])


def _captions(item: render.Item, seed: int) -> list[str]:
    """The plainest words, which make equal captions of equal products, and two other wordings."""
    said = {render.caption(item, style, words) for style in render.CAPTIONS for words in (0, seed, seed + 500_000_000)}
    if item.pattern == "plain":  # shops seldom say so
        said |= {f"plain {render.caption(item, style)}" for style in ("kind", "query")}
    return sorted(said)


def _said(words: tuple[str, ...]) -> list[str]:
    return [way.format(word) for word in words for way in SEEN_AS]


def _pictures(tar: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Every picture of a tar with its name, [height, width, 3]."""
    with tarfile.open(tar) as members:
        for member in members:
            file = members.extractfile(member)
            if file and member.name.endswith((".png", ".jpg")):
                yield member.name, np.array(Image.open(io.BytesIO(file.read())).convert("RGB"))


# ------------------------------------------------------------------------------------------------------------- exam


def scores(encoder: Encoder, data: Path, compositions: int = 300) -> list[Score]:
    """What mini can do, on pictures it never saw: the table of its card."""
    found = [_labelled(encoder, "clothing_cc0 weighted F1", *_photo_exam(data)),
             _labelled(encoder, "fashion_mnist weighted F1", *_grey_exam(data))]  # fmt: skip
    for shop in demo.DEMOS:
        sound = [product for product in demo.catalog(shop) if not product.fault]
        found += _title_exam(encoder, f"demo shop {shop}", [p.item for p in sound], [p.row.title for p in sound])
    for vertical in render.VERTICALS:
        endless = (render.sample(vertical, seed) for seed in count(EXAM_SEED))
        items = list(islice(filter(held_out, endless), compositions))
        found += _title_exam(encoder, f"new {vertical} compositions", items, [render.caption(i) for i in items])
        found += _word_exams(encoder, vertical, items)
    return found


def _labelled(encoder: Encoder, name: str, pictures: list[np.ndarray], truth: list[int], labels: list[str]) -> Score:
    sentences = [encoder.model.label.format(label=label) for label in labels]
    said = (encoder.images(pictures) @ encoder.texts(sentences).T).argmax(axis=1)
    right = np.array(truth)
    found = metrics.f1_scores(name, right, said, len(labels))[0]
    return replace(found, name=name, chance=1 / len(labels),
                   note=f"{len(labels)} classes, {metrics.accuracy(right, said):.3f} accuracy")  # fmt: skip


def _photo_exam(data: Path) -> tuple[list[np.ndarray], list[int], list[str]]:
    labels = sorted(PHOTO_CLASSES)
    named = list(_pictures(data / "benchmarks/clothing_cc0/images-00.tar"))
    return [picture for _, picture in named], [labels.index(name.split("/")[-2]) for name, _ in named], labels


def _grey_exam(data: Path) -> tuple[list[np.ndarray], list[int], list[str]]:
    named = list(_pictures(data / "benchmarks/fashion_mnist/test-00.tar.gz"))
    labels = [words[0] for words in GREY_CLASSES]
    return [picture for _, picture in named], [int(name.split("/")[-2]) for name, _ in named], labels


def _title_exam(encoder: Encoder, name: str, items: list[render.Item], titles: list[str]) -> list[Score]:
    """Each title against all pictures; products of the same title are equally right."""
    group = np.unique(titles, return_inverse=True)[1]
    ranked = metrics.rank(encoder.texts(titles), encoder.images(_photos(items)), group, group)
    only = ("hits@1", "hits@5", "hits@10", "mrr")
    return metrics.ranking_scores(f"{name}, title to picture", ranked, only=only)


def _word_exams(encoder: Encoder, vertical: str, items: list[render.Item]) -> list[Score]:
    """How often a picture's own word is nearest: of all kinds, then "<colour> <kind>" and "<pattern> <kind>".

    Patterns are asked of patterned products only: most of the others are plain, and saying so needs no eyes.
    """
    vectors, kinds = encoder.images(_photos(items)), [render.KINDS[item.kind].words[0] for item in items]
    patterns = [PATTERN_WORDS[item.pattern][0] for item in items]
    every, patterned = range(len(items)), [n for n, item in enumerate(items) if item.pattern != "plain"]
    exams = {
        "kind": (every, kinds, "{word}"),
        "colour": (every, [item.colour.words[0] for item in items], "{word} {kind}"),
        "pattern": (patterned, patterns, "{word} {kind}"),
    }
    found = []
    for name, (rows, words, question) in exams.items():
        choices = sorted(set(words))
        asked = {kind: encoder.texts([question.format(word=w, kind=kind) for w in choices]) for kind in set(kinds)}
        right = np.array([choices[(asked[kinds[n]] @ vectors[n]).argmax()] == words[n] for n in rows], dtype=float)
        low, high = metrics.interval(right)
        found.append(Score(name=f"new {vertical} compositions, {name} word", value=float(right.mean()), n=len(right),
                           low=low, high=high, chance=1 / len(choices),
                           note=f"{len(choices)} words"))  # fmt: skip
    return found


def _photos(items: list[render.Item]) -> Iterator[np.ndarray]:
    """As shops deliver them: larger than the model's own pictures, so that resizing is part of the exam."""
    return (np.asarray(render.draw(item, 256)) for item in items)
