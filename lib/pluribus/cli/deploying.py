"""The verb that hands the flow to a cluster's engine."""

import json
from pathlib import Path
from typing import Annotated

import typer

from pluribus.cli.context import FLOW, RESULTS, app
from pluribus.errors import ConfigError


@app.command()
def deploy(
    context: typer.Context,
    engine: Annotated[str, typer.Argument(help="argo, step-functions or airflow")],
    to: Annotated[Path | None, typer.Option(help="the file to write; default: deployment.json, or .py")] = None,
    create: Annotated[bool, typer.Option("--create", help="hand it to the engine, once it is found right")] = False,
    as_json: RESULTS = False,
) -> None:
    """Compile the flow for an engine with the configured schedule and machines; check what came of it."""
    from pluribus import deploy as engines

    if engine not in engines.TARGETS:
        raise ConfigError(f"engine {engine!r}", expected=f"one of {', '.join(engines.TARGETS)}")
    to = to or Path("deployment").with_suffix(engines.TARGETS[engine].suffix)
    settings = context.obj.settings()
    places = {"config": settings.location, "store": settings.store}
    compiler = engines.Compiler(flows=FLOW.parent, deploy=settings.deploy, **places)
    found = compiler.definition(engine)
    to.write_text(found.text)
    wrong = engines.problems(found, settings.deploy)
    if as_json:
        print(json.dumps({"engine": engine, "file": str(to), "bytes": len(found.text), "problems": wrong}))
    else:
        print(f"{to}: {engine}, {len(found.text):,} bytes, {len(settings.shops):,} shops configured")
        for sentence in wrong:
            print(f"wrong: {sentence}")
    if wrong:
        raise typer.Exit(1)
    if create:
        compiler.create(engine)
