"""Items of an XML document, one after the other, in memory bounded by one item.

defusedxml refuses every DOCTYPE and with it all entities; elements are emptied as soon as they have been read, and
depth, attributes and the size of one item are bounded.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import IO, Any
from xml.etree.ElementTree import Element, ParseError

from pluribus.errors import FeedError
from pluribus.feeds import raws

Place = tuple[str, ...]  # the names of the elements from the root

ITEM_BYTES = 1 << 23
#: Given to expat at a time. Before 2.6 it reads a token again with every piece (CVE-2023-52425): with iterparse's own
#: 16 KiB a comment of 32 MB took 18 CPU-seconds.
PIECE_BYTES = 1 << 18
PATH_CHARS = 1_000  # of a category: a chain of 100,000 parents makes 25 GB of paths
DEPTH = 64
ATTRIBUTES = 1_000
SURVEYED = 20_000  # elements looked at to find out which are the items
GOOGLE = "http://base.google.com/ns/1.0"
ITEM_TAGS = ("item", "entry", "product", "offer", "shopitem", "article", "produkt", "row", "record")
MARKUP = re.compile(r"p|br|b|i|u|em|strong|span|div|[uo]l|li|a|h\d|table|tr|td|img|font", re.IGNORECASE)


class Watched:
    """A stream that refuses to give out more than one item's worth of bytes between the ends of two elements."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream, self.given = stream, 0

    def read(self, size: int = -1) -> bytes:
        data = self.stream.read(max(size, PIECE_BYTES)) or b""
        self.given += len(data)
        if self.given > ITEM_BYTES:
            raise FeedError(f"an XML element is larger than {ITEM_BYTES:,} bytes", expected="one product per item")
        return data


def xml_items(open_bytes: Callable[[], IO[bytes]]) -> Iterator[dict[str, str]]:
    """The elements that repeat (item, entry, product ...), flattened; attributes are values too.

    Names in Google's namespace start with "g:", other namespaces are dropped. Raises FeedError for a DOCTYPE, for
    entities, for what is not well-formed, with the number of items before.
    """
    with open_bytes() as stream:
        path = _items_path(_walk(Watched(stream)))
    count = 0
    categories: dict[str, str] = {}  # YML lists them before the offers, each after its parent
    with open_bytes() as stream:
        try:
            for place, element in _walk(Watched(stream), keep=path):
                if place == path:
                    yield _flat_element(element) | _category(element, categories)
                    count += 1
                elif place[-1] == "category" and "id" in element.attrib and place[: len(path)] != path:
                    parent = categories.get(element.attrib.get("parentId", ""), "")
                    levels = [parent, (element.text or "").strip()]
                    categories[element.attrib["id"]] = " > ".join(filter(None, levels))[:PATH_CHARS]
        except FeedError as error:
            raise FeedError(f"after {count:,} items {error.came}", expected=error.expected, do=error.do) from error


def xml_opening(open_bytes: Callable[[], IO[bytes]]) -> tuple[str, list[str]]:
    """Name of the element that holds an item, and the names in the first. Raises FeedError for none."""
    with open_bytes() as stream:
        path = _items_path(_walk(Watched(stream)))
    return path[-1], list(next(xml_items(open_bytes)))


def _walk(stream: Watched, keep: Place | None = None) -> Iterator[tuple[Place, Element]]:
    """Every element at its end, with its path, except those within `keep`; then it is taken out of its parent."""
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import iterparse

    outside: list[Any] = []
    names: list[str] = []
    try:
        for event, element in iterparse(stream, events=("start", "end"), forbid_dtd=True):
            within = keep is not None and len(names) > len(keep) and tuple(names[: len(keep)]) == keep
            if event == "start":
                names.append(_local(element.tag))
                if len(names) > DEPTH or len(element.attrib) > ATTRIBUTES:
                    raise FeedError("the XML is too deep, or has too many attributes", expected="plain products")
                if not (within or keep == tuple(names[:-1])):
                    outside.append(element)
            elif within:
                names.pop()
            else:
                yield tuple(names), element
                stream.given = 0
                names.pop()
                outside.pop()
                if outside:
                    outside[-1].remove(element)
    except DefusedXmlException as error:
        raise FeedError("the XML has a DOCTYPE or entities", expected="plain XML", do="leave them out") from error
    except (ParseError, UnicodeDecodeError, LookupError, ValueError) as error:
        raise FeedError(f"the XML is not well-formed: {error}", do="deliver the file again") from error


def _items_path(elements: Iterator[tuple[Place, Element]]) -> Place:
    """The path of the items: a customary name, nearest to the root, else what repeats nearest to the root."""
    counts: Counter[Place] = Counter()
    children: Counter[Place] = Counter()
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


def _category(element: Element, categories: dict[str, str]) -> dict[str, str]:
    path = categories.get((element.findtext("categoryId") or "").strip(), "")
    return {"category": path} if path and element.find("category") is None else {}


def _flat_element(element: Element) -> dict[str, str]:
    values: dict[str, list[str]] = {}
    _gather(element, "", values)
    return {name: "\n".join(lines) for name, lines in values.items() if any(lines)}


def _gather(element: Element, prefix: str, values: dict[str, list[str]]) -> None:
    if len(prefix) > raws.NAME_CHARS:
        raise FeedError(f"a name has {len(prefix):,} characters", expected=f"at most {raws.NAME_CHARS:,}")
    for name, text in element.attrib.items():
        values.setdefault(f"{prefix}{_local(name)}", []).append(text.strip())
    for child in element:
        name = prefix + _name(child)
        if not len(child) and not child.attrib:
            values.setdefault(name, []).append((child.text or "").strip())
            continue
        if pair := _pair(child):  # <PARAM><PARAM_NAME>Colour</PARAM_NAME><VAL>red</VAL></PARAM>
            values.setdefault(prefix + pair[0], []).append(pair[1])
            continue
        if len(child) and not any(MARKUP.fullmatch(_local(part.tag)) for part in child):
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


def _pair(element: Element) -> tuple[str, str] | None:
    """The name and value that an element with just these two children states."""
    texts = {_local(child.tag).casefold(): (child.text or "").strip() for child in element if not len(child)}
    name = next((texts[tag] for tag in ("param_name", "attribute_name", "name", "key") if texts.get(tag)), "")
    value = next((texts[tag] for tag in ("val", "value", "attribute_value") if texts.get(tag)), "")
    return (name, value) if name and value and len(element) <= 3 else None


def _name(element: Element) -> str:
    return ("g:" if str(element.tag).startswith(f"{{{GOOGLE}}}") else "") + _local(element.tag)


def _local(tag: Any) -> str:
    return str(tag).rpartition("}")[2]
