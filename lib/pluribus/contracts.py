"""The contract of a shop's rows: suites of expectations, files that people read and edit; `validate` judges by them."""

import json
from typing import Any

from pluribus.errors import ConfigError
from pluribus.store import Store


def suites(store: Store, vertical: str, *, of: str = "") -> list[dict[str, Any]]:
    """The core suite and the vertical's overlay, for a shop like `of`. Raises ConfigError on a bad or missing file."""
    names = ["products", vertical] if vertical else ["products"]
    there = {item.key for item in store.items()}
    found = []
    for name in names:
        if f"{name}.json" not in there:
            known = ", ".join(sorted(key.removesuffix(".json") for key in there if key.endswith(".json")))
            who = f"; shop {of!r} wants it" if of else ""
            raise ConfigError(
                f"no suite {name}.json in {store.url}{who}", expected=f"vertical = one of {known or '(none)'}"
            )
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
