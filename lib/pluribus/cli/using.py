"""Verbs that use the one space for more than search: compare, classify, tag, explain, map."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from pluribus import answers
from pluribus.cli.context import RESULTS, app
from pluribus.errors import ConfigError

PAGE = Annotated[Path | None, typer.Option("--html", help="write a page with pictures to this file as well")]
PICTURE = Annotated[Path | None, typer.Option(help="a picture of your own, in place of a product")]
LABELS = Annotated[str, typer.Option(help="the labels, comma-separated; default: the shop's own categories")]
TAXONOMY = Annotated[Path | None, typer.Option(help="a file of paths, one a line, as Google's product taxonomy")]
SURE = Annotated[float, typer.Option(min=0, max=1, help="leave a label out below this share of the evidence")]


@app.command()
def compare(
    context: typer.Context,
    shop: str,
    product_id: str,
    more: Annotated[str, typer.Option(help="darker, lighter, longer, shorter, plainer ..., or a word of yours")] = "",
    length: Annotated[str, typer.Option(help="longer or shorter: the same as --more")] = "",
    start: Annotated[str, typer.Option("--from", help="what it is, as in 'blue polo shirt'")] = "",
    end: Annotated[str, typer.Option("--to", help="what it shall become, as in 'dark blue polo shirt'")] = "",
    steps: Annotated[int, typer.Option(min=1, max=20)] = 4,
    per_step: Annotated[int, typer.Option(min=1, max=20)] = 1,
    any_category: Annotated[bool, typer.Option("--any-category", help="leave the product's category")] = False,
    method: str = "guided",
    html: PAGE = None,
    as_json: RESULTS = False,
) -> None:
    """Does it come in black? A path of products from one towards more of something."""
    from pluribus import compare as uses

    opened = _open(context, shop)
    path = uses.walk(opened, product_id, more=more, length=length, start=start, end=end, steps=steps,
                     per_step=per_step, same_category=not any_category, method=method)  # fmt: skip
    rows = [
        {"step": number, "meter": round(meter, 3), "likeness": round(hit.score, 4), **_named(hit.product)}
        for number, hit, meter in [(0, path.seed, path.meter)]
        + [(s.number, hit, meter) for s in path.steps for hit, meter in zip(s.hits, s.meters, strict=True)]
    ]
    answers.answer(rows, as_json, title=f"{shop}: {product_id}, {path.asked}")
    if not path.steps and not as_json:
        print("nothing lies further that way")
    if html:
        _write_path(html, opened, path)


@app.command()
def compare_report(
    context: typer.Context,
    shop: Annotated[str, typer.Argument(help="a shop, its pictures measured; none: drawn shops, known exactly")] = "",
    products: Annotated[int, typer.Option(min=60, help="of each drawn shop")] = 360,
    seeds: Annotated[int, typer.Option(min=2, help="of each shop and question")] = 100,
    drawn_seed: Annotated[int, typer.Option(min=1, help="other drawn shops: 1 are the demo's")] = 1,
    as_json: RESULTS = False,
) -> None:
    """How well comparisons go where they should: every way, beside what is known of the products."""
    from pluribus import models
    from pluribus.compare import trial

    if shop:
        opened = _open(context, shop)
        encoder, galleries = opened.encoder, [trial.photographed(opened)]
        questions = [("darker", "lightness"), ("lighter", "lightness")]
    else:
        store, settings = context.obj.open_store(), context.obj.settings()
        encoder = models.load(store, models.register(store, settings.model("mini")))
        galleries = list(trial.drawn(encoder, products, drawn_seed))
        questions = [("darker", "lightness"), ("lighter", "lightness"), ("longer", "length"), ("shorter", "length"),
                     ("darker", "base lightness"), ("lighter", "base lightness")]  # fmt: skip
    found = [
        asdict(outcome)
        for attribute, truth in questions
        for within in ("shop", "kind")
        for outcome in trial.measure(encoder, galleries, attribute, truth=truth, within=within, seeds=seeds)
    ]
    answers.answer(_rounded(found), as_json, title=f"{shop or 'drawn shops'}: Spearman's rho of step and truth")


@app.command()
def classify(
    context: typer.Context,
    shop: str,
    product_id: Annotated[str, typer.Argument(help="a product; none: see --picture, --text, --suspicious")] = "",
    labels: LABELS = "",
    taxonomy: TAXONOMY = None,
    picture: PICTURE = None,
    text: Annotated[str, typer.Option(help="a text of your own, in place of a product")] = "",
    sure: SURE = 0.5,
    k: Annotated[int, typer.Option("-k", min=1, help="how many")] = 5,
    suspicious: Annotated[bool, typer.Option("--suspicious", help="list products that look misplaced")] = False,
    agreement: Annotated[bool, typer.Option("--agreement", help="compare with the shop's own categories")] = False,
    as_json: RESULTS = False,
) -> None:
    """Which label is it? Of a product, a picture or a text; or how good the shop's own categories are."""
    from pluribus import classify as uses

    _one_of(**{"--labels": labels, "--taxonomy": taxonomy, "--suspicious": suspicious, "--agreement": agreement})
    _one_of(**{"a product": product_id, "--text": text, "--picture": picture, "--suspicious": suspicious,
               "--agreement": agreement})  # fmt: skip
    opened = _open(context, shop)
    if suspicious:
        found = [asdict(one) for one in uses.suspects(opened, most=k)]
        answers.answer(_rounded(found), as_json, title=f"{shop}: products that look misplaced")
        return
    if agreement:
        rows = [{"by": one.by, **asdict(one.score)} for one in uses.agreement(opened)]
        answers.answer(_rounded(rows), as_json, title=f"{shop}: agreement with its own categories")
        return
    asked: dict[str, Any] = {"product_id": product_id or None, "what": picture or text or None}
    if taxonomy:
        guess = uses.descend(opened, uses.Taxonomy.read(taxonomy), sure=sure, **asked)
        levels = [{"level": name, "share": round(share, 4)} for name, share in guess.levels]
        if as_json:
            print(json.dumps({"path": guess.path, "share": guess.share, "levels": levels}))
        else:
            answers.table(f"{guess.path or 'not sure of anything'} ({guess.share:.0%} of the evidence)", levels)
        return
    told = [asdict(label) for label in uses.labels(opened, _labels(opened, labels), k=k, **asked)]
    answers.answer(_rounded(told), as_json, title=f"{shop}: {product_id or text or picture}")


@app.command()
def tag(
    context: typer.Context,
    shop: str,
    labels: LABELS = "",
    sure: SURE = 0.5,
    out: Annotated[Path | None, typer.Option(help="write the table to this .csv or .parquet")] = None,
    as_json: RESULTS = False,
) -> None:
    """A label for every product of a shop, with its score; doubtful ones are left out."""
    from pluribus import classify as uses

    opened = _open(context, shop)
    table = uses.tag(opened, _labels(opened, labels), sure=sure)
    if out:
        uses.write(table, out)
    if as_json:
        print(json.dumps(table.to_pylist()))
        return
    counts: dict[str | None, int] = {}
    for label in table["label"].to_pylist():
        counts[label] = counts.get(label, 0) + 1
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    rows = [{"label": label or "(not sure)", "products": n, "of all": n / table.num_rows} for label, n in ordered]
    answers.table(f"{shop}: {table.num_rows:,} products" + (f", in {out}" if out else ""), rows)


@app.command()
def explain(
    context: typer.Context,
    shop: str,
    product_id: Annotated[str, typer.Argument(help="a product; none: see --picture")] = "",
    text: Annotated[str, typer.Option(help="words: where are they in the picture, why was it found?")] = "",
    picture: PICTURE = None,
    method: Annotated[str, typer.Option(help="of the map: bands or occlusion")] = "bands",
    cover: Annotated[
        str, typer.Option(help="what hides parts of the picture: backdrop, or grey as published")
    ] = "backdrop",
    png: Annotated[Path | None, typer.Option(help="write the picture under its heat to this file")] = None,
    html: PAGE = None,
    as_json: RESULTS = False,
) -> None:
    """Which words a product is near; with --text why that finds it, and where in the picture it is seen."""
    from pluribus import explain as uses

    opened = _open(context, shop)
    asked: dict[str, Any] = {"product_id": product_id or None, "what": picture}
    near = uses.concepts(opened, **asked)
    told: dict[str, Any] = {"concepts": _rounded([asdict(concept) for concept in near])}
    if text and product_id:
        why = uses.why(opened, text, product_id)
        told["why"] = {"score": why.hit.score, "rank": why.rank, **why.hit.parts, "words": dict(why.words)}
        lost = [(f"without {word!r}", share) for word, share in why.words]
    wanted = picture or png or (html and (not product_id or uses.pictured(opened, product_id)))
    heat = uses.heat(opened, text, method=method, cover=cover, **asked) if text and wanted else None
    if heat:
        told["seen"] = {"cosine": heat.cosine, "x": heat.peak[0], "y": heat.peak[1]}
    if png:
        if heat is None:
            raise ConfigError("a map of no words", expected="--text")
        png.write_bytes(heat.overlay())
    if html:
        _write_explanation(html, opened, product_id, text, near, heat)
    if as_json:
        print(json.dumps(told))
        return
    answers.table(f"{shop}: the words nearest to {product_id or picture}", told["concepts"])
    if "why" in told:
        rank = told["why"].pop("rank")
        del told["why"]["words"]
        answers.table(f"{text}: rank {rank or 'beyond 1,000'}", _rounded([told["why"] | dict(lost)]))


def _one_of(**options: object) -> None:
    """Raises ConfigError where two of these were given: one would be ignored."""
    given = [name for name, value in options.items() if value]
    if len(given) > 1:
        raise ConfigError(" and ".join(given), expected="one of them")


@app.command("map")
def concept_map(
    context: typer.Context,
    shop: str,
    prompts: Annotated[str, typer.Option(help="comma-separated: what these find, in place of the catalog")] = "",
    most: Annotated[int, typer.Option(min=5, max=20_000, help="products of the catalog")] = 1_500,
    method: Annotated[str, typer.Option(help="t-SNE, or UMAP where it is installed")] = "t-SNE",
    html: Annotated[Path | None, typer.Option("--html", help="write the interactive map to this file")] = None,
    as_json: RESULTS = False,
) -> None:
    """What lies by what: a shop's products, or what some words find, on a plane."""
    from pluribus import explain as uses
    from pluribus import plots

    opened = _open(context, shop)
    asked = [prompt.strip() for prompt in prompts.split(",") if prompt.strip()]
    drawn = uses.concept_map(opened, asked, most=most, method=method)
    points = [asdict(point) for point in drawn.points]
    if html:
        html.write_text(plots.page(plots.points(points), title=f"{shop}: what lies by what"), encoding="utf-8")
    if as_json:
        print(json.dumps({"silhouette": drawn.silhouette, "method": drawn.method, "points": points}))
        return
    groups: dict[str, int] = {}
    for point in drawn.points:
        groups[point.group] = groups.get(point.group, 0) + 1
    apart = "" if drawn.silhouette is None else f", silhouette {drawn.silhouette:.3f}"
    ordered = sorted(groups.items(), key=lambda item: -item[1])
    answers.table(f"{shop}: {len(points):,} products{apart}", [{"group": name, "products": n} for name, n in ordered])


def _open(context: typer.Context, shop: str) -> Any:
    from pluribus import search

    context.obj.shop_store(shop)
    return search.open(context.obj.open_store(), shop)


def _labels(opened: Any, labels: str) -> list[str]:
    """What was asked for, or the shop's own categories."""
    from pluribus import texts

    named = [label for label in labels.split(",") if label.strip()]
    if labels and not named:
        raise ConfigError(f"labels {labels!r:.40}", expected="names separated by commas")
    return named or sorted(set(texts.classes(opened.products)) - {""})


def _named(product: dict[str, Any]) -> dict[str, Any]:
    return {
        "product_id": product["product_id"],
        "title": product["title"],
        "price": answers.price(product),
        "category": product["category"],
    }


def _rounded(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: round(v, 4) if isinstance(v, float) else v for name, v in row.items()} for row in rows]


def _write_path(to: Path, opened: Any, path: Any) -> None:
    from pluribus.cards.galleries import Row, Tile, first_pictures, gallery

    shown = first_pictures(opened.release.store, [hit.product for hit in (path.seed, *path.hits)])
    stops = [("where it begins", [(path.seed, path.meter)])]
    stops += [(f"step {step.number}", list(zip(step.hits, step.meters, strict=True))) for step in path.steps]
    rows = []
    for heading, stop in stops:
        tiles = [
            Tile(
                shown.get(hit.product_id, ""),
                hit.title,
                (hit.product_id, f"meter {meter:+.2f}, like it {hit.score:.2f}"),
            )
            for hit, meter in stop
        ]
        rows.append(Row(heading, tiles))
    about = [f"{opened.shop}, {path.method}", f"from: {', '.join(path.start)}", f"to: {', '.join(path.end)}"]
    to.write_text(gallery(f"{path.seed.title}: {path.asked}", rows, about=about, across=True), encoding="utf-8")


def _write_explanation(to: Path, opened: Any, product_id: str, text: str, near: Any, heat: Any) -> None:
    import base64

    from pluribus.cards.galleries import Row, Tile, first_pictures, gallery

    rows = []
    if heat:
        seen = "data:image/png;base64," + base64.b64encode(heat.overlay()).decode()
        rows.append(Row("where it is seen", [Tile(seen, text, (f"{heat.method}, cosine {heat.cosine:.3f}",))]))
    elif product_id:
        shown = first_pictures(opened.release.store, opened.get([product_id]))
        rows.append(Row("the product", [Tile(shown.get(product_id, ""), product_id)]))
    bars = [(f"{concept.word} ({concept.kind}, {concept.cosine:.3f})", concept.cosine) for concept in near]
    rows.append(Row("the nearest words", bars=bars))
    to.write_text(gallery(f"{opened.shop}: {product_id or 'a picture'}", rows, across=True), encoding="utf-8")
