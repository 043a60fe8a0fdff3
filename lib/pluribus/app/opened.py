"""What stays in memory between clicks: opened releases, the list of shops; and how a product is chosen."""

import re

import streamlit as st

from pluribus import releases, search, tables
from pluribus.errors import printable
from pluribus.store import Store, open_store

COLOURS = ("red", "dark green", "light blue", "yellow", "black", "white")
CHOICES = 12

FREQUENT = """
    select split_part(category, ' > ', -1) as name, count(*) as n from rows where category is not null
    group by all order by n desc, name limit 40"""


@st.cache_data(ttl=30, show_spinner=False)
def live_shops(location: str) -> list[str]:
    """Every shop that has published. A listing of the whole store, so it is kept for half a minute."""
    keys = (item.key.split("/") for item in open_store(location).items("shops/"))
    return [parts[1] for parts in keys if parts[2:] == [releases.CURRENT]]


def searcher(store: Store, shop: str) -> search.Searcher:
    """The shop's live release, opened anew when another one goes live."""
    now = releases.current(store.within(f"shops/{shop}"), shop=shop)
    return _searcher(store.url, shop, now.manifest_sha256 if now else "")


@st.cache_resource(max_entries=8, show_spinner="Opening the release …")
def _searcher(location: str, shop: str, manifest_sha256: str) -> search.Searcher:
    return search.open(location, shop)


def kinds(opened: search.Searcher) -> list[str]:
    """Frequent categories in plain words only, since labels of Streamlit are Markdown."""
    found = tables.query(FREQUENT, rows=opened.products)["name"].to_pylist()
    return [name.lower() for name in found if re.fullmatch(r"[^\W\d_]+([ -][^\W\d_]+){0,2}", name)]


def examples(opened: search.Searcher) -> list[str]:
    """Queries that suit the shop: a colour and a frequent category."""
    return [f"{colour} {name}" for colour, name in zip(COLOURS, kinds(opened), strict=False)]


def chosen(opened: search.Searcher, key: str) -> search.Hit | None:
    """The product that the visitor means: some words, then one of those found."""
    words, choice = st.columns([2, 3], vertical_alignment="bottom")
    first = next(iter(examples(opened)), "product")
    said = words.text_input("Find a product", first, key=f"{key}-words")
    hits = opened.query(said, CHOICES, cutoff=False) if said.strip() else []
    if not hits:
        st.caption("No product found: say it in other words.")
        return None
    told = {
        hit.product_id: f"{printable(hit.title, 80) or 'no title'} · {printable(hit.product_id, 40)}" for hit in hits
    }
    picked = choice.selectbox(
        "Take this one", list(told), format_func=lambda one: told.get(one, ""), key=f"{key}-product"
    )
    return next((hit for hit in hits if hit.product_id == picked), hits[0])
