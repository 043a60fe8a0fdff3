"""Gather: the accepted products of shops as examples, and examples as pairs of pictures and captions.

Captions of a product are its title, its text as the model's template words it, and its colour and category. A picture
that several products share is one picture under the captions of all of them.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pluribus import pictures, tables, texts
from pluribus.errors import ConfigError
from pluribus.models.squares import to_square
from pluribus.records import Model
from pluribus.schemas import GENERATED
from pluribus.store import Store
from pluribus.train import splits
from pluribus.train.batches import Pairs

EXAMPLE = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("shop", "product_id", "group_id", "title", "category", "brand")),
        pa.field("captions", pa.list_(pa.string())),
        pa.field("pictures", pa.list_(pa.string())),
        pa.field("generator", pa.string()),  # who drew it; "" for a product of a shop
        pa.field("split", pa.string()),
    ]
)
VARY = 0.5  # of `augment`: a trained model needs less of it, and colours are what titles ask for


def examples(products: Path, *, shop: str, model: Model) -> pa.Table:
    """One EXAMPLE row for each accepted product with a title and a picture; not split yet."""
    rows = tables.read(products, [*texts.COLUMNS, "group_id", "pictures", "extra"])
    drawn = pc.map_lookup(rows["extra"], GENERATED, "first").to_pylist()
    rows = rows.drop_columns(["extra"])
    said = zip(texts.titles(rows), texts.product_texts(rows, model.text), strict=True)
    found = [
        {
            "shop": shop,
            "product_id": row["product_id"],
            "group_id": row["group_id"] or "",
            "title": title,
            "category": (leaf := (row["category"] or "").split(" > ")[-1].strip()),
            "brand": row["brand"] or "",
            "captions": list(dict.fromkeys(filter(None, [title, text, f"{row['colour'] or ''} {leaf}".strip()]))),
            "pictures": row["pictures"],
            "generator": generator or "",
            "split": splits.LEFT_OUT,
        }
        for (title, text), row, generator in zip(said, rows.to_pylist(), drawn, strict=True)
        if title and row["pictures"]
    ]
    return pa.Table.from_pylist(found, schema=EXAMPLE)


def divide(
    rows: pa.Table, *, held_shops: Sequence[str] = (), held_share: float = 0.05, seed: int = 0
) -> pa.Table:  # fmt: skip
    """The examples, each in its split; some categories and brands, `held_share` of the rest each, are held out."""
    things = [
        splits.Thing(**{name: row[name] for name in ("shop", "product_id", "category", "brand", "group_id",
                        "generator")}, pictures=tuple(row["pictures"]))
        for row in rows.to_pylist()
    ]  # fmt: skip
    known = [thing for thing in things if thing.shop not in set(held_shops) and not thing.generator]
    if not known:
        raise ConfigError("no product to train on", expected="shops that are not held out, refreshed, with pictures")
    held = {name: splits.hold_out([getattr(thing, name) for thing in known], share=held_share, seed=seed)
            for name in ("category", "brand")}  # fmt: skip
    found = splits.split(things, held_shops=held_shops, held_categories=held["category"], held_brands=held["brand"],
                         seed=seed)  # fmt: skip
    return rows.set_column(rows.schema.get_field_index("split"), EXAMPLE.field("split"), pa.array(found))


def of_split(rows: pa.Table, split: str) -> dict[str, pa.Table]:
    """The examples of one split, by shop. Raises ConfigError where generated ones would judge."""
    kept = rows.filter(pa.array([name == split for name in rows["split"].to_pylist()], pa.bool_()))
    if split != splits.TRAIN and any(kept["generator"].to_pylist()):
        raise ConfigError(
            f"generated products in {split}", expected="them in TRAIN alone", do="divide the examples again"
        )
    of = kept["shop"].to_pylist()
    return {shop: kept.filter(pa.array([name == shop for name in of])) for shop in dict.fromkeys(of)}


def counts(rows: pa.Table) -> dict[str, int]:
    """How many examples each split has."""
    found = Counter(name or "left out" for name in rows["split"].to_pylist())
    drawn = sum(map(bool, rows["generator"].to_pylist()))
    return dict(sorted(found.items())) | ({"generated (among them)": drawn} if drawn else {})


def pairs(store: Store, rows: pa.Table, model: Model, folder: Path) -> list[Pairs]:
    """What a training learns from: one source a shop, and one for what was generated for it, with its pictures in a
    file of `folder`, mapped into memory.

    A shop's share of the batches is the square root of its pictures': large shops must not drown small ones.
    """
    sources = []
    for (shop, drawn), own in _sources(rows):
        said = captions(own)
        place = {content: i for i, content in enumerate(said)}
        side = model.image_size_px
        file = folder / f"{shop}{'-generated' if drawn else ''}.npy"
        squares = np.lib.format.open_memmap(file, "w+", np.uint8, (len(place), 3, side, side))
        for content, square in load_squares(store.within(f"shops/{shop}"), list(place), model):
            squares[place[content]] = square.transpose(2, 0, 1)
        sources.append(Pairs(squares, list(said.values()), share=len(place) ** 0.5, vary=VARY, generated=drawn))
    return sources


def _sources(rows: pa.Table) -> Iterable[tuple[tuple[str, bool], pa.Table]]:
    """What shops sell and what was generated, apart."""
    for shop, own in of_split(rows, splits.TRAIN).items():
        generated = np.array([bool(generator) for generator in own["generator"].to_pylist()], dtype=bool)
        for drawn in (False, True):
            if (generated == drawn).any():
                yield (shop, drawn), own.filter(pa.array(generated == drawn))


def load_squares(store: Store, contents: Sequence[str], model: Model) -> Iterable[tuple[str, np.ndarray]]:
    """Pictures of a shop by content, [side, side, 3], in the order of its packs."""
    for names, jpegs in pictures.load(store, contents):
        for name, jpeg in zip(names, jpegs, strict=True):
            yield name, to_square(jpeg, model)


def captions(rows: pa.Table) -> dict[str, list[str]]:
    """Every caption that is true of each picture."""
    found: dict[str, dict[str, None]] = {}
    for row in rows.to_pylist():
        for content in row["pictures"]:
            found.setdefault(content, {}).update(dict.fromkeys(row["captions"]))
    return {content: list(said) for content, said in found.items()}
