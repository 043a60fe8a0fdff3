"""Compare: "like this one, but darker": a path of products from a seed along one attribute, the rest left alone.

    from pluribus import compare, search
    shop = search.open(".pluribus", "atelier")
    compare.walk(shop, "AT-1000", more="darker")
    compare.walk(shop, "AT-1000", start="blue polo shirt", end="dark blue polo shirt")

After GradREC (ECNLP 2022), which showed that a zero-shot encoder is enough. Its own walk is one of METHODS, and so are
the plain ones it must beat; `trial` measures them all against exact lightness and length. Ours won, and is the default.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pluribus.compare.prompts import ATTRIBUTES, kind_of, prompts
from pluribus.compare.routes import METHODS, Question
from pluribus.errors import ConfigError
from pluribus.search import Hit, Searcher

__all__ = ["ATTRIBUTES", "METHODS", "Path", "Step", "kind_of", "walk"]

MOST_STEPS = 20


@dataclass(frozen=True)
class Step:
    """One stop of a path: products not seen before, most like the seed first; a hit's score is that likeness."""

    number: int  # from 1
    hits: tuple[Hit, ...]
    meters: tuple[float, ...]  # of each hit: how far it is towards the end, in the meter of the question


@dataclass(frozen=True)
class Path:
    """A seed and the way from it. `steps` may be fewer than asked for, or none: nothing lies further that way."""

    seed: Hit
    asked: str  # "darker", or "blue polo shirt → dark blue polo shirt"
    start: tuple[str, ...]
    end: tuple[str, ...]
    method: str
    meter: float  # of the seed
    steps: tuple[Step, ...]

    @property
    def hits(self) -> list[Hit]:
        """Every product of the path, in order."""
        return [hit for step in self.steps for hit in step.hits]


def walk(
    shop: Searcher,
    product_id: str,
    *,
    more: str = "",
    length: str = "",
    start: str = "",
    end: str = "",
    steps: int = 4,
    per_step: int = 1,
    same_category: bool = True,
    method: str = "guided",
) -> Path:
    """The path from a product towards more of something.

    more           one of ATTRIBUTES ("darker", "longer" ...), or any other word ("elegant"); `length` says the same
    start, end     in place of `more`: what it is, and what it shall become
    same_category  only products of the seed's category, where it has one

    Raises ConfigError on an unknown product and on a question that means nothing.
    """
    if not (1 <= steps <= MOST_STEPS and 1 <= per_step <= MOST_STEPS):
        raise ConfigError(f"{steps} steps of {per_step}", expected=f"1 to {MOST_STEPS} of each")
    if method not in METHODS:
        raise ConfigError(f"method {method!r:.40}", expected=f"one of {', '.join(METHODS)}")
    [place] = shop.rows([product_id])
    row = shop.get([product_id])[0]
    if more and length:
        raise ConfigError(f"more {more!r:.40} and length {length!r:.40}", expected="one of them")
    asked, start_texts, end_texts = prompts(row, more=more or length, start=start, end=end)
    array, members = _array(shop, place, row["category"] if same_category else None)
    texts = shop.encoder.texts([*start_texts, *end_texts])
    question = Question(
        array=array,
        seed=int(np.searchsorted(members, place)),
        start=texts[: len(start_texts)],
        end=texts[len(start_texts) :],
        steps=steps,
        per_step=per_step,
    )
    meter, likeness = question.meter, question.array @ question.array[question.seed]
    found = METHODS[method].of(question)
    stops = [
        Step(
            number,
            tuple(shop.hit(int(members[i]), float(likeness[i])) for i in stop),
            tuple(float(meter[i]) for i in stop),
        )
        for number, stop in enumerate(found, 1)
    ]
    seed, at = shop.hit(place, 1.0), float(meter[question.seed])
    return Path(seed, asked, tuple(start_texts), tuple(end_texts), method, at, tuple(stops))


def _array(shop: Searcher, place: int, category: str | None) -> tuple[np.ndarray, np.ndarray]:
    """One space for everything: vectors [n, width] of the products that may answer, and their rows, ascending.

    Pictures where the seed has one, texts elsewhere: the two never mix, for they lie apart in the space.
    """
    space = shop.space
    vectors, there = (space.image, space.has_image) if space.has_image[place] else (space.text, space.has_text)
    members = np.flatnonzero(there & _of_category(shop, category) if category else there)
    return vectors[members].astype(np.float32), members


def _of_category(shop: Searcher, category: str) -> Any:
    import pyarrow.compute as pc

    same = pc.equal(shop.products["category"], category)
    return pc.fill_null(same, False).to_numpy()
