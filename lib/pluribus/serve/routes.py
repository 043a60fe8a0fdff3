"""What can be asked of a shop. Each route is one use of the library, on one release, in the words of `words`."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Security
from fastapi.responses import Response
from fastapi.security import HTTPBearer

from pluribus import recommend
from pluribus.errors import ConfigError
from pluribus.search import Searcher, terms
from pluribus.serve import words
from pluribus.serve.desk import Desk
from pluribus.serve.troubles import NotFound

FAILURES: dict[int | str, dict[str, Any]] = {
    status: {"model": words.Failure, "description": says}
    for status, says in {
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


def _shop(request: Request, shop: Annotated[str, Path(examples=["atelier"])]) -> str:
    """The shop that the key was found to open."""
    opened: str = request.state.shop
    if opened != shop:
        raise NotFound(f"no shop {shop!r:.80}")
    return opened


def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


Shop = Annotated[str, Depends(_shop)]
At = Annotated[Desk, Depends(_desk)]


@router.get("", response_model=words.Live)
async def live(shop: Shop, desk: At) -> Response:
    """Which release is live."""

    def told(searcher: Searcher) -> dict[str, Any]:
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

    def told(opened: Searcher) -> dict[str, Any]:
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

    def told(opened: Searcher) -> dict[str, Any]:
        if asked.product_id is not None:
            _product(opened, asked.product_id)
        options: dict[str, Any] = {"same_category": asked.same_category, "price_within": asked.price_within}
        options |= {"filters": asked.filters, "diversity": asked.diversity}
        return _found(recommend.similar(opened, asked.product_id, asked.k, picture=picture, **options))

    return await desk.answer(shop, told)


@router.get("/products/{product_id:path}", response_model=words.Product)
async def products(shop: Shop, desk: At, product_id: Annotated[str, Path(examples=["AT-1000"])]) -> Response:
    """One product, every field."""
    return await desk.answer(shop, lambda opened: {"product": _product(opened, product_id)})


def _found(hits: Any) -> dict[str, Any]:
    return {"hits": [words.hit(one) for one in hits]}


def _product(opened: Searcher, product_id: str) -> dict[str, Any]:
    """The row of a product. Raises NotFound."""
    try:
        return opened.get([product_id])[0]
    except ConfigError:
        raise NotFound(f"no product {product_id!r:.80} in the live release") from None
