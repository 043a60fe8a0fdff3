"""Verbs of the HTTP service: the server, and the keys that open shops."""

from typing import Annotated

import typer

from pluribus import answers
from pluribus.cli.context import RESULTS, app
from pluribus.errors import ConfigError


@app.command()
def serve(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="the address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one")] = 8000,
    memory_mb: Annotated[int, typer.Option(min=1, help="what open releases may take together")] = 4096,
    rate: Annotated[float, typer.Option(min=0.001, help="requests a second of one shop")] = 500.0,
    timeout_s: Annotated[float, typer.Option(min=0.001, help="of one request")] = 10.0,
    body_mb: Annotated[float, typer.Option(min=0.001, help="of one request")] = 8.0,
    poll_s: Annotated[float, typer.Option(min=0.0, help="how often the live release of a shop is looked at")] = 2.0,
) -> None:
    """Serve every shop of the store over HTTP; each wants a key of its own (`keys`)."""
    from pluribus import serve as service

    limits = service.Limits(body_bytes=int(body_mb * 2**20), timeout_s=timeout_s, rate=rate, burst=2 * rate)
    store = context.obj.open_store()
    options = {"memory_bytes": memory_mb * 2**20, "poll_s": poll_s, "limits": limits}
    told = lambda url: print(f"serving {store.url} on {url} (the description: {url}/openapi.json)", flush=True)
    service.run(store, host=host, port=port, told=told, **options)


@app.command()
def keys(
    context: typer.Context,
    shop: Annotated[str, typer.Argument(help="the shop they open")] = "",
    new: Annotated[bool, typer.Option("--new", help="make one; it is shown once")] = False,
    revoke: Annotated[str, typer.Option(help="a key's id, or the key: forget it")] = "",
    operator: Annotated[bool, typer.Option("--operator", help="the operator's keys: they open /metrics")] = False,
    as_json: RESULTS = False,
) -> None:
    """The keys that open a shop over HTTP; the store keeps only their sha256."""
    from pluribus.serve import keys as door

    if operator == bool(shop):
        raise ConfigError("whose keys?", expected="a shop's name, or --operator")
    store = context.obj.open_store()
    if shop:
        context.obj.shop_store(shop)
    if new:
        made = door.new(store, shop)
        answers.answer([{"key": made}], as_json, title=f"a new key of {shop or 'the operator'}, shown only now")
    elif revoke:
        answers.answer([{"revoked": door.revoke(store, revoke, shop)}], as_json, title="servers follow within 30 s")
    else:
        answers.answer(door.known(store, shop), as_json, title=f"keys of {shop or 'the operator'}")
