"""What is asked for, as texts: how "darker" becomes sentences about this kind of product."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pluribus import texts
from pluribus.errors import ConfigError

MOST_CHARS = 200

DARK = ("dark {}", "black {}", "dark grey {}", "dark blue {}", "navy {}", "dark red {}", "dark brown {}", "brown {}",
        "dark green {}", "dark purple {}", "dark turquoise {}")  # fmt: skip
LIGHT = ("light {}", "white {}", "beige {}", "cream {}", "light grey {}", "light blue {}", "light pink {}", "yellow {}",
         "light yellow {}", "light green {}", "light purple {}", "light turquoise {}", "light orange {}")  # fmt: skip
LONG, SHORT = ("long {}",), ("short {}",)
PATTERNED, PLAIN = ("patterned {}", "striped {}", "floral {}", "checked {}", "dotted {}"), ("plain {}",)


@dataclass(frozen=True)
class Attribute:
    """Something there can be more of: sentences of its two ends, {} being the kind of product.

    Concrete words ("navy dress") beside the abstract one ("dark dress"): a model knows things better than scales.
    """

    end: tuple[str, ...]
    start: tuple[str, ...]


ATTRIBUTES: dict[str, Attribute] = {
    "darker": Attribute(DARK, LIGHT),
    "lighter": Attribute(LIGHT, DARK),
    "longer": Attribute(LONG, SHORT),
    "shorter": Attribute(SHORT, LONG),
    "larger": Attribute(("large {}",), ("small {}",)),
    "smaller": Attribute(("small {}",), ("large {}",)),
    "plainer": Attribute(PLAIN, PATTERNED),
    "more patterned": Attribute(PATTERNED, PLAIN),
}


def prompts(
    row: Mapping[str, Any], *, more: str = "", start: str = "", end: str = ""
) -> tuple[str, list[str], list[str]]:
    """What was asked in a few words, the texts of where one comes from, and of where one goes. Raises ConfigError."""
    if bool(more) == bool(start or end) or bool(start) != bool(end):
        raise ConfigError(
            "a comparison without a direction, or with two", expected="more (--more), or start and end (--from, --to)"
        )
    for said in (more, start, end):
        if len(said) > MOST_CHARS:
            raise ConfigError(f"{len(said):,} characters of direction", expected=f"at most {MOST_CHARS}")
        if said and not said.strip():
            raise ConfigError("a blank direction", expected=f"one of {', '.join(ATTRIBUTES)}, or any word")
    if not more:
        return f"{start} → {end}", [start], [end]
    word, kind = " ".join(more.lower().split()), kind_of(row)
    known = ATTRIBUTES.get(word)
    if known is None:
        return word, [kind], [f"{word.removeprefix('more ')} {kind}"]
    return word, [text.format(kind) for text in known.start], [text.format(kind) for text in known.end]


def kind_of(row: Mapping[str, Any]) -> str:
    """What one such product is called: the last level of its category, in the singular; else its title's last word."""
    said = (row["category"] or "").split(" > ")[-1] or (row["title"] or "").rpartition(" ")[2]
    return texts.singular(said.replace("{", "").replace("}", "")) or "product"
