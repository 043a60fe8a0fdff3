"""Doctor: what is missing or misconfigured on this machine, before a run finds out."""

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pluribus.errors import PluribusError, printable

MAIN_LIBRARIES = ("metaflow", "torch", "open-clip-torch", "duckdb", "faiss-cpu", "boto3", "great-expectations")


@dataclass(frozen=True)
class Check:
    """One thing looked at."""

    what: str
    state: Literal["fine", "wrong", "note"]
    found: str


def examine(config: str, store: str) -> list[Check]:
    """Look at everything a run needs; never raises for what it finds."""
    checks = [_python(), *map(_library, MAIN_LIBRARIES), _gpu(), _metaflow(), _disk()]
    settings, check = _try(
        "configuration", lambda: _settings(config, store), lambda s: f"{len(s.shops)} shops in {s.location}"
    )
    checks.append(check)
    if settings is not None:
        checks += [_store(settings.store), _suites(settings), *_models(settings), *_sources(settings)]
    return checks


def _try(what: str, work: Callable[[], Any], say: Callable[[Any], str]) -> tuple[Any, Check]:
    try:
        result = work()
    except PluribusError as error:
        return None, Check(what, "wrong", str(error))
    return result, Check(what, "fine", say(result))


def _python() -> Check:
    fine = sys.version_info >= (3, 11)
    return Check(
        "python", "fine" if fine else "wrong", platform.python_version() + ("" if fine else ", and 3.11 is needed")
    )


def _library(name: str) -> Check:
    try:
        return Check(name, "fine", importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Check(name, "wrong", "not installed; run make install")


def _gpu() -> Check:
    import torch

    if torch.cuda.is_available():
        return Check("GPU", "fine", torch.cuda.get_device_name(0))
    return Check("GPU", "note", "none; the embed step uses the CPU, with the same results")


def _metaflow() -> Check:
    from metaflow.metaflow_config import DATASTORE_SYSROOT_S3, DEFAULT_DATASTORE

    where = (
        DATASTORE_SYSROOT_S3
        if DEFAULT_DATASTORE == "s3"
        else os.environ.get("METAFLOW_DATASTORE_SYSROOT_LOCAL", "the checkout")
    )
    if DEFAULT_DATASTORE == "s3" and not DATASTORE_SYSROOT_S3:
        return Check("Metaflow datastore", "wrong", "s3 without METAFLOW_DATASTORE_SYSROOT_S3")
    return Check("Metaflow datastore", "fine", f"{DEFAULT_DATASTORE} at {where}")


def _disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free
    return Check("disk", "fine" if free > 2e9 else "wrong", f"{free / 1e9:.0f} GB free here")


def _settings(config: str, store: str) -> Any:
    from pluribus import settings

    return settings.load(config, store=store)


def _store(location: str) -> Check:
    from pluribus.store import open_store, probe

    found, check = _try(
        "store", lambda: probe(open_store(location)), lambda _: f"{location} honours conditional writes"
    )
    return Check("store", "wrong", f"{location}: {'; '.join(found)}") if found else check


def _suites(settings: Any) -> Check:
    from pluribus import contracts
    from pluribus.store import open_store

    verticals = {shop.vertical for shop in settings.shops.values()} | {""}
    work = lambda: [contracts.suites(open_store(settings.expectations), vertical) for vertical in verticals]
    return _try("expectations", work, lambda found: f"{len(found)} verticals in {settings.expectations}")[1]


def _models(settings: Any) -> list[Check]:
    used = {shop.model for shop in settings.shops.values()}
    checks = []
    for name, model in settings.models.items():
        local = Path(model.weights)
        if "://" in model.weights or model.weights.startswith("hf-hub:"):
            checks.append(Check(f"model {name}", "note", f"fetched from {model.weights} when first used"))
        elif local.is_file():
            checks.append(Check(f"model {name}", "fine", f"{local.stat().st_size / 1e6:.1f} MB"))
        else:
            state: Literal["wrong", "note"] = "wrong" if name in used else "note"
            checks.append(Check(f"model {name}", state, f"no weights at {model.weights}; place the file there"))
    return checks


def _sources(settings: Any) -> list[Check]:
    """Local feed files that are not there."""
    checks = []
    for shop in settings.shops.values():
        local = [source for feed in shop.feeds for source in feed.source if "://" not in source]
        lost = [s for s in local if not any(c in s for c in "*?[") and not Path(s).is_file()]
        if lost:
            checks.append(Check(f"shop {shop.name}", "wrong", f"no feed at {printable(lost[0])}"))
    return checks
