"""The verb on tails: how uneven a log's demand is, and how far a shop is from all others."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from pluribus import answers
from pluribus.cli.context import RESULTS, app, shop_name
from pluribus.cli.evidence import Beside
from pluribus.errors import ConfigError, printable

FIGURES = ("x_min", "n", "alpha", "truncated_alpha", "rate", "ratio", "p", "distance")


@app.command()
def tails(
    context: typer.Context,
    shop: Annotated[str, typer.Argument(help="compare its categories and brands with all other shops'")] = "",
    log: Annotated[Path | None, typer.Option(help="events of queries or views: CSV, TSV, JSON, JSON lines ...")] = None,
    column: Annotated[str, typer.Option(help="of the log, what is counted; default: query, else product_id")] = "",
    count: Annotated[str, typer.Option(help="of the log, how often; default: count, else each line is once")] = "",
    pool: Annotated[list[Path] | None, typer.Option(help="a log of others, to compare with; again for more")] = None,
    png: Annotated[Path | None, typer.Option(help="write the curves to this picture")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="write the curves to this page")] = None,
    as_json: RESULTS = False,
) -> None:
    """Which law demand follows, what its head makes of it, and how far a shop is from the others."""
    if not (shop or log):
        raise ConfigError("neither a shop nor a log", expected="pluribus tails SHOP, or --log FILE")
    if not log and (pool or png or html or column or count):
        raise ConfigError("--pool, --png, --html, --column and --count are of a log", expected="--log FILE")
    told: dict[str, Any] = {}
    if shop:
        told["shop"] = shop_name(shop)
        context.obj.shop_store(shop)
        told["apart"] = Beside(context).apart(shop)
    if log:
        told |= _demand(context, shop, log, column, count, pool or [], png, html)
    if as_json:
        print(json.dumps(told, allow_nan=False))
    else:
        _show(told)


def _demand(
    context: typer.Context, shop: str, log: Path, column: str, count: str, pool: Sequence[Path],
    png: Path | None, html: Path | None,
) -> dict[str, Any]:  # fmt: skip
    """What a log says, and its pictures."""
    from pluribus import plots
    from pluribus import tails as laws
    from pluribus.feeds import logs
    from pluribus.records import Limits

    configured = context.obj.settings().shops.get(shop) if shop else None
    limits = configured.limits if configured else Limits()
    found = logs.read(log, limits=limits, column=column, count=count)
    counts = found.counts.values()
    law = laws.fit(counts)
    told: dict[str, Any] = {
        "log": log.name,
        "column": found.column,
        "events": found.counts.total(),
        "items": sum(n > 0 for n in counts),
        "never": sum(n == 0 for n in counts),
        "blank": found.blank,
        "unreadable": found.unreadable,
        "half": laws.half(counts),
        "fit": {name: value for name, value in asdict(law).items() if name != "curve"},
        "head": laws.head(counts),
    }
    if pool:
        others = Counter[str]()
        for path in pool:
            others.update(logs.read(path, limits=limits, column=column, count=count).counts)
        told["from the pool"] = asdict(laws.divergence(found.counts, others))
    if png or html:
        if not law.curve:
            raise ConfigError(f"no curve: {law.verdict}", do="leave out --png and --html")
        chart = plots.tail(law.curve, laws.head_curve(counts), what=found.column)
        if png:
            png.write_bytes(plots.png(chart))
        if html:
            html.write_text(plots.page(chart, title=f"{log.name}: {law.verdict}"), encoding="utf-8")
    return told


def _show(told: Mapping[str, Any]) -> None:
    for row in told.get("apart", []):
        others = f"{row['shops']:,} other shops"
        print(f"{row['of']}: {_divergence(row, 'products', others)}")
    if "log" not in told:
        return
    unused = ", ".join(f"{told[name]:,} {name}" for name in ("never", "blank", "unreadable") if told[name])
    name, column = printable(told["log"]), printable(told["column"])
    print(f"{name}: {told['events']:,} events, {told['items']:,} different in {column}" + (unused and f" ({unused})"))
    fitted = told["fit"]
    if fitted["alpha"] is None:
        print(f"law not measured, because {fitted['verdict'].removeprefix('cannot tell because ')}")
    else:
        print(fitted["verdict"])
        answers.table("", [{name: _figure(fitted[name]) for name in FIGURES}])
    if told["head"]:
        print(f"{told['half']:.1%} of them make half of all events")
        head = [(f"{row['top']:.1%}", row["items"], f"{row['events']:.1%}") for row in told["head"]]
        answers.table("", [dict(zip(("top", "items", "of all events"), row, strict=True)) for row in head])
    if "from the pool" in told:
        print(_divergence(told["from the pool"], "events", "the pool"))


def _divergence(row: Mapping[str, Any], unit: str, pool: str) -> str:
    if row["bits"] is None:
        return f"divergence not measured, because {row['why_not']}"
    of = f"{row['n']:,} {unit} against {row['pool']:,}"
    return f"{row['bits']:.3f} bits from {pool} (0 equal, 1 nothing in common; by chance {row['chance']:.3f}; {of})"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
