"""What is asked: words, pictures, or several of them with weights.

A text is always words, never a path: only a `Path` is opened. Bytes of a picture come from strangers and are decoded
in a limited child process, as a feed's pictures are.
"""

import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pluribus import pixels
from pluribus.errors import ConfigError
from pluribus.records import Model
from pluribus.sandbox import Sandbox

MOST_TERMS = 16
MOST_CHARS = 1_000
MOST_WEIGHT = 10.0
PICTURE = {"side_px": 512, "least_px": 8, "most_px": 50_000_000}
#: "floral:-0.5"; a digit before the colon ("16:9") is no weight, and neither is a number that none can be ("size:38")
_WEIGHTED = re.compile(r"(?P<said>.*[^\W\d])\s*:\s*(?P<weight>[-+]?(\d+\.?\d*|\.\d+))\s*", re.DOTALL)


@dataclass(frozen=True)
class Term:
    """One part of a question, and how much of it is wanted; below 0, how much not."""

    said: Any  # str, or a picture: bytes, Path, PIL image, uint8 [height, width, 3]
    weight: float = 1.0


class Encodes(Protocol):
    """What turns terms into vectors: `models.encoders.Encoder`, or whatever batches and caches it."""

    @property
    def fingerprint(self) -> str: ...
    @property
    def width(self) -> int: ...
    @property
    def model(self) -> Model: ...
    def images(self, pictures: Iterable[Any]) -> np.ndarray: ...
    def texts(self, texts: list[str]) -> np.ndarray: ...


def terms(what: Any) -> list[Term]:
    """A question as terms: text ("red dress", "red dress:1, floral:-0.5"), a picture, a mapping of term to weight, or
    a sequence of terms or (term, weight) pairs. Raises ConfigError on what is none of these."""
    if isinstance(what, str):
        found = _parse(what) if len(what) <= MOST_CHARS else [Term(what)]  # which is refused below
    elif isinstance(what, Mapping):
        found = [Term(said, weight) for said, weight in what.items()]
    elif isinstance(what, list | tuple):
        found = [_term(part) for part in what]
    else:
        found = [Term(what)]
    if not found or len(found) > MOST_TERMS:
        raise ConfigError(f"a query of {len(found)} terms", expected=f"1 to {MOST_TERMS}")
    for term in found:
        _check(term)
    if not any(term.weight > 0 for term in found):
        raise ConfigError("a query of nothing but what is not wanted", expected="a term with a weight above 0")
    return found


def vector(asked: list[Term], encoder: Encodes) -> np.ndarray:
    """The unit vector [1, width] of terms: the sum of theirs by weight."""
    said = [term for term in asked if isinstance(term.said, str)]
    seen = [term for term in asked if not isinstance(term.said, str)]
    parts = []
    if said:
        parts.append(np.array([[term.weight for term in said]]) @ encoder.texts([term.said for term in said]))
    if seen:
        pictures = [picture(term.said) for term in seen]
        parts.append(np.array([[term.weight for term in seen]]) @ encoder.images(pictures))
    whole = np.sum(parts, axis=0)
    norm = float(np.linalg.norm(whole))
    if norm < 1e-6:
        raise ConfigError("a query whose terms cancel each other out", expected="other weights")
    unit: np.ndarray = (whole / norm).astype(np.float32)
    return unit


def _parse(text: str) -> list[Term]:
    parts = [part.strip() for part in text.split(",")]
    found = [_weighted(part) for part in parts]
    if all(match is None for match in found):
        return [Term(" ".join(text.split()))]
    read = [match or Term(" ".join(part.split())) for part, match in zip(parts, found, strict=True)]
    return [term for term in read if term.said]


def _weighted(part: str) -> Term | None:
    match = _WEIGHTED.fullmatch(part)
    if match is None or abs(float(match["weight"])) > MOST_WEIGHT:
        return None
    return Term(" ".join(match["said"].split()), float(match["weight"]))


def _term(part: Any) -> Term:
    if isinstance(part, Term):
        return part
    if isinstance(part, list | tuple) and len(part) == 2:
        return Term(*part)
    return Term(part)


def _check(term: Term) -> None:
    weight = term.weight
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not abs(weight) <= MOST_WEIGHT:
        raise ConfigError(
            f"a term's weight {weight!r:.40}", expected=f"a number from -{MOST_WEIGHT:g} to {MOST_WEIGHT:g}"
        )
    if isinstance(term.said, str):
        if not term.said.strip():
            raise ConfigError("an empty query", expected="some words")
        if len(term.said) > MOST_CHARS:
            raise ConfigError(f"a query of {len(term.said):,} characters", expected=f"at most {MOST_CHARS:,}")
        if any("\ud800" <= c <= "\udfff" for c in term.said):
            raise ConfigError("a query with half a character", expected="Unicode text")
    elif not isinstance(term.said, bytes | Path | np.ndarray) and not hasattr(term.said, "convert"):
        raise ConfigError(f"a query of type {type(term.said).__name__}", expected="text or a picture")


def picture(said: Any) -> bytes | np.ndarray:
    """Strangers' bytes as our own JPEG; pixels that somebody has decoded already as they are. Raises ConfigError."""
    if isinstance(said, np.ndarray):
        return said
    if isinstance(said, Path):
        try:
            said = said.read_bytes()
        except OSError as error:
            raise ConfigError(f"no picture at {said}: {error.strerror}", expected="a readable file") from None
    if not isinstance(said, bytes):
        return np.asarray(said.convert("RGB"))
    child, turn = _child()
    with turn:
        reply = child.call(said)
    found = (pixels.read_answer(reply) if reply is not None else None) or pixels.Picture(reason="CRASH")
    if found.reason:
        raise ConfigError(f"a picture that cannot be read ({found.reason})", expected=" or ".join(pixels.FORMATS))
    return found.jpeg


@cache
def _child() -> tuple[Sandbox, threading.Lock]:
    return Sandbox("pluribus.pixels:answer", PICTURE), threading.Lock()
