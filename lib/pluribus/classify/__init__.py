"""Classify: which of these words is it? Of a product, a picture, a text, or a whole catalog, without training anything.

    from pluribus import classify, search
    shop = search.open(".pluribus", "atelier")
    classify.labels(shop, ["dress", "shirt", "boot"], product_id="AT-1000")
    classify.tag(shop, ["streetwear", "elegant", "sportswear"], sure=0.5)      # a table, one row a product

`quality` asks the same of the shop's own categories: how far they agree, and which products look misplaced.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from pluribus.classify.quality import Agreement, Suspect, agreement, suspects, vote
from pluribus.classify.spreadsheets import write
from pluribus.classify.taxonomy import Guess, Taxonomy
from pluribus.classify.words import ENSEMBLE, Label, evidence, label_vectors, shares
from pluribus.errors import ConfigError
from pluribus.search import Searcher
from pluribus.search.terms import terms, vector

__all__ = ["ENSEMBLE", "Agreement", "Guess", "Label", "Suspect", "Taxonomy", "agreement", "descend", "labels",
           "suspects", "tag", "vote", "write"]  # fmt: skip

MOST_LABELS = 20_000
BLOCK = 8_192


def labels(
    shop: Searcher,
    names: Sequence[str],
    *,
    product_id: str | None = None,
    what: Any = None,
    k: int = 5,
    prompts: Sequence[str] = (),
) -> list[Label]:
    """The k likeliest of these names, best first; their shares are of all names and sum to 1.

    `what` is a picture, a text or weighted terms, as in a search. Raises ConfigError.
    """
    asked = _checked(names)
    cosines = _asked(shop, product_id, what) @ label_vectors(shop.encoder, asked, prompts).T
    found = shares(cosines)[0]
    best = np.argsort(-found, kind="stable")[: max(1, k)]
    return [Label(asked[i], float(found[i]), float(cosines[0, i])) for i in best]


def descend(
    shop: Searcher, tree: Taxonomy, *, product_id: str | None = None, what: Any = None, sure: float = 0.5
) -> Guess:
    """The place in a taxonomy, as deep as it is sure: no level is entered that has less than this share of the mass."""
    return tree.descend(shares(_asked(shop, product_id, what) @ tree.vectors(shop.encoder).T)[0], sure)


def tag(
    shop: Searcher, names: Sequence[str], *, sure: float = 0.0, balanced: bool = True, prompts: Sequence[str] = ()
) -> pa.Table:
    """A label for every product of the release: product_id, title, category, label, score, runner_up, runner_up_score.

    sure      below this share the label is left out (null): nobody has to believe a guess
    balanced  no label is favoured for being near to everything (`words.evidence`)
    """
    asked = _checked(names)
    if len(asked) < 2:
        raise ConfigError(f"{len(asked)} labels", expected="at least 2 to choose from")
    found = shares(evidence(shop, label_vectors(shop.encoder, asked, prompts), balanced=balanced))
    best = np.argsort(-found, axis=1, kind="stable")[:, :2]
    rows = np.arange(len(found))
    first, second = found[rows, best[:, 0]], found[rows, best[:, 1]]
    said = [asked[i] if share >= sure else None for i, share in zip(best[:, 0], first, strict=True)]
    columns = {
        "product_id": shop.products["product_id"],
        "title": shop.products["title"],
        "category": shop.products["category"],
        "label": pa.array(said, pa.string()),
        "score": pa.array(first.round(4)),
        "runner_up": pa.array([asked[i] for i in best[:, 1]], pa.string()),
        "runner_up_score": pa.array(second.round(4)),
    }
    return pa.table(columns)


def _asked(shop: Searcher, product_id: str | None, what: Any) -> np.ndarray:
    """[1, width]: for a product the evidence of picture and text together."""
    if (product_id is None) == (what is None):
        raise ConfigError("a label for nothing, or for two things", expected="a product, or a picture or text")
    if product_id is None:
        return vector(terms(what), shop.encoder)
    [place] = shop.rows([product_id])
    return shop.space.fused[[place]].astype(np.float32)


def _checked(names: Sequence[str]) -> list[str]:
    found = list(dict.fromkeys(" ".join(name.split()) for name in names))
    if not 1 <= len(found) <= MOST_LABELS or not all(found):
        raise ConfigError(f"{len(found):,} labels", expected=f"1 to {MOST_LABELS:,}, none of them blank")
    return found
