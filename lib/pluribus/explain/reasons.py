"""Why a product was found, and which words it is near."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pluribus.errors import ConfigError
from pluribus.search import Filter, Hit, Searcher
from pluribus.search.terms import terms, vector

MOST_WORDS = 12
RANK_TO = 1_000


@dataclass(frozen=True)
class Why:
    """One product under one question: the parts of its score, which sum to it, and what each word brings."""

    hit: Hit  # parts: image, text, lexical
    rank: int | None  # from 1; None beyond the first thousand
    words: tuple[tuple[str, float], ...]  # each word of a plain text, and what the score loses without it


@dataclass(frozen=True)
class Concept:
    """A word, how near it is, and which kind of word it is."""

    word: str
    cosine: float
    kind: str  # "category", "colour", "material" or "asked"


def why(shop: Searcher, what: Any, product_id: str, **options: Any) -> Why:
    """Why a product answers a question as it does; the options are those of a search. Raises ConfigError."""
    shop.rows([product_id])
    hit = _score(shop, what, product_id, options)
    ranked = [found.product_id for found in shop.query(what, RANK_TO, cutoff=False, collapse=False, **options)]
    rank = ranked.index(product_id) + 1 if product_id in ranked else None
    words = what.split() if isinstance(what, str) and len(terms(what)) == 1 else []
    lost = []
    for n, word in enumerate(words[:MOST_WORDS] if len(words) > 1 else []):
        without = " ".join(words[:n] + words[n + 1 :])
        lost.append((word, hit.score - _score(shop, without, product_id, options).score))
    return Why(hit, rank, tuple(lost))


def concepts(
    shop: Searcher, words: Sequence[str] = (), *, product_id: str | None = None, what: Any = None, k: int = 15
) -> list[Concept]:
    """The words nearest to a product's picture (its text where it has none), or to anything that can be asked.

    Without words, those of the shop: its categories, colours and materials.
    """
    if (product_id is None) == (what is None):
        raise ConfigError("concepts of nothing, or of two things", expected="a product, or a picture or text")
    kinds = {word: "asked" for word in words if word.strip()} or _vocabulary(shop)
    if not kinds:
        raise ConfigError(f"{shop.shop} has neither categories nor colours nor materials", do="say some words")
    cosines = (shop.encoder.texts(list(kinds)) @ _vector(shop, product_id, what)[0]).astype(float)
    named = list(kinds.items())
    return [Concept(named[i][0], float(cosines[i]), named[i][1]) for i in np.argsort(-cosines, kind="stable")[:k]]


def _score(shop: Searcher, what: Any, product_id: str, options: dict[str, Any]) -> Hit:
    asked = dict(options)
    asked["filters"] = [*asked.get("filters", ()), Filter("product_id", "=", product_id)]
    found = shop.query(what, 1, cutoff=False, collapse=False, **asked)
    if not found:
        raise ConfigError(f"{product_id!r:.80} does not meet the filters", do="ask without them")
    return found[0]


def _vector(shop: Searcher, product_id: str | None, what: Any) -> np.ndarray:
    if product_id is None:
        return vector(terms(what), shop.encoder)
    [place] = shop.rows([product_id])
    of = shop.space
    return (of.image if of.has_image[place] else of.text)[[place]].astype(np.float32)


def _vocabulary(shop: Searcher, most: int = 200) -> dict[str, str]:
    found: dict[str, str] = {}
    for kind in ("category", "colour", "material"):
        for value in list(dict.fromkeys(filter(None, shop.products[kind].to_pylist())))[:most]:
            found.setdefault(value.split(" > ")[-1].lower(), kind)
    return found
