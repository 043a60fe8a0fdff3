"""The verb that makes products nobody sells."""

import json
from pathlib import Path
from typing import Annotated

import typer

from pluribus import answers
from pluribus.cli.context import RESULTS, app
from pluribus.errors import ConfigError


@app.command()
def generate(
    context: typer.Context,
    out: Annotated[Path, typer.Argument(help="a new folder for the feed, its pictures and the report")],
    generator: Annotated[str, typer.Option(help="renderer, or diffusion with --weights")] = "renderer",
    weights: Annotated[str, typer.Option(help="diffusion: a pipeline's folder on this machine")] = "",
    kinds: Annotated[str, typer.Option(help="what to draw, comma-separated; default: all the renderer knows")] = "",
    colours: Annotated[str, typer.Option(help="in which colours; default: the same")] = "",
    patterns: Annotated[str, typer.Option(help="with which patterns; the renderer knows nine")] = "plain",
    n: Annotated[int, typer.Option("-n", min=1, help="pictures to accept")] = 100,
    most: Annotated[int, typer.Option(min=0, help="pictures to draw for them at most; 0: ten for each")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="of the order, and of every picture")] = 0,
    judge: Annotated[str, typer.Option(help="the model that names kind and pattern of what was drawn")] = "mini",
    as_json: RESULTS = False,
) -> None:
    """Draw products from a grid of attributes; only pictures that a check agrees with become a feed to train with."""
    from pluribus import generate as making
    from pluribus import models, render

    if generator not in making.GENERATORS:
        raise ConfigError(f"generator {generator!r:.40}", expected=f"one of {', '.join(making.GENERATORS)}")
    making.free(out)
    grid = making.Grid.of(kinds.split(",") if kinds else list(render.KINDS),
                          colours.split(",") if colours else render.COLOURS, patterns.split(","), seed)  # fmt: skip
    made = making.GENERATORS[generator](weights, models.device_of_choice())
    store = context.obj.open_store()
    encoder = models.load(store, models.register(store, context.obj.settings().model(judge)))
    found = making.generate(made, grid, encoder, n=n, most=most or None)
    feed = making.write(out, made, grid, found, judge=f"{judge} {encoder.fingerprint}")
    rows = making.told(found)
    if as_json:
        print(json.dumps({"feed": str(feed), "generator": made.mark, "agreed": rows}))
        return
    answers.table(f"{made.mark}: pictures that {judge} and the measured colours agree with", rows)
    print(f"{feed}\nto train with them: make {out / 'shop.toml'} a file of config/shops, refresh it, finetune with it")
    if len(found.accepted) < n:
        print(f"only {len(found.accepted):,} of {n:,} were accepted after {found.drawn:,} drawings")
