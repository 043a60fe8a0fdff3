"""What a case is, and how outcomes are written."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pluribus.errors import PluribusError


@dataclass(frozen=True)
class Case:
    """One hostile input. `run(folder)` makes it and says what came of it; `outcome` is a pattern of all that text."""

    name: str
    run: Callable[[Path], str]
    outcome: str
    note: str = ""


def outcome_of(work: Callable[[], str]) -> str:
    """What came of it: "accepted ..." or "rejected Kind: message". Any other exception is the code's fault."""
    try:
        return f"accepted {work()}"
    except PluribusError as error:
        return f"rejected {type(error).__name__}: {error}"
