"""A product that does not exist: does the model see in its picture what it is, and not just its parts?

FashionCLIP's authors drew a dress of a brand that makes none. Somebody brings a picture, the phrase that is right, and
rivals that each say a part of it or the parts swapped. Right is the phrase that lies nearest to the picture; and, with
the picture among all the shop's, the phrase must find it early. One picture is one case: there is no interval.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pluribus.errors import ConfigError
from pluribus.search import Searcher
from pluribus.search.terms import picture


@dataclass(frozen=True)
class Said:
    """One phrase about the picture."""

    phrase: str
    cosine: float
    place: int  # of the picture among the shop's, when the phrase asks; 1 is first
    before: str  # the product that comes first in its stead, "" where the picture does


@dataclass(frozen=True)
class Improbable:
    """How the phrases did: the right one, its rivals, and by how much it lies nearer than the best of them."""

    right: Said
    rivals: tuple[Said, ...]
    margin: float  # cosine; above 0: the phrase is believed
    gallery: int  # pictures, the improbable one among them

    @property
    def believed(self) -> bool:
        """Whether the right phrase lies nearest."""
        return self.margin > 0


def improbable(shop: Searcher, what: Any, phrase: str, rivals: Sequence[str]) -> Improbable:
    """Ask a shop about a picture it does not sell. Raises ConfigError without phrase or rivals."""
    said = list(dict.fromkeys(" ".join(text.split()) for text in (phrase, *rivals)))
    if not all(said) or len(said) < 2:
        raise ConfigError(f"{len(said) - 1} rivals of {phrase!r:.60}", expected="a phrase, and others that are not it")
    there = np.flatnonzero(shop.space.has_image)
    asked = shop.encoder.texts(said)
    own = asked @ shop.encoder.images([picture(what)])[0]
    others = asked @ shop.space.image[there].astype(np.float32).T
    found = tuple(
        Said(text, float(own[n]), 1 + int((others[n] > own[n]).sum()), _first(shop, there, others[n], own[n]))
        for n, text in enumerate(said)
    )
    return Improbable(found[0], found[1:], float(own[0] - own[1:].max()), len(there) + 1)


def _first(shop: Searcher, there: np.ndarray, others: np.ndarray, own: float) -> str:
    if not len(there) or others.max() <= own:
        return ""
    return str(shop.products["product_id"][int(there[int(others.argmax())])].as_py())
