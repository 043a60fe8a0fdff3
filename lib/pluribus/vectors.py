"""The vector shelf of a shop: each content is encoded once per model, ever.

    vectors/<model fingerprint>/<sha256>.parquet     key, vector     append-only parts

A key is the sha256 of what was encoded (`picture_key`, `text_key`); a vector is fp16 in a fixed-size binary column,
which Parquet writes and reads some 40 times faster than a list column (shared design, performance.md 3g). The model's
fingerprint is part of the path, so vectors of two models can never mix.
"""

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pluribus import tables
from pluribus.errors import ModelError, ReleaseError
from pluribus.store import Store

CHECKED_ROWS = 64  # at a time, so that they stay in the processor's cache
READ_ROWS = 2_000  # likewise
KEPT_KEYS = 100_000  # of a shelf: 3 MB
SPACE = "vectors.arrow"  # of a release; it was vectors.parquet, which can be read only whole, before `build` version 4
PARTS = ("fused", "image", "text")
UNIT_TOLERANCE = 0.01  # fp16 rounding of a unit vector of some hundred dimensions stays below 0.002


def picture_key(content: str) -> bytes:
    """The key of a picture, from its name (`images.content_of`)."""
    return bytes.fromhex(content)


def text_key(text: str) -> bytes:
    """The key of a text."""
    return hashlib.sha256(b"text\0" + text.encode("utf-8", "replace")).digest()


class Shelf:
    """The vectors of one shop under one model: keys are read when they are sought, vectors piece by piece."""

    def __init__(self, store: Store, fingerprint: str, width: int) -> None:
        self.store, self.width = store, width
        self.prefix = f"vectors/{fingerprint}/"
        self._parts = [tables.local(store, item.key) for item in store.items(self.prefix)]
        self._kept: dict[Path, pa.Array] = {}

    def _keys_in(self, part: Path) -> pa.Array:
        """The keys of a part. The first ones are kept, all of a small shelf: an evaluation asks thirty times."""
        if (found := self._kept.get(part)) is None:
            found = tables.read(part, ["key"])["key"].combine_chunks()
            if len(found) + sum(map(len, self._kept.values())) <= KEPT_KEYS:
                self._kept[part] = found
        return found

    def holds(self, keys: pa.Array) -> np.ndarray:
        """Which of `keys` have a vector [n]."""
        found = np.zeros(len(keys), bool)
        for part in self._parts:
            found |= tables.bits(pc.is_in(keys, value_set=self._keys_in(part)))
        return found

    def lacking(self, keys: pa.Array) -> tuple[np.ndarray, int]:
        """Which of `keys` [n] have no vector yet, only the first of its like; and how many different ones have one.

        Keys are sorted and those of the shelf, part by part, sought in them: a set of either takes four times the room.
        """
        order = np.argsort(_flat(keys), kind="stable")
        pieces = (_flat(keys)[order[start : start + KEPT_KEYS]] for start in range(0, len(keys), KEPT_KEYS))
        ordered = _flat(mapped_keys(map(np.ndarray.tobytes, pieces)))
        first = np.ones(len(keys), bool)
        first[1:] = ordered[1:] != ordered[:-1]
        lacks, place = first.copy(), _places(ordered)
        for part in self._parts if len(keys) else ():
            there = np.sort(_flat(tables.read(part, ["key"])["key"].combine_chunks()))
            at = place(there)
            lacks[at[ordered[np.minimum(at, len(keys) - 1)] == there]] = False
        found = np.zeros(len(keys), bool)
        found[order[lacks]] = True
        return found, int(first.sum() - lacks.sum())

    def where(self, keys: Sequence[bytes]) -> dict[bytes, str]:
        """The part of the shelf that holds each of `keys`; those that have no vector are left out."""
        wanted = set(keys)
        found: dict[bytes, str] = {}
        for item in self.store.items(self.prefix):
            there = tables.read(tables.local(self.store, item.key), ["key"])["key"].to_pylist()
            found |= dict.fromkeys(wanted.intersection(there), item.key)
        return found

    def add(self, keys: Sequence[bytes], vectors: np.ndarray) -> int:
        """Keep unit vectors [n, width] under their keys; returns the bytes written. Raises ModelError on bad ones."""
        _check(vectors, self.width)
        flat = np.ascontiguousarray(vectors, dtype="<f2").view(np.uint8).reshape(len(keys), 2 * self.width)
        table = pa.table({"key": keys_column(keys), "vector": _fixed(flat)})
        key, size_bytes = tables.keep(self.store, self.prefix, table, packing=tables.UNPACKED)
        self._parts.append(self.store.local(key))
        return size_bytes

    def get(self, keys: Sequence[bytes]) -> np.ndarray:
        """The vectors of `keys`, [n, width] fp16, in order. Raises ReleaseError when one was never encoded."""
        found = np.empty((len(keys), self.width), dtype=np.float16)  # all seen, or never given out
        seen = np.zeros(len(keys), dtype=bool)
        wanted = keys_column(keys)
        for part in self._parts:
            there = pc.index_in(wanted, value_set=self._keys_in(part))
            at = np.frombuffer(there.buffers()[1], np.int32, len(keys))  # `to_numpy`, `fill_null` import pandas
            at = np.where(tables.bits(there.is_valid()), at, -1)
            places = np.argsort(at, kind="stable")  # in the order of the part, which is read once and never held
            start = 0
            for batch in tables.batches(part, READ_ROWS, ["vector"]) if (at >= 0).any() else ():
                first, last = np.searchsorted(at, (start, start + batch.num_rows), sorter=places)
                here = places[first:last]
                found[here] = fp16(batch["vector"], self.width)[at[here] - start]
                start += batch.num_rows
            seen |= at >= 0
        if not seen.all():
            raise ReleaseError(
                f"{int((~seen).sum())} vectors are not in {self.store.url}/{self.prefix}",
                expected="every accepted product to be embedded",
                do="resume from the embed step",
            )
        return found


@dataclass(frozen=True, eq=False)
class Space:
    """The vectors of a release, row by row as its products: [n, width] fp16, zeros where a product lacks the part.

    They are mapped, not read: who takes some rows touches those, and who takes all goes block by block.
    """

    fused: np.ndarray
    image: np.ndarray
    text: np.ndarray
    has_image: np.ndarray  # [n] bool
    has_text: np.ndarray


def space_file(names: Iterable[str]) -> str:
    """Which of a release's files holds its vectors."""
    return SPACE if SPACE in names else "vectors.parquet"


def write_space(path: Path, space: Space, owner: str = "") -> None:
    """Write a release's vectors; a part that no product has takes no room."""
    columns = {"fused": _column(space.fused)}
    for name, rows, there in (("image", space.image, space.has_image), ("text", space.text, space.has_text)):
        columns[f"has_{name}"] = tables.flags(there)
        if there.any():
            columns[name] = _column(rows)
    tables.write_mapped(path, pa.record_batch(columns), owner)


def read_space(path: Path, width: int) -> Space:
    """A release's vectors as arrays. Raises ReleaseError when they are not of this width."""
    if not tables.is_mapped(path):
        return _read_parquet(path, width)
    batch = tables.mapped(path)
    if batch["fused"].type != pa.binary(2 * width):
        raise ReleaseError(f"{path.name} holds {batch['fused'].type}", expected=f"vectors of {width} numbers")
    nothing = np.broadcast_to(np.zeros(width, np.float16), (batch.num_rows, width))
    parts = {name: fp16(batch[name], width) if name in batch.schema.names else nothing for name in PARTS}
    there = {f"has_{name}": tables.bits(batch[f"has_{name}"]) for name in PARTS[1:]}
    return Space(**parts, **there)


def width_of(path: Path) -> int:
    """Of a release's vectors."""
    column = tables.mapped(path)["fused"] if tables.is_mapped(path) else tables.read(path, ["fused"])["fused"]
    return int(column.type.byte_width) // 2


def _read_parquet(path: Path, width: int) -> Space:
    table = tables.read(path)
    parts = {name: fp16(table[name], width) for name in PARTS}
    there = {f"has_{name}": tables.bits(table[name].combine_chunks().is_valid()) for name in PARTS[1:]}
    return Space(**parts, **there)


def checked(vectors: np.ndarray) -> np.ndarray:
    """Vectors [n, width] as they are kept. Raises ModelError when they are not finite unit vectors."""
    _check(vectors, vectors.shape[-1])
    return vectors.astype("<f2")


def fp16(column: pa.ChunkedArray, width: int) -> np.ndarray:
    """A fixed-size binary column as [n, width] fp16; a null is a row of zeros."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    rows = np.frombuffer(array.buffers()[1], dtype="<f2", count=(array.offset + len(array)) * width)
    rows = rows.reshape(-1, width)[array.offset :]
    if array.null_count:
        rows = rows.copy()
        rows[tables.bits(array.is_null())] = 0  # numpy's `where` over fp16 takes ten times as long
    return rows


def _column(vectors: np.ndarray) -> pa.Array:
    """[n, width] as a fixed-size binary column of fp16; without a copy where it is fp16 already."""
    return _fixed(np.ascontiguousarray(vectors, dtype="<f2").view(np.uint8).reshape(len(vectors), -1))


def _fixed(flat: np.ndarray) -> pa.Array:
    return pa.Array.from_buffers(pa.binary(flat.shape[1]), len(flat), [None, pa.py_buffer(flat)])


def keys_column(keys: Iterable[bytes]) -> pa.Array:
    """Keys as a column, never all objects at a time; `pa.array` would import pandas for it."""
    flat = bytearray()
    for key in keys:
        flat += key
    return pa.Array.from_buffers(pa.binary(32), len(flat) // 32, [None, pa.py_buffer(flat)])


def mapped_keys(keys: Iterable[bytes]) -> pa.Array:
    """The same for very many: mapped from a file that has no name any more, so that the kernel may drop them."""
    with tempfile.TemporaryFile() as file:
        file.writelines(keys)
        file.flush()
        flat = np.memmap(file, np.uint8, "r") if file.tell() else np.zeros(0, np.uint8)
    return _fixed(flat.reshape(-1, 32))


def _flat(keys: pa.Array) -> np.ndarray:
    """Keys as numpy sorts and compares them; not for taking out, since it drops zeros at the end."""
    return np.frombuffer(keys.buffers()[1], "S32", len(keys), 32 * keys.offset)


def _places(ordered: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """What tells where keys stand among ordered ones; by their first 8 bytes where those suffice: half the time."""
    starts = _starts(ordered)
    if ((starts[1:] == starts[:-1]) & (ordered[1:] != ordered[:-1])).any():
        return lambda keys: np.searchsorted(ordered, keys)
    return lambda keys: np.searchsorted(starts, _starts(keys))


def _starts(keys: np.ndarray) -> np.ndarray:
    return keys.view(">u8")[::4].astype(np.uint64)


def column_of(numbers: np.ndarray) -> pa.Array:
    """Whole numbers [n] as a column; `pa.array` would import pandas for it."""
    flat = np.ascontiguousarray(numbers, np.int64)
    return pa.Array.from_buffers(pa.int64(), len(flat), [None, pa.py_buffer(flat)])


def _check(vectors: np.ndarray, width: int) -> None:
    if vectors.ndim != 2 or vectors.shape[1] != width:
        raise ModelError(
            f"vectors of shape {vectors.shape}", expected=f"[n, {width}]", do="check the model file's width"
        )
    for first in range(0, len(vectors), CHECKED_ROWS):
        sizes = _magnitudes(vectors[first : first + CHECKED_ROWS])
        if not np.all(np.abs(np.sqrt(np.vecdot(sizes, sizes)) - 1) < UNIT_TOLERANCE):
            raise ModelError("the model gave vectors that are not finite unit vectors", do="check the model's weights")


def _magnitudes(rows: np.ndarray) -> np.ndarray:
    """Numbers without their signs, in single precision; of fp16 by its bits: the ordinary way takes four times as long.

    What is not finite in fp16 becomes 65,536 or more.
    """
    if rows.dtype != np.float16:
        return rows.astype(np.float32, copy=False)
    bits = (rows.view(np.uint16) & 0x7FFF).astype(np.uint32) << 13
    return bits.view(np.float32) * np.float32(2.0**112)  # the difference of the exponents' biases
