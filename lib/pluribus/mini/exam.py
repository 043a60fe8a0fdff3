"""What mini is asked: only pictures it never saw, and of drawn products only compositions that nobody taught it."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count, islice
from pathlib import Path

import numpy as np

from pluribus import demo, metrics, render
from pluribus.mini.lessons import EXAM_SEED, GREY_CLASSES, PHOTO_CLASSES, held_out, unpacked
from pluribus.models.encoders import Encoder
from pluribus.records import Score
from pluribus.render.surfaces import PATTERN_WORDS


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
    named = list(unpacked(data / "benchmarks/clothing_cc0/images-00.tar"))
    return [picture for _, picture in named], [labels.index(name.split("/")[-2]) for name, _ in named], labels


def _grey_exam(data: Path) -> tuple[list[np.ndarray], list[int], list[str]]:
    named = list(unpacked(data / "benchmarks/fashion_mnist/test-00.tar.gz"))
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
                           low=low, high=high, chance=1 / len(choices), note=f"{len(choices)} words"))  # fmt: skip
    return found


def _photos(items: list[render.Item]) -> Iterator[np.ndarray]:
    """As shops deliver them: larger than the model's own pictures, so that resizing is part of the exam."""
    return (np.asarray(render.draw(item, 256)) for item in items)
