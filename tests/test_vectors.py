"""The vector shelf: each content encoded once, order kept, models never mixed, bad vectors refused."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pluribus import tables, vectors
from pluribus.errors import ModelError, ReleaseError
from pluribus.store import Store


def some(n: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(n, 16))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def keys(*texts: str) -> list[bytes]:
    return [vectors.text_key(text) for text in texts]


def held(shelf: vectors.Shelf, of: list[bytes]) -> list[bool]:
    found: list[bool] = shelf.holds(vectors.keys_column(of)).tolist()
    return found


def test_what_is_added_comes_back_in_any_order(store: Store) -> None:
    shelf = vectors.Shelf(store, "model1", 16)
    shelf.add(keys("a", "b"), some(2))
    shelf.add(keys("c"), some(1, seed=1))
    again = vectors.Shelf(store, "model1", 16)
    assert held(again, keys("x", "b", "x", "c")) == [False, True, False, True]
    found = again.get(keys("c", "a", "c", "b"))
    expected = np.concatenate([some(1, seed=1), some(2)[:1], some(1, seed=1), some(2)[1:]])
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_what_lacks_a_vector_is_told_once_and_the_rest_counted(store: Store) -> None:
    shelf = vectors.Shelf(store, "model1", 16)
    shelf.add(keys("a", "b"), some(2))
    shelf.add(keys("c"), some(1))
    for column in (vectors.keys_column, vectors.mapped_keys):
        lacking, known = shelf.lacking(column(keys("x", "b", "x", "a", "b", "y")))
        assert (lacking.tolist(), known) == ([True, False, False, False, False, True], 2)
        assert shelf.lacking(column([]))[1] == 0 and held(shelf, []) == []


def test_equal_keys_are_told_wherever_a_piece_ends(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "KEPT_KEYS", 3)
    said = [f"{n // 2}" for n in range(40)]
    lacking, known = vectors.Shelf(store, "model1", 16).lacking(vectors.keys_column(keys(*said)))
    assert (lacking.tolist(), known) == ([True, False] * 20, 0)


def test_keys_that_begin_alike_are_told_apart(store: Store) -> None:
    alike = [bytes(8) + bytes([n]) + bytes(23) for n in range(4)]
    shelf = vectors.Shelf(store, "model1", 16)
    shelf.add(alike[1:3], some(2))
    for of, expected in ((alike, [True, False, False, True]), (alike[3:], [True]), (alike[1:2], [False])):
        assert shelf.lacking(vectors.keys_column(of))[0].tolist() == expected


def test_keys_that_end_in_zeros_are_keys_like_others(store: Store) -> None:
    zeros, ones = bytes(32), b"\1" + bytes(31)
    shelf = vectors.Shelf(store, "model1", 16)
    shelf.add([zeros], some(1))
    assert held(shelf, [ones, zeros]) == [False, True]


def test_another_model_sees_none_of_it(store: Store) -> None:
    vectors.Shelf(store, "model1", 16).add(keys("a"), some(1))
    other = vectors.Shelf(store, "model2", 16)
    assert held(other, keys("a")) == [False]
    with pytest.raises(ReleaseError, match="1 vectors are not"):
        other.get(keys("a"))


def test_bad_vectors_never_reach_the_shelf(store: Store) -> None:
    shelf = vectors.Shelf(store, "model1", 16)
    for value in (2, np.nan, np.inf, 0):
        for kind in (np.float16, np.float32, np.float64):
            rows = some(vectors.CHECKED_ROWS + 1).astype(kind)
            rows[-1] = [value] + 15 * [0]
            with pytest.raises(ModelError, match="unit"):
                shelf.add(keys(*map(str, range(len(rows)))), rows)
    with pytest.raises(ModelError, match="width"):
        shelf.add(keys("a"), some(1)[:, :8])
    assert held(vectors.Shelf(store, "model1", 16), keys("a")) == [False]


def test_magnitudes_of_fp16_are_exact() -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    found, finite = vectors._magnitudes(every), np.isfinite(every)
    np.testing.assert_array_equal(found[finite], np.abs(every[finite]).astype(np.float32))
    assert found[~finite].min() == 65_536


def test_a_text_and_a_picture_never_share_a_key() -> None:
    assert vectors.text_key("x") != vectors.picture_key("00" * 32)
    assert len(vectors.picture_key("00" * 32)) == len(vectors.text_key("")) == 32


def _column(rows: np.ndarray, present: np.ndarray) -> pa.Array:
    """As releases had them before they were mapped: null where not present."""
    return pa.array([row.tobytes() if there else None for row, there in zip(rows, present, strict=True)],
                    pa.binary(2 * rows.shape[1]))  # fmt: skip


def test_columns_keep_blanks_and_slices() -> None:
    rows = some(5).astype(np.float16)
    table = pa.table({"v": _column(rows, np.array([True, False, True, True, True]))}).slice(1, 3)
    assert table["v"].null_count == 1
    expected = rows[1:4].copy()
    expected[0] = 0
    np.testing.assert_array_equal(vectors.fp16(table["v"], 16), expected)


FUSED = np.eye(3, 4, dtype=np.float16)
SEEN = np.array([True, False, True])
EVERY = np.ones(3, bool)
SPACE = vectors.Space(FUSED, FUSED * SEEN[:, None], FUSED, SEEN, EVERY)


def _same(a: vectors.Space, b: vectors.Space) -> bool:
    return all(np.array_equal(part, vars(b)[name]) for name, part in vars(a).items())


def test_a_space_is_what_was_built_with_zeros_where_a_part_is_missing(tmp_path: Path) -> None:
    vectors.write_space(tmp_path / "mapped", SPACE)
    assert _same(vectors.read_space(tmp_path / "mapped", 4), SPACE)
    assert vectors.width_of(tmp_path / "mapped") == 4


def test_a_part_that_no_product_has_takes_no_room(tmp_path: Path) -> None:
    wordless = vectors.Space(FUSED, FUSED, np.zeros_like(FUSED), EVERY, ~EVERY)
    vectors.write_space(tmp_path / "mapped", wordless)
    assert "text" not in tables.mapped(tmp_path / "mapped").schema.names
    assert _same(vectors.read_space(tmp_path / "mapped", 4), wordless)


def test_a_space_of_an_older_release_is_read(tmp_path: Path) -> None:
    columns = {"fused": _column(FUSED, EVERY), "image": _column(FUSED, SEEN), "text": _column(FUSED, EVERY)}
    table = pa.table(columns)
    tables.write(tmp_path / "vectors.parquet", table.to_batches(), table.schema)
    assert _same(vectors.read_space(tmp_path / "vectors.parquet", 4), SPACE)
    assert vectors.width_of(tmp_path / "vectors.parquet") == 4
    assert vectors.space_file(["vectors.parquet"]) == "vectors.parquet"


def test_a_space_that_is_damaged_or_of_another_width_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mapped"
    vectors.write_space(path, SPACE)
    with pytest.raises(ReleaseError, match="holds"):
        vectors.read_space(path, 8)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ReleaseError, match="damaged"):
        vectors.read_space(path, 4)
