"""Probes: what an evaluation asks of the model besides a shop's own pictures and texts.

`embed` encodes them, `evaluate` looks them up: one list for both, so that nothing asked was never encoded. Samples are
the lowest names of a hash: random, and nearly the same after the catalog has changed, so little is encoded twice.

    titles changed     a typo, another case, other word order, a synonym
    pictures changed   cropped, mirrored, without colour
    words              what a shopper types in place of a title: a colour and a kind
    labels             every category and colour, in several sentences
    foreign            queries for things that other shops sell
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa

from pluribus import texts, vectors
from pluribus.probes.changes import TITLE_CHANGES
from pluribus.probes.foreign import FOREIGN
from pluribus.records import Model

__all__ = ["FOREIGN", "PICTURES", "PICTURE_CHANGES", "PROMPTS", "TITLES", "TITLE_CHANGES", "Change", "Words",
           "changed_pictures", "changed_titles", "colours", "texts_asked", "words"]  # fmt: skip

TITLES = 200  # changed in every way
PICTURES = 50
WORDS = 300
PICTURE_CHANGES = ("crop", "flip", "grey")  # names known to `pixels.changed`
PROMPTS = ("{label}", "a photo of {label}", "a product photo of {label} on a plain background", "{label} for sale")
_COLOUR = re.compile(
    r"\b(?:(?:dark|light|pale) )?(?:black|grey|gray|white|red|pink|orange|brown|beige|yellow|green|turquoise|blue"
    r"|purple|navy|silver|gold|cream|tan|teal|maroon|khaki|olive|violet|lilac|burgundy)\b"
)


@dataclass(frozen=True)
class Change:
    """One changed picture: its key on the vector shelf, the picture it was made of, and how."""

    key: bytes
    content: str
    change: str


@dataclass(frozen=True, eq=False)
class Words:
    """A query of few words and the products that it means: all rows of the same colour and kind."""

    query: str
    rows: np.ndarray  # their places, ascending


def texts_asked(rows: pa.Table, model: Model) -> list[str]:
    """Every text an evaluation of these rows asks, besides titles and product texts."""
    labels = sorted({*texts.classes(rows), *colours(rows)} - {""})
    prompts = [text for template in (*PROMPTS, model.label) for text in texts.label_texts(labels, template)]
    titles = _sampled_titles(rows)
    changed = [text for change in TITLE_CHANGES for _, text in _changed(titles, change)]
    return [*prompts, *changed, *(word.query for word in words(rows)), *FOREIGN]


def changed_titles(rows: pa.Table, change: str) -> list[tuple[int, str]]:
    """A sample of rows and what their titles become; rows whose title a change leaves alone are left out."""
    return _changed(_sampled_titles(rows), change)


def changed_pictures(rows: pa.Table) -> list[Change]:
    """A sample of pictures, each in every way; a picture's name is a digest already."""
    firsts = {contents[0] for contents in texts.values(rows["pictures"]) if contents}
    return [
        Change(hashlib.sha256(f"{change}\0{content}".encode()).digest(), content, change)
        for content in sorted(firsts)[:PICTURES]
        for change in PICTURE_CHANGES
    ]


def words(rows: pa.Table) -> list[Words]:
    """Queries such as "dark red vase": a colour, by the feed or else by the title, and the last category."""
    numbers: dict[str, int] = {}
    of_row = (numbers.setdefault(query, len(numbers)) for query in _few_words(rows))
    meant = np.fromiter(of_row, np.int32, rows.num_rows)
    chosen = _lowest(((query, n) for query, n in numbers.items() if query), WORDS)
    return [Words(query, np.flatnonzero(meant == n)) for query, n in chosen]


def colours(rows: pa.Table) -> list[str]:
    """The colour of each row when enough rows share it, else "": a class like a category."""
    return texts.common(_stated(rows))


def _few_words(rows: pa.Table) -> Iterator[str]:
    """Colour and kind of each row; "" for one that lacks either."""
    kind = cache(texts.singular)
    for title, colour, leaf in zip(_titles(rows), _stated(rows), texts.classes(rows), strict=True):
        said = colour or next(iter(_COLOUR.findall(title.lower())), "")
        yield f"{said} {kind(leaf)}" if said and kind(leaf) else ""


def _stated(rows: pa.Table) -> list[str]:
    """The colour of each row by the feed, or ""."""
    plain = cache(lambda value: " ".join((value or "").split()).lower())  # equal ones are one object
    return [plain(value) for value in texts.values(rows["colour"])]


def _titles(rows: pa.Table) -> Iterator[str]:
    """The titles of a large shop, never held together."""
    return map(texts.title, texts.values(rows["title"]))


def _sampled_titles(rows: pa.Table) -> list[tuple[str, int]]:
    return _lowest(((title, i) for i, title in enumerate(_titles(rows)) if title), TITLES)


def _changed(titles: list[tuple[str, int]], change: str) -> list[tuple[int, str]]:
    changed = [(i, title, TITLE_CHANGES[change](title)) for title, i in titles]
    return [(i, text) for i, title, text in changed if text and text != title]


def _lowest(of: Iterable[tuple[str, int]], most: int) -> list[tuple[str, int]]:
    """The `most` texts whose keys on the shelf are lowest, each with its first place, in the order of places."""
    kept: dict[bytes, tuple[str, int]] = {}
    beyond = b"\xff" * 33
    for text, place in of:
        if (key := vectors.text_key(text)) < beyond:
            kept.setdefault(key, (text, place))
        if len(kept) > 4 * most:
            kept = dict(sorted(kept.items())[:most])
            beyond = max(kept)
    return sorted((one for _, one in sorted(kept.items())[:most]), key=lambda one: one[1])
