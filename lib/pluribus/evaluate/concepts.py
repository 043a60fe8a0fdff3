"""Concepts: what a model understands that no shop has a product for. Of the model, so measured once for all shops.

Pictures are drawn, so their truth is known exactly:

    improbable    "the kind of A with pattern, colour and material of B" must find its own picture before A, B, and
                  the other way round: composing, where remembering does not help
    separation    do pictures of one kind, and of one colour, lie together? The silhouette, from −1 to 1
    direction     from "dark blue mug" to "light blue mug": does the way in the space follow CIELAB lightness?
                  Spearman's rho of the drawn shades along it
"""

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from pluribus import metrics, render
from pluribus.errors import Exists
from pluribus.records import Score
from pluribus.render.colours import HUES, colour
from pluribus.store import Store

VERSION = 1  # raise when the same model would now be scored otherwise
PAIRS = 8  # of opposites a vertical: each asks two improbable products
SHADES = 7
SIDE_PX = 96
TONED = tuple(name for name, hue in HUES.items() if hue.dark and hue.light)


def of_model(store: Store, fingerprint: str, encoder: Callable[[], Any] | None = None) -> dict[str, Any] | None:
    """What was measured of a model; measured now when it was not yet and there is an `encoder()`."""
    own, name = store.within(f"models/{fingerprint}"), f"concepts-{VERSION}.json"
    if any(item.key == name for item in own.items(name)):
        found: dict[str, Any] = json.loads(own.get(name))
        return found
    if encoder is None:
        return None
    made = {score.name: asdict(score) for score in measure(encoder())}
    try:
        own.create(name, json.dumps(made, ensure_ascii=False, allow_nan=False).encode())
    except Exists:  # another task was first
        return dict(json.loads(own.get(name)))
    return made


def measure(encoder: Any, pairs: int = PAIRS, seed: int = 0) -> list[Score]:
    """Every score of a model: `encoder` gives unit vectors by `.images(JPEG bytes)` and `.texts(str)`."""
    opposites = [pair for vertical in render.VERTICALS for pair in render.opposites(vertical, pairs, seed)]
    fours = [[render.improbable(a, b), render.improbable(b, a), a, b] for a, b in opposites]
    items = [item for four in fours for item in four]
    seen = _look(encoder, items)
    return [_improbable(encoder, fours, seen), *_separation(items, seen), _direction(encoder, seed)]


def silhouette(vectors: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """Of each case whose label another one shares: how much nearer it lies to its own than to the next group [m]."""
    names, group = np.unique(labels, return_inverse=True)
    far = 1 - vectors @ vectors.T
    member = group[:, None] == np.arange(len(names))
    counts = member.sum(axis=0)
    mean = far @ member / counts
    shared = np.flatnonzero(counts[group] > 1)
    own = (far @ member)[shared, group[shared]] / (counts[group[shared]] - 1)
    mean[np.arange(len(group)), group] = np.inf
    other = mean[shared].min(axis=1)
    return np.asarray((other - own) / np.maximum(own, other))


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Rank correlation of two series without ties."""
    return float(np.corrcoef(np.argsort(np.argsort(a)), np.argsort(np.argsort(b)))[0, 1])


def _improbable(encoder: Any, fours: list[list[render.Item]], seen: np.ndarray) -> Score:
    """Each pair's two improbable products, asked by caption among the four pictures of the pair."""
    asked = encoder.texts([render.caption(item, "full") for four in fours for item in four[:2]])
    right = [
        float(np.argmax(seen[4 * n : 4 * n + 4] @ asked[2 * n + way]) == way)
        for n in range(len(fours))
        for way in (0, 1)
    ]
    return _score(
        "improbable products found first", np.array(right), 1 / 4, "4 pictures: A with B's looks, B with A's, A, B"
    )


def _separation(items: list[render.Item], seen: np.ndarray) -> list[Score]:
    labels = {"kinds": [item.kind for item in items], "colours": [item.colour.name for item in items],
              "patterns": [item.pattern for item in items]}  # fmt: skip
    rng = np.random.default_rng(0)
    scores = []
    for name, of in labels.items():
        by_chance = float(silhouette(seen, list(rng.permutation(of))).mean())
        scores.append(_score(f"separation of {name}", silhouette(seen, of), by_chance, "silhouette, −1 to 1"))
    return scores


def _direction(encoder: Any, seed: int) -> Score:
    """Shades of one product along the way from its dark to its light name, hue by hue."""
    rhos = []
    for n, hue in enumerate(TONED):
        vertical = list(render.VERTICALS)[n % len(render.VERTICALS)]
        plain = replace(render.sample(vertical, seed + n), pattern="plain", pattern_colour=None)
        names = [f"dark {hue}", hue, f"light {hue}"]
        shades = [colour(names[3 * i // SHADES], 3 * i / SHADES % 1) for i in range(SHADES)]
        items = [replace(plain, colour=shade) for shade in shades]
        dark, light = encoder.texts([f"{name} {render.caption(plain, 'kind')}" for name in (names[0], names[2])])
        rhos.append(spearman(_look(encoder, items) @ (light - dark), np.array([item.lightness for item in items])))
    return _score("direction dark to light", np.array(rhos), 0.0, f"Spearman's rho over {SHADES} shades of a hue")


def _look(encoder: Any, items: Sequence[render.Item]) -> np.ndarray:
    jpegs = []
    for item in items:
        buffer = io.BytesIO()
        render.draw(item, SIDE_PX).save(buffer, "JPEG", quality=90)
        jpegs.append(buffer.getvalue())
    return np.asarray(encoder.images(jpegs))


def _score(name: str, values: np.ndarray, chance: float, note: str) -> Score:
    low, high = metrics.interval(values)
    return Score(name=name, value=float(values.mean()), n=len(values), low=low, high=high, chance=chance, note=note)
