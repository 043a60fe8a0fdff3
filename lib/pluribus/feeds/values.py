"""From the text of a source column to a canonical column: plain text, availability, categories, pictures.

Columns are Arrow arrays of a batch. What costs Python time runs once per distinct value, and only on values that
need it: a million rows repeat few categories, and most titles are clean.
"""

import html
import json
import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pluribus.errors import printable

# ------------------------------------------------------------------------------------------------------------- text

#: characters that show nothing: controls, soft hyphen, zero-width, direction marks, fillers, tags
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\u115f\u1160\u2800\u3164\uffa0\U000e0000-\U000e0fff]"
)
_TAG = re.compile(r"<(?:[a-zA-Z/!?])[^<>]*>")
_INLINE = re.compile(r"</?(?:a|abbr|b|big|em|font|i|mark|s|small|span|strong|sub|sup|u)\b[^<>]*>", re.IGNORECASE)
_NULL = r"(?i:null|none|nan|n/a|\\n|#n/a)"  # how exports write nothing
SHORT_CHARS = 1_000
_UNTIDY = rf"[^\x20-\x7e]|[<&]|  |^ | $|^{_NULL}$"


def texts(column: pa.Array) -> pa.Array:
    """Plain text: no markup, entities resolved (twice if escaped twice), NFC, one space between words."""
    return _where(column, _UNTIDY, text)


def text(value: str) -> str | None:
    """One value as plain text, None when nothing is left."""
    return _short_text(value) if len(value) <= SHORT_CHARS else _text(value)


def _text(value: str) -> str | None:
    for _ in range(3):
        if _TAG.search(value):
            value = _without_tags(value)
        if "&" not in value or (unescaped := html.unescape(value)) == value:
            break
        value = unescaped
    value = " ".join(_INVISIBLE.sub("", unicodedata.normalize("NFC", value)).split())
    return None if re.fullmatch(_NULL, value) else value or None


_short_text = lru_cache(2**13)(_text)  # what comes again in another batch; 16 MB of ASCII at most, as `_short_path`


def _without_tags(value: str) -> str:
    from selectolax.lexbor import LexborHTMLParser

    body = LexborHTMLParser(_INLINE.sub("", value))
    body.strip_tags(["script", "style", "template"], recursive=True)
    return str(body.root.text(separator=" ")) if body.root else ""


def identifiers(column: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Trimmed ids, and where an id is unusable: longer than 512 characters, or with control or broken characters."""
    column = _where(pc.utf8_trim_whitespace(column), r"[^\x20-\x7e]|^$", _identifier)
    bad = pc.or_(pc.match_substring_regex(column, r"[\x00-\x1f\x7f\x{fffd}]"), pc.greater(pc.utf8_length(column), 512))
    return column, pc.fill_null(bad, False)


def shown(column: pa.Array, where: pa.Array, most_chars: int) -> pa.Array:
    """The values in some rows, bounded and without control characters, null in the others."""
    coded = pc.if_else(where, column, None).dictionary_encode()
    safe = [printable(value, most_chars) for value in coded.dictionary.to_pylist()]
    return pa.array(safe, pa.string()).take(coded.indices)


def _identifier(value: str) -> str | None:
    return re.sub("[\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]", "", value).strip(" ") or None


def links(column: pa.Array) -> pa.Array:
    """Addresses: trimmed, "&amp;" resolved and nothing else, since "&copy=1" is no entity here."""
    column = pc.replace_substring(pc.utf8_trim_whitespace(column), "&amp;", "&")
    return pc.if_else(pc.equal(column, ""), None, column)


def nothing(column: pa.Array) -> pa.Array:
    """Where a value is how exports write that there is none ("NULL", "n/a", "0", "-")."""
    return pc.fill_null(pc.match_substring_regex(column, rf"^({_NULL}|n\.a\.|-+|0+(\.0+)?)$"), False)


def flags(column: pa.Array) -> pa.Array:
    """Whether a value says yes ("true", "1", "1.0", "ja", "deleted" ...)."""
    said = "true 1 1.0 yes y t x deleted delete removed remove d ja wahr oui vrai si sí sì tak да gelöscht supprimé"
    yes = pa.array(said.split())
    return pc.fill_null(pc.is_in(pc.utf8_lower(pc.utf8_trim_whitespace(column)), yes), False)


# ------------------------------------------------------------------------------------------------- closed vocabularies

_AVAILABILITIES = {
    "in_stock": """instock available yes true y 1 ja oui si sí auflager lieferbar verfügbar sofortlieferbar enstock
        disponible disponibile opvoorraad dostępny dostepny вналичии естьвналичии наскладе limitedavailability lowstock
        onlineonly instoreonly availablefororder 有货 在庫あり""",
    "out_of_stock": """outofstock soldout unavailable notavailable no false n 0 nein non ausverkauft nichtlieferbar
        nichtverfügbar épuisé epuise rupturedestock agotado esaurito nondisponibile nietopvoorraad niedostępny
        нетвналичии oos nostock 缺货 在庫なし""",
    "preorder": "preorder presale vorbestellbar vorbestellung comingsoon précommande предзаказ",
    "backorder": "backorder onbackorder specialorder madetoorder nachbestellt подзаказ",
    "discontinued": "discontinued endoflife eol archived retired",
}
_AVAILABILITY = {word: known for known, words in _AVAILABILITIES.items() for word in words.split()}


def availabilities(column: pa.Array) -> pa.Array:
    """Members of schemas.AVAILABILITY: from words, schema.org addresses, yes/no and quantities; null for the rest."""
    return _each(column, _availability)


def _availability(value: str) -> str | None:
    value = value.strip().rpartition("/")[2].casefold()
    if re.fullmatch(r"[<>~]?\s*-?\d+([.,]\d+)?\s*\+?", value):
        return "in_stock" if float(re.sub(r"[^\d.-]", "", value.replace(",", ".")) or 0) > 0 else "out_of_stock"
    return _AVAILABILITY.get("".join(c for c in value if c.isalnum()))


# -------------------------------------------------------------------------------------------------------- categories

_LEVELS = re.compile(r"\s*(?:>|»|›|→|::)\s*|\s+\|\s+")
_ROOTS = ("default category", "root catalog")  # Magento's, above every category


def level_mark(column: pa.Array) -> str:
    """How this column writes the levels of a category: a regular expression, "" if it shows none.

    "/" and "|" count only where they must mean levels: the value starts with one, or has two and shares its first
    part with others.
    """
    values = [_bare(value) for value in pc.unique(column.drop_null()).to_pylist()[:5000]]
    if any(_LEVELS.search(value) for value in values):
        return _LEVELS.pattern
    for mark in "|/":
        split = [value.strip(" " + mark).split(mark) for value in values if mark in value]
        deep = any(len(parts) > 2 for parts in split) or any(value.startswith(mark) for value in values)
        if deep and len({parts[0] for parts in split}) <= max(1, len(split) // 2):
            return rf"\s*{re.escape(mark)}\s*"
    return ""


def _bare(value: str) -> str:
    """A value without entities and tags, whose "<" and ">" would pass for levels.

    One space between words: `_LEVELS` needs time quadratic in a run of white space.
    """
    value = html.unescape(html.unescape(value))
    return " ".join((_without_tags(value) if _TAG.search(value) else value).split())


def paths(column: pa.Array, mark: str, several: bool) -> tuple[pa.Array, pa.Array]:
    """Category paths ("Women > Shoes"), and where a value had more paths than the one kept: the deepest, the first.

    `several`: the values list paths between commas. Lines are paths too if any has levels, else they are levels.
    """
    coded = column.dictionary_encode()
    values = coded.dictionary.to_pylist()
    read = [(_short_path if len(value) <= SHORT_CHARS else _path)(value, mark, several) for value in values]
    kept = pa.array([path for path, _ in read], pa.string()).take(coded.indices)
    return kept, pc.fill_null(pa.array([more for _, more in read], pa.bool_()).take(coded.indices), False)


def _path(value: str, mark: str, several: bool) -> tuple[str | None, bool]:
    lines = [line for line in _lines(value, ("name", "title", "label")) if line.strip()]
    if several and mark:
        lines = [part for line in lines for part in line.split(",")]
    split = [[text(level) for level in re.split(mark, _bare(line))] if mark else [text(line)] for line in lines]
    levels = [[level for level in path if level] for path in split]
    levels = [path[1:] if len(path) > 1 and path[0].casefold() in _ROOTS else path for path in levels if path]
    if levels and all(len(path) == 1 for path in levels) and not (several and mark):
        levels = [[path[0] for path in levels]]
    best = max(levels, key=len, default=[])
    return " > ".join(best) or None, len(levels) > 1


_short_path = lru_cache(2**13)(_path)


def _lines(value: str, keys: Sequence[str]) -> list[str]:
    """The parts of a value: its lines, or from a JSON list the texts and, of objects, the first of `keys` there is."""
    if value[:1] in "[{" and value[-1:] in "]}":
        try:
            parts = json.loads(value, strict=False)
        except (ValueError, RecursionError):
            return value.split("\n")
        parts = parts if isinstance(parts, list) else [parts]
        texts = [
            next((part[k] for k in keys if part.get(k)), None) if isinstance(part, dict) else part for part in parts
        ]
        return [str(part) for part in texts if part]
    return value.split("\n")


#: what shop systems call kinds of items, in a column that they name "type"
_KINDS = "simple configurable grouped bundle virtual downloadable variable variation external product p"


def are_kinds(column: pa.Array) -> bool:
    """Whether a column tells only which kind of item each row is, and no category."""
    said = column.filter(pc.not_equal(column, ""))
    return bool(pc.all(pc.is_in(pc.utf8_lower(said), pa.array(_KINDS.split()))).as_py())


# ---------------------------------------------------------------------------------------------------------- pictures

_NO_PICTURE = r"^(?i:\s*|-+|false|true|no|yes|0|1|no_selection|no_?image|null|none|nan|n/?a|\\n|#n/a)$"
_PICTURE_KEYS = ("src", "url", "link", "href", "image", "large", "original", "path", "file")
_FILE = r"(?i)(\.(?:jpe?g|png|webp|gif|avif|bmp|tiff?|jfif))\s*[,|;\n]\s*"


def no_pictures(column: pa.Array) -> pa.Array:
    """Where a picture column says in words that there is none ("FALSE", "no_selection")."""
    return pc.fill_null(pc.match_substring_regex(pc.utf8_trim_whitespace(column), _NO_PICTURE), False)


def pictures(columns: Sequence[pa.Array]) -> pa.Array:
    """One ordered list of distinct picture references per row; null where there is none.

    Values are split at commas, bars, semicolons and spaces only where an address, or after a picture's file name
    another, follows: addresses of image services contain commas.
    """
    joined = join(columns, "\n")
    several = pc.any(pc.match_substring_regex(joined, r"[\s,|;\[{]")).as_py()
    rows, items = _split(joined) if several else (pc.indices_nonzero(joined.is_valid()), joined.drop_null())
    items = pc.replace_substring(pc.utf8_trim_whitespace(items), "&amp;", "&")
    items = pc.replace_substring_regex(items, r"^//", "https://")
    keep = pc.invert(no_pictures(items))
    rows, items = rows.filter(keep), items.filter(keep)
    row = rows.to_numpy()
    if several:
        code = items.dictionary_encode().indices.to_numpy()
        first = np.sort(np.unique(row * (code.max(initial=0) + 1) + code, return_index=True)[1])
        row, items = row[first], items.take(pa.array(first))
    counts = np.bincount(row, minlength=len(joined))
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32), mask=np.append(counts == 0, False))
    return pa.ListArray.from_arrays(offsets, items)


def _split(joined: pa.Array) -> tuple[pa.Array, pa.Array]:
    """The references in each value, and the row of each."""
    joined = _where(joined, r"^\s*[\[{]", lambda value: "\n".join(_lines(value.strip(), _PICTURE_KEYS)))
    joined = pc.replace_substring_regex(joined, r"[\s,|;]+((?:https?:)?//)", "\n\\1")
    joined = pc.if_else(pc.match_substring(joined, "//"), joined, pc.replace_substring_regex(joined, _FILE, "\\1\n"))
    lists = pc.split_pattern(joined, "\n")
    return pc.list_parent_indices(lists), pc.list_flatten(lists)


# ----------------------------------------------------------------------------------------------------------- columns


def _where(column: pa.Array, pattern: str, convert: Callable[[str], str | None]) -> pa.Array:
    """`column` with `convert` done to the values that match the regular expression; empty values become null."""
    mask = pc.fill_null(pc.match_substring_regex(column, f"{pattern}|^$"), False)
    if not pc.any(mask).as_py():
        return column
    coded = column.filter(mask).dictionary_encode()
    converted = pa.array([convert(value) or None for value in coded.dictionary.to_pylist()], pa.string())
    return pc.replace_with_mask(column, mask, converted.take(coded.indices))


def _each(column: pa.Array, convert: Callable[[str], str | None]) -> pa.Array:
    coded = column.dictionary_encode()
    converted = pa.array([convert(value) for value in coded.dictionary.to_pylist()], pa.string())
    return converted.take(coded.indices)


def join(columns: Sequence[pa.Array], joint: str) -> pa.Array:
    """Columns as one, with `joint` between what is there.

    Arrow's own null_handling="skip" (26.0) gives back fewer rows than it got where all are null.
    """
    filled = [pc.if_else(pc.equal(column, ""), None, column) for column in columns]
    joined = filled[0]
    for column in filled[1:]:
        joined = pc.coalesce(pc.binary_join_element_wise(joined, column, joint), joined, column)
    return joined


def maps(columns: dict[str, pa.Array], rows: int) -> pa.MapArray:
    """One map per row of the columns that hold something there."""
    names = [name for name, column in columns.items() if column.null_count < rows]
    texts = [columns[name] for name in names]
    filled = [pc.fill_null(pc.not_equal(text, ""), False).to_numpy(zero_copy_only=False) for text in texts]
    row, column = np.nonzero(np.stack(filled, axis=1)) if filled else (np.zeros(0, np.int64),) * 2
    everything = pa.concat_arrays(texts) if texts else pa.array([], pa.string())
    offsets = np.searchsorted(row, np.arange(rows + 1)).astype(np.int32)
    keys = pa.array(names, pa.string()).take(pa.array(column))
    return pa.MapArray.from_arrays(pa.array(offsets), keys, everything.take(pa.array(column * rows + row)))
