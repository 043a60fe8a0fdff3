"""Verbs that say whether a release can be trusted, and why."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from pluribus import answers
from pluribus.cli.context import RESULTS, app
from pluribus.cli.evidence import Beside
from pluribus.errors import ConfigError, ReleaseError
from pluribus.records import Score


@app.command()
def evaluate(
    context: typer.Context,
    shop: Annotated[list[str], typer.Argument(help="shops, or all")],
    release: Annotated[str, typer.Option(help="a release id; default: the live one, else the newest")] = "",
    png: Annotated[Path | None, typer.Option(help="a folder: the scores of each shop as a picture as well")] = None,
    as_json: RESULTS = False,
) -> None:
    """What was measured of a shop's release, the verdict and why; beside it judgements, demand, other shops, cost."""
    from pluribus import findings

    names = list(context.obj.settings().shops) if shop == ["all"] else shop
    if release and len(names) > 1:
        raise ConfigError("--release belongs to one shop", expected=f"pluribus evaluate {names[0]} --release {release}")
    beside, told, without = Beside(context), {}, {}
    for name in names:
        try:
            told[name] = _told(context, name, release)
        except (ConfigError, ReleaseError) as error:
            if len(names) == 1:
                raise
            without[name] = str(error)  # one shop's trouble does not end the others' report
            continue
        told[name][1]["beside"] = beside.of(name, told[name][0])
        if png:
            _draw(png, name, told[name][1])
    if as_json:
        print(json.dumps(told | {name: ["", {"not_measured": {"release": why}}] for name, why in without.items()}))
        return
    for name, (of, evaluation) in told.items():
        for title, rows in findings.tables(evaluation).items():
            answers.table(f"{name} {of[:12]}: {title}", rows)
            print()
    if len(names) > 1:
        answers.table("All shops", findings.across({name: evaluation for name, (_, evaluation) in told.items()}))
        _one_model(beside)
    for name, why in without.items():
        print(f"{name}: not measured, because {why}")


def _one_model(beside: Beside) -> None:
    """What the shared model saves, by the newest run that embedded anything."""
    from pluribus import ledger, runs

    for report in runs.reports(beside.store):
        if any(job["counts"].get("embedded") for job in report["jobs"]):
            saved = ledger.saved(report, beside.settings.rates, training_minutes=60)
            row = {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in saved.items()}
            print()
            answers.table(f"run {report['run']}: one shared model, and one a shop and use, 60 GPU-minutes each", [row])
            return


def _draw(folder: Path, shop: str, evaluation: Mapping[str, Any]) -> None:
    """The chart of the card, as a file; nothing where nothing was measured."""
    from pluribus import evaluate as judged
    from pluribus import plots

    scores = judged.headline({name: Score(**score) for name, score in evaluation["scores"].items()})
    named = [replace(score, name=f"{name} (n = {score.n:,})") for name, score in scores.items()]
    if named:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{shop}.png").write_bytes(plots.png(plots.scores({score.name: score for score in named})))


def _told(context: typer.Context, shop: str, release: str) -> tuple[str, dict[str, Any]]:
    """A release's id and evaluation: the live one's, else the newest one's, which the gate may have refused."""
    from pluribus import releases

    store = context.obj.shop_store(shop)
    live = releases.current(store, shop=shop)
    if release:
        key = releases.key(release, "evaluation.json")
        held = {item.key for item in store.items(releases.key(release, ""))}
        if key in held and releases.key(release, "_MANIFEST.json") not in held:  # refused: it was never sealed
            return release, json.loads(store.get(key))
    if release or live:
        opened = releases.open_release(store, shop=shop, release=release or None)
        return opened.manifest.release, json.loads(opened.path("evaluation.json").read_bytes())
    for entry in releases.history(store, shop=shop):
        key = releases.key(entry.release, "evaluation.json")
        if any(item.key == key for item in store.items(key)):
            return entry.release, json.loads(store.get(key))
    raise ConfigError(f"no release of {shop!r} was evaluated", do=f"run: pluribus refresh --shops {shop}")
