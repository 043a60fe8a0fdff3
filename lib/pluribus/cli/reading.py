"""Verbs that read what is published and what was refused."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from pluribus import answers
from pluribus.cli.context import RESULTS, app
from pluribus.errors import ConfigError, ShopError


@app.command()
def shops(context: typer.Context, as_json: RESULTS = False) -> None:
    """Every configured shop and what is live of it."""
    from pluribus import releases

    settings, store = context.obj.settings(), context.obj.open_store()
    rows = []
    for shop in settings.shops.values():
        own = store.within(f"shops/{shop.name}")
        try:
            live = releases.current(own, shop=shop.name)
            facts = releases.open_release(own, shop=shop.name).manifest.facts if live else {}
        except ShopError as error:
            rows.append({"shop": shop.name, "model": shop.model, "products": 0, "release": "damaged",
                         "live since": str(error), "held": ""})  # fmt: skip
            continue
        rows.append(
            {
                "shop": shop.name,
                "model": facts.get("model", shop.model),
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
def quarantine(
    context: typer.Context,
    shop: str,
    reason: str = "",
    most: Annotated[int, typer.Option(min=0, help="how many rows")] = 50,
    as_json: RESULTS = False,
) -> None:
    """The rows of a shop's newest snapshot that were refused, with every reason."""
    from pluribus import tables, validate

    store = context.obj.shop_store(shop)
    report, path = validate.newest(store)
    if reason and reason not in report["reasons"]:
        raise ConfigError(f"no row was refused for {reason!r:.40}",
                          expected=f"one of {', '.join(report['reasons']) or 'none: all were accepted'}")  # fmt: skip
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
