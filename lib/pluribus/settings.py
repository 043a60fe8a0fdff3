"""Configuration: TOML files in, checked frozen records out. Only `cli` and `flows/` read it; stages get plain values.

    <config>/pluribus.toml     where everything lies, and the defaults of every shop ([shop] table)
    <config>/models/*.toml     one shared model each
    <config>/shops/**/*.toml   one shop each, laid over the defaults; a blank value means the default

`<config>` is a folder or an s3:// prefix. The fields, their types and their bounds are the dataclasses of `records`;
this module only checks files against them and says precisely what is wrong.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, TypeVar

from pluribus.errors import ConfigError, Missing
from pluribus.fleet import Alerts, Deploy, Rates, Run
from pluribus.records import FORBID_UNKNOWN, Model, Prices, Shop
from pluribus.schedules import window
from pluribus.store import Store, open_store

T = TypeVar("T")
READERS = 16
SHOP_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


@dataclass(frozen=True, kw_only=True)
class Places:
    """pluribus.toml itself; relative places are relative to its folder."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FORBID_UNKNOWN
    store: str = "../.pluribus"
    data_root: str = ".."  # relative feed and picture sources of shops start here
    models: str = "models"
    shops: str = "shops"
    expectations: str = "../expectations"
    run: Run = Run()
    prices: Prices = field(default_factory=Prices)
    rates: Rates = Rates()
    alerts: Alerts = Alerts()
    deploy: Deploy = Deploy()
    shop: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All of a configuration. Places are absolute; every name in it has been checked."""

    location: str
    store: str
    expectations: str
    run: Run
    prices: Prices
    models_at: str
    models: dict[str, Model]
    shops: dict[str, Shop]
    rates: Rates = Rates()
    alerts: Alerts = Alerts()
    deploy: Deploy = Deploy()

    def shop(self, name: str) -> Shop:
        """The shop of this name. Raises ConfigError naming the shops there are."""
        return _named(self.shops, name, "shop", self.location)

    def model(self, name: str) -> Model:
        """The model of this name. Raises ConfigError naming the models there are."""
        return _named(self.models, name, "model", self.location)


def load(location: str, *, store: str = "", env: Mapping[str, str] = os.environ) -> Settings:
    """Read and check the configuration at `location`; `store` overrides the configured one. Raises ConfigError."""
    location, file, places = _places(location)
    models = _models(_join(location, places.models))
    shops = _shops(
        _join(location, places.shops),
        defaults=places.shop,
        defaults_file=file,
        data_root=_join(location, _expand(places.data_root, env, f"{file}: data_root")),
    )
    for shop in shops.values():
        if shop.model not in models:
            raise ConfigError(
                f"{location}: shop {shop.name!r} wants model {shop.model!r}",
                expected=f"one of {_some(models)}",
                do=f"add models/{shop.model}.toml",
            )
    return Settings(
        location=location,
        store=_join(str(Path.cwd()), store) if store else _join(location, _expand(places.store, env, f"{file}: store")),
        expectations=_join(location, places.expectations),
        run=places.run,
        prices=places.prices,
        models_at=_join(location, places.models),
        rates=places.rates,
        alerts=places.alerts,
        deploy=places.deploy,
        models=models,
        shops=shops,
    )


def operations(location: str, *, env: Mapping[str, str] = os.environ) -> tuple[Rates, Alerts]:
    """What a run's end needs to know, without reading shops and models. Raises ConfigError."""
    _, file, places = _places(location)
    return places.rates, _told(places.alerts, env, file)


def _told(alerts: Alerts, env: Mapping[str, str], file: str) -> Alerts:
    metrics = _expand(alerts.metrics, env, f"{file}: alerts.metrics")
    return replace(alerts, webhook=_expand(alerts.webhook, env, f"{file}: alerts.webhook"),
                   metrics=metrics and _join(file.rpartition("/")[0], metrics))  # fmt: skip


def _places(location: str) -> tuple[str, str, Places]:
    """The location made absolute, its pluribus.toml, and what that says."""
    location = location if "://" in location else str(Path(location).resolve())
    try:
        text = open_store(location).get("pluribus.toml")
    except Missing:
        raise ConfigError(
            f"no pluribus.toml in {location}",
            expected="a configuration folder or s3:// prefix",
            do="pass --config, or set PLURIBUS_CONFIG",
        ) from None
    file = f"{location}/pluribus.toml"
    places = _check(Places, _parse(text, file), file)
    return location, file, places


def parse_shop(text: bytes, file: str, *, data_root: str = "", defaults: Mapping[str, Any] = {}) -> Shop:
    """One shop file, laid over `defaults`, its sources made absolute under `data_root`. Raises ConfigError."""
    raw = _merge(defaults, _parse(text, file))
    raw.setdefault("name", PurePosixPath(file).stem)
    if not SHOP_NAME.fullmatch(str(raw["name"])):
        raise ConfigError(
            f"{file}: shop name {raw['name']!r}",
            expected="1 to 63 of a-z, 0-9, '-', '_', starting with a letter or digit",
        )
    try:
        window(str(raw.get("window", "")))
    except ValueError as error:
        raise ConfigError(f"{file}: window = {raw['window']!r}", expected=str(error)) from None
    for part in _tables([*_listed(raw.get("feeds", [])), raw.get("images")]):
        part["source"] = [_join(data_root, source) for source in _listed(part.get("source", []))]
    if isinstance(raw.get("evidence"), dict):
        raw["evidence"] = {name: place and _join(data_root, place) for name, place in raw["evidence"].items()}
    shop = _check(Shop, raw, file)
    for place, feed in enumerate(shop.feeds[1:], 1):
        if feed.mode == "snapshot":  # it would replace the feeds before it
            raise ConfigError(
                f"{file}: feeds.{place}.mode = 'snapshot'",
                expected='"delta" for a feed after the first',
                do='a catalog in several files is one feed: source = ["a.csv", "b.csv"]',
            )
    return shop


def _models(location: str) -> dict[str, Model]:
    models = {}
    for file, text in _toml_files(location):
        raw = {"name": PurePosixPath(file).stem} | _parse(text, file)
        weights = str(raw.get("weights", ""))
        if "://" not in weights and not weights.startswith("hf-hub:"):
            raw["weights"] = _join(location, raw.get("weights", ""))
        model = _check(Model, raw, file)
        models[model.name] = model
    if not models:
        raise ConfigError(f"no model files in {location}", expected="at least one *.toml")
    return models


def _shops(location: str, *, defaults: Mapping[str, Any], defaults_file: str, data_root: str) -> dict[str, Shop]:
    _check(Shop, {"name": "defaults"} | dict(defaults), f"{defaults_file}: [shop]")
    shops: dict[str, Shop] = {}
    files: dict[str, str] = {}
    for file, text in _toml_files(location):
        shop = parse_shop(text, file, data_root=data_root, defaults=defaults)
        if shop.name in shops:
            raise ConfigError(
                f"shop {shop.name!r} is configured twice",
                expected="one file per shop",
                do=f"see {files[shop.name]} and {file}",
            )
        shops[shop.name], files[shop.name] = shop, file
    return shops


def _toml_files(location: str) -> list[tuple[str, bytes]]:
    store: Store = open_store(location)
    keys = [item.key for item in store.items() if item.key.endswith(".toml")]
    with ThreadPoolExecutor(READERS) as pool:  # in a bucket each file costs a round trip, and shops are thousands
        return [(f"{location}/{key}", data) for key, data in zip(keys, pool.map(store.get, keys), strict=True)]


def _parse(text: bytes, file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{file}: {error}", expected="valid TOML in UTF-8") from None


def _check(kind: type[T], raw: Mapping[str, Any], file: str) -> T:
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_python(dict(raw))
    except ValidationError as error:
        problems = error.errors(include_url=False)
        where = ".".join(str(part) for part in problems[0]["loc"])
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        if problems[0]["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            raise ConfigError(
                f"{file}: unknown key {where!r}{more}", expected=_keys(kind, problems[0]["loc"])
            ) from None
        if problems[0]["type"] in ("missing", "missing_argument"):
            raise ConfigError(f"{file}: no {where!r}{more}", expected=f"a value for {where}") from None
        raise ConfigError(f"{file}: {where} = {problems[0]['input']!r}{more}", expected=problems[0]["msg"]) from None


def _keys(kind: Any, where: tuple[int | str, ...]) -> str:
    """The keys that are known where an unknown one came."""
    for part in where[:-1]:
        if is_dataclass(kind):
            kind = next((f.type for f in fields(kind) if f.name == part), None)
            kind = getattr(kind, "__args__", (kind,))[0]
    return f"one of {_some([f.name for f in fields(kind)])}" if is_dataclass(kind) else ""


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid over `base`, table by table; a blank string means "as in base"."""
    merged = dict(base)
    for key, value in over.items():
        if isinstance(value, Mapping):
            below = base.get(key)
            merged[key] = _merge(below if isinstance(below, Mapping) else {}, value)
        elif value != "" or key not in base:
            merged[key] = value
    return merged


def _tables(values: list[Any]) -> list[dict[str, Any]]:
    return [value for value in values if isinstance(value, dict)]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _join(root: str, place: str) -> str:
    """`place` as it stands when absolute or a URL, else under `root`; "~" is the user's own folder."""
    if not isinstance(place, str) or "://" in place or place.startswith("/"):
        return place
    place = os.path.expanduser(place)  # noqa: PTH111 - pathlib's raises where nobody has that name
    if place.startswith("/"):
        return place
    if "://" in root:
        scheme, _, rest = root.partition("://")
        return f"{scheme}://{os.path.normpath(f'{rest}/{place}')}"
    return os.path.normpath(f"{root}/{place}")


def _expand(text: str, env: Mapping[str, str], where: str) -> str:
    """`$NAME` replaced from the environment. Raises ConfigError when NAME is not set."""

    def value(match: re.Match[str]) -> str:
        if not env.get(match[1]):
            raise ConfigError(f"{where} = {text!r} and {match[1]} is not set", do=f"set {match[1]}")
        return env[match[1]]

    return re.sub(r"\$(\w+)", value, text)


def _named(there: Mapping[str, T], name: str, what: str, location: str) -> T:
    if name not in there:
        raise ConfigError(f"{what} {name!r} is not configured", expected=f"one of {_some(there)}", do=f"see {location}")
    return there[name]


def _some(names: Any) -> str:
    names = sorted(names)
    return ", ".join(names[:12]) + (f" … ({len(names)})" if len(names) > 12 else "") if names else "(none)"
