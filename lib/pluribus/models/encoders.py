"""Pictures and texts to unit vectors: what an encoder is, whatever computes it.

The two halves of a network arrive as plain functions: `towers_openvino` makes them for processors, `towers_torch` for
GPUs, for training, and as the reference. Everything that decides what a vector means is shared, and is here or below.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pluribus.errors import ModelError
from pluribus.models.squares import ToSquare, square_batches, to_square
from pluribus.models.tokens import Tokenize
from pluribus.records import Model

#: Measured on mini: bfloat16 in place of float32 keeps 0.9999; CLIP's std in place of its own gives 0.9990, bicubic in
#: place of bilinear 0.9984, CLIP's mean 0.985, another resize 0.90 or less.
GOLDEN_COSINE = 0.9995
PADDED = 2  # tokens that a text may be padded with, however short it is
GOLDEN_TEXTS = ("a photo of a red dress", "Trail running shoe, dark blue. Grippy sole; 280 g.")


See = Callable[[np.ndarray], np.ndarray]  # a tower: a batch to its features


@dataclass(frozen=True, eq=False)
class Encoder:
    """Pictures and texts to unit vectors of one space."""

    fingerprint: str
    model: Model
    tokenize: Tokenize
    see: See  # squares uint8 [n, side, side, 3] -> features [n, width]
    read: See  # tokens int64 [n, context] -> features [n, width]
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
        """Vectors [n, width], float32. Texts are encoded with others of about their length, so that little pads them.

        What exceeds the model's context is left out: put first what matters most.
        """
        rows = np.zeros((len(texts), self.width), np.float32)
        for start in range(0, len(texts), 64 * batch_size):
            tokens = self.tokenize(texts[start : start + 64 * batch_size])
            lengths = np.count_nonzero(tokens, axis=1)
            order = lengths.argsort(kind="stable")
            for part in _alike(lengths[order], batch_size):
                chosen = order[part]
                rows[start + chosen] = self._unit(in_memory(self.read, tokens[chosen]))
        return rows

    def _unit(self, features: np.ndarray) -> np.ndarray:
        vectors: np.ndarray = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
        if not np.isfinite(vectors).all():
            raise ModelError(f"model {self.fingerprint} gives vectors that are not numbers",
                             do="use other weights, or the processor in place of the GPU")  # fmt: skip
        return vectors


def _alike(lengths: np.ndarray, most: int) -> Iterator[slice]:
    """Parts of ascending lengths: of at most so many, the longest at most a quarter longer than the shortest."""
    first = 0
    while first < len(lengths):
        longest = lengths[first] + max(PADDED, lengths[first] // 4)
        end = min(first + most, int(np.searchsorted(lengths, longest, "right")))
        yield slice(first, end)
        first = end


def in_memory(compute: See, batch: np.ndarray) -> np.ndarray:
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
    """Vectors [3, width] of one drawn picture and of two texts."""
    return np.concatenate([encoder.images([golden_picture()]), encoder.texts(GOLDEN_TEXTS)])


def golden_picture() -> np.ndarray:
    """Neither square nor of a model's size: uint8 [180, 140, 3]."""
    y, x = np.mgrid[0:180, 0:140]
    waves = [127 + 120 * np.sin(x / a + y / b) for a, b in ((9, 31), (23, 7), (61, 11))]
    picture = np.stack(waves, axis=-1).round().astype(np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, (100, 80, 3))  # what resizing treats differently
    picture[40:140, 30:110] = noise
    return picture


def proven(encoder: Encoder, wanted: list[list[float]]) -> Encoder:
    """The encoder, held to its model's golden vectors [3, width]: of texts now, of pictures before it sees the first.

    Raises ModelError, now or then.
    """

    def see() -> See:
        _hold(encoder, encoder.images([golden_picture()]), wanted[:1], "a picture")
        return encoder.see

    _hold(encoder, encoder.texts(GOLDEN_TEXTS), wanted[1:], "texts")
    return replace(encoder, see=late(see))


def _hold(encoder: Encoder, got: np.ndarray, wanted: list[list[float]], of: str) -> None:
    told = np.array(wanted)
    cosines = (got * told).sum(axis=1) if got.shape == told.shape else np.zeros(len(got))
    if cosines.min() < GOLDEN_COSINE:
        raise ModelError(
            f"model {encoder.fingerprint} does not give its own golden vectors "
            f"(of {of}: cosine {', '.join(f'{c:.4f}' for c in cosines)})",
            expected=f"at least {GOLDEN_COSINE}",
            do="compare size, mean, std, interpolation and resize in the model file with those of its training",
        )


def late(make: Callable[[], See]) -> See:
    """A tower that is made when it is first asked, once for all threads."""
    made: list[See] = []
    lock = threading.Lock()

    def see(batch: np.ndarray) -> np.ndarray:
        with lock:
            if not made:
                made.append(make())
        return made[0](batch)

    return see
