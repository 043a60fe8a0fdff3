"""A taxonomy of thousands of names: a tree, entered from its root only as far as the evidence carries."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pluribus import texts
from pluribus.classify.words import label_vectors
from pluribus.errors import ConfigError
from pluribus.search.terms import Encodes

SEPARATOR = " > "
MOST_NAMES = 20_000
_NUMBERED = re.compile(r"^\d+ - ")
_NESTED = re.compile(r"\d+ \| \[ *(?P<first>\d+)- *(?P<last>\d+)\] \| (?P<name>.+)")


@dataclass(frozen=True)
class Guess:
    """A place in a taxonomy: its path, the share of all evidence that lies in it, and the way there."""

    path: str  # "" when not even the first level is sure
    share: float
    levels: tuple[tuple[str, float], ...]  # each level's name and share, the surest way down to the very leaf


@dataclass(frozen=True, eq=False)
class Taxonomy:
    """Paths, "Apparel & Accessories > Clothing > Dresses", with what lies beneath each."""

    paths: tuple[str, ...]
    _vectors: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, paths: Sequence[str]) -> "Taxonomy":
        """A taxonomy of these paths; levels that no path names alone are added."""
        whole = dict.fromkeys(
            SEPARATOR.join(levels[: n + 1]) for levels in map(_levels, paths) for n in range(len(levels))
        )
        if not 2 <= len(whole) <= MOST_NAMES:
            raise ConfigError(f"a taxonomy of {len(whole):,} names", expected=f"2 to {MOST_NAMES:,}")
        return cls(tuple(whole))

    @classmethod
    def read(cls, file: Path) -> "Taxonomy":
        """A file of one name a line, "#" begins a comment: "Clothing > Dresses", Google's "166 - Clothing > Dresses",
        or as a nested set, "2 | [ 3- 10] | Dresses", where intervals say what lies in what. Raises ConfigError."""
        try:
            lines = file.read_text("utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"no taxonomy at {file}: {error}", expected="a text file of one path a line") from None
        said = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        nested = [_NESTED.fullmatch(line) for line in said]
        if said and all(nested):
            return cls.of(list(_unfolded([(int(m["first"]), int(m["last"]), m["name"]) for m in nested if m])))
        return cls.of([_NUMBERED.sub("", line) for line in said])

    def vectors(self, encoder: Encodes) -> np.ndarray:
        """One unit vector a path [n, width], of its last level; kept for the encoder."""
        if encoder.fingerprint not in self._vectors:
            self._vectors[encoder.fingerprint] = label_vectors(encoder, [_said(path) for path in self.paths])
        return self._vectors[encoder.fingerprint]

    def descend(self, shares: np.ndarray, sure: float) -> Guess:
        """From the root, always into the child with the largest share (its own and of all beneath it)."""
        mass = dict.fromkeys(self.paths, 0.0)
        for path, share in zip(self.paths, shares.tolist(), strict=True):
            levels = path.split(SEPARATOR)
            for n in range(len(levels)):
                mass[SEPARATOR.join(levels[: n + 1])] += share
        way: list[tuple[str, float]] = []
        at = ""
        while below := self._children.get(at):
            at = max(below, key=lambda path: mass[path])
            way.append((at, mass[at]))
        deep = [(path, share) for path, share in way if share >= sure]
        path, share = deep[-1] if deep else ("", 1.0)
        return Guess(path, share, tuple((path.split(SEPARATOR)[-1], share) for path, share in way))

    @property
    def _children(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for path in self.paths:
            found.setdefault(path.rpartition(SEPARATOR)[0], []).append(path)
        return found


def _levels(path: str) -> list[str]:
    return [" ".join(level.split()) for level in path.split(">") if level.strip()]


def _unfolded(nested: list[tuple[int, int, str]]) -> Iterator[str]:
    """The whole path of every name of a nested set."""
    within: list[tuple[int, str]] = []
    for first, last, name in sorted(nested):
        while within and within[-1][0] < first:
            within.pop()
        within.append((last, name))
        yield SEPARATOR.join(name for _, name in within)


def _said(path: str) -> str:
    return texts.singular(path.rpartition(SEPARATOR)[2])
