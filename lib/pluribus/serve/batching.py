"""One encoder for all shops and threads: texts that wait are encoded together, repeated ones are remembered.

Group commit: whoever finds the encoder free encodes everything that waits, for the others too. Nobody waits for a
batch to fill, so a lone query pays nothing, and under load batches grow by themselves.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, fields
from threading import Lock

import numpy as np

from pluribus.models.encoders import Encoder

MOST_BATCH = 64
MOST_CHARS = 2_000  # of a text that is worth remembering
REMEMBERED = 20_000  # texts: 15 MB of mini's vectors, 40 MB at width 512


@dataclass(frozen=True, eq=False)
class SharedEncoder(Encoder):
    """An encoder whose texts are batched across threads. `told(batch, remembered)` hears of every call."""

    told: Callable[[int, int], None] = lambda _batch, _remembered: None
    _turn: Lock = field(default_factory=Lock)
    _guard: Lock = field(default_factory=Lock)
    _waiting: "OrderedDict[str, Future[np.ndarray]]" = field(default_factory=OrderedDict)
    _known: "OrderedDict[str, Future[np.ndarray]]" = field(default_factory=OrderedDict)

    def texts(self, texts: Sequence[str], batch_size: int = 256) -> np.ndarray:
        """As of any encoder. More texts than fit a batch, as of a taxonomy, go their own way and are not remembered."""
        if len(set(texts)) > MOST_BATCH or any(len(text) > MOST_CHARS for text in texts):
            return super().texts(texts, batch_size)
        futures = {text: self._promised(text) for text in texts}
        while not all(future.done() for future in futures.values()):
            with self._turn:
                self._encode()
        vectors = [futures[text].result() for text in texts]
        return np.stack(vectors) if vectors else np.zeros((0, self.width), np.float32)

    def _promised(self, text: str) -> "Future[np.ndarray]":
        with self._guard:
            if text in self._known:
                self._known.move_to_end(text)
                self.told(0, 1)
                return self._known[text]
            future = self._waiting[text] = self._known[text] = Future()
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
            return future

    def _encode(self) -> None:
        """Everything that waits, up to a batch; by the thread whose turn it is."""
        with self._guard:
            batch = [self._waiting.popitem(last=False) for _ in range(min(MOST_BATCH, len(self._waiting)))]
        if not batch:
            return
        self.told(len(batch), 0)
        try:
            vectors = super().texts([text for text, _ in batch])
        except BaseException as error:
            with self._guard:
                for text, _ in batch:
                    self._known.pop(text, None)
            for _, future in batch:
                future.set_exception(error)
            raise
        for (_, future), vector in zip(batch, vectors, strict=True):
            vector.flags.writeable = False  # many requests will hold it
            future.set_result(vector)


def shared(encoder: Encoder, told: Callable[[int, int], None]) -> SharedEncoder:
    """This encoder, to be called from many threads."""
    return SharedEncoder(**{f.name: getattr(encoder, f.name) for f in fields(Encoder)}, told=told)
