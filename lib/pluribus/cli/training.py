"""Verbs that teach the shared model."""

import json
from pathlib import Path
from typing import Annotated

import typer

from pluribus import answers
from pluribus.cli.context import FINETUNE, RESULTS, Context, app, as_it_was
from pluribus.errors import ConfigError


@app.command()
def finetune(
    context: typer.Context,
    shops: Annotated[str, typer.Option(help="whose products teach: names separated by commas, or all")] = "all",
    hold_shops: Annotated[str, typer.Option(help="shops that only judge, like a customer who is new")] = "",
    model: Annotated[str, typer.Option(help="the model to start from")] = "mini",
    name: Annotated[str, typer.Option(help="the name of the model that comes of it")] = "tuned",
    out: Annotated[str, typer.Option(help="a folder for it; default: the models of the configuration")] = "",
    lrs: Annotated[str, typer.Option(help="learning rates, each a candidate")] = "1e-4,1e-5,1e-6",
    seeds: Annotated[str, typer.Option(help="seeds, each rate is trained with each")] = "0",
    mixes: Annotated[str, typer.Option(help="shares of the trained weights, the rest is the start's")] = "1,0.5",
    epochs: Annotated[float, typer.Option(min=0.001, help="how often each picture is seen")] = 4.0,
    batch: Annotated[int, typer.Option(min=2, help="pictures that are compared with each other")] = 256,
    piece: Annotated[int, typer.Option(min=0, help="pictures on the device at once; 0: the whole batch")] = 0,
    external: Annotated[str, typer.Option(help="folders or tars of a folder a class; default: the demo shops")] = "",
    forget: Annotated[float, typer.Option(min=0, max=1, help="largest loss of F1 on an external set")] = 0.02,
    held_share: Annotated[float, typer.Option(min=0, max=0.5, help="share of categories, and brands, held out")] = 0.05,
    resume: Annotated[str, typer.Option(help="finish an earlier run that was killed: its run id")] = "",
    as_json: RESULTS = False,
) -> None:
    """Fine-tune the shared model on shops' products: a table of what it took and brought, and the winner as a model."""
    from pluribus import launch

    at: Context = context.obj
    settings = at.settings()
    if resume:
        as_it_was(context, "resume", "as_json")
        if any(item.key.endswith(f"-{resume}/report.json") for item in at.open_store().items("finetunes/")):
            raise ConfigError(f"run {resume} has ended", do=f"see: pluribus cards {resume}")
    given: dict[str, object] = {
        "shops": shops,
        "hold-shops": hold_shops,
        "model": model,
        "called": name,
        "out": out,
        "lrs": lrs,
    }
    given |= {"seeds": seeds, "mixes": mixes, "epochs": epochs, "batch": batch, "piece": piece, "external": external}
    given |= {"forget": forget, "held-share": held_share, "config": settings.location, "store": settings.store}
    arguments = {option: str(value) for option, value in given.items()}
    shown = {"debug": at.debug, "quiet": as_json}
    report = launch.run(FINETUNE, arguments, workers=1, resume=resume, store=at.open_store(), **shown)
    if as_json:
        print(json.dumps(report))
    else:
        answers.table(report["rule"], report["rows"])
        print("\n".join(report["reasons"]))
        found = launch.cards(launch.datastore(FINETUNE), report["run"], "FineTuneFlow")
        print("\n".join(f"card {path}" for _, path in found))
    if not report["winner"]:
        raise typer.Exit(1)
    if not as_json:
        print(report["file"])
        if Path(report["file"]).parent == Path(settings.models_at):
            print(f"try it: pluribus refresh --shops {report['shops']} --model {report['name']}")
