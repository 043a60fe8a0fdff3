"""Items of JSON and XML documents, one after the other, in memory bounded by one item.

An item is flattened to text under its source names: {"price": {"amount": 5}} has "price.amount"; several values of
one name are lines; a JSON list of objects stays JSON text. Numbers keep the digits they were written with. The JSON
reader is `json`'s own scanner over a moving window, because feeds hold NaN and raw tabs, which ijson refuses (and
ijson 3.6 needs memory quadratic in the nesting depth).
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, Any
from xml.etree.ElementTree import ParseError

from pluribus.errors import FeedError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

#: An item's values by source name, or the text of an item that could not be read.
Item = dict[str, str] | str

ITEM_CHARS = 1 << 24
DEPTH = 64
SURVEYED = 20_000  # objects or elements looked at to find out where the items are

# ------------------------------------------------------------------------------------------------------------- JSON

LISTS = ("products", "items", "entries", "offers", "articles", "results", "records", "hits", "rows", "data", "feed")
_DECODER = json.JSONDecoder(strict=False, parse_int=str, parse_float=str, parse_constant=str)
_SPACE = re.compile(r"[ \t\r\n\ufeff]*")
Path = tuple[str, ...]


def json_lines(text: IO[str]) -> Iterator[Item]:
    """One object per line; a line that is none comes as its text."""
    while line := text.readline(ITEM_CHARS):
        if not line.strip(" \t\r\n\ufeff"):
            continue
        try:
            value = _DECODER.decode(line.lstrip("\ufeff"))
        except (ValueError, RecursionError):
            value = None
        yield flat(value) if isinstance(value, dict) else line


def json_items(open_text: Callable[[], IO[str]]) -> Iterator[Item]:
    """The objects of the document's list (or object) of objects; those of an object get their key as "key".

    A list is found at the top, inside wrapping objects ({"data": {"products": [...]}}), or in pieces (a list of such
    wrappers). Raises FeedError where the document breaks, with the number of items before.
    """
    with open_text() as text:
        path, _ = _survey(Cursor(text))
    count = 0
    try:
        with open_text() as text:
            cursor = Cursor(text)
            for value in _members_at(cursor, path):
                for item in _unwrapped(value):
                    yield flat(item) if isinstance(item, dict) else json.dumps(item, ensure_ascii=False)
                    count += 1
            if cursor.peek():
                raise ValueError("more text after the document's end")
    except ValueError as error:
        raise FeedError(f"the JSON breaks after {count:,} items: {error}", do="deliver the file again") from error


def json_shape(text: IO[str]) -> str:
    """"list" or "object": what holds the items. Raises FeedError when there are none."""
    cursor = Cursor(text)
    try:
        return "list" if cursor.peek() == "[" else _survey(cursor)[1]
    except ValueError as error:
        raise FeedError(f"the JSON breaks at its start: {error}", do="deliver the file again") from error


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
                self.skip(":")
            yield key
            if self.peek() != close:
                self.skip(",")
        self.skip(close)


def _survey(cursor: Cursor) -> tuple[Path, str]:
    """Where most objects are: under which keys, and whether in a "list" or an "object"."""
    counts: Counter[tuple[Path, str]] = Counter()
    if cursor.peek() == "[":
        return (), "list"
    if cursor.peek() != "{":
        raise FeedError("the JSON is neither list nor object", expected="a list of products")
    for place, kind in _objects(cursor, (), 0):
        counts[place, kind] += 10 if place and kind == "list" and place[-1].casefold() in LISTS else 1
        if counts.total() > 10 * SURVEYED or len(counts) > SURVEYED:
            break
    if not counts:
        raise FeedError("the JSON holds no objects", expected="a list of products")
    return max(counts, key=lambda key: (counts[key], -len(key[0])))


def _objects(cursor: Cursor, path: Path, depth: int) -> Iterator[tuple[Path, str]]:
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


def _members_at(cursor: Cursor, path: Path) -> Iterator[Any]:
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
    if isinstance(value, dict) and len(value) <= 8 and not value.keys() & {"id", "sku", "title", "name"}:
        for key in LISTS:
            if isinstance(value.get(key), list) and all(isinstance(item, dict) for item in value[key]):
                return list(value[key])
    return [value]


def flat(item: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """An item's values as text by dotted name; what is null or empty is left out."""
    values: dict[str, str] = {}
    for key, value in item.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            values |= flat(value, f"{name}.")
        elif isinstance(value, list) and any(isinstance(part, dict | list) for part in value):
            values[name] = json.dumps(value, ensure_ascii=False)
        elif isinstance(value, list):
            values[name] = "\n".join(_plain(part).replace("\n", " ") for part in value if part is not None)
        elif value is not None and value != "":
            values[name] = _plain(value)
    return values


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


# -------------------------------------------------------------------------------------------------------------- XML

GOOGLE = "http://base.google.com/ns/1.0"
ITEM_TAGS = ("item", "entry", "product", "offer", "shopitem", "article", "produkt", "row", "record")
MARKUP = frozenset("p br b i u em strong span div ul ol li a h1 h2 h3 h4 h5 h6 table tr td img font".split())


class Watched:
    """A stream that refuses to give out more than one item's worth of bytes between two items."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream, self.given = stream, 0

    def read(self, size: int = -1) -> bytes:
        data = self.stream.read(size) or b""
        self.given += len(data)
        if self.given > 2 * ITEM_CHARS:
            raise FeedError(f"an XML element is larger than {2 * ITEM_CHARS:,} bytes", expected="one product per item")
        return data


def xml_items(open_bytes: Callable[[], IO[bytes]]) -> Iterator[Item]:
    """The elements that repeat (item, entry, product ...), flattened; attributes are values too.

    Names in Google's namespace start with "g:", other namespaces are dropped. Raises FeedError for a DOCTYPE, for
    entities, for what is not well-formed, with the number of items before.
    """
    with open_bytes() as stream:
        path = _items_path(_walk(Watched(stream)))
    count = 0
    with open_bytes() as stream:
        watched = Watched(stream)
        try:
            for place, element in _walk(watched, keep=path):
                if place == path:
                    yield _flat_element(element)
                    count += 1
                    watched.given = 0
        except FeedError as error:
            raise FeedError(f"after {count:,} items {error.came}", expected=error.expected, do=error.do) from error


def xml_root(open_bytes: Callable[[], IO[bytes]]) -> tuple[str, bool]:
    """Name of the element that holds the items, and whether Google's names are used in them."""
    with open_bytes() as stream:
        path = _items_path(_walk(Watched(stream)))
    with open_bytes() as stream:
        element = next(element for place, element in _walk(Watched(stream), keep=path) if place == path)
        return path[-1], any(str(child.tag).startswith(f"{{{GOOGLE}}}") for child in element)


def _walk(stream: Watched, keep: Path | None = None) -> Iterator[tuple[Path, "Element"]]:
    """Every element at its end, with its path; elements outside `keep` are emptied as soon as they have ended."""
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import iterparse

    stack: list[Any] = []
    names: list[str] = []
    try:
        for event, element in iterparse(stream, events=("start", "end"), forbid_dtd=True):
            if event == "start":
                stack.append(element)
                names.append(_local(element.tag))
                if len(stack) > DEPTH or len(element.attrib) > 1000:
                    raise FeedError("the XML is nested too deeply or has too many attributes", expected="plain products")
                continue
            path = tuple(names)
            stack.pop()
            names.pop()
            yield path, element
            inside = keep is not None and len(path) > len(keep) and path[: len(keep)] == keep
            if stack and not inside:
                stack[-1].remove(element)
    except DefusedXmlException as error:
        raise FeedError("the XML has a DOCTYPE or entities", expected="plain XML", do="leave the DOCTYPE out") from error
    except (ParseError, UnicodeDecodeError, LookupError, ValueError) as error:
        raise FeedError(f"the XML is not well-formed: {error}", do="deliver the file again") from error


def _items_path(elements: Iterator[tuple[Path, "Element"]]) -> Path:
    """The path of the items: a customary name, nearest to the root, else what repeats nearest to the root."""
    counts: Counter[Path] = Counter()
    children: Counter[Path] = Counter()
    for seen, (path, element) in enumerate(elements):
        children[path[:-1]] += 1
        if children.pop(path, 0) + len(element.attrib) >= 2:
            counts[path] += 1
        if seen > SURVEYED and counts:
            break
    known = [path for path in counts if path[-1].casefold() in ITEM_TAGS]
    repeated = [path for path in counts if counts[path] > 1 and len(path) > 1]
    candidates = known or repeated or [path for path in counts if len(path) > 1]
    if not candidates:
        raise FeedError("the XML holds no items", expected="repeated elements such as <item>")
    return min(candidates, key=lambda path: (len(path), -counts[path]))


def _flat_element(element: "Element") -> dict[str, str]:
    values: dict[str, list[str]] = {}
    _gather(element, "", values)
    return {name: "\n".join(lines) for name, lines in values.items() if any(lines)}


def _gather(element: "Element", prefix: str, values: dict[str, list[str]]) -> None:
    for name, text in element.attrib.items():
        values.setdefault(f"{prefix}{_local(name)}", []).append(text.strip())
    for child in element:
        name = prefix + _name(child)
        if len(child) and not any(_local(part.tag).casefold() in MARKUP for part in child):
            _gather(child, f"{name}.", values)
            continue
        text = " ".join(child.itertext()).strip()
        named = child.attrib.get("name")
        if text and named:  # <param name="Colour">red</param>
            name = f"{prefix}{named}"
        text = text or next((child.attrib[key] for key in ("href", "url", "src", "value") if key in child.attrib), "")
        values.setdefault(name, []).append(text)
        for key, value in child.attrib.items():
            if value.strip() not in (text, named):
                values.setdefault(f"{name}.{_local(key)}", []).append(value.strip())


def _name(element: "Element") -> str:
    return ("g:" if str(element.tag).startswith(f"{{{GOOGLE}}}") else "") + _local(element.tag)


def _local(tag: Any) -> str:
    return str(tag).rpartition("}")[2]
