"""Ways through a space: from a seed towards an end. Arrays in, positions out; every way sees the same question.

A way is one entry in METHODS.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

#: Of cosines. CLIP's own is 0.01, where one word decides; at 0.05 several shades of dark still add up (NOTES.md).
TEMPERATURE = 0.05
EXEMPLARS, POPULATION = 100, 1_000  # of the published walk
PUSH, KEEP, NEIGHBOURS = 4.0, 0.9, 100
STRIDE = 0.3  # of the seed + text difference


@dataclass(frozen=True, eq=False)
class Question:
    """From where, towards what, in which array: unit vectors [n, width], all of one kind (pictures or texts)."""

    array: np.ndarray
    seed: int
    start: np.ndarray  # unit vectors of the texts one comes from
    end: np.ndarray
    steps: int
    per_step: int = 1

    @cached_property
    def meter(self) -> np.ndarray:
        """How far each product [n] is towards the end: log-odds of its words against those of the start."""
        return np.asarray(_mixture(self.array, self.end) - _mixture(self.array, self.start))

    @cached_property
    def direction(self) -> np.ndarray:
        """From start to end, as texts."""
        return np.asarray(unit(self.end.mean(axis=0)) - unit(self.start.mean(axis=0)))

    @cached_property
    def looks(self) -> np.ndarray:
        """A number for each product [n], equal for those that no encoder can tell apart (sizes of one shirt)."""
        rows = np.ascontiguousarray(self.array.astype(np.float16))
        return np.unique(rows.view(np.dtype((np.void, rows.shape[1] * 2))).ravel(), return_inverse=True)[1]


@dataclass(frozen=True)
class Method:
    """`of(question)` gives the products of each step, as positions; none twice, and never the seed."""

    means: str
    of: Callable[[Question], list[list[int]]]


def guided(question: Question) -> list[list[int]]:
    """Ours: the meter from the seed to the furthest is cut into equal parts, and of each those most like the seed come.

    Likeness leaves the attribute out, so that moving along it costs nothing.
    """
    d = unit(question.direction)
    bare = unit(question.array - np.outer(question.array @ d, d))
    likeness = bare @ bare[question.seed]
    order = [i for i in np.argsort(-likeness, kind="stable") if question.looks[i] != question.looks[question.seed]]
    ahead = [i for i in _each_look_once(question, order) if question.meter[i] > question.meter[question.seed]]
    near = np.array(ahead[: NEAREST * question.steps * question.per_step], dtype=np.int64)  # the most like it first
    if not len(near):
        return []
    edges = np.linspace(question.meter[question.seed], question.meter[near].max(), question.steps + 1)
    part = np.searchsorted(edges[1:-1], question.meter[near])
    stops = [near[part == n][: question.per_step] for n in range(question.steps)]
    return [stop[np.argsort(question.meter[stop])].tolist() for stop in stops if len(stop)]


NEAREST = 8  # candidates for each place of the path


def published(question: Question) -> list[list[int]]:
    """GradREC's walk, mended: towards the end and not the start, one array, unit vectors, channels that vary.

    The direction is a signed signal-to-noise ratio of each channel: the products nearest to the start's texts against
    the spread of those nearest to the end's. It points to the start, so we walk against it.
    """
    array, n = question.array, len(question.array)
    exemplars = array[_nearest(array, question.start.mean(axis=0), min(EXEMPLARS, max(2, n // 4)))]
    population = array[_nearest(array, question.end.mean(axis=0), min(POPULATION, max(2, n // 2)))]
    spread = population.std(axis=0)
    away = (exemplars - population.mean(axis=0)) / np.where(spread > 0, spread, 1)
    noise = away.std(axis=0)
    return _traverse(question, -unit(away.mean(axis=0) / np.where(noise > 0, noise, 1)))


def at_random(question: Question) -> list[list[int]]:
    """The published walk along a direction drawn by the seed's position."""
    return _traverse(
        question, unit(np.asarray(np.random.default_rng(question.seed).normal(size=question.array.shape[1])))
    )


def neighbours(question: Question) -> list[list[int]]:
    """What is most like the seed, nearest first."""
    return _along(question, [question.array[question.seed]] * question.steps)


def end_texts(question: Question) -> list[list[int]]:
    """What a search for the end's texts finds, whatever the seed."""
    return _along(question, [question.end.mean(axis=0)] * question.steps)


def text_difference(question: Question) -> list[list[int]]:
    """The seed plus a growing share of the texts' difference."""
    seed = question.array[question.seed]
    return _along(question, [seed + STRIDE * n * question.direction for n in range(1, question.steps + 1)])


METHODS: dict[str, Method] = {
    "guided": Method("the way of the meter in equal parts, and of each what is most like the seed", guided),
    "published": Method("GradREC's walk along its signal-to-noise direction, mended", published),
    "text difference": Method("the seed plus a growing share of end minus start", text_difference),
    "end texts": Method("a search for the end's texts", end_texts),
    "neighbours": Method("what is most like the seed", neighbours),
    "random": Method("the published walk in a random direction", at_random),
}


def unit(rows: np.ndarray) -> np.ndarray:
    """Vectors of length one; zeros stay zeros."""
    norms = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(rows / np.where(norms > 0, norms, 1))


def _mixture(array: np.ndarray, texts: np.ndarray) -> np.ndarray:
    """Soft maximum over texts: near to any of them is near."""
    return np.asarray(np.log(np.exp(array @ texts.T / TEMPERATURE).mean(axis=1)))


def _traverse(question: Question, direction: np.ndarray) -> list[list[int]]:
    """Push, then be drawn to the mean of the neighbours, over and over."""
    array, x = question.array, question.array[question.seed]
    k = min(NEIGHBOURS, max(2, len(array) // 4))
    points = []
    for _ in range(question.steps):
        x = unit(x)
        x = x + (1 - KEEP) * PUSH * direction + KEEP * array[_nearest(array, x, k)].mean(axis=0)
        points.append(x)
    return _along(question, points)


def _along(question: Question, points: list[np.ndarray]) -> list[list[int]]:
    """At each point the nearest products not seen yet."""
    seen, found = {int(question.looks[question.seed])}, []
    for point in points:
        order = np.argsort(-(question.array @ point), kind="stable")
        stop = [i for i in _each_look_once(question, order) if question.looks[i] not in seen][: question.per_step]
        seen.update(int(question.looks[i]) for i in stop)
        found += [stop] if stop else []
    return found


def _each_look_once(question: Question, order: np.ndarray | list[int]) -> list[int]:
    first: dict[int, int] = {}
    for i in order:
        first.setdefault(int(question.looks[i]), int(i))
    return list(first.values())


def _nearest(array: np.ndarray, to: np.ndarray, k: int) -> np.ndarray:
    return np.argsort(-(array @ to), kind="stable")[:k]
