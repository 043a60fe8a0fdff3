"""Verbs around what is bundled: the app, the demo shops, the embedded model."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from pluribus.cli import finding, operating, refreshing
from pluribus.cli.context import HERE, app
from pluribus.errors import ConfigError


@app.command("app")
def serve_app(context: typer.Context, port: Annotated[int, typer.Option(min=1, max=65535)] = 8501) -> None:
    """Search shops and see their quality in a browser, on this machine only."""
    options = {
        "server.address": "127.0.0.1",
        "server.port": port,
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
        "theme.base": "light",
        "theme.primaryColor": "#3f6c8f",
        "theme.backgroundColor": "#fbfaf8",
        "theme.secondaryBackgroundColor": "#f3efe9",
        "theme.textColor": "#2d2a26",
        "theme.borderColor": "#e4dfd7",
        "server.maxUploadSize": "10",
    }
    command = [sys.executable, "-m", "streamlit", "run", str(HERE / "lib" / "pluribus" / "app" / "main.py")]
    command += [f"--{name}={value}" for name, value in options.items()]
    command += ["--", context.obj.open_store().url]
    os.execv(sys.executable, command)  # noqa: S606 - our own app, in place of this process: a child would outlive it


@app.command()
def train_mini(
    context: typer.Context,
    data: Annotated[Path, typer.Argument(envvar="PLURIBUS_DATA", help="the folder of shared training data")],
    card: Annotated[Path, typer.Option(help="the model card to fill in")] = HERE / "docs" / "mini.md",
    resume: Annotated[Path | None, typer.Option(help="a checkpoint to write, and to go on from")] = None,
) -> None:
    """Train the embedded model from nothing: overwrites its weights, model file and card; about an hour on 2 cores."""
    from pluribus import mini

    if not (data / "train").is_dir():
        raise ConfigError(f"no training data at {data}", expected="a folder with train/, shops/ and benchmarks/")
    model = context.obj.settings().model("mini")
    for score in mini.make(model, data, card, checkpoint=resume, report=print):
        print(f"{score.name}: {score.value:.3f} ({score.low:.3f} to {score.high:.3f}), n = {score.n:,}")


@app.command()
def demo_shops(to: Annotated[Path, typer.Argument(help="folder to write them to")] = HERE / "demo") -> None:
    """Draw the three bundled demo shops: feeds, pictures, some of them broken on purpose."""
    from pluribus import demo as drawn

    drawn.write_shops(to)
    print(f"demo shops in {to}")


@app.command()
def demo(context: typer.Context) -> None:
    """The bundled shops through the whole DAG, then a few searches."""
    feeds = context.obj.settings().shop("atelier").feeds
    demo_shops(Path(feeds[0].source[0]).parents[1])  # where the configuration looks for them
    refreshing.refresh(context)
    for shop, query in (("atelier", "dark green dress"), ("hearth", "red vase"), ("outpost", "light blue backpack")):
        print()
        finding.search(context, shop, query, k=5)
    print("\nThe run's cards, one HTML page per step:")
    operating.cards(context)
    print(
        '\nNext: pluribus search atelier "black boots" · pluribus quarantine hearth · pluribus shops · pluribus --help'
    )
    print(f"(pluribus is {Path(sys.argv[0]).resolve()})")
