"""Pictures and texts to unit vectors: what an encoder is, whatever computes it.

The two halves of a network arrive as plain functions: `towers_openvino` makes them for processors, `towers_torch` for
GPUs, for training, and as the reference. Everything that decides what a vector means is shared, and is here or below.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pluribus.errors import ModelError
from pluribus.models.squares import ToSquare, square_batches, to_square
from pluribus.models.tokens import Tokenize
from pluribus.records import Model

GOLDEN_TEXTS = ("a photo of a red dress", "Trail running shoe, dark blue. Grippy sole; 280 g.")


@dataclass(frozen=True, eq=False)
class Encoder:
    """Pictures and texts to unit vectors of one space."""

    fingerprint: str
    model: Model
    tokenize: Tokenize
    see: Callable[[np.ndarray], np.ndarray]  # squares uint8 [n, side, side, 3] -> features [n, width]
    read: Callable[[np.ndarray], np.ndarray]  # tokens int64 [n, context] -> features [n, width]
    network: Any = None  # open_clip's, where torch computes: what `train` changes
    device: str = "cpu"
    to_square: ToSquare = to_square

    @property
    def width(self) -> int:
        """Of every vector."""
        return self.model.width

    def images(self, pictures: Iterable[bytes | np.ndarray], batch_size: int = 64) -> np.ndarray:
        """Vectors [n, width], float32, of JPEG bytes or of uint8 arrays [height, width, 3].

        Holds two batches at a time. Raises ShopError for bytes that are no JPEG.
        """
        rows = [np.zeros((0, self.width), np.float32)]
        squares = square_batches(pictures, self.model, batch_size, self.to_square)
        rows += [self._unit(in_memory(self.see, batch)) for batch in squares]
        return np.concatenate(rows)

    def texts(self, texts: Sequence[str], batch_size: int = 256) -> np.ndarray:
        """Vectors [n, width], float32. Texts are encoded with others of their length, so nothing pads them.

        What exceeds the model's context is left out: put first what matters most.
        """
        rows = np.zeros((len(texts), self.width), np.float32)
        for start in range(0, len(texts), 64 * batch_size):
            tokens = self.tokenize(texts[start : start + 64 * batch_size])
            order = np.count_nonzero(tokens, axis=1).argsort(kind="stable")
            for first in range(0, len(order), batch_size):
                chosen = order[first : first + batch_size]
                rows[start + chosen] = self._unit(in_memory(self.read, tokens[chosen]))
        return rows

    def _unit(self, features: np.ndarray) -> np.ndarray:
        vectors: np.ndarray = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
        if not np.isfinite(vectors).all():
            raise ModelError(f"model {self.fingerprint} gives vectors that are not numbers",
                             do="use other weights, or the processor in place of the GPU")  # fmt: skip
        return vectors


def in_memory(compute: Callable[[np.ndarray], np.ndarray], batch: np.ndarray) -> np.ndarray:
    """What `compute` gives for a batch; where the GPU has not the memory for it, for its halves, one after the other.

    Raises ModelError when not even one row fits.
    """
    try:
        return compute(batch)
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":  # torch's, named so that nobody imports torch for it
            raise
        if len(batch) < 2:
            raise ModelError("the GPU has not the memory for one picture or text",
                             do="stop what else uses it, or take a smaller model") from error  # fmt: skip
    half = len(batch) // 2
    return np.concatenate([in_memory(compute, batch[:half]), in_memory(compute, batch[half:])])


def golden(encoder: Encoder) -> np.ndarray:
    """Vectors [3, width] of one drawn picture, neither square nor of the model's size, and of two texts."""
    y, x = np.mgrid[0:180, 0:140]
    waves = [127 + 120 * np.sin(x / a + y / b) for a, b in ((9, 31), (23, 7), (61, 11))]
    picture = np.stack(waves, axis=-1).round().astype(np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, (100, 80, 3))  # what resizing treats differently
    picture[40:140, 30:110] = noise
    return np.concatenate([encoder.images([picture]), encoder.texts(GOLDEN_TEXTS)])
