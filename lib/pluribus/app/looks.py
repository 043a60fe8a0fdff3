"""How the app looks: cards of products, tables, what is wrong in one line. The only place that styles anything."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from pluribus import answers
from pluribus.cards.thumbnails import thumbnails
from pluribus.errors import printable
from pluribus.search import Hit
from pluribus.store import Store

COLUMNS, MOST, PICTURE_PX = 4, 24, 400
TITLE_CHARS = 120

#: Pictures on squares of white, titles on two lines, so that cards of any shop stand in rows. Nothing of a tenant.
STYLE = """<style>
.stMainBlockContainer { padding-top: 2.2rem; max-width: 80rem }
.stText { line-height: 1.3 }
.stSidebar .stText { font-size: .8rem; opacity: .65 }
.stTabs [role="tablist"] { gap: 1.4rem }
[class*="st-key-card-"] { height: 100%; gap: .3rem; padding: .7rem; background: #fff }
[class*="st-key-card-"] img { width: 100%; aspect-ratio: 1; object-fit: contain; background: #fff }
[class*="st-key-title-"] .stText { height: 2.6em; align-items: start; font-size: .9rem; font-weight: 500 }
[class*="st-key-title-"] span { overflow: hidden; overflow-wrap: anywhere;
  display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2 }
[class*="st-key-price-"] .stText { font-size: .95rem; font-weight: 700 }
[class*="st-key-small-"] .stText { font-size: .78rem; opacity: .6; overflow-wrap: anywhere }
[class*="st-key-none-"] { aspect-ratio: 1; justify-content: center; align-items: center; opacity: .5 }
[class*="st-key-note-"] .stText { font-size: .78rem; font-weight: 600; letter-spacing: .04em; color: #5b7083 }
[class*="st-key-framed-"] img { background: #fff; border: 1px solid #e4dfd7; border-radius: .5rem; width: 100% }
.st-key-trouble { border-left: .3rem solid #a5483c; padding: .6rem 1rem }
</style>"""


def minute(moment: str) -> str:
    """An ISO moment as people read it."""
    return moment[:16].replace("T", " ")


def grid(own: Store, hits: Sequence[Hit], *, columns: int = COLUMNS, name: str = "", notes: Sequence[str] = ()) -> None:
    """Products as cards in rows; `notes`, in our words, stand above them."""
    pictures = [(hit.product["pictures"] or [""])[0] for hit in hits]
    shown = thumbnails(own, filter(None, pictures), most=MOST, packs=MOST, side_px=PICTURE_PX)
    for start in range(0, len(hits), columns):
        cells = st.columns(columns)
        for n in range(start, min(start + columns, len(hits))):
            with cells[n % columns], st.container(border=True, key=f"card-{name}{n}"):
                if notes:
                    text(f"note-{name}{n}", notes[n])
                _card(f"{name}{n}", hits[n], shown.get(pictures[n]))


def _card(key: str, hit: Hit, picture: str | None) -> None:
    title = printable(hit.title, TITLE_CHARS) or "no title"
    if picture:
        st.image(picture, width="stretch", alt=title)
    else:
        text(f"none-{key}", "no picture")
    text(f"title-{key}", title)
    text(f"price-{key}", answers.price(hit.product) or "no price")
    text(f"small-{key}", f"{printable(hit.product_id, TITLE_CHARS)} · {hit.score:.3f}")


def text(key: str, said: str) -> None:
    """Text as it is, in a box that STYLE knows by its key."""
    with st.container(key=key):
        st.text(said)


def table(rows: Sequence[Mapping[str, Any]], *, column_config: Mapping[str, Any] | None = None, **options: Any) -> None:
    """Rows as a data frame, whose cells are text whatever they hold; fractions have three places."""
    if rows:
        fractions = [name for name, value in rows[0].items() if isinstance(value, float)]
        config = {name: st.column_config.NumberColumn(name, format="%.3f") for name in fractions}
        clean = [
            {k: printable(v, 300) if isinstance(v, str) and k != "picture" else v for k, v in r.items()} for r in rows
        ]
        columns = config | dict(column_config or {})
        st.dataframe(clean, hide_index=True, width="stretch", column_config=columns, **options)


def shares(rows: Sequence[Mapping[str, Any]], name: str = "share") -> None:
    """Rows as a table whose column `name`, 0 to 1, is drawn as bars."""
    table(
        rows, column_config={name: st.column_config.ProgressColumn(name, min_value=0.0, max_value=1.0, format="%.3f")}
    )


def trouble(said: str) -> None:
    """What is wrong, as one line of text."""
    with st.container(key="trouble", border=True):
        st.text(said)
