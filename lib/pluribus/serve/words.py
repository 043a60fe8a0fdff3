"""The words of the service: what a request may hold and what an answer holds, with an example of each.

FastAPI checks requests against these and draws the OpenAPI description from them.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MOST_RESULTS = 100
Results = Annotated[int, Field(ge=1, le=MOST_RESULTS, description="how many")]
ProductId = Annotated[str, Field(min_length=1, max_length=1_000, examples=["at-1000-1"])]


def _base64(text: str) -> str:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("a picture in base64") from error
    return text


Picture = Annotated[
    str,
    AfterValidator(_base64),
    Field(
        min_length=1,
        description="a JPEG, PNG, WebP or GIF, in base64",
        json_schema_extra={"format": "byte"},
    ),
]


class Asked(BaseModel):
    """A request: a member it does not know is a mistake, not a wish to be overlooked."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Search(Asked):
    """What a shopper is looking for."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"query": "red dress", "k": 5}]})
    query: Annotated[str, Field(min_length=1, max_length=1_000, description="what a shopper would type")]
    k: Results = 10


class Hit(BaseModel):
    """One product found, and how well it fits."""

    product_id: str
    title: str
    score: float
    price: float | None
    sale_price: float | None
    currency: str | None
    category: str | None
    brand: str | None
    colour: str | None
    availability: str | None
    link: str | None
    image: str | None


class Answer(BaseModel):
    """What every answer says: the release that all of it was read from."""

    shop: Annotated[str, Field(examples=["atelier"])]
    release: Annotated[str, Field(examples=["0190f7c1a2b34c5d8e9f"])]


class Found(Answer):
    """Products, the best first."""

    hits: list[Hit]


class Product(Answer):
    """A product as the shop delivered it."""

    product: dict[str, Any]


class Live(Answer):
    """What a shop serves now."""

    products: int
    model: Annotated[str, Field(description="fingerprint of the model that read it")]
    feed_read: str
    built: str
    trouble: Annotated[str, Field(description="blank, or why a newer release is not served")]


class Health(BaseModel):
    """Whether the service answers, and whether all it serves is the newest."""

    status: Annotated[str, Field(examples=["ok"], description="ok, or degraded: some shop serves an older release")]
    open_shops: int
    shops_in_trouble: int


class Trouble(BaseModel):
    """What went wrong, in words for people and a code for programs."""

    code: Annotated[str, Field(examples=["invalid"])]
    message: str
    expected: str
    do: str


class Failure(BaseModel):
    """The one shape of every failure."""

    error: Trouble


def hit(found: Any) -> dict[str, Any]:
    """A search hit in the words of `Hit`."""
    row: Mapping[str, Any] = found.product
    told = {"product_id": found.product_id, "title": found.title, "score": round(found.score, 6)}
    told |= {name: row[name] for name in ("price", "sale_price", "currency", "category", "brand", "colour")}
    return told | {
        "availability": row["availability"],
        "link": row["link"],
        "image": next(iter(row["images"] or ()), None),
    }
