"""The app: a shop's live release in a browser: what shoppers would get from it, and how good it is.

    streamlit run app/main.py -- STORE        (`pluribus app` does that, on loopback)

    finding      Search: words, a picture, filters
    comparing    Does it come in …? A path of products towards more of something
    classifying  which of these words is it?
    explaining   where the words are seen, and why a product was found
    mapping      the catalog on a page
    quality      what was refused and why, what was measured, what it cost, what changed

It only reads the store, as everybody else may. Text of tenants goes where Streamlit shows text as it is (`st.text`,
data frames, options, `alt`): titles, labels and messages of Streamlit are Markdown, which can fetch pictures from
anywhere.
"""

import streamlit as st

from pluribus import releases
from pluribus.app import classifying, comparing, explaining, finding, looks, mapping, quality
from pluribus.app.opened import live_shops
from pluribus.errors import PluribusError, ReleaseError
from pluribus.store import Store, open_store

TABS = {
    "Search": finding.show,
    "Does it come in …?": comparing.show,
    "Classify": classifying.show,
    "Explain": explaining.show,
    "Map": mapping.show,
    "Quality": quality.show,
}


def page(location: str) -> None:
    """The whole page over one store. What is wrong with a store or a release is one line on it."""
    st.set_page_config(page_title="pluribus", page_icon="🛍️", layout="wide")
    st.html(looks.STYLE)
    try:
        _page(open_store(location))
    except PluribusError as error:
        looks.trouble(str(error))


def _page(store: Store) -> None:
    live = live_shops(store.url)
    with st.sidebar:
        st.title("pluribus", anchor=False)
        st.caption("One shared model for every shop.")
        if not live:
            st.caption("No shop is live.")
            raise ReleaseError(
                f"no shop has a live release in {store.url}", do="run `make demo`, or: pluribus refresh --shops NAME"
            )
        shop = st.selectbox("Shop", live, key="shop")
        _sidebar(store.within(f"shops/{shop}"), shop)
    for tab, show in zip(st.tabs(list(TABS), key="tab", on_change="rerun"), TABS.values(), strict=True):
        if tab.open:  # the others are not worked out
            with tab:
                try:
                    show(store, shop)
                except PluribusError as error:  # of this tab alone
                    looks.trouble(str(error))


def _sidebar(own: Store, shop: str) -> None:
    """What is live of a shop."""
    now = releases.current(own, shop=shop)
    if now:
        held = ", held there" if now.hold else ""
        st.text(f"Release {now.release[:19]}…\nlive since {looks.minute(now.at)} UTC{held}")
