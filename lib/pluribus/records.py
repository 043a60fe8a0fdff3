"""The words of pluribus: what a shop, a snapshot and a verdict are. Tables are in `schemas`, jobs in `jobs`.

Configuration records are plain frozen dataclasses; `settings` checks them against these same annotations, so each
default and each bound is written once, here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Le

from pluribus.jobs import Job  # noqa: F401 (by this name the artifacts of earlier runs know it)

Share = Annotated[float, Ge(0.0), Le(1.0)]
Count = Annotated[int, Ge(1)]
FORBID_UNKNOWN: dict[str, Any] = {"extra": "forbid"}

# ---------------------------------------------------------------------------------------------------- configuration


@dataclass(frozen=True, kw_only=True)
class Feed:
    """Where one delivery of a shop's products lies, and how its columns are named."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FORBID_UNKNOWN
    source: tuple[str, ...]
    format: str = "auto"
    mode: Literal["snapshot", "delta"] = "snapshot"
    #: canonical column -> source column(s); several are joined (category: " > ", images: a list, else " ")
    columns: dict[str, str | tuple[str, ...]] = field(default_factory=dict)
    header: tuple[str, ...] = ()  # column names of a file that has no header line
    delimiter: str = ""  # blank: found out
    encoding: str = ""  # blank: found out
    currency: str = ""  # for prices that do not say
    locale: str = ""
    price_unit: Literal["whole", "cents"] = "whole"
    #: source column -> what it says in every row that is this shop's; another shop's rows are quarantined (TENANT)
    own: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Images:
    """Where a shop's pictures lie."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FORBID_UNKNOWN
    source: tuple[str, ...] = ()  # folders, tars, zips, s3:// prefixes; http(s) references need none
    path: str = ""  # for feeds without picture column: "{product_id}.jpg"; what a delta builds upon keeps what it had
    per_product: Count = 8  # further pictures of a product are left out
    side_px: Annotated[int, Ge(32), Le(2048)] = 256  # shorter side of the pictures we keep
    least_px: Count = 16  # a shorter side below this is no picture
    most_bytes: Count = 10 * 2**20
    most_px: Count = 25_000_000
    recheck_hours: Annotated[float, Ge(0), Le(10_000)] = 24.0  # http(s): trust what is known this long
    user_agent: str = "pluribus (catalog pictures; contact the shop's provider)"
    requests_per_s: Annotated[float, Gt(0)] = 1.0  # to one domain, and to one address
    connections: Count = 32  # at a time: the shop's share of the machine
    own_domains: tuple[str, ...] = ()  # that the shop has shown to be its own: their robots.txt is not asked


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a delivery may do before its shop is set aside and keeps its current release."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FORBID_UNKNOWN
    shrink: Share = 0.5  # largest lost share of the products of the live release
    quarantine: Share = 0.2  # largest quarantined share of the rows
    feed_bytes: Count = 4 * 2**30
    rows: Count = 5_000_000
    columns: Count = 2_000
    field_chars: Count = 100_000
    pictures: Count = 5_000_000  # references to pictures in a delivery
    seconds: Annotated[float, Gt(0)] = 6 * 3600.0  # of all stages of a run; asked before each stage
    spend: Annotated[float, Gt(0)] = 100.0  # the same, at run.hour_price


@dataclass(frozen=True, kw_only=True)
class Fusion:
    """Weights of the picture and the text in a product's one vector; missing parts give theirs away."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FORBID_UNKNOWN
    image: Share = 0.5
    text: Share = 0.5

    def __post_init__(self) -> None:
        if self.image + self.text <= 0:
            raise ValueError("at least one of image and text above 0")


@dataclass(frozen=True, kw_only=True)
class Index:
    """Which index a shop gets."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FORBID_UNKNOWN
    kind: str = "auto"  # auto: exact up to `exact_up_to` products
    exact_up_to: Count = 20_000
    recall_at_10: Share = 0.95  # the promise; a build below it is refused
    memory_mb: Count = 4_096  # of vectors inside the index; beyond it `auto` takes 8 bits a number


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Where each behavioural test of `evaluate.BEHAVIOURS` fails; its name there is its name here."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FORBID_UNKNOWN
    slice_gap: Share = 0.25  # hits@5 lost by the worst category, brand, price band ... at most
    mred: Annotated[float, Ge(-1), Le(0)] = -0.1  # evenness of misses over slices, at least
    tail_gap: Share = 0.25  # hits@5 lost by rarely seen products, at most
    cold_start: Share = 0.25  # hits@5 lost by products that are new, at most
    wrong_category: Annotated[float, Ge(0)] = 0.8  # how far mistakes lie in the category tree; 1 is chance
    wrong_vector: Annotated[float, Ge(-2), Le(2)] = 0.05  # cosine that mistakes have more than chance, at least
    price_spread: Annotated[float, Ge(0)] = 0.8  # how far prices of results lie from the asked one's; 1 is chance
    typo: Share = 0.2  # share of the first ten that stays, at least: also of case, word order and synonym
    case: Share = 0.9
    word_order: Share = 0.3
    synonym: Share = 0.3
    crop: Share = 0.3  # share of changed pictures that still find their product among five, at least
    flip: Share = 0.5
    grey: Share = 0.05
    coverage: Share = 0.5  # products seen in answers, of those that even answers would show, at least
    hubs: Share = 0.25  # share of answers in which the ten most frequent stand unmeant, above even, at most
    duplicates: Share = 0.3  # share of the first ten that repeats an earlier one, at most


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What a release must show before it goes live. A missing measurement never passes as a good one."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FORBID_UNKNOWN
    queries: Count = 1_000  # titles asked, drawn by a fixed seed
    products_least: Count = 20  # a smaller gallery measures nothing
    product_hits_at_5: Share = 0.5  # title -> own product, what a shopper's search does
    picture_lift_at_5: Annotated[float, Ge(0)] = 1.0  # title -> own picture, in multiples of chance
    drop: Share = 0.02  # largest loss against the live release on the same queries, once beyond the interval
    empty: Share = 0.95  # share of foreign queries that the cut-off of "no good match" answers with nothing
    keep: Share = 0.97  # and the share of own titles that it must let through, which goes before
    must: tuple[str, ...] = ()  # behavioural tests that block, also where they cannot be measured; the others advise
    thresholds: Thresholds = Thresholds()

    def __post_init__(self) -> None:
        known = [field.name for field in fields(Thresholds)]
        for name in self.must:
            if name not in known:
                raise ValueError(f"must names {name!r}; expected some of {', '.join(known)}")


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a shop knows of its shoppers, as files beside its feeds; blank: nothing."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FORBID_UNKNOWN
    judgements: str = ""  # how good a product is for a query: columns query, product_id, rating (0 is useless)
    log: str = ""  # of queries, or of products that were looked at


@dataclass(frozen=True, kw_only=True)
class Shop:
    """One tenant: everything a run needs to know of it."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FORBID_UNKNOWN
    name: str
    title: str = ""
    vertical: str = ""  # an overlay in expectations/: fashion, furniture, grocery ...
    model: str = "mini"
    every_hours: Annotated[float, Gt(0), Le(10_000)] = 24.0
    window: str = ""  # hours of the day in UTC in which `due` takes it, "01:00-05:00"; blank: any
    feeds: tuple[Feed, ...] = ()
    images: Images = Images()
    limits: Limits = Limits()
    fusion: Fusion = Fusion()
    index: Index = Index()
    gate: Gate = Gate()
    evidence: Evidence = Evidence()


@dataclass(frozen=True, kw_only=True)
class Model:
    """One shared model: what it is, where its weights lie, and how it wants its input."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FORBID_UNKNOWN
    name: str
    weights: str  # path beside the model file, absolute path, s3:// or hf-hub:owner/name
    sha256: str
    width: Count  # of a vector
    licence: str
    architecture: str | dict[str, Any]  # an open_clip name, or its model_cfg written out
    layout: Literal["open_clip", "huggingface"] = "open_clip"  # of the weight file
    revision: str = ""
    image_size_px: Count = 224
    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    resize: Literal["shortest", "longest", "squash"] = "shortest"
    text: str = "{title}. {description}"  # what of a product its text vector is made of
    label: str = "a photo of {label}"  # how a class name becomes a sentence
    precision: Literal["float", "int8"] = "float"  # of matrices; int8 on processors only, a model of its own


@dataclass(frozen=True, kw_only=True)
class Prices:
    """What an hour of one GPU costs, in money and in carbon; the defaults are those of FashionCLIP's Table 1."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FORBID_UNKNOWN
    usd_per_gpu_hour: Annotated[float, Ge(0)] = 3.06  # p3.2xlarge on demand
    gpu_watts: Annotated[float, Ge(0)] = 250.0  # rated; what is measured stands beside it
    kg_per_kwh: Annotated[float, Ge(0)] = 0.2976  # the grid of us-west-2


# ------------------------------------------------------------------------------------------------------ one refresh


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A shop's catalog as it was read at one moment: the key of everything made of it."""

    shop: str = ""
    id: str  # digest of the rows' content; the same catalog in other bytes or another order is the same snapshot
    asof: str  # when it was read, ISO 8601 UTC
    feed_key: str  # digest of the raw feeds and of how they are read
    feeds: tuple[str, ...]  # keys of the raw feeds
    ledger: str = ""  # digest of what was known of the pictures
    rows: int
    deleted: int = 0  # tombstones carried out
    pictures: int = 0  # distinct good pictures
    picture_faults: int = 0  # references without a picture
    fetched: int = 0  # pictures fetched in this run
    size_bytes: int = 0  # written in this run


@dataclass(frozen=True, kw_only=True)
class Score:
    """One measurement: its value, over how many cases, and what chance alone would give."""

    name: str
    value: float
    n: int
    low: float  # 95 % interval
    high: float
    chance: float
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why a release may not go live: for machines a code and numbers, for people a sentence."""

    code: Literal["FLOOR", "CHANCE", "FELL", "LOST", "PICTURES", "MODEL", "BEHAVIOUR", "UNMEASURED"]
    says: str
    of: str  # which measurement
    value: float | None = None
    limit: float | None = None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """May a release go live, and every reason why not. "hold": not shown to be worse, but somebody must look."""

    outcome: Literal["pass", "fail", "hold"]
    reasons: tuple[Reason, ...] = ()

    @property
    def passed(self) -> bool:
        """It may go live."""
        return self.outcome == "pass"

    @property
    def says(self) -> str:
        """Every reason in one line."""
        return "; ".join(reason.says for reason in self.reasons)


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What a behavioural test saw. `low` and `high` are its 95 % interval, `worst` the cases to look at first."""

    value: float
    n: int
    low: float
    high: float
    worst: tuple[Mapping[str, str], ...] = ()  # product_id, asked, got (a product id), says
    note: str = ""
