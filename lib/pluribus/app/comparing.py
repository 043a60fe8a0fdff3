"""The tab "Does it come in …?": a path of products from one towards more of something, with pictures."""

import streamlit as st

from pluribus import compare
from pluribus.app import looks
from pluribus.app.opened import chosen, searcher
from pluribus.store import Store

PER_ROW = 5
OWN = "in my words …"


def show(store: Store, shop: str) -> None:
    """A product, a direction, the way there."""
    opened = searcher(store, shop)
    seed = chosen(opened, "compare")
    if seed is None:
        return
    left, right = st.columns([4, 1], vertical_alignment="bottom")
    more = left.pills("The same, but …", [*compare.ATTRIBUTES, OWN], default="darker", key="more")
    steps = right.slider("Steps", 2, 9, 4, key="steps")
    start = end = ""
    if more == OWN:
        one, other = st.columns(2)
        start = one.text_input("From", key="from", placeholder="blue polo shirt", max_chars=200)
        end = other.text_input("To", key="to", placeholder="dark blue polo shirt", max_chars=200)
        if not (start.strip() and end.strip()):
            st.caption("Say what it is, and what it shall become.")
            return
    if more is None:
        st.caption("Choose a direction.")
        return
    path = compare.walk(opened, seed.product_id, more="" if start else more, start=start, end=end, steps=steps)
    notes = ["this one", *(f"step {step.number}" for step in path.steps for _ in step.hits)]
    looks.grid(store.within(f"shops/{shop}"), [path.seed, *path.hits], columns=PER_ROW, name="path-", notes=notes)
    if not path.hits:
        st.caption("Nothing in this shop lies further that way.")
        return
    st.caption(
        "Each step goes further in the asked direction and leaves the rest alone. The last number is how much the "
        "product is still like the first (cosine)."
    )
