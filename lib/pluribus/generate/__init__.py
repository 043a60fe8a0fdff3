"""Generate: products that no shop sells, as pictures whose words are known: to train with, and to test with.

    grid       what is wished for: kinds x colours x patterns, each wish with its own seed and prompt
    renderer   our own drawings, exact by construction        diffusion   any text-to-image pipeline of diffusers
    checks     who did not make a picture says what it shows: colours are measured, kind and pattern named by a model
    shelves    what was accepted, as a feed that every stage reads, marked in its rows, its pictures and its report

A picture is kept only if the check agrees on every attribute. Generated products may teach; `train.splits` lets none
of them judge.
"""

import itertools
from collections.abc import Callable

import numpy as np

from pluribus.errors import ConfigError
from pluribus.generate import checks, diffusion, renderer
from pluribus.generate.grid import ATTRIBUTES, Drawn, Generator, Grid, Wish, told
from pluribus.generate.shelves import free, write

__all__ = ["ATTRIBUTES", "GENERATORS", "Drawn", "Generator", "Grid", "Wish", "free", "generate", "told", "write"]

#: name -> (folder of weights or "", device) -> the generator. Raises ConfigError.
GENERATORS: dict[str, Callable[[str, str], Generator]] = {"renderer": renderer.load, "diffusion": diffusion.load}
BATCH = 16


def generate(generator: Generator, grid: Grid, judge: checks.Judges, *, n: int, most: int | None = None) -> Drawn:
    """Draw until n pictures are accepted, or `most` (10 n) were drawn.

    `judge` names kinds and patterns; raises ConfigError when its weights are among the generator's own.
    """
    if judge.model.sha256 in generator.weights:
        raise ConfigError(f"model {judge.model.name} is a part of the generator that it would judge",
                          expected="another model as the judge")  # fmt: skip
    found, wanted = Drawn(), grid.wishes()
    limit = 10 * n if most is None else most
    while len(found.accepted) < n and found.drawn < limit:
        batch = list(itertools.islice(wanted, min(BATCH, limit - found.drawn)))
        jpegs = [checks.jpeg(picture) for picture in generator.draw(batch)]
        agreed = checks.agree(judge, grid, batch, jpegs)
        found.drawn += len(batch)
        found.refused.update({name: int((~ok).sum()) for name, ok in agreed.items()})
        whole = np.all(list(agreed.values()), axis=0)
        found.accepted += [(wish, jpeg) for wish, jpeg, ok in zip(batch, jpegs, whole, strict=True) if ok]
    found.accepted = found.accepted[:n]
    return found
