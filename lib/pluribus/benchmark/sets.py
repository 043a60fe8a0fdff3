"""Sets: what models are measured on, checked and put into the store before any model is asked.

    shop:NAME      the live release of a shop of the store
    folder:PATH    a folder or tar with a folder of pictures a class
    fmnist:PATH    the same of Fashion-MNIST, whose folders 0 to 9 get the names of their classes
    csv:PATH       a table of pictures and labels, the pictures beside it

Labelled pictures lie in the store under the digest of their content, so that runs share them and a report can say
exactly what was asked: benchmarks/sets/<digest>.parquet.
"""

import csv
import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from pluribus import releases, texts
from pluribus.errors import ConfigError
from pluribus.store import Store
from pluribus.train import judging, tuning

CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
#: Shapes of a CSV, told by its header: (columns of the picture, columns of the label), lower case.
SHAPES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "KAGL": (("id",), ("articletype",)),  # Kaggle's Fashion Product Images: styles.csv, images/<id>.jpg
    "DEEP": (("image_name",), ("category_name", "category_label")),  # DeepFashion: img/…/img_00000001.jpg
    "": (("image_path", "image", "image_name", "path", "filename", "file", "picture"),
         ("label", "category", "class", "category_name", "articletype", "product_type")),
}  # fmt: skip
ENDINGS = ("", ".jpg", ".jpeg", ".png")


@dataclass(frozen=True, kw_only=True)
class Set:
    """One data set, ready to be measured on by any machine that sees the store."""

    kind: str
    name: str
    place: str  # as it was asked for
    like: str = ""  # its name in published tables
    key: str = ""  # of its labelled pictures
    release: str = ""  # of a shop
    n: int = 0  # pictures; of a shop the most that are looked at
    note: str = ""


def names(text: str) -> list[str]:
    """The names of "a,b", each once. Raises ConfigError where there are none."""
    found = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not found:
        raise ConfigError(f"{text!r} names nothing", expected="names separated by commas")
    return found


def asked(text: str) -> list[tuple[str, str]]:
    """(kind, place) of each part of "shop:atelier,folder:PATH". Raises ConfigError."""
    parts = names(text)
    found = [(kind, place) for kind, colon, place in (part.partition(":") for part in parts) if colon and place]
    if len(found) < len(parts) or any(kind not in KINDS for kind, _ in found):
        raise ConfigError(f"data {text!r}", expected=", ".join(f"{kind}:…" for kind in KINDS) + ", joined by commas")
    return found


def gather(store: Store, wanted: Sequence[tuple[str, str]], most: int) -> list[Set]:
    """The sets asked for, at most `most` pictures of each. Raises ConfigError, ReleaseError."""
    found = [KINDS[kind](store, place, most) for kind, place in wanted]
    called = [of.name for of in found]
    twice = {name for name in called if called.count(name) > 1}
    return [replace(of, name=of.place) if of.name in twice else of for of in found]


def shop(store: Store, place: str, most: int) -> Set:
    """A published shop: its release is pinned, so that all models see the same products."""
    live = releases.open_release(store.within(f"shops/{place}"), shop=place)
    return Set(kind="shop", name=place, place=f"shop:{place}", like="shop", release=live.manifest.release, n=most)


def folder(store: Store, place: str, most: int) -> Set:
    """Folders named after their classes."""
    labelled = judging.labelled_in(Path(place))
    _words(place, labelled["label"].to_pylist())
    return _kept(store, Set(kind="folder", name=_name(Path(place)), place=f"folder:{place}"), labelled, most)


def fmnist(store: Store, place: str, most: int) -> Set:
    """Folders 0 to 9."""
    labelled = judging.labelled_in(Path(place))
    numbers = labelled["label"].to_pylist()
    if set(numbers) != set(map(str, range(len(CLASSES)))):
        raise ConfigError(f"{place} has folders {', '.join(sorted(set(numbers))[:12])}", expected="0 to 9",
                          do=f"say folder:{place} where folders are named after their classes")  # fmt: skip
    named = pa.table([pa.array([CLASSES[int(n)] for n in numbers]), labelled["picture"]], schema=judging.LABELLED)
    return _kept(store, Set(kind="fmnist", name="F-MNIST", like="F-MNIST", place=f"fmnist:{place}"), named, most)


def table(store: Store, place: str, most: int) -> Set:
    """A CSV. Classes of fewer than `texts.LABEL_LEAST` pictures are left out, and counted."""
    like, rows = _rows(Path(place))
    labels = texts.common([label for _, label in rows])
    kept = [(file, label) for (file, _), label in zip(rows, labels, strict=True) if label]
    drawn = [kept[i] for i in _drawn(len(kept), most)]
    files = [(_beside(Path(place).parent, file), label) for file, label in drawn]
    found = [{"label": label, "picture": file.read_bytes()} for file, label in files if file]
    said = {"rows of rare classes": len(rows) - len(kept), "rows without a picture": len(drawn) - len(found)}
    if len({row["label"] for row in found}) < 2:
        raise ConfigError(
            f"{place} names {len(rows):,} pictures, and {len(found):,} of {len(drawn):,} looked for lie beside it",
            expected=f"2 classes of {texts.LABEL_LEAST} pictures or more, in its folder or in images/",
        )
    few = [f"{len(drawn):,} of {len(kept):,} pictures drawn"] if len(drawn) < len(kept) else []
    note = "; ".join(few + [f"{n:,} {what} left out" for what, n in said.items() if n])
    of = Set(kind="csv", name=like or Path(place).stem, like=like, place=f"csv:{place}", note=note)
    return _kept(store, of, pa.Table.from_pylist(found, schema=judging.LABELLED), most)


KINDS: dict[str, Callable[[Store, str, int], Set]] = {"shop": shop, "folder": folder, "fmnist": fmnist, "csv": table}


def _rows(place: Path) -> tuple[str, list[tuple[str, str]]]:
    """The shape of a CSV, and (picture, label) of each of its rows that has both. Raises ConfigError."""
    try:
        text = place.read_text("utf-8-sig")
        head = text.partition("\n")[0]
        lines = list(csv.reader(io.StringIO(text), delimiter=max(",;\t", key=head.count)))
    except (OSError, ValueError, csv.Error) as error:
        raise ConfigError(f"{place} cannot be read: {error}", expected="a CSV in UTF-8") from None
    columns = [name.strip().lower() for name in lines[0]] if lines else []
    for shape, names in SHAPES.items():
        of = [next((columns.index(name) for name in some if name in columns), -1) for some in names]
        if -1 not in of:
            cells = [(line[of[0]].strip(), line[of[1]].strip()) for line in lines[1:] if len(line) > max(of)]
            rows = [(file, label) for file, label in cells if file and label]
            _words(str(place), [label for _, label in rows])
            return shape, rows
    expected = "; or ".join(f"{' or '.join(image)}, with {' or '.join(label)}" for image, label in SHAPES.values())
    raise ConfigError(f"{place} has the columns {', '.join(columns)[:200]}", expected=expected)


def _beside(folder: Path, name: str) -> Path | None:
    """The picture of this name in the folder of a CSV or its images/; nothing outside of it."""
    for inside in (folder, folder / "images"):
        for ending in ENDINGS:
            path = inside / f"{name}{ending}"
            if "\0" not in name and path.resolve().is_relative_to(folder.resolve()) and path.is_file():
                return path
    return None


def _words(place: str, labels: Sequence[str]) -> None:
    """Raises ConfigError where labels are numbers: no model can read them."""
    if labels and all(label.isdigit() for label in labels):
        raise ConfigError(f"the classes of {place} are numbers: {', '.join(sorted(set(labels))[:5])} …",
                          expected="words", do="for Fashion-MNIST say fmnist:PATH")  # fmt: skip


def _kept(store: Store, of: Set, labelled: pa.Table, most: int) -> Set:
    """The set with its pictures in the store."""
    drawn = labelled.take(_drawn(labelled.num_rows, most))
    digest = hashlib.sha256()
    for label, picture in zip(drawn["label"].to_pylist(), drawn["picture"].to_pylist(), strict=True):
        digest.update(f"{label}\0{len(picture)}\0".encode() + picture)
    key = f"benchmarks/sets/{digest.hexdigest()}.parquet"
    if not any(True for _ in store.items(key)):
        tuning.keep(store, key, drawn)
    said = f"{drawn.num_rows:,} of {labelled.num_rows:,} pictures drawn" if drawn.num_rows < labelled.num_rows else ""
    return replace(of, key=key, n=drawn.num_rows, note="; ".join(filter(None, [of.note, said])))


def _drawn(n: int, most: int) -> np.ndarray:
    return np.sort(np.random.default_rng(0).permutation(n)[:most])


def _name(place: Path) -> str:
    return place.name if place.is_dir() else f"{place.parent.name}/{place.name.split('.')[0]}"
