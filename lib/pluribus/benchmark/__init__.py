"""Benchmark: any model of the configuration on any data set, as the keynote's Tables 2 and 3 have it.

    sets         what is measured on: published shops, folders of a class, Fashion-MNIST, CSVs with pictures beside
    measuring    one model on one set: title → picture, and naming pictures by their labels
    published    what others printed, to stand beside ours and never to be taken for it
    tables       all of it as Markdown, CSV and JSON in the store

What cannot be measured is a row that says why: never zero, never NaN.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pluribus.records import Score

__all__ = ["RETRIEVAL", "ZERO_SHOT", "Row"]

RETRIEVAL: Literal["retrieval"] = "retrieval"
ZERO_SHOT: Literal["zero-shot"] = "zero-shot"
Table = Literal["retrieval", "zero-shot"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table: a model on a data set; measured by us, printed by others, or not measured."""

    table: Table
    model: str
    data: str
    of: str  # of retrieval the split, of zero-shot how labels are said
    scores: Mapping[str, Score] = field(default_factory=dict)  # metric -> what we measured
    printed: Mapping[str, float] = field(default_factory=dict)  # metric -> what others printed
    source: str = "measured"
    note: str = ""
    why: str = ""  # it was not measured
