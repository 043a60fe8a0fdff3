"""Labels as vectors, and what products say to them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pluribus.search import Searcher
from pluribus.search.terms import Encodes

#: Ways to say a label; its vector is the unit mean of theirs. Unit on both sides: unnormalised labels win by length.
PROMPTS = ("{}", "a {}", "a photo of a {}")
#: Of cosines, when they become shares: CLIP's own is 0.01.
TEMPERATURE = 0.02


@dataclass(frozen=True)
class Label:
    """One name and how much speaks for it, among all names asked."""

    label: str
    share: float  # 0 to 1
    cosine: float


def label_vectors(encoder: Encodes, names: Sequence[str], prompts: Sequence[str] = PROMPTS) -> np.ndarray:
    """One unit vector a name [n, width]: braces in a name are letters."""
    said = [prompt.replace("{}", name) for name in names for prompt in prompts]
    found = encoder.texts(said).reshape(len(names), len(prompts), -1).mean(axis=1)
    return np.asarray(found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12))


def evidence(shop: Searcher, of_labels: np.ndarray) -> np.ndarray:
    """The cosine of each product with each label [n, labels]."""
    return np.asarray(shop.space.fused.astype(np.float32) @ of_labels.T)


def shares(cosines: np.ndarray) -> np.ndarray:
    """Cosines [n, labels] as shares that sum to 1."""
    scaled = np.exp((cosines - cosines.max(axis=1, keepdims=True)) / TEMPERATURE)
    return np.asarray(scaled / scaled.sum(axis=1, keepdims=True))
