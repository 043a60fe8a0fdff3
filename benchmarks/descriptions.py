"""Descriptions longer than the model reads: cut, title first, or in chunks whose vectors are averaged?

    make descriptions         (the real shops, refreshed; needs PLURIBUS_DATA)

Three questions to each way of making a product's text vector, among SIZE products of a shop: does its title find it,
does it find its own picture, and do eight words from beyond the cut find it?
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pluribus import metrics, models, settings, tables, texts, validate
from pluribus.models.encoders import Encoder
from pluribus.store import Store, open_store
from pluribus.train import judging

ROOT = Path(__file__).resolve().parents[1]
SHOPS = ("ikea_furniture", "luma_sport", "icecat_electronics", "nh_liquor")
SIZE = 1_000
CHUNK_WORDS = 18  # 32 tokens of a catalog's English, names and numbers included, in mini's small vocabulary
QUERY_WORDS = 8

Way = Callable[[Encoder, list[str], list[str]], np.ndarray]


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _chunks(encoder: Encoder, said: list[str]) -> np.ndarray:
    """The mean of the vectors of a text's chunks; zeros for no text."""
    split = [text.split() for text in said]
    parts = [[" ".join(words[i : i + CHUNK_WORDS]) for i in range(0, len(words), CHUNK_WORDS)] for words in split]
    vectors = encoder.texts([part for own in parts for part in own])
    found, start = np.zeros((len(said), encoder.width), np.float32), 0
    for i, own in enumerate(parts):
        found[i] = vectors[start : start + len(own)].sum(axis=0)
        start += len(own)
    return _unit(found)


WAYS: dict[str, Way] = {
    "title alone": lambda encoder, titles, said: encoder.texts(titles),
    "title first, cut (ours)": lambda encoder, titles, said: encoder.texts(
        [f"{title}. {text}" for title, text in zip(titles, said, strict=True)]
    ),
    "description first, cut": lambda encoder, titles, said: encoder.texts(
        [f"{text} {title}" for title, text in zip(titles, said, strict=True)]
    ),
    "chunks averaged": lambda encoder, titles, said: _chunks(
        encoder, [f"{title}. {text}" for title, text in zip(titles, said, strict=True)]
    ),
    "title + chunks, half each": lambda encoder, titles, said: _unit(encoder.texts(titles) + _chunks(encoder, said)),
}


def measure(encoder: Encoder, store: Store, context: int) -> list[dict[str, object]]:
    """Every way on one shop."""
    rows = tables.read(validate.accepted(store), [*texts.COLUMNS, "pictures"])
    said = texts.product_texts(rows, "{description}")
    least = CHUNK_WORDS + QUERY_WORDS
    long = [i for i, text in enumerate(said) if len(text.split()) > least and rows["title"][i].as_py()]
    if not long:
        return []
    chosen = np.sort(np.random.default_rng(0).permutation(long)[:SIZE])
    rows, said = rows.take(chosen), [said[i] for i in chosen]
    titles, first = texts.titles(rows), [(own or [""])[0] for own in rows["pictures"].to_pylist()]
    groups = judging.equally_right(titles, [content or str(i) for i, content in enumerate(first)])
    seen = np.array([bool(content) for content in first])
    images = judging.picture_vectors(encoder, store, [c for c in first if c]) if seen.any() else np.zeros((0, 1))
    beyond = [" ".join(text.split()[CHUNK_WORDS:][-QUERY_WORDS:]) for text in said]
    tokens = np.count_nonzero(encoder.tokenize([f"{t}. {s}" for t, s in zip(titles, said, strict=True)]), axis=1)
    lines = []
    for name, way in WAYS.items():
        vectors = way(encoder, titles, said)
        asked = {"title → it": (encoder.texts(titles), vectors, groups)}
        asked |= {"words beyond → it": (encoder.texts(beyond), vectors, groups)}
        asked |= {"it → picture": (vectors[seen], images, groups[seen])} if seen.any() else {}
        ranked = {task: metrics.rank(queries, gallery, own, own) for task, (queries, gallery, own) in asked.items()}
        hits = {task: metrics.METRICS["hits@5"].of(found).mean() for task, found in ranked.items()}
        lines.append({"way": name, "n": len(titles), "cut": float((tokens == context).mean()), **hits})
    return lines


def main() -> None:
    """All shops, one table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--config", default=str(ROOT / "config" / "real"))
    options.add_argument("--model", default="mini")
    asked = options.parse_args()
    config = settings.load(asked.config)
    store, model = open_store(config.store), config.model(asked.model)
    encoder = models.load(store, models.register(store, model), "cpu")
    context = encoder.tokenize(["a"]).shape[1]
    print("| shop | n | cut | way | title → it | it → picture | words beyond → it |\n|---|---|---|---|---|---|---|")
    for shop in SHOPS:
        for x in measure(encoder, store.within(f"shops/{shop}"), context):
            picture = f"{x['it → picture']:.3f}" if "it → picture" in x else ""
            print(f"| {shop} | {x['n']:,} | {x['cut']:.0%} | {x['way']} | {x['title → it']:.3f} | {picture} | "
                  f"{x['words beyond → it']:.3f} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
