"""The app: a shop's live release in a browser, to search it and to see how good it is.

    streamlit run app.py -- STORE        (`pluribus app` does that, on loopback)

It only reads the store, as everybody else may. Text of tenants goes where Streamlit shows text as it is (`st.text`,
data frames, `alt`): titles, labels and messages of Streamlit are Markdown, which can fetch pictures from anywhere.
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from pluribus import answers, evaluate, plots, releases, search, tables, validate
from pluribus.cards import glimpses, pages
from pluribus.cards.thumbnails import thumbnails
from pluribus.errors import CatalogRejected, PluribusError, ReleaseError, printable
from pluribus.search import Hit
from pluribus.store import Store, open_store

COLUMNS, MOST, PICTURE_PX = 4, 24, 400
REFUSED_SHOWN, REFUSED_PACKS = 50, 2
TITLE_CHARS = 120
COLOURS = ("red", "dark green", "light blue", "yellow", "black", "white")

#: Pictures on squares of white, titles on two lines, so that cards of any shop stand in rows. Nothing of a tenant.
STYLE = """<style>
.stMainBlockContainer { padding-top: 2.5rem; max-width: 80rem }
.stText { line-height: 1.3 }
.stSidebar .stText { font-size: .8rem; opacity: .65 }
.stMain [class*="st-key-card-"] { height: 100%; gap: .3rem; padding: .7rem }
.stMain [class*="st-key-card-"] img { width: 100%; aspect-ratio: 1; object-fit: contain; background: #fff }
.stMain [class*="st-key-title-"] .stText { height: 2.6em; align-items: start; font-size: .9rem; font-weight: 500 }
.stMain [class*="st-key-title-"] span { overflow: hidden; overflow-wrap: anywhere;
  display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2 }
.stMain [class*="st-key-price-"] .stText { font-size: .95rem; font-weight: 700 }
.stMain [class*="st-key-small-"] .stText { font-size: .8rem; opacity: .65; overflow-wrap: anywhere }
.stMain [class*="st-key-none-"] { aspect-ratio: 1; justify-content: center; align-items: center; opacity: .5 }
.st-key-trouble { border-left: .3rem solid #c53030; padding: .6rem 1rem }
</style>"""

FREQUENT = """
    select split_part(category, ' > ', -1) as name, count(*) as n from rows where category is not null
    group by all order by n desc, name limit 40"""


def page(location: str) -> None:
    """The whole page over one store. What is wrong with a store or a release is one line on it."""
    st.set_page_config(page_title="pluribus", page_icon="🛍️", layout="wide")
    st.html(STYLE)
    try:
        _page(open_store(location))
    except PluribusError as error:
        _trouble(str(error))


def _page(store: Store) -> None:
    live = _live_shops(store.url)
    with st.sidebar:
        st.title("pluribus", anchor=False)
        st.caption("One shared model for every shop.")
        if not live:
            st.caption("No shop is live.")
            raise ReleaseError(
                f"no shop has a live release in {store.url}", do="run `make demo`, or: pluribus refresh --shops NAME"
            )
        shop = st.selectbox("Shop", live, key="shop")
        own = store.within(f"shops/{shop}")
        _sidebar(own, shop)
    shows = {"Search": _search, "Quality": _quality}
    for tab, show in zip(st.tabs(list(shows), key="tab", on_change="rerun"), shows.values(), strict=True):
        if tab.open:  # the other one is not worked out
            with tab:
                show(store, shop)


def _sidebar(own: Store, shop: str) -> None:
    """What is live of a shop."""
    now = releases.current(own, shop=shop)
    if now:
        held = ", held there" if now.hold else ""
        st.text(f"Release {now.release[:19]}…\nlive since {_minute(now.at)} UTC{held}")


def _minute(moment: str) -> str:
    """An ISO moment as people read it."""
    return moment[:16].replace("T", " ")


@st.cache_data(ttl=30, show_spinner=False)
def _live_shops(location: str) -> list[str]:
    """Every shop that has published. A listing of the whole store, so it is kept for half a minute."""
    keys = (item.key.split("/") for item in open_store(location).items("shops/"))
    return [parts[1] for parts in keys if parts[2:] == [releases.CURRENT]]


# ------------------------------------------------------------------------------------------------------------- search


def _search(store: Store, shop: str) -> None:
    now = releases.current(store.within(f"shops/{shop}"), shop=shop)
    searcher = _searcher(store.url, shop, now.manifest_sha256 if now else "")
    words, number = st.columns([4, 1], vertical_alignment="bottom")
    query = words.text_input("What are you looking for?", key="query", placeholder="what a shopper would type")
    k = number.slider("Results", COLUMNS, MOST, 2 * COLUMNS, step=COLUMNS, key="k")
    with st.container(horizontal=True):
        for example in _examples(searcher):
            st.button(example, key=f"example-{example}", on_click=_ask, args=(example,))
    if not query.strip():
        st.caption(f"{searcher.products.num_rows:,} products. Type some words, or take an example.")
        return
    hits = searcher.query(query, k)
    _grid(store.within(f"shops/{shop}"), hits)
    st.caption("Nearest first; the last number is the cosine between the query's and the product's vector.")


@st.cache_resource(max_entries=8, show_spinner="Opening the release …")
def _searcher(location: str, shop: str, manifest_sha256: str) -> search.Searcher:
    """A shop's live release in memory, opened anew when another one goes live."""
    return search.open(location, shop)


def _ask(example: str) -> None:
    st.session_state["query"] = example


def _examples(searcher: search.Searcher) -> list[str]:
    """Queries that suit the shop: a colour and a frequent category; only plain words, since a label is Markdown."""
    found = tables.query(FREQUENT, rows=searcher.products)["name"].to_pylist()
    plain = [name.lower() for name in found if re.fullmatch(r"[^\W\d_]+([ -][^\W\d_]+){0,2}", name)]
    return [f"{colour} {name}" for colour, name in zip(COLOURS, plain, strict=False)]


def _grid(own: Store, hits: Sequence[Hit]) -> None:
    pictures = [(hit.product["pictures"] or [""])[0] for hit in hits]
    shown = thumbnails(own, filter(None, pictures), most=MOST, packs=MOST, side_px=PICTURE_PX)
    for start in range(0, len(hits), COLUMNS):
        cells = st.columns(COLUMNS)
        for n in range(start, min(start + COLUMNS, len(hits))):
            with cells[n % COLUMNS], st.container(border=True, key=f"card-{n}"):
                _card(n, hits[n], shown.get(pictures[n]))


def _card(n: int, hit: Hit, picture: str | None) -> None:
    title = printable(hit.title, TITLE_CHARS) or "no title"
    if picture:
        st.image(picture, width="stretch", alt=title)
    else:
        _text(f"none-{n}", "no picture")
    _text(f"title-{n}", title)
    _text(f"price-{n}", answers.price(hit.product) or "no price")
    _text(f"small-{n}", f"{printable(hit.product_id, TITLE_CHARS)} · {hit.score:.3f}")


def _text(key: str, text: str) -> None:
    with st.container(key=key):
        st.text(text)


# ------------------------------------------------------------------------------------------------------------ quality


def _quality(store: Store, shop: str) -> None:
    own = store.within(f"shops/{shop}")
    _scores(own, shop)
    try:
        report, refused = validate.newest(own)
    except CatalogRejected as error:
        _trouble(str(error))
    else:
        _findings(report)
        _refused(own, glimpses.refused(refused, REFUSED_SHOWN))
    st.subheader("Releases", anchor=False)
    _table(
        [
            {
                "release": entry.release,
                "state": entry.state,
                "feed read": _minute(entry.asof),
                "built": _minute(entry.created),
                "MB": f"{entry.size_bytes / 1e6:,.1f}",
            }
            for entry in releases.history(own, shop=shop)
        ]
    )


def _scores(own: Store, shop: str) -> None:
    """What was measured of the live release before it went live."""
    st.subheader("How well products are found", anchor=False)
    opened = releases.open_release(own, shop=shop)
    found = evaluate.scores_of(opened)
    if found:
        st.altair_chart(plots.scores(found), width="stretch")
        _table(
            [{name: cell for name, cell in row.items() if name != "live release"} for row in plots.score_rows(found)]
        )
    left_out = json.loads(opened.path("evaluation.json").read_bytes())["not_measured"]
    _table([{"not measured": name, "because": why} for name, why in left_out.items()])


def _findings(report: Mapping[str, Any]) -> None:
    """How many rows were accepted, and what every expectation said of them."""
    st.subheader("The newest catalog", anchor=False)
    findings = report["findings"]
    met = sum(finding["passed"] for finding in findings)
    numbers = {name: f"{report[name]:,}" for name in ("rows", "accepted", "quarantined")}
    boxes = st.columns(4)
    for box, (name, number) in zip(boxes, (numbers | {"met": f"{met} of {len(findings)}"}).items(), strict=True):
        box.metric("Expectations met" if name == "met" else name.capitalize(), number, border=True)
    order = sorted(findings, key=lambda finding: finding["passed"])  # what failed comes first, worst first as it came
    _table(
        [
            {
                "": "✓" if finding["passed"] else "✗" if finding["severity"] == "critical" else "!",
                "expected": finding["says"],
                "severity": finding["severity"],
                "rows": finding["failed"],
                "of all": pages.percent(finding["share"]),
                "for example": ", ".join(pages.examples(finding)),
            }
            for finding in order
        ],
        column_config={"": st.column_config.Column(width=40), "expected": st.column_config.Column(width=420)},
    )


def _refused(own: Store, rows: Sequence[Mapping[str, Any]]) -> None:
    """Some quarantined rows of each reason, with their pictures."""
    st.subheader("Quarantined rows", anchor=False)
    if not rows:
        st.caption("None: every row was accepted.")
        return
    found = thumbnails(own, [row["picture"] for row in rows if row["picture"]], packs=REFUSED_PACKS)
    shown = [
        {
            "picture": found.get(row["picture"] or ""),
            "row": row["row"],
            "product": row["product_id"] or "no id",
            "title": row["title"] or "",
            "price": answers.price(row),
            "why": ", ".join(row["reasons"]),
            "as it came": row["came"],
        }
        for row in rows
    ]
    _table(shown, column_config={"picture": st.column_config.ImageColumn("", width=50)})


def _table(rows: Sequence[Mapping[str, Any]], **looks: Any) -> None:
    """Rows as a data frame, whose cells are text whatever they hold."""
    if rows:
        clean = [
            {k: printable(v, 300) if isinstance(v, str) and k != "picture" else v for k, v in r.items()} for r in rows
        ]
        st.dataframe(clean, hide_index=True, width="stretch", **looks)


def _trouble(said: str) -> None:
    """What is wrong, as one line of text."""
    with st.container(key="trouble", border=True):
        st.text(said)


if __name__ == "__main__":
    page(sys.argv[1])
