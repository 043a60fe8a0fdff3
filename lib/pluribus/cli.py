"""The command line. Every verb answers people with a table, and machines with `--json`.

Nothing but this module and flows/ reads the configuration. What goes wrong is one line on standard error and an exit
code that is not 0; `--debug` shows where it came from.
"""

import json
import os
import sys
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from pluribus import answers
from pluribus.errors import ConfigError, PluribusError

HERE = Path(__file__).resolve().parents[2]  # the checkout: flows/ and config/ lie beside lib/
FLOW = HERE / "flows" / "refresh.py"
RESULTS = Annotated[bool, typer.Option("--json", help="answer in JSON")]

app = typer.Typer(
    help="One shared model and one DAG for every shop.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@dataclass
class Context:
    """What the options before the verb said."""

    config: str
    store: str
    debug: bool

    def settings(self) -> Any:
        """The configuration, read and checked."""
        from pluribus import settings

        return settings.load(self.config, store=self.store)

    def open_store(self) -> Any:
        """The store, without reading shops or models when it was named on the command line."""
        from pluribus.store import open_store

        return open_store(self.store or self.settings().store)

    def shop_store(self, shop: str) -> Any:
        """The part of the store that is this shop's, for shops that were refreshed at least once."""
        store = self.open_store()
        if not any(True for _ in store.items(f"shops/{_shop_name(shop)}/")):
            raise ConfigError(
                f"shop {shop!r} has nothing in {store.url}",
                expected="a shop that was refreshed",
                do=f"run: pluribus refresh --shops {shop}",
            )
        return store.within(f"shops/{shop}")


@app.callback()
def _options(
    context: typer.Context,
    config: Annotated[str, typer.Option(envvar="PLURIBUS_CONFIG", help="configuration: a folder, or s3://…")] = str(
        HERE / "config"
    ),
    store: Annotated[str, typer.Option(envvar="PLURIBUS_STORE", help="a store in place of the configured one")] = "",
    debug: Annotated[
        bool, typer.Option(envvar="PLURIBUS_DEBUG", help="show tracebacks and every line of the flow")
    ] = False,
) -> None:
    context.obj = Context(config, store, debug)


# ------------------------------------------------------------------------------------------------------- refreshing


@app.command()
def refresh(
    context: typer.Context,
    shops: Annotated[str, typer.Option(help="names separated by commas, or all, or due")] = "all",
    model: Annotated[str, typer.Option(help="a model for this run, in place of the shops' own")] = "",
    snapshot: Annotated[str, typer.Option(help="re-run one shop on a snapshot it took earlier")] = "",
    strict: Annotated[bool, typer.Option(help="fail when any shop is set aside, not only when all are")] = False,
    resume: Annotated[str, typer.Option(help="finish an earlier run that was killed: its run id")] = "",
    anew: Annotated[
        bool, typer.Option("--anew", help="build and publish again, whatever is live and even if it is damaged")
    ] = False,
    as_json: RESULTS = False,
) -> None:
    """Refresh shops: newest catalogs in, published releases out."""
    from datetime import UTC

    from pluribus import launch, plan

    at: Context = context.obj
    settings, now = at.settings(), datetime.now(UTC)
    store = at.open_store()
    if snapshot and (shops in ("all", "due") or "," in shops):
        raise ConfigError("--snapshot belongs to one shop", expected=f"--shops NAME --snapshot {snapshot}")
    settings.model(model or next(iter(settings.models)))
    if not plan.choose(settings.shops, shops, past=plan.reports(store), now=now) and not resume:
        print("no shop is due")
        return
    arguments = {
        "shops": shops,
        "model": model,
        "snapshot": snapshot,
        "config": settings.location,
        "store": settings.store,
        "anew": str(anew),
    }
    report = launch.refresh(
        FLOW,
        arguments,
        workers=settings.run.workers,
        resume=resume,
        store=store,
        debug=at.debug,
        quiet=as_json,
    )
    jobs = report["jobs"]
    if as_json:
        print(json.dumps(report))
    else:
        answers.report(report)
    lost = [job for job in jobs if job["state"] in ("set aside", "failed gate")]
    if lost and (strict or len(lost) == len(jobs)):
        raise typer.Exit(1)


@app.command()
def runs(context: typer.Context, shop: str = "", most: int = 20, as_json: RESULTS = False) -> None:
    """The newest runs, and how each shop came through."""
    from pluribus import plan

    rows = [
        {"started": report["started"][:19], "run": report["run"], **answers.job_row(job)}
        for report in plan.reports(context.obj.open_store(), most)
        for job in report["jobs"]
        if shop in ("", job["shop"])
    ]
    answers.answer(rows, as_json, title="runs")


# ---------------------------------------------------------------------------------------------------------- reading


@app.command()
def search(
    context: typer.Context,
    shop: str,
    query: str,
    k: Annotated[int, typer.Option("-k", help="how many")] = 10,
    as_json: RESULTS = False,
) -> None:
    """The products of a shop's live release nearest to a text."""
    from pluribus import search as uses

    context.obj.shop_store(shop)
    hits = uses.open(context.obj.open_store(), shop).query(query, k)
    rows = [
        {
            "score": round(hit.score, 4),
            "product_id": hit.product_id,
            "title": hit.title,
            "price": answers.price(hit.product),
            "category": hit.product["category"],
        }
        for hit in hits
    ]
    answers.answer(rows, as_json, title=f"{shop}: {query}")


@app.command()
def shops(context: typer.Context, as_json: RESULTS = False) -> None:
    """Every configured shop and what is live of it."""
    from pluribus import releases

    settings, store = context.obj.settings(), context.obj.open_store()
    rows = []
    for shop in settings.shops.values():
        own = store.within(f"shops/{shop.name}")
        live = releases.current(own, shop=shop.name)
        facts = releases.open_release(own, shop=shop.name).manifest.facts if live else {}
        rows.append(
            {
                "shop": shop.name,
                "model": shop.model,
                "products": facts.get("products", 0),
                "release": live.release if live else "",
                "live since": live.at[:19] if live else "never published",
                "held": "held" if live and live.hold else "",
            }
        )
    answers.answer(rows, as_json, title=f"shops in {store.url}")


@app.command()
def releases(context: typer.Context, shop: str, as_json: RESULTS = False) -> None:
    """Every release of a shop, newest first."""
    from pluribus import releases as door

    history = door.history(context.obj.shop_store(shop), shop=shop)
    answers.answer([asdict(entry) for entry in history], as_json, title=f"releases of {shop}")


@app.command()
def products(context: typer.Context, shop: str, product_id: list[str], as_json: RESULTS = False) -> None:
    """Products of the live release, every field."""
    from pluribus import releases as door
    from pluribus import tables

    opened = door.open_release(context.obj.shop_store(shop), shop=shop)
    sql = "select * from rows where product_id in (select unnest($ids))"
    found = tables.query(sql, {"ids": product_id}, rows=opened.path("products.parquet")).to_pylist()
    lost = set(product_id) - {row["product_id"] for row in found}
    if lost:
        raise ConfigError(
            f"no product {min(lost)!r} in the live release of {shop}",
            do=f"it may be quarantined: pluribus quarantine {shop}",
        )
    rows = [row | {"extra": dict(row["extra"] or [])} for row in found]
    if as_json:
        print(json.dumps(rows, default=str))
        return
    for row in rows:
        answers.table(
            f"{shop}: {row['product_id']}",
            [{"field": k, "value": v} for k, v in row.items() if v not in (None, [], {}, "")],
        )


@app.command()
def quarantine(context: typer.Context, shop: str, reason: str = "", most: int = 50, as_json: RESULTS = False) -> None:
    """The rows of a shop's newest snapshot that were refused, with every reason."""
    from pluribus import tables, validate

    store = context.obj.shop_store(shop)
    report, path = validate.newest(store)
    sql = """select row, product_id, title, price, reasons, picture_faults, extra from rows
             where $reason = '' or list_contains(reasons, $reason) order by row limit $most"""
    found = tables.query(sql, {"reason": reason, "most": most}, rows=path).to_pylist()
    if as_json:
        print(json.dumps([row | {"extra": dict(row["extra"] or [])} for row in found], default=str))
        return
    says = {finding["code"]: finding["says"] for finding in report["findings"]}
    answers.table(
        f"{shop}: {report['quarantined']:,} of {report['rows']:,} rows quarantined",
        [{"reason": code, "rows": n, "expected": says.get(code, "")} for code, n in report["reasons"].items()],
    )
    answers.table(
        f"the first {len(found)}",
        [
            {
                "row": row["row"],
                "product_id": row["product_id"],
                "title": row["title"],
                "reasons": " ".join(row["reasons"]),
                "raw": dict(row["extra"] or []).get("raw", ""),
            }
            for row in found
        ],
    )


# -------------------------------------------------------------------------------------------------------- operating


@app.command()
def rollback(
    context: typer.Context,
    shop: str,
    to: Annotated[str, typer.Option(help="a release id; default: the one before")] = "",
    why: str = "by hand",
) -> None:
    """Put an earlier release live again, and hold the shop there until `unhold`."""
    from pluribus import publish

    release = publish.rollback(context.obj.shop_store(shop), shop=shop, to=to or None, why=why)
    print(f"{shop} serves {release} and is held there; `pluribus unhold {shop}` lets the next refresh publish again")


@app.command()
def hold(context: typer.Context, shop: str, why: str = "by hand") -> None:
    """Keep a shop on its live release until `unhold`."""
    from pluribus import publish

    publish.hold(context.obj.shop_store(shop), shop=shop, why=why)
    print(f"{shop} is held")


@app.command()
def unhold(context: typer.Context, shop: str, why: str = "by hand") -> None:
    """Let the next refresh of a shop publish again."""
    from pluribus import publish

    publish.unhold(context.obj.shop_store(shop), shop=shop, why=why)
    print(f"{shop} is no longer held")


@app.command()
def collect(
    context: typer.Context, shop: str, grace_days: Annotated[float, typer.Option(min=0)] = 7.0, keep: int = 3
) -> None:
    """Delete releases of a shop that nobody can need any more."""
    from pluribus import publish

    gone = publish.collect(context.obj.shop_store(shop), shop=shop, grace_s=grace_days * 86_400, keep=keep)
    print(f"{shop}: {len(gone)} releases deleted" + "".join(f"\n  {release}" for release in gone))


@app.command()
def new_shop(
    context: typer.Context,
    feed: Annotated[str, typer.Option(help="a file of the shop's feed")],
    name: Annotated[str, typer.Option(help="the shop's name; default: the feed's file name")] = "",
    out: Annotated[str, typer.Option(help="where to write the shop's file; - only shows it")] = "",
) -> None:
    """Look at a feed and write a shop file with a proposed column mapping."""
    from pluribus import newshop

    folder = Path(out) if out else Path(context.obj.config) / "shops"
    print(newshop.propose(Path(feed), name=name, folder=None if out == "-" else folder))


@app.command()
def doctor(context: typer.Context, as_json: RESULTS = False) -> None:
    """Say what is missing or misconfigured on this machine."""
    from pluribus import doctor as checks

    found = checks.examine(context.obj.config, context.obj.store)
    answers.answer([asdict(check) for check in found], as_json, title="doctor")
    if any(check.state == "wrong" for check in found):
        raise typer.Exit(1)


@app.command()
def cards(
    context: typer.Context,
    run: Annotated[str, typer.Argument(help="a run id; default: the newest")] = "",
    as_json: RESULTS = False,
) -> None:
    """Where the cards of a run are: HTML files, one per task."""
    from pluribus import launch, plan

    newest = plan.reports(context.obj.open_store(), 1)
    found = launch.cards(launch.datastore(FLOW), run or (newest[0]["run"] if newest else ""))
    answers.answer([{"step": step, "card": str(path)} for step, path in found], as_json, title="cards")


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
        "theme.primaryColor": "#2b6cb0",
    }
    command = [sys.executable, "-m", "streamlit", "run", str(Path(__file__).with_name("app.py"))]
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
    demo_shops()
    refresh(context)
    for shop, query in (("atelier", "dark green dress"), ("hearth", "red vase"), ("outpost", "light blue backpack")):
        print()
        search(context, shop, query, k=5)
    print("\nThe run's cards, one HTML page per step:")
    cards(context)
    print(
        '\nNext: pluribus search atelier "black boots" · pluribus quarantine hearth · pluribus shops · pluribus --help'
    )
    print(f"(pluribus is {Path(sys.argv[0]).resolve()})")


def main() -> None:
    """Run a verb; turn what is wrong with its input into one line."""
    try:
        app()
    except PluribusError as error:
        if "--debug" in sys.argv or os.environ.get("PLURIBUS_DEBUG"):
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, ConfigError) else 1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _shop_name(shop: str) -> str:
    from pluribus.settings import SHOP_NAME

    if not SHOP_NAME.fullmatch(shop):
        raise ConfigError(f"shop name {shop!r}", expected="1 to 63 of a-z, 0-9, '-', '_'")
    return shop
