"""What can be asked of a shop. Each route is one use of the library, on one release, in the words of `words`."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Security
from fastapi.responses import Response
from fastapi.security import HTTPBearer

from pluribus.errors import ConfigError
from pluribus.search import Searcher
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


@router.post("/search", response_model=words.Found)
async def search(shop: Shop, desk: At, asked: words.Search) -> Response:
    """The products that fit best."""
    return await desk.answer(shop, lambda opened: _found(opened.query(asked.query, asked.k)))


@router.get("/products/{product_id:path}", response_model=words.Product)
async def products(shop: Shop, desk: At, product_id: Annotated[str, Path(examples=["at-1000-1"])]) -> Response:
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
