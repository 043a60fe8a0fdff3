"""Labels as vectors, and what products say to them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pluribus.search import Searcher
from pluribus.search.terms import Encodes

#: Ways to say a label, for those who want several. mini is better off without (NOTES.md); its vector would be the unit
#: mean of theirs.
ENSEMBLE = ("{}", "a {}", "a photo of a {}")
#: Of cosines, when they become shares: CLIP's own is 0.01.
TEMPERATURE = 0.02


@dataclass(frozen=True)
class Label:
    """One name and how much speaks for it, among all names asked."""

    label: str
    share: float  # 0 to 1
    cosine: float


def label_vectors(encoder: Encodes, names: Sequence[str], prompts: Sequence[str] = ()) -> np.ndarray:
    """One vector a name [n, width], said as the model's file says, or the mean over several prompts.

    Unit on both sides: of labels that are not, the longest win. Braces in a name are letters.
    """
    ways = prompts or (encoder.model.label.replace("{label}", "{}"),)
    said = [way.replace("{}", name) for name in names for way in ways]
    found = encoder.texts(said).reshape(len(names), len(ways), -1).mean(axis=1)
    return np.asarray(found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12))


def evidence(shop: Searcher, of_labels: np.ndarray, *, balanced: bool = False) -> np.ndarray:
    """The cosine of each product with each label [n, labels], picture and words together.

    `balanced` takes from each label what it gets on average: some words are near to everything. It expects every label
    to be true of something in the shop.
    """
    found = np.asarray(shop.space.fused.astype(np.float32) @ of_labels.T)
    return found - found.mean(axis=0) + found.mean() if balanced else found


def shares(cosines: np.ndarray) -> np.ndarray:
    """Cosines [n, labels] as shares that sum to 1."""
    scaled = np.exp((cosines - cosines.max(axis=1, keepdims=True)) / TEMPERATURE)
    return np.asarray(scaled / scaled.sum(axis=1, keepdims=True))
