"""The words of the service: what a request may hold and what an answer holds, with an example of each.

FastAPI checks requests against these and draws the OpenAPI description from them.
"""

import base64
import binascii
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from pluribus import search
from pluribus.search.searcher import HYBRID

MOST_RESULTS = 100
Results = Annotated[int, Field(ge=1, le=MOST_RESULTS, description="how many")]
ProductId = Annotated[str, Field(min_length=1, max_length=1_000, examples=["AT-1000"])]
Filters = Annotated[
    list[Annotated[str, Field(max_length=1_000)]],
    Field(max_length=32, description="price<50, brand=Nike, category^=Women, availability=in_stock …", examples=[[]]),
]
FacetName = Literal["brand", "category", "colour", "size", "gender", "material", "availability"]


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
    """What a shopper is looking for: words, a picture, or both."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"query": "red dress", "k": 5},
                {
                    "query": "red dress:1, floral:-0.5",
                    "filters": ["price<50", "category^=Clothing"],
                    "facets": ["brand"],
                },
            ]
        }
    )
    query: Annotated[str, Field(max_length=1_000, description="what a shopper would type; `:` gives weights")] = ""
    image: Picture | None = None
    image_weight: Annotated[float, Field(gt=0, le=10, description="of the picture beside words of weight 1")] = 1.0
    k: Results = 10
    filters: Filters = []
    hybrid: Annotated[float, Field(ge=0, le=1, description="what words weigh (BM25) beside vectors")] = HYBRID
    diversity: Annotated[float, Field(ge=0, le=1, description="what a hit may lose for being like another")] = 0.0
    collapse: Annotated[bool, Field(description="one hit for all variants of a product")] = True
    cutoff: Annotated[bool, Field(description="nothing at all where the shop has no good match")] = True
    facets: Annotated[list[FacetName], Field(max_length=8, description="count the values of these fields")] = []


class Similar(Asked):
    """What is like a product, or like a picture."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"product_id": "AT-1000", "k": 5, "price_within": 0.3}]})
    product_id: ProductId | None = None
    image: Picture | None = None
    k: Results = 10
    filters: Filters = []
    same_category: Annotated[bool, Field(description="only products of the very same category")] = False
    price_within: Annotated[float, Field(ge=0, le=10, description="0.2: only prices within 20 %")] | None = None
    diversity: Annotated[float, Field(ge=0, le=1)] = 0.0


class Compare(Asked):
    """Like this product, but more of something."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"product_id": "AT-1000", "more": "darker"},
                {"product_id": "AT-1000", "start": "blue polo shirt", "end": "dark blue polo shirt"},
            ]
        }
    )
    product_id: ProductId
    more: Annotated[str, Field(max_length=200, description="darker, lighter, longer …, or any other word")] = ""
    start: Annotated[str, Field(max_length=200, description="in place of `more`: what it is")] = ""
    end: Annotated[str, Field(max_length=200, description="and what it shall become")] = ""
    steps: Annotated[int, Field(ge=1, le=20)] = 4
    per_step: Annotated[int, Field(ge=1, le=20)] = 1
    same_category: bool = True


class Classify(Asked):
    """Which of these words is it?"""

    model_config = ConfigDict(json_schema_extra={"examples": [{"labels": ["dress", "boot"], "product_id": "AT-1000"}]})
    labels: Annotated[list[Annotated[str, Field(min_length=1, max_length=200)]], Field(min_length=1, max_length=1_000)]
    product_id: ProductId | None = None
    image: Picture | None = None
    text: Annotated[str, Field(max_length=1_000)] | None = None
    k: Results = 5


class Explain(Asked):
    """Where in a picture are these words seen? And of a product: why does it answer them?"""

    model_config = ConfigDict(json_schema_extra={"examples": [{"query": "red", "product_id": "AT-1000"}]})
    query: Annotated[str, Field(min_length=1, max_length=1_000)]
    product_id: ProductId | None = None
    image: Picture | None = None
    method: Literal["bands", "occlusion"] = "bands"


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
    variants: Annotated[int, Field(description="products of its group, itself included")]
    parts: Annotated[dict[str, float], Field(description="what the score is made of: image, text, lexical")]


class Answer(BaseModel):
    """What every answer says: the release that all of it was read from."""

    shop: Annotated[str, Field(examples=["atelier"])]
    release: Annotated[str, Field(examples=["0190f7c1a2b34c5d8e9f"])]


class Found(Answer):
    """Products, the best first."""

    hits: list[Hit]


class Searched(Found):
    """Products, the best first; and how many of all that meet the filters have each value of a field."""

    facets: dict[str, dict[str, int]]


class Step(BaseModel):
    """One stop of a path."""

    hits: list[Hit]


class Compared(Answer):
    """A product, and the path from it."""

    asked: str
    seed: Hit
    steps: list[Step]


class Label(BaseModel):
    """A name, its share among all names asked, and how near it is."""

    label: str
    share: float
    cosine: float


class Classified(Answer):
    """The likeliest names, the best first."""

    labels: list[Label]


class Completion(BaseModel):
    """What may be meant, and where it comes from."""

    text: str
    kind: str
    score: float


class Suggested(Answer):
    """Completions, the best first."""

    completions: list[Completion]


class Word(BaseModel):
    """A word of the question, and what the score loses without it."""

    word: str
    brings: float


class Explained(Answer):
    """A map of the words on the picture, and what the score of a product is made of."""

    cosine: Annotated[float | None, Field(description="of the words and the whole picture; null: there is none")]
    grid: Annotated[list[list[float]], Field(description="0 to 1, row by row: how much of the words is seen there")]
    overlay: Annotated[
        str,
        Field(
            description="the picture under its map, a PNG in base64; empty: there is none",
            json_schema_extra={"format": "byte"},
        ),
    ]
    rank: Annotated[int | None, Field(description="of the product among the answers")]
    parts: dict[str, float]
    words: list[Word]


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


def hit(found: search.Hit) -> dict[str, Any]:
    """A search hit in the words of `Hit`."""
    row = found.product
    told = {"product_id": found.product_id, "title": found.title, "score": round(found.score, 6)}
    told |= {name: row[name] for name in ("price", "sale_price", "currency", "category", "brand", "colour")}
    told |= {"availability": row["availability"], "link": row["link"], "image": next(iter(row["images"] or ()), None)}
    return told | {"variants": found.variants, "parts": {name: round(part, 6) for name, part in found.parts.items()}}


def picture(text: str) -> bytes:
    """The bytes of a `Picture`."""
    return base64.b64decode(text)
