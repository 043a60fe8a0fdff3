"""The grid of what is wished for, what a generator is, and what came of both."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from pluribus.errors import ConfigError

ATTRIBUTES = ("kind", "colour", "pattern")
PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Wish:
    """One cell of the grid, and the seed its picture is drawn with."""

    kind: str
    colour: str
    pattern: str
    seed: int

    @property
    def words(self) -> str:
        """As a shop would title it: "dark blue striped dress"."""
        return " ".join(filter(None, [self.colour, "" if self.pattern == PLAIN else self.pattern, self.kind]))

    @property
    def prompt(self) -> str:
        """What a text-to-image model is asked."""
        return f"a product photo of one {self.colour} {self.pattern} {self.kind} on a plain white background"


@dataclass(frozen=True)
class Generator:
    """Who draws, as far as a picture depends on it."""

    name: str
    digest: str  # of its code and weights
    draw: Callable[[Sequence[Wish]], list[Image.Image]]
    weights: frozenset[str] = frozenset()  # sha256 of its weight files: none of them may judge

    @property
    def mark(self) -> str:
        """What every product of it carries."""
        return f"{self.name} {self.digest}"


@dataclass(frozen=True)
class Grid:
    """Kinds x colours x patterns. Raises ConfigError for an attribute without a value."""

    kind: tuple[str, ...]
    colour: tuple[str, ...]
    pattern: tuple[str, ...] = (PLAIN,)
    seed: int = 0

    @staticmethod
    def of(kinds: Sequence[str], colours: Sequence[str], patterns: Sequence[str] = (PLAIN,), seed: int = 0) -> "Grid":
        """From values as they were typed."""
        values = [tuple(dict.fromkeys(filter(None, map(str.strip, said)))) for said in (kinds, colours, patterns)]
        if blank := [name for name, of in zip(ATTRIBUTES, values, strict=True) if not of]:
            raise ConfigError(f"no {blank[0]} to draw", expected="at least one")
        kind, colour, pattern = values
        return Grid(kind, colour, pattern, seed)

    def wishes(self) -> Iterator[Wish]:
        """Every cell in an order drawn by the seed, then all of them again in another, without end."""
        cells = list(itertools.product(self.kind, self.colour, self.pattern))
        rng = np.random.default_rng(self.seed)
        for number in itertools.count():
            if number % len(cells) == 0:
                order = rng.permutation(len(cells))
            kind, colour, pattern = cells[order[number % len(cells)]]
            yield Wish(kind, colour, pattern, seed=self.seed * 1_000_003 + number)


@dataclass
class Drawn:
    """What came of it: the wishes that were met with their JPEGs, and how often each attribute was not."""

    accepted: list[tuple[Wish, bytes]] = field(default_factory=list)
    drawn: int = 0
    refused: Counter[str] = field(default_factory=Counter)  # attribute -> pictures; one may fail on several


def told(found: Drawn) -> list[dict[str, object]]:
    """How far pictures and wishes agreed, for people: a line an attribute, and one for all of them."""
    agreed = {name: found.drawn - found.refused[name] for name in ATTRIBUTES} | {"accepted": len(found.accepted)}
    return [{"attribute": name, "drawn": found.drawn, "agreed": n, "share": f"{n / max(1, found.drawn):.3f}"}
            for name, n in agreed.items()]  # fmt: skip
