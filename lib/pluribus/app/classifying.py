"""The tab Classify: which of these words is it? Of a product, or of a picture that is dropped in."""

import streamlit as st

from pluribus import classify
from pluribus.app import looks
from pluribus.app.finding import PICTURES
from pluribus.app.opened import chosen, kinds, searcher
from pluribus.store import Store

MOST_LABELS = 200
A_PRODUCT, A_PICTURE = "a product of the shop", "a picture of mine"


def show(store: Store, shop: str) -> None:
    """What, which words, and their shares."""
    opened = searcher(store, shop)
    which = st.segmented_control("Of what?", [A_PRODUCT, A_PICTURE], default=A_PRODUCT, key="which")
    seed = picture = None
    if which == A_PICTURE:
        uploaded = st.file_uploader("A picture", type=PICTURES, key="classify-picture", max_upload_size=10)
        picture = uploaded.getvalue() if uploaded else None
    else:
        seed = chosen(opened, "classify")
    names = [name for name in kinds(opened) if name][:8]
    said = st.text_area("Words, with commas between", ", ".join(names), key=f"labels-{shop}", max_chars=10_000)
    labels = list(dict.fromkeys(name.strip() for name in said.split(",") if name.strip()))[:MOST_LABELS]
    if not labels or (seed is None and picture is None):
        st.caption("Some words, and a product or a picture.")
        return
    shown, bars = st.columns([1, 3])
    with shown:
        if seed is not None:
            looks.grid(store.within(f"shops/{shop}"), [seed], columns=1, name="classify-")
        elif picture is not None:
            st.caption(f"{len(picture):,} bytes. A stranger's picture is decoded in a limited child process.")
    found = classify.labels(
        opened, labels, product_id=seed.product_id if seed else None, what=[picture] if picture else None, k=20
    )
    with bars:
        looks.shares([{"word": one.label, "share": one.share, "cosine": one.cosine} for one in found])
        st.caption("Shares are of the words given and sum to 1; the cosine says how near a word is by itself.")
