"""The tab Explain: where words are seen in a picture, what a score is made of, and which words a product is near."""

import base64

import streamlit as st

from pluribus import explain
from pluribus.app import looks
from pluribus.app.opened import chosen, searcher
from pluribus.search import Searcher
from pluribus.store import Store

METHODS = {"bands": "which bands of it answer better than the whole", "occlusion": "what the answer loses when covered"}


def show(store: Store, shop: str) -> None:
    """Two maps of the same words, and the parts of the score."""
    opened = searcher(store, shop)
    seed = chosen(opened, "explain")
    if seed is None:
        return
    asked = st.text_input(
        "Words to look for", seed.title.lower()[:60] or "red", key=f"asked-{seed.product_id}", max_chars=200
    )
    if not asked.strip():
        st.caption("Say some words.")
        return
    cells = st.columns([2, 2, 3])
    if seed.product["pictures"]:
        for cell, (method, means) in zip(cells, METHODS.items(), strict=False):
            with cell, st.container(key=f"framed-{method}"):
                png = _heat(opened.release.manifest_sha256, seed.product_id, asked, method, opened)
                st.image(f"data:image/png;base64,{png}", width="stretch", alt=f"heat map by {method}")
                st.caption(f"{method}: {means}")
    else:
        cells[0].caption("This product has no picture.")
    with cells[2]:
        _reasons(opened, seed.product_id, asked)


def _reasons(opened: Searcher, product_id: str, asked: str) -> None:
    why = explain.why(opened, asked, product_id)
    place = f"place {why.rank:,}" if why.rank else "beyond the first thousand"
    st.text(f"Score {why.hit.score:.3f}, {place} among the answers")
    looks.shares([{"part of the score": name, "adds": part} for name, part in why.hit.parts.items()], "adds")
    looks.table([{"word": word, "brings": brings} for word, brings in why.words])
    near = explain.concepts(opened, product_id=product_id, k=8)
    looks.shares([{"nearest words": one.word, "cosine": one.cosine, "kind": one.kind} for one in near], "cosine")


@st.cache_data(max_entries=128, show_spinner="Covering the picture, piece by piece …")
def _heat(manifest_sha256: str, product_id: str, asked: str, method: str, _opened: Searcher) -> str:
    found = explain.heat(_opened, asked, product_id=product_id, method=method)
    return base64.b64encode(found.overlay()).decode()
