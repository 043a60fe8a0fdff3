"""The tab Map: the catalog on a page, what is alike together."""

import streamlit as st

from pluribus import explain, plots
from pluribus.app.opened import searcher
from pluribus.search import Searcher
from pluribus.store import Store

MOST = (200, 500, 1_000, 2_000)


def show(store: Store, shop: str) -> None:
    """Points by category, or by some prompts."""
    opened = searcher(store, shop)
    words, number = st.columns([4, 1], vertical_alignment="bottom")
    said = words.text_input(
        "Prompts, with commas between (none: by category)",
        key="prompts",
        placeholder="red dress, blue dress",
        max_chars=500,
    )
    most = number.selectbox("Products", MOST, index=1, key="map-most")
    prompts = tuple(dict.fromkeys(part.strip() for part in said.split(",") if part.strip()))[:12]
    found = _map(opened.release.manifest_sha256, prompts, most, opened)
    st.vega_lite_chart(spec=plots.points([vars(point) for point in found.points]), width="stretch")
    st.caption(f"{len(found.points):,} products by {found.method}. Near means alike; far apart means nothing.")
    if found.silhouette is not None:
        st.caption(f"In the space itself the groups are apart by {found.silhouette:.2f} (silhouette, -1 to 1).")


@st.cache_data(max_entries=16, show_spinner="Laying the catalog out …")
def _map(manifest_sha256: str, prompts: tuple[str, ...], most: int, _opened: Searcher) -> explain.ConceptMap:
    return explain.concept_map(_opened, prompts, most=most)
