"""The verb that shows the model a product that does not exist."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pluribus import answers
from pluribus.cli.context import RESULTS, app


@app.command()
def improbable(
    context: typer.Context,
    shop: Annotated[str, typer.Argument(help="a shop, whose pictures stand beside this one and whose model is asked")],
    picture: Annotated[Path, typer.Argument(help="a picture of a product that nobody sells")],
    phrase: Annotated[str, typer.Option(help="what it is, as in 'a red dress with white stars'")],
    rival: Annotated[list[str], typer.Option(help="what it is only in part, or swapped; again for more")],
    png: Annotated[Path | None, typer.Option(help="write where the phrase is seen in the picture to this file")] = None,
    as_json: RESULTS = False,
) -> None:
    """Is a product that does not exist seen for what it is? The right phrase against rivals, among the shop's own."""
    from pluribus import explain, search

    context.obj.shop_store(shop)
    opened = search.open(context.obj.open_store(), shop)
    found = explain.improbable(opened, picture, phrase, rival)
    if png:
        png.write_bytes(explain.heat(opened, phrase, what=picture).overlay())
    if as_json:
        print(json.dumps(asdict(found) | {"believed": found.believed}))
        return
    rows = [
        {"phrase": one.phrase, "is": "right" if one is found.right else "rival", "cosine": one.cosine,
         "it comes": f"{one.place:,} of {found.gallery:,} pictures" if found.gallery > 1 else "alone: no other picture",
         "before it": one.before or "nothing"}
        for one in (found.right, *found.rivals)
    ]  # fmt: skip
    answers.table(f"{shop}: {picture.name}", rows)
    outcome = "believed" if found.believed else "NOT believed"
    print(f"{outcome}: the right phrase lies {abs(found.margin):.3f} {'nearer' if found.believed else 'further'} "
          f"than the best of {len(found.rivals)} rivals (one picture, so no interval)")  # fmt: skip
