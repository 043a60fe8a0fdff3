"""Measuring: one model on one data set.

Retrieval is FashionCLIP's: a title asks, its own picture must answer among all pictures of the split; equal titles and
equal pictures are equally right. Zero-shot is the nearest label, its vectors scaled to length one: the published code
scales pictures only, so that there the length of a label's vector sways the answer.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pyarrow as pa
from PIL import Image

from pluribus import metrics, models, probes, releases, tables, texts
from pluribus.benchmark import RETRIEVAL, ZERO_SHOT, Row, Table
from pluribus.benchmark.sets import Set
from pluribus.errors import ConfigError, ModelError, ReleaseError
from pluribus.evaluate.exam import Unmeasured
from pluribus.evaluate.labels import probe
from pluribus.evaluate.retrieval import GALLERIES
from pluribus.models.encoders import Encoder
from pluribus.records import Model, Score
from pluribus.store import Store
from pluribus.train import gather, judging, splits

EVERY = "every product"
SPLITS = (splits.TEST, splits.HOUT_C, splits.HOUT_B)
LEAST = 20  # queries, or pictures: fewer measure nothing
HITS = ("hits@1", "hits@5", "hits@10", "mrr")
FIXED = ("hits@1", "hits@5", "mrr")  # that are known exactly for smaller galleries


def measure(store: Store, of: Set, model: Model, fingerprint: str) -> list[Row]:
    """Every row of one model on one set; where it cannot be, the rows that say why."""
    try:
        encoder = models.load(store, fingerprint)
        return _shop(encoder, store, of, model) if of.kind == "shop" else _pictures(encoder, store, of, model)
    except (ModelError, ReleaseError) as error:
        return unmeasured(of, model.name, str(error))


def unmeasured(of: Set, model: str, why: str) -> list[Row]:
    """The rows of a model and a set that cannot be measured."""
    kinds: tuple[Table, ...] = (RETRIEVAL, ZERO_SHOT) if of.kind == "shop" else (ZERO_SHOT,)
    return [Row(table=kind, model=model, data=of.name, of="", why=why, note=of.note) for kind in kinds]


def _shop(encoder: Encoder, store: Store, of: Set, model: Model) -> list[Row]:
    """Both tables of a shop's accepted products that have a title and a picture; of several pictures the first."""
    shop = of.place.removeprefix("shop:")  # a set beside it may have the same name
    own = store.within(f"shops/{shop}")
    release = releases.open_release(own, shop=shop, release=of.release)
    rows = gather.examples(release.path("products.parquet"), shop=shop, model=model)
    if not rows.num_rows:
        return unmeasured(of, model.name, "no product has a title and a picture")
    why = ""
    try:
        rows = gather.divide(rows)
    except ConfigError as error:
        why = str(error)
    if rows.num_rows > of.n:
        of = replace(of, note=f"{of.n:,} of {rows.num_rows:,} products drawn")
    rows = rows.take(np.sort(np.random.default_rng(0).permutation(rows.num_rows)[: of.n]))
    first = [contents[0] for contents in rows["pictures"].to_pylist()]
    seen = judging.picture_vectors(encoder, own, first)
    found = retrieval(encoder, of, model.name, rows, seen, why)
    labels = texts.common(rows["category"].to_pylist())
    known = np.array([bool(label) for label in labels])
    return [*found, *naming(encoder, of, model.name, seen[known], [label for label in labels if label])]


def retrieval(encoder: Encoder, of: Set, model: str, rows: pa.Table, seen: np.ndarray, why: str = "") -> list[Row]:
    """Table 2: title → picture of every product, then of each split that `pluribus finetune` would keep from training.

    `why` says why there are no splits.
    """
    titles, said = rows["title"].to_pylist(), np.array(rows["split"].to_pylist())
    groups = judging.equally_right(titles, [contents[0] for contents in rows["pictures"].to_pylist()])
    asked = encoder.texts(titles)
    found = []
    for split in (EVERY, *SPLITS):
        row = Row(table=RETRIEVAL, model=model, data=of.name, of=split, note=of.note)
        member = np.flatnonzero((said == split) | (split == EVERY))
        if len(member) < LEAST:
            reason = why if why and split != EVERY else f"{len(member)} products, and {LEAST} are needed"
            found.append(replace(row, why=reason))
            continue
        ranked = metrics.rank(asked[member], seen[member], groups[member], groups[member])
        found.append(replace(row, scores=_named(metrics.ranking_scores("", ranked, only=HITS))))
        for size in (size for size in GALLERIES if size < ranked.n_gallery):
            fixed = metrics.ranking_scores("", ranked, only=FIXED, n_gallery=size)
            found.append(replace(row, scores=_named(fixed)))
    return found


def _pictures(encoder: Encoder, store: Store, of: Set, model: Model) -> list[Row]:
    """Table 3 of labelled pictures; those that cannot be decoded are left out, and counted."""
    labelled = tables.read(tables.local(store, of.key))
    kept: list[int] = []
    seen = encoder.images(_decoded(labelled["picture"].to_pylist(), kept))
    lost = labelled.num_rows - len(kept)
    note = "; ".join(filter(None, [of.note, f"{lost:,} broken pictures left out" if lost else ""]))
    words = labelled["label"].to_pylist()
    return [replace(row, note=note) for row in naming(encoder, of, model.name, seen, [words[i] for i in kept])]


def naming(encoder: Encoder, of: Set, model: str, seen: np.ndarray, words: Sequence[str]) -> list[Row]:
    """Table 3: pictures [n, width] by the nearest label, said in several ways; and a linear probe of the vectors."""
    labels = sorted(set(words))
    if len(labels) < 2 or len(words) < LEAST:
        why = f"{len(words)} pictures of {len(labels)} classes, and {LEAST} of 2 are needed"
        return [Row(table=ZERO_SHOT, model=model, data=of.name, of="", note=of.note, why=why)]
    at = {label: n for n, label in enumerate(labels)}
    truth = np.array([at[word] for word in words])
    ways = {
        "raw label": label_vectors(encoder, [labels]),
        "the model's sentence": label_vectors(encoder, [texts.label_texts(labels, encoder.model.label)]),
        f"{len(probes.PROMPTS)} prompts": label_vectors(
            encoder, [texts.label_texts(labels, t) for t in probes.PROMPTS]
        ),
    }
    said = {how: (seen @ vectors.T).argmax(axis=1) for how, vectors in ways.items()}
    with suppress(Unmeasured):
        said["linear probe"] = probe(seen, truth, len(labels))
    return [
        Row(table=ZERO_SHOT, model=model, data=of.name, of=how, note=of.note,
            scores=_named(metrics.f1_scores("", truth, answers, len(labels))))
        for how, answers in said.items()
    ]  # fmt: skip


def label_vectors(encoder: Encoder, said: Sequence[Sequence[str]]) -> np.ndarray:
    """One unit vector a label [n, width]: the mean over several ways to say all of them."""
    summed = np.stack([encoder.texts(labels) for labels in said]).sum(axis=0)
    return np.asarray(summed / np.linalg.norm(summed, axis=1, keepdims=True))


def _decoded(given: Sequence[bytes], kept: list[int]) -> Iterator[np.ndarray]:
    """Pixels of the pictures that are some, whose numbers go into `kept`."""
    for i, data in enumerate(given):
        try:
            with Image.open(io.BytesIO(data)) as image:
                pixels = np.asarray(image.convert("RGB"))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue
        kept.append(i)
        yield pixels


def _named(scores: Iterable[Score]) -> dict[str, Score]:
    return {score.name.strip(): score for score in scores}
