"""Our own renderer as a generator: material, length, size and photograph are drawn by the wish's seed."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL
from PIL import Image

from pluribus import render
from pluribus.errors import ConfigError
from pluribus.generate.grid import PLAIN, Generator, Wish
from pluribus.render.colours import colour
from pluribus.render.surfaces import PATTERNS

SIDE_PX = 256


def load(weights: str = "", device: str = "cpu") -> Generator:
    """It has no weights, and draws on the processor."""
    if weights:
        raise ConfigError("the renderer has no weights", do="leave out --weights")
    digest = hashlib.sha256(f"{PIL.__version__} {np.__version__}".encode())
    for file in sorted(Path(render.__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    return Generator("renderer", digest.hexdigest()[:16], lambda batch: [_draw(wish) for wish in batch])


def _draw(wish: Wish) -> Image.Image:
    for name, value, known in (("kind", wish.kind, render.KINDS), ("colour", wish.colour, render.COLOURS),
                               ("pattern", wish.pattern, PATTERNS)):  # fmt: skip
        if value not in known:
            raise ConfigError(f"the renderer draws no {name} {value!r:.40}", expected=f"one of {', '.join(known)}")
    vertical = next(name for name, kinds in render.VERTICALS.items() if wish.kind in kinds)
    ground = colour(wish.colour, float(np.random.default_rng(wish.seed).random()))
    second = None if wish.pattern == PLAIN else render.contrast(ground, wish.seed)
    item = render.sample(vertical, wish.seed, wish.kind)
    return render.draw(replace(item, colour=ground, pattern=wish.pattern, pattern_colour=second), SIDE_PX)
