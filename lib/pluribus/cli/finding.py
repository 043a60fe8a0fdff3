"""Verbs that find products: search, similar items, type-ahead, duplicates."""

import json
import tempfile
import webbrowser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from pluribus import answers
from pluribus.cli.context import RESULTS, app
from pluribus.errors import ConfigError

K = Annotated[int, typer.Option("-k", help="how many")]
FILTERS = Annotated[
    list[str],
    typer.Option("--filter", "-f", help="price<50, brand=Nike, category^=Women, title~=silk; again for more"),
]
BRAND = Annotated[list[str], typer.Option(help="only this brand; again for another")]
CATEGORY = Annotated[str, typer.Option(help="only this category and what is below it")]
AVAILABLE = Annotated[bool, typer.Option("--available", help="only what is in stock")]
DIVERSITY = Annotated[float, typer.Option(help="0 to 1: how much a hit may lose for being like those before it")]
PICTURE = Annotated[Path | None, typer.Option(help="a picture that asks; beside words: both ask")]
PAGE = Annotated[Path | None, typer.Option("--html", help="write a page of thumbnails to this file")]
OPEN = Annotated[bool, typer.Option("--open", help="open that page in a browser")]


@app.command()
def search(
    context: typer.Context,
    shop: str,
    query: Annotated[str, typer.Argument(help='words; or weighted ones: "red dress:1, floral:-0.5"')] = "",
    k: K = 10,
    image: PICTURE = None,
    filters: FILTERS = [],  # noqa: B006 - typer copies it
    brand: BRAND = [],  # noqa: B006
    category: CATEGORY = "",
    available: AVAILABLE = False,
    hybrid: Annotated[float | None, typer.Option(help="0 to 1: what words (BM25) weigh beside vectors")] = None,
    diversity: DIVERSITY = 0.0,
    variants: Annotated[bool, typer.Option("--variants", help="every variant is a hit of its own")] = False,
    anything: Annotated[
        bool, typer.Option("--anything", help="the nearest, even where nothing is a good match")
    ] = False,
    facets: Annotated[
        bool, typer.Option("--facets", help="count brands, categories … of all that meet the filters")
    ] = False,
    page: PAGE = None,
    open_page: OPEN = False,
    as_json: RESULTS = False,
) -> None:
    """The products of a shop's live release that fit words, a picture, or both."""
    opened = _open(context, shop)
    if image is not None and not image.is_file():
        raise ConfigError(f"no picture at {image}", expected="a readable file")
    from pluribus.search import terms

    asked = [*(terms(query) if query or image is None else []), *([image] if image else [])]
    limits = _limits(filters, brand, category, available)
    options: dict[str, Any] = {"filters": limits, "diversity": diversity, "collapse": not variants}
    options |= {} if hybrid is None else {"hybrid": hybrid}
    hits = opened.query(asked, k, cutoff=not anything, **options)
    counted = opened.facets(filters=limits) if facets else {}
    title = f"{shop}: {' + '.join(filter(None, (query, image.name if image else '')))}"
    if as_json and facets:
        print(json.dumps({"hits": _rows(hits), "facets": counted}, default=str))
    else:
        _answer(context, shop, hits, title, page, open_page, as_json)
    for name, counts in counted.items() if not as_json else ():
        answers.table(name, [{name: value, "products": n} for value, n in counts.items()])
    if not hits and not as_json:
        filtered = limits and not opened.query(asked, 1, cutoff=False, filters=limits)
        strange = "no good match" + ("" if anything else "; --anything shows the nearest all the same")
        print("no product meets the filters" if filtered else strange)


@app.command()
def similar(
    context: typer.Context,
    shop: str,
    product_id: Annotated[str, typer.Argument(help="the product; or give --image")] = "",
    k: K = 10,
    image: PICTURE = None,
    filters: FILTERS = [],  # noqa: B006
    same_category: Annotated[bool, typer.Option("--same-category", help="only of the product's own category")] = False,
    price_within: Annotated[float | None, typer.Option(help="0.2: only prices within 20 % of the product's")] = None,
    diversity: DIVERSITY = 0.0,
    page: PAGE = None,
    open_page: OPEN = False,
    as_json: RESULTS = False,
) -> None:
    """The products most like a product, or like a picture; its own variants are left out."""
    from pluribus import recommend

    opened = _open(context, shop)
    limits: dict[str, Any] = {"same_category": same_category, "price_within": price_within, "filters": filters}
    hits = recommend.similar(opened, product_id or None, k, picture=image, diversity=diversity, **limits)
    like = opened.get([product_id])[0]["title"] if product_id else image
    _answer(context, shop, hits, f"{shop}: like {like}", page, open_page, as_json)


@app.command()
def suggest(
    context: typer.Context,
    shop: str,
    prefix: Annotated[str, typer.Argument(help="what was typed so far; may be empty")] = "",
    k: K = 5,
    session: Annotated[list[str], typer.Option(help="a product just looked at; again for more, the newest last")] = [],  # noqa: B006
    log: Annotated[Path | None, typer.Option(help="what shoppers typed: CSV lines of query,count")] = None,
    as_json: RESULTS = False,
) -> None:
    """What a shopper may be about to type, in the shop's own words."""
    from pluribus import suggest as uses

    opened = _open(context, shop)
    words = uses.learn(opened, uses.read_log(log) if log else None)
    found = words.complete(prefix, k, session=session)
    rows = [
        {"completion": c.text, "kind": c.kind, "score": round(c.score, 3), "popularity": round(c.popularity, 6)}
        for c in found
    ]
    answers.answer(rows, as_json, title=f"{shop}: {prefix}…")


@app.command()
def duplicates(
    context: typer.Context,
    shop: str,
    other: Annotated[str, typer.Option(help="compare with this shop (for the operator of both)")] = "",
    least: Annotated[float, typer.Option(min=0, max=1, help="least likeness")] = 0.9,
    most: Annotated[int, typer.Option(min=1, help="how many pairs")] = 50,
    page: PAGE = None,
    open_page: OPEN = False,
    as_json: RESULTS = False,
) -> None:
    """Products that a shop lists twice, or that two shops both sell."""
    from pluribus import duplicates as uses

    ours, theirs = _open(context, shop), _open(context, other) if other else None
    found = uses.find(ours, theirs, least=least, most=most)
    names = ("score", "product_id", "title", "other_shop", "other_id", "other_title", "picture", "words", "vector")
    rows = [{name: _rounded(getattr(twins, name)) for name in names} for twins in found]
    title = f"{shop}: duplicates" + (f" in {other}" if other else "")
    answers.answer(rows, as_json, title=title)
    if page or open_page:
        pairs = [(ours.get([t.product_id])[0], (theirs or ours).get([t.other_id])[0], t) for t in found]
        both = [(row, (f"{t.score:.3f}", row["product_id"])) for a, b, t in pairs for row in (a, b)]
        _page(context, [shop, other] if other else [shop], title, "pairs, one after the other", both, page, open_page)


def _open(context: typer.Context, shop: str) -> Any:
    from pluribus import search as door

    context.obj.shop_store(shop)
    return door.open(context.obj.open_store(), shop)


def _limits(filters: Sequence[str], brand: Sequence[str], category: str, available: bool) -> list[Any]:
    from pluribus.search import Filter

    return [
        *filters,
        *(Filter("brand", "=", name) for name in brand),
        *([Filter("category", "^=", category)] if category else []),
        *([Filter("availability", "==", "in_stock")] if available else []),
    ]


def _rows(hits: Sequence[Any]) -> list[dict[str, Any]]:
    return [
        {
            "score": round(hit.score, 4),
            "product_id": hit.product_id,
            "title": hit.title,
            "price": answers.price(hit.product),
            "category": hit.product["category"],
            "variants": hit.variants,
            "parts": {name: round(part, 4) for name, part in hit.parts.items()},
        }
        for hit in hits
    ]


def _answer(
    context: typer.Context,
    shop: str,
    hits: Sequence[Any],
    title: str,
    page: Path | None,
    open_page: bool,
    as_json: bool,
) -> None:
    rows = _rows(hits)
    if not as_json:
        rows = [row | {"parts": " ".join(f"{n} {p:.2f}" for n, p in row["parts"].items())} for row in rows]
    answers.answer(rows, as_json, title=title)
    if page or open_page:
        said = [
            (
                hit.product,
                (answers.price(hit.product), f"{hit.product_id} · {hit.score:.3f}", hit.product["category"] or ""),
            )
            for hit in hits
        ]
        _page(context, [shop], title, f"{len(hits)} products, best first", said, page, open_page)


def _page(
    context: typer.Context,
    shops: Sequence[str],
    title: str,
    note: str,
    products: Sequence[tuple[Mapping[str, Any], Sequence[str]]],
    path: Path | None,
    open_page: bool,
) -> None:
    """Write the page; open it when asked. Pictures of a second shop are found too."""
    from pluribus.cards.hits import hits_page

    stores = [context.obj.shop_store(shop) for shop in shops]
    if path is None:
        path = Path(tempfile.mkdtemp(prefix="pluribus-")) / "found.html"
    path.write_text(hits_page(stores, title, note, products), encoding="utf-8")
    if open_page:
        webbrowser.open(path.resolve().as_uri())


def _rounded(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value
