"""The verb that puts models beside each other, and beside what was published."""

import json
from typing import Annotated

import typer

from pluribus import answers
from pluribus.cli.context import BENCHMARK, RESULTS, Context, app
from pluribus.errors import printable


@app.command()
def benchmark(
    context: typer.Context,
    data: Annotated[str, typer.Option(help="shop:NAME, folder:PATH, fmnist:PATH, csv:PATH; separated by commas")],
    models: Annotated[str, typer.Option(help="models of the configuration, separated by commas, or all")] = "mini",
    most: Annotated[int, typer.Option(min=20, help="pictures of a data set, drawn by a fixed seed")] = 10_000,
    as_json: RESULTS = False,
) -> None:
    """Models on data sets: title → picture HITS@5 and zero-shot F1, published figures beside ours."""
    from pathlib import Path

    from pluribus import launch
    from pluribus.benchmark import sets, tables

    at: Context = context.obj
    settings = at.settings()
    absolute = [(kind, place if kind == "shop" else str(Path(place).expanduser().absolute()))
                for kind, place in sets.asked(data)]  # fmt: skip
    given = {"models": models, "data": ",".join(":".join(part) for part in absolute), "most": str(most),
             "config": settings.location, "store": settings.store}  # fmt: skip
    report = launch.run(BENCHMARK, given, workers=1, store=at.open_store(), debug=at.debug, quiet=as_json)
    if as_json:
        print(json.dumps(report))
    else:
        for title, rows in zip(tables.TITLES.values(), (report["retrieval"], report["zero_shot"]), strict=True):
            if told := [row for row in rows if not row["source"].startswith(tables.UNMEASURED)]:
                answers.table(title, told)
        for line in report["rows"]:
            if why := line[tables.UNMEASURED]:
                print(printable(f"{line['table']} of {line['model']} on {line['data']} {line['of']}".strip()), end=": ")
                print(printable(f"{tables.UNMEASURED} {why}"))
        found = [path for _, path in launch.cards(launch.datastore(BENCHMARK), report["run"], "BenchmarkFlow")]
        print("\n".join([*(f"{name} {key}" for name, key in report["files"].items()), *(f"card {p}" for p in found)]))
    if not report["measured"]:
        raise typer.Exit(1)
