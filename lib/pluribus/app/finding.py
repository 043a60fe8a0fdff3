"""The tab Search: words, a picture or both, and filters."""

from typing import Any

import streamlit as st

from pluribus.app import looks
from pluribus.app.opened import examples, searcher
from pluribus.search import Filter, Searcher
from pluribus.store import Store

PICTURES = ["jpg", "jpeg", "png", "webp", "gif"]


def show(store: Store, shop: str) -> None:
    """A field for words, examples, filters; then cards."""
    opened = searcher(store, shop)
    words, number = st.columns([4, 1], vertical_alignment="bottom")
    query = words.text_input("What are you looking for?", key="query", placeholder="what a shopper would type")
    k = number.slider("Results", looks.COLUMNS, looks.MOST, 2 * looks.COLUMNS, step=looks.COLUMNS, key="k")
    with st.container(horizontal=True):
        for example in examples(opened):
            st.button(example, key=f"example-{example}", on_click=_ask, args=(example,))
    with st.expander("A picture, and filters"):
        picture, filters = _narrowed(opened, shop)
    if not query.strip() and picture is None:
        st.caption(f"{opened.products.num_rows:,} products. Type some words, or take an example.")
        return
    asked: Any = query if picture is None else [picture, *([query] if query.strip() else [])]
    hits = opened.query(asked, k, filters=filters)
    if not hits:
        st.caption("This shop has no good match: say it in other words, or with fewer filters.")
        return
    looks.grid(store.within(f"shops/{shop}"), hits)
    st.caption("Best first. The last number is the score: vectors and words together, 0 to 1.")


def _narrowed(opened: Searcher, shop: str) -> tuple[bytes | None, list[Filter]]:
    """A picture to search by, and what every hit must meet."""
    left, middle, right = st.columns([2, 2, 1])
    uploaded = left.file_uploader("A picture", type=PICTURES, key="picture", max_upload_size=10)
    facets = _facets(opened.release.manifest_sha256, opened)
    categories = middle.multiselect("Categories", list(facets["category"]), key=f"categories-{shop}")
    brands = middle.multiselect("Brands", list(facets["brand"]), key=f"brands-{shop}")
    most = right.number_input("Price up to", min_value=0.0, value=None, step=5.0, key="price")
    stocked = right.checkbox("In stock", key="stocked")
    filters = [Filter("category", "=", category) for category in categories]
    filters += [Filter("brand", "=", brand) for brand in brands]
    filters += [Filter("price", "<=", repr(most))] if most is not None else []
    filters += [Filter("availability", "=", "in_stock")] if stocked else []
    return (uploaded.getvalue() if uploaded else None), filters


@st.cache_data(max_entries=32, show_spinner=False)
def _facets(manifest_sha256: str, _opened: Searcher) -> dict[str, dict[str, int]]:
    return _opened.facets(("category", "brand"), most=100)


def _ask(example: str) -> None:
    st.session_state["query"] = example
