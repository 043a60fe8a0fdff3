"""Judging: what a model can do, split by split and on sets that no shop delivered.

A title asks its own shop's pictures of the same split (FashionCLIP's HITS@5); labelled pictures are named by their
classes (its weighted F1). Equal titles and equal pictures are equally right. Galleries differ in size from split to
split: every score says its gallery and what chance would give there.
"""

import io
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from pluribus import demo, metrics, pictures, render, texts
from pluribus.errors import ConfigError
from pluribus.models.encoders import Encoder
from pluribus.records import Score
from pluribus.store import Store
from pluribus.train import gather, splits

MOST = 2_000  # products of a split and shop that are looked at, drawn by a fixed seed
DRAWN = 100  # pictures of each demo shop
LABELLED = pa.schema([pa.field("label", pa.string()), pa.field("picture", pa.binary())])
ASKED = ("hits@5", "mrr")


def judge(encoder: Encoder, store: Store, rows: pa.Table) -> list[Score]:
    """Title → picture of every split but TRAIN."""
    names = sorted(set(rows["split"].to_pylist()) - {splits.LEFT_OUT, splits.TRAIN}, key=_order)
    return [score for name in names for score in retrieval(encoder, store, name, gather.of_split(rows, name))]


def retrieval(encoder: Encoder, store: Store, name: str, shops: dict[str, pa.Table]) -> list[Score]:
    """Title → picture of one split: every shop's titles against its own pictures, all titles counted alike."""
    found = [ranked(encoder, store.within(f"shops/{shop}"), rows) for shop, rows in shops.items()]
    return [_over_shops(name, metric, found) for metric in ASKED]


def ranked(encoder: Encoder, store: Store, rows: pa.Table) -> metrics.Ranked:
    """The titles of one shop's examples, at most MOST, and where their own pictures came among all of these."""
    asked = rows.take(np.sort(np.random.default_rng(0).permutation(rows.num_rows)[:MOST]))
    titles, first = asked["title"].to_pylist(), [contents[0] for contents in asked["pictures"].to_pylist()]
    groups = equally_right(titles, first)
    return metrics.rank(encoder.texts(titles), picture_vectors(encoder, store, first), groups, groups)


def _over_shops(name: str, metric: str, found: Sequence[metrics.Ranked]) -> Score:
    """One score of several galleries: the mean over all their queries."""
    measure = metrics.METRICS[metric]
    values = np.concatenate([measure.of(ranked) for ranked in found])
    chance = np.concatenate([measure.chance(ranked.n_gallery, ranked.n_relevant) for ranked in found])
    low, high = metrics.interval(values)
    return Score(name=f"{name} {metric}", value=float(values.mean()), n=len(values), low=low, high=high,
                 chance=float(chance.mean()),
                 note=f"galleries of {', '.join(f'{ranked.n_gallery:,}' for ranked in found)}")  # fmt: skip


def naming(encoder: Encoder, name: str, labelled: pa.Table) -> Score:
    """Weighted F1 of the nearest label to each picture of a LABELLED table."""
    truth_words = labelled["label"].to_pylist()
    labels = sorted(set(truth_words))
    said = encoder.texts(texts.label_texts(labels, encoder.model.label))
    seen = encoder.images(_decoded(picture) for picture in labelled["picture"].to_pylist())
    truth, found = np.array([labels.index(word) for word in truth_words]), (seen @ said.T).argmax(axis=1)
    return metrics.f1_scores(name, truth, found, len(labels))[0]


def external(places: Sequence[str]) -> dict[str, pa.Table]:
    """The labelled sets in these folders and tars by name; drawn products where there are none. Raises ConfigError."""
    named: dict[str, pa.Table] = {}
    for place in map(Path, places):
        name = place.name.split(".")[0] if place.is_dir() else f"{place.parent.name}/{place.name.split('.')[0]}"
        named[str(place) if name in named else name] = _whole(place, labelled_in(place))
    return named or {"demo shops": labelled_demos()}


def _whole(place: Path, found: pa.Table) -> pa.Table:
    """Without the pictures that cannot be read: they would end a training that is done. Raises ConfigError."""
    kept = []
    for picture in found["picture"].to_pylist():
        try:
            _decoded(picture)
            kept.append(True)
        except (OSError, ValueError, SyntaxError):  # PIL's ways to say so
            kept.append(False)
    whole = found.filter(pa.array(kept))
    _two_classes(place, whole["label"].to_pylist())
    return whole


def labelled_in(place: Path) -> pa.Table:
    """Every picture of a folder or tar with the name of the folder it lies in: its label. Raises ConfigError."""
    found = [{"label": Path(name).parent.name, "picture": data} for name, data in _files(place)
             if name.lower().endswith((".jpg", ".jpeg", ".png"))]  # fmt: skip
    _two_classes(place, [str(row["label"]) for row in found])
    return pa.Table.from_pylist(found, schema=LABELLED)


def _two_classes(place: Path, labels: Sequence[str]) -> None:
    if len(set(labels)) < 2:
        raise ConfigError(f"{place} has {len(set(labels))} classes of pictures that can be read",
                          expected="2 folders or more, each of pictures of what it is named after")  # fmt: skip


def labelled_demos() -> pa.Table:
    """Drawn products of the demo shops with their kinds: what judges where no other set is at hand."""
    found = []
    for shop in demo.DEMOS:
        for product in [product for product in demo.catalog(shop) if not product.fault][:DRAWN]:
            file = io.BytesIO()
            render.draw(product.item, 128).save(file, "PNG")
            found.append({"label": render.KINDS[product.item.kind].words[0], "picture": file.getvalue()})
    return pa.Table.from_pylist(found, schema=LABELLED)


def _files(place: Path) -> Iterator[tuple[str, bytes]]:
    if place.is_dir():
        yield from ((str(file), file.read_bytes()) for file in sorted(place.rglob("*")) if file.is_file())
        return
    try:
        with tarfile.open(place) as members:
            for member in members:
                file = members.extractfile(member)
                if file:
                    yield member.name, file.read()
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise ConfigError(f"{place} cannot be read: {error}", expected="a folder or a tar of pictures") from None


def _decoded(picture: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))


def picture_vectors(encoder: Encoder, store: Store, contents: list[str]) -> np.ndarray:
    """The vector of each content, [n, width]."""
    place: dict[str, int] = {}
    rows = [np.zeros((0, encoder.width), np.float32)]
    for names, jpegs in pictures.load(store, contents):
        place |= {name: len(place) + i for i, name in enumerate(names)}
        rows.append(encoder.images(jpegs))
    return np.concatenate(rows)[[place[content] for content in contents]]


def equally_right(titles: list[str], contents: list[str]) -> np.ndarray:
    """Group numbers [n]: products of equal titles or pictures are in one group."""
    groups = splits.together([[("title", t.lower()), c] for t, c in zip(titles, contents, strict=True)])
    found = np.zeros(len(titles), int)
    for number, members in enumerate(groups):
        found[members] = number
    return found


def _order(name: str) -> tuple[int, str]:
    order = [splits.VALID, splits.TEST, splits.HOUT_C, splits.HOUT_B]
    return order.index(name) if name in order else len(order), name
