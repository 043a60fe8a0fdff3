"""What can be asked of a shop. Each route is one use of the library, on one release, in the words of `words`."""

import base64
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Security
from fastapi.responses import Response
from fastapi.security import HTTPBearer

from pluribus import classify as classifying
from pluribus import compare as comparing
from pluribus import explain as explaining
from pluribus import recommend
from pluribus.errors import ConfigError
from pluribus.search import terms
from pluribus.serve import words
from pluribus.serve.desk import Desk
from pluribus.serve.shelf import Opened
from pluribus.serve.troubles import NotFound

FAILURES: dict[int | str, dict[str, Any]] = {
    status: {"model": words.Failure, "description": says}
    for status, says in {
        400: "the body cannot be read, or the caller went away",
        401: "no key, or one that does not open this shop, or no such shop",
        404: "no such product in the live release",
        408: "the body came too slowly",
        413: "the body is too large",
        422: "the request says something that cannot be meant",
        429: "too many requests; `Retry-After` says when",
        500: "our mistake",
        503: "the shop has no release that can be served, or the house is full",
        504: "the answer took too long",
    }.items()
}
#: Only for the description: `gate` has looked at the key before a request comes here.
KEY = HTTPBearer(auto_error=False, description="A key of the shop: `pluribus keys SHOP --new`")

router = APIRouter(prefix="/v1/shops/{shop}", responses=FAILURES, dependencies=[Security(KEY)])


async def _shop(request: Request, shop: Annotated[str, Path(examples=["atelier"])]) -> str:
    """The shop that the key was found to open."""
    opened: str = request.state.shop
    if opened != shop:
        raise NotFound(f"no shop {shop!r:.80}")
    return opened


async def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


# Coroutines, though they wait for nothing: FastAPI gives each plain function a thread, which costs more than the rest.
Shop = Annotated[str, Depends(_shop)]
At = Annotated[Desk, Depends(_desk)]


@router.get("", response_model=words.Live)
async def live(shop: Shop, desk: At) -> Response:
    """Which release is live."""

    def told(searcher: Opened) -> dict[str, Any]:
        made = searcher.release.manifest
        return {
            "products": made.facts["products"],
            "model": made.facts["fingerprint"],
            "feed_read": made.asof,
            "built": made.created,
            "trouble": "its newest release cannot be served" if desk.shelf.troubles().get(shop) else "",
        }

    return await desk.answer(shop, told)


@router.post("/search", response_model=words.Searched)
async def search(shop: Shop, desk: At, asked: words.Search) -> Response:
    """The products that fit words, a picture or both best."""
    pictures = [(words.picture(asked.image), asked.image_weight)] if asked.image else []
    question = [*pictures, *(terms(asked.query) if asked.query or not pictures else ())]

    def told(opened: Opened) -> dict[str, Any]:
        hits = opened.query(
            question, asked.k, filters=asked.filters, hybrid=asked.hybrid, diversity=asked.diversity,
            collapse=asked.collapse, cutoff=asked.cutoff,
        )  # fmt: skip
        return _found(hits) | {"facets": opened.facets(asked.facets, filters=asked.filters) if asked.facets else {}}

    return await desk.answer(shop, told)


@router.post("/similar", response_model=words.Found)
async def similar(shop: Shop, desk: At, asked: words.Similar) -> Response:
    """The products most like a product, or like a picture."""
    picture = words.picture(asked.image) if asked.image else None

    def told(opened: Opened) -> dict[str, Any]:
        if asked.product_id is not None:
            _product(opened, asked.product_id)
        options: dict[str, Any] = {"same_category": asked.same_category, "price_within": asked.price_within}
        options |= {"filters": asked.filters, "diversity": asked.diversity}
        return _found(recommend.similar(opened, asked.product_id, asked.k, picture=picture, **options))

    return await desk.answer(shop, told)


@router.post("/compare", response_model=words.Compared)
async def compare(shop: Shop, desk: At, asked: words.Compare) -> Response:
    """Does it come in …? A path of products from this one towards more of something."""
    way: dict[str, Any] = {"more": asked.more, "start": asked.start, "end": asked.end}
    way |= {"steps": asked.steps, "per_step": asked.per_step, "same_category": asked.same_category}

    def told(opened: Opened) -> dict[str, Any]:
        _product(opened, asked.product_id)
        path = comparing.walk(opened, asked.product_id, **way)
        steps = [_found(step.hits) for step in path.steps]
        return {"asked": path.asked, "seed": words.hit(path.seed), "steps": steps}

    return await desk.answer(shop, told, pool="slow")


@router.post("/classify", response_model=words.Classified)
async def classify(shop: Shop, desk: At, asked: words.Classify) -> Response:
    """Which of these words is it? Of a product, a picture or a text."""
    what = [words.picture(asked.image)] if asked.image else asked.text
    if asked.image and asked.text:
        raise ConfigError("a label for two things", expected="a product, a picture or a text")

    def told(opened: Opened) -> dict[str, Any]:
        if asked.product_id is not None:
            _product(opened, asked.product_id)
        found = classifying.labels(opened, asked.labels, product_id=asked.product_id, what=what, k=asked.k)
        return {"labels": [{"label": one.label, "share": one.share, "cosine": one.cosine} for one in found]}

    return await desk.answer(shop, told, pool="slow")


@router.post("/explain", response_model=words.Explained)
async def explain(shop: Shop, desk: At, asked: words.Explain) -> Response:
    """Where the words are seen in a picture, and what the score of a product is made of."""
    picture = words.picture(asked.image) if asked.image else None

    def told(opened: Opened) -> dict[str, Any]:
        if asked.product_id is not None:
            _product(opened, asked.product_id)
        of: dict[str, Any] = {"product_id": asked.product_id, "what": picture}
        seen = picture is not None or asked.product_id is None or explaining.pictured(opened, asked.product_id)
        heat = explaining.heat(opened, asked.query, method=asked.method, **of) if seen else None
        why = explaining.why(opened, asked.query, asked.product_id) if asked.product_id is not None else None
        return {
            "cosine": heat.cosine if heat else None,
            "grid": heat.grid.round(4).tolist() if heat else [],
            "overlay": base64.b64encode(heat.overlay()).decode() if heat else "",
            "rank": why.rank if why else None,
            "parts": why.hit.parts if why else {},
            "words": [{"word": word, "brings": brings} for word, brings in why.words] if why else [],
        }

    return await desk.answer(shop, told, pool="slow")


@router.get("/suggest", response_model=words.Suggested)
async def suggest(
    shop: Shop,
    desk: At,
    q: Annotated[str, Query(max_length=80, description="what was typed so far", examples=["re"])] = "",
    k: words.Results = 5,
    session: Annotated[list[str] | None, Query(max_length=50, description="products looked at, newest last")] = None,
) -> Response:
    """What a shopper may be about to type, in the shop's own words."""

    def told(opened: Opened) -> dict[str, Any]:
        found = opened.completions.complete(q, k, session=session or ())
        return {"completions": [{"text": one.text, "kind": one.kind, "score": one.score} for one in found]}

    return await desk.answer(shop, told)


@router.get("/products/{product_id:path}", response_model=words.Product)
async def products(shop: Shop, desk: At, product_id: Annotated[str, Path(examples=["AT-1000"])]) -> Response:
    """One product, every field."""
    return await desk.answer(shop, lambda opened: {"product": _product(opened, product_id)})


def _found(hits: Any) -> dict[str, Any]:
    return {"hits": [words.hit(one) for one in hits]}


def _product(opened: Opened, product_id: str) -> dict[str, Any]:
    """The row of a product. Raises NotFound."""
    try:
        return opened.get([product_id])[0]
    except ConfigError:
        raise NotFound(f"no product {product_id!r:.80} in the live release") from None
