"""Verbs about a shop as a tenant: what its roles may do, and its end."""

import json
import re
from dataclasses import asdict
from typing import Annotated

import typer

from pluribus import answers
from pluribus.cli.context import RESULTS, app, shop_name
from pluribus.errors import ConfigError


@app.command()
def policy(
    context: typer.Context,
    shop: Annotated[str, typer.Argument(help="a shop; with --tag or --whole-bucket none is needed")] = "",
    role: Annotated[str, typer.Option(help="publisher, reader or collector")] = "reader",
    bucket: Annotated[str, typer.Option(help="s3://bucket/prefix; default: the store")] = "",
    tag: Annotated[str, typer.Option(help="one policy for all shops: the session tag that holds the name")] = "",
    whole_bucket: Annotated[bool, typer.Option("--whole-bucket", help="the bucket's own policy")] = False,
    as_json: RESULTS = False,
) -> None:
    """The AWS policy of a shop's publisher, reader or collector, or of the bucket; always JSON."""
    from pluribus import policies

    place = bucket or context.obj.open_store().url
    match = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]+)/?(.*)", place)
    if not match:
        came, do = (f"--bucket {place!r}", "") if bucket else (f"store {place!r}", "pass --bucket")
        raise ConfigError(came, expected="s3://bucket or s3://bucket/prefix", do=do)
    if role not in policies.OBJECTS:
        raise ConfigError(f"role {role!r}", expected=f"one of {', '.join(policies.OBJECTS)}")
    if tag and not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,127}", tag):
        raise ConfigError(f"tag {tag!r}", expected="letters, digits, '-' and '_'")
    where = {"bucket": match[1], "prefix": match[2]}
    if whole_bucket:
        document = policies.of_bucket(**where)
    else:
        document = policies.of_shop(role, **where, shop="" if tag else shop_name(shop), tag=tag)  # type: ignore[arg-type]
    print(json.dumps(document, indent=None if as_json else 2))


@app.command()
def offboard(
    context: typer.Context,
    shop: str,
    yes: Annotated[str, typer.Option(help="the shop's name once more: nothing brings it back")] = "",
    as_json: RESULTS = False,
) -> None:
    """Delete everything of a shop from the store and from this machine; says what it could not delete."""
    from pluribus import offboard as ending

    store = context.obj.open_store()
    own = store.within(f"shops/{shop_name(shop)}")
    if yes != shop:
        sizes = [item.size_bytes for item in own.items()]
        raise ConfigError(
            f"{len(sizes):,} objects ({sum(sizes) / 1e6:,.1f} MB) of shop {shop} in {store.url} would be deleted",
            do=f"to do it: pluribus offboard {shop} --yes {shop}",
        )
    done = ending.offboard(store, shop=shop)
    if as_json:
        print(json.dumps(asdict(done)))
        return
    print(f"{shop} is gone: {done.objects:,} objects, {done.size_bytes / 1e6:,.1f} MB; {done.downloads:,} downloads of "
          f"this machine; its lines in {len(done.runs):,} reports")  # fmt: skip
    answers.table("not deleted", [{"what is left": sentence} for sentence in done.left])
