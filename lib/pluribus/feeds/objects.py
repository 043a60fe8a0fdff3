"""Items of a JSON document, one after the other, in memory bounded by one item.

The reader is `json`'s own scanner over a moving window: feeds hold NaN and raw tabs inside strings, which ijson
refuses (and ijson 3.6 needs memory quadratic in the nesting depth). Numbers keep the digits they were written with.
"""

import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import IO, Any

from pluribus.errors import FeedError
from pluribus.feeds import fields, raws

#: An item's values by source name, or the text of an item that could not be read.
Item = dict[str, Any] | str
Place = tuple[str, ...]  # the keys that lead to a container

ITEM_CHARS = 1 << 24
WRAPPERS = 3  # objects side by side ({"meta": {}, "data": {}}); more of them are products
SURVEYED = 200_000  # objects looked at to find out where the items are
LISTS = ("products", "items", "entries", "offers", "articles", "results", "records", "hits", "rows", "data", "feed")
_DECODER = json.JSONDecoder(strict=False, parse_int=str, parse_float=str, parse_constant=str)
_SPACE = re.compile(r"[ \t\r\n\ufeff]*")


def json_lines(text: IO[str]) -> Iterator[Item]:
    """One object per line; a line that is none comes as its text."""
    while line := text.readline(ITEM_CHARS):
        if not line.strip(" \t\r\n\ufeff"):
            continue
        try:
            value = _DECODER.decode(line.lstrip("\ufeff"))
        except (ValueError, RecursionError):
            value = None
        yield value if isinstance(value, dict) else line


def json_items(open_text: Callable[[], IO[str]]) -> Iterator[Item]:
    """The objects of the document's list (or object) of objects; those of an object get their key as "key".

    A list is found at the top, inside wrapping objects ({"data": {"products": [...]}}), or in pieces (a list of such
    wrappers). An element that is no object comes as its text. Raises FeedError where the document breaks.
    """
    with open_text() as text:
        path, _ = _survey(Cursor(text))
    count = 0
    try:
        with open_text() as text:
            cursor = Cursor(text)
            for value in _members_at(cursor, path):
                for item in _unwrapped(value):
                    yield item if isinstance(item, dict) else json.dumps(item, ensure_ascii=False)
                    count += 1
            if cursor.peek():
                raise ValueError("more text after the document's end")
    except ValueError as error:
        raise FeedError(f"the JSON breaks after {count:,} items: {error}", do="deliver the file again") from error


def json_opening(open_text: Callable[[], IO[str]]) -> tuple[str, list[str]]:
    """ "lines", "list" or "object": what holds the items; and the names in the first. Raises FeedError for none."""
    with open_text() as text:
        lines = [line for line in (text.readline(ITEM_CHARS) for _ in range(9)) if line.strip()][:2]
    whole = [item for item in json_lines(io.StringIO("".join(lines))) if isinstance(item, dict)]
    if whole and (len(lines) > 1 or _is_product(whole[0])):
        return "lines", list(whole[0])
    with open_text() as text:
        try:
            _, holder = _survey(Cursor(text))
        except ValueError as error:
            raise FeedError(f"the JSON breaks at its start: {error}", do="deliver the file again") from error
    item = next(json_items(open_text), "")
    return holder, list(item) if isinstance(item, dict) else []


class Cursor:
    """A place in a JSON text that is read piece by piece."""

    def __init__(self, text: IO[str]) -> None:
        self.text, self.buffer, self.place = text, "", 0

    def more(self) -> bool:
        """Reads on, forgetting what lies behind; False at the end of the text, or when one value has grown absurd."""
        if len(self.buffer) - self.place > ITEM_CHARS:
            raise FeedError(f"an item is longer than {ITEM_CHARS:,} characters", expected="one product per item")
        piece = self.text.read(max(1 << 20, len(self.buffer) - self.place))
        self.buffer, self.place = self.buffer[self.place :] + piece, 0
        return bool(piece)

    def peek(self) -> str:
        """The next character that is no white space; "" at the end."""
        while True:
            self.place = _SPACE.match(self.buffer, self.place).end()  # type: ignore[union-attr]
            if self.place < len(self.buffer):
                return self.buffer[self.place]
            if not self.more():
                return ""

    def skip(self, expected: str) -> None:
        if self.peek() != expected:
            raise ValueError(f"{expected!r} expected, not {self.buffer[self.place : self.place + 30]!r}")
        self.place += 1

    def value(self) -> Any:
        """The value at this place. Raises ValueError when there is none."""
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self.buffer, self.place)
            except RecursionError as error:
                raise FeedError("the JSON is nested too deeply", expected="plain products") from error
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated") or error.pos >= len(self.buffer) - 16
                if not (cut and self.more()):
                    raise
            else:
                if end < len(self.buffer) or not self.more():  # a number may go on in the next piece
                    self.place = min(end, len(self.buffer))
                    return value

    def members(self) -> Iterator[str]:
        """The keys of the object, or "" for each element of the list, at this place; before each value it waits."""
        close = {"{": "}", "[": "]"}[self.peek()]
        self.place += 1
        while self.peek() != close:
            key = ""
            if close == "}":
                key = self.value()
                if not isinstance(key, str) or len(key) > raws.NAME_CHARS:
                    raise ValueError(f"a name expected, not {str(key)[:30]!r}")
                self.skip(":")
            yield key
            if self.peek() != close:
                self.skip(",")
        self.skip(close)


def _survey(cursor: Cursor) -> tuple[Place, str]:
    """Where most objects are: under which keys, and whether in a "list" or an "object"."""
    counts: Counter[tuple[Place, str]] = Counter()
    if cursor.peek() == "[":
        return (), "list"
    if cursor.peek() != "{":
        raise FeedError("the JSON is neither list nor object", expected="a list of products")
    for place, kind in _objects(cursor, (), 0):
        counts[place, kind] += 10 if place and kind == "list" and place[-1].casefold() in LISTS else 1
        if counts.total() > SURVEYED or len(counts) > SURVEYED:
            break
    if not counts:
        raise FeedError("the JSON holds no objects", expected="a list of products")

    def is_wrapped(place: Place) -> bool:  # not one of many products that each have a list
        return all(counts[place[:above], "object"] <= WRAPPERS for above in range(len(place) - 1))

    return max(counts, key=lambda found: (is_wrapped(found[0]), counts[found], -len(found[0])))


def _objects(cursor: Cursor, path: Place, depth: int) -> Iterator[tuple[Place, str]]:
    """Every object within the container at this place, as the path and the kind of what holds it."""
    kind = "list" if cursor.peek() == "[" else "object"
    for key in cursor.members():
        place = (*path, key) if key else path
        opening = cursor.peek()
        if opening == "{":
            yield path, kind
        if opening in ("{", "[") and opening and depth < 3 and not (opening == "{" and kind == "list"):
            yield from _objects(cursor, place, depth + 1)
        else:
            cursor.value()


def _members_at(cursor: Cursor, path: Place) -> Iterator[Any]:
    """The values in the container under `path`; what lies beside the way is passed over."""
    opening = cursor.peek()
    if opening not in ("{", "[") or not opening:
        raise ValueError(f"a list expected, not {opening!r}")
    for key in cursor.members():
        if path and key == path[0]:
            yield from _members_at(cursor, path[1:])
        elif path and cursor.peek() == "[":
            for _ in cursor.members():
                cursor.value()
        else:
            value = cursor.value()
            if not path and (opening == "[" or isinstance(value, dict)):
                yield {"key": key, **value} if key else value


def _unwrapped(value: Any) -> list[Any]:
    """The products of a page like {"page": 2, "products": [...]}; anything else is an item itself."""
    if isinstance(value, dict) and not _is_product(value):
        for key in LISTS:
            if isinstance(value.get(key), list) and all(isinstance(item, dict) for item in value[key]):
                return list(value[key])
    return [value]


def _is_product(item: dict[str, Any]) -> bool:
    """Whether an object has a name that products have and pages do not."""
    return not {fields.plain(name) for name in item}.isdisjoint(
        ("id", "sku", "key", "productid", *fields.ALIASES["title"])
    )
