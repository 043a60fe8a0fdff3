"""Layout: what a card is made of. The only module that knows Metaflow's card components.

Text of tenants goes into table cells, section titles and charts, which Metaflow and Vega draw as text. It never goes
into Markdown, which Metaflow does not sanitise (Netflix/metaflow#3278): `prose` is for our own words only. Numbers
become text here, because one NaN in a card's JSON leaves the whole card blank.
"""

import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any, ParamSpec

from pluribus.errors import printable

P = ParamSpec("P")

CELL_CHARS = 240
GRID_COLUMNS = 6

#: Metaflow centres every cell under wide margins; ten columns want less. A grid of pictures has no header, and columns
#: of one width; a table of facts has no header either, and a narrow first column; the last of many columns says why.
STYLE = """<style>
.mf-card th, .mf-card td {padding: .3rem .7rem; text-align: left; font-variant-numeric: tabular-nums}
.mf-card td {overflow-wrap: break-word; white-space: pre-line}
.mf-card table:not(:has(td:nth-child(13))) td {min-width: 5rem}
.mf-card table:has(td:nth-child(8)):not(:has(td:nth-child(12))) td:last-child {min-width: 16rem}
.mf-card .sectionItems {grid-gap: 1rem}
.mf-card .sectionItems pre {margin: 0}
.mf-card table:not(:has(th)):has(figure) {table-layout: fixed !important; width: 100%}
.mf-card table:not(:has(th)):has(figure) td {vertical-align: top; overflow-wrap: anywhere}
.mf-card table:not(:has(th, figure, .value-box)) td:first-child:not(:last-child) {width: 16rem}
.mf-card td figure {padding: 0; margin: 0; background: none; text-align: left}
.mf-card td .value-box {text-align: left}
</style>"""


def page(title: str, about: str, head: Iterable[Any], sections: Iterable[Any] = ()) -> list[Any]:
    """A card: our own title and words, what belongs to the whole of it, then its sections.

    Everything lies in sections: Metaflow puts a card with any other component into one nameless section, and then
    its navigation is empty (ComponentStore, `_serialize_components`).
    """
    return [section("", "", [prose(STYLE), prose(f"# {title}\n{about}"), *head]), *filter(None, sections)]


def prose(markdown: str) -> Any:
    """Our own words. Never text of a tenant."""
    from metaflow.cards import Markdown

    return Markdown(markdown)


def section(title: str, subtitle: str, parts: Iterable[Any]) -> Any:
    """A part of a card with its own entry in the card's navigation."""
    from metaflow.plugins.cards.card_modules.basic import SectionComponent

    return SectionComponent(
        printable(title) or None, printable(subtitle) or None, contents=[part for part in parts if part]
    )


def table(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Rows with the same keys, which are the headers; None when there are none."""
    from metaflow.cards import Table

    return Table([[cell(value) for value in row.values()] for row in rows], list(map(str, rows[0]))) if rows else None


def note(words: str) -> Any:
    """A sentence that may hold text of tenants: a table of one cell."""
    from metaflow.cards import Table

    return Table([[cell(words)]])


def facts(pairs: Mapping[str, Any]) -> Any:
    """Named values of one thing, one below the other; blank ones are left out."""
    from metaflow.cards import Table

    rows = [[name, cell(value)] for name, value in pairs.items() if value not in ("", None)]
    return Table(rows) if rows else None


def grid(pictures: Sequence[tuple[str | None, str]]) -> Any:
    """(`data:` address or None, caption) side by side, GRID_COLUMNS in a row; None when there are none."""
    from metaflow.cards import Table

    rows = []
    for start in range(0, len(pictures), GRID_COLUMNS):
        part = [*pictures[start : start + GRID_COLUMNS]]
        blank = [""] * (GRID_COLUMNS - len(part))
        rows.append([thumbnail(address) for address, _ in part] + blank)
        rows.append([cell(caption) for _, caption in part] + blank)
    return Table(rows) if rows else None


def thumbnail(address: str | None) -> Any:
    """A picture of our own, as `thumbnails` gives it."""
    from metaflow.cards import Image

    return Image(address) if address else "no picture"


def boxes(values: Mapping[str, tuple[str, str]]) -> Any:
    """Big numbers side by side: name -> (number, theme: default, success, warning, danger)."""
    from metaflow.cards import Table, ValueBox

    return Table([[ValueBox(title=name, value=value, theme=theme) for name, (value, theme) in values.items()]])


def chart(drawn: dict[str, Any]) -> Any:
    """A chart of `plots`."""
    from metaflow.cards import VegaChart

    return VegaChart(drawn)


def commands(lines: Mapping[str, str]) -> Any:
    """What to type next, and what it is good for: our own words and names that `settings` has checked."""
    from metaflow.cards import PythonCode

    width = max(map(len, lines), default=0)
    return PythonCode(code_string="\n".join(f"{line:<{width}}  # {why}" for line, why in lines.items()))


def cell(value: Any) -> Any:
    """A value as a table shows it; components stay what they are."""
    if isinstance(value, str):
        return "\n".join(printable(line, CELL_CHARS) for line in value.split("\n"))
    if isinstance(value, float):
        return f"{value:,.3f}"
    if isinstance(value, int):
        return f"{value:,}"
    return "" if value is None else value


def size(size_bytes: float) -> str:
    """Bytes as people read them."""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000 or unit == "GB":
            break
        size_bytes /= 1000
    return f"{size_bytes:,.0f} {unit}" if unit == "B" else f"{size_bytes:,.1f} {unit}"


def unfailing(draw: Callable[P, list[Any]]) -> Callable[P, list[Any]]:
    """`draw`, giving at worst one line that says why it could not: a card only looks, and must not cost a run."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> list[Any]:
        try:
            return draw(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - whatever it is, the shop itself came through
            traceback.print_exc()
            return [note(f"this part of the card could not be drawn: {type(error).__name__}: {error}")]

    return drawn
