"""Great Expectations, made ready: silent, and without work that nobody here asks of them.

Their import takes 2 CPU-seconds of every process that judges. Four tenths are scipy's statistics and altair, for one
expectation about distributions and its drawing: these wait until something asks for them.
"""

import importlib
import os
import sys
from functools import cache
from types import ModuleType
from typing import Any

LATE = ("scipy.stats", "altair")


class _Late(ModuleType):
    """Stands for a module, which is imported once something of it is asked."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        _give_way([self])
        return getattr(importlib.import_module(self.__name__), name)


def _give_way(stand_ins: list[_Late]) -> None:
    for module in stand_ins:
        if sys.modules.get(module.__name__) is module:
            del sys.modules[module.__name__]


@cache
def ready() -> Any:
    """The module great_expectations."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # else they report to their makers
    stand_ins = [_Late(name) for name in LATE if name not in sys.modules]
    sys.modules.update({module.__name__: module for module in stand_ins})
    try:
        import great_expectations as gx
        from great_expectations.execution_engine import pandas_execution_engine
    finally:
        _give_way(stand_ins)
    pandas_execution_engine.HASH_THRESHOLD = 0  # they hash every frame below it: 290 MB for a million titles
    return gx
