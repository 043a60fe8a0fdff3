"""The contract of a shop's rows: suites of expectations, files that people read and edit; `validate` judges by them."""

import json
from typing import Any

from pluribus.errors import ConfigError
from pluribus.store import Store


def suites(store: Store, vertical: str) -> list[dict[str, Any]]:
    """The core suite and the vertical's overlay. Raises ConfigError on a missing or malformed file."""
    names = ["products", vertical] if vertical else ["products"]
    there = {item.key for item in store.items()}
    found = []
    for name in names:
        if f"{name}.json" not in there:
            known = ", ".join(sorted(key.removesuffix(".json") for key in there if key.endswith(".json")))
            raise ConfigError(f"no suite {name}.json in {store.url}", expected=f"vertical = one of {known}")
        try:
            suite = json.loads(store.get(f"{name}.json"))
            assert isinstance(suite["expectations"], list) and suite["expectations"]
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AssertionError):
            raise ConfigError(
                f"{store.url}/{name}.json is not a suite",
                expected='JSON: {"name": …, "expectations": [{"type": …, "kwargs": {…}}, …]}',
            ) from None
        found.append(suite)
    return found
