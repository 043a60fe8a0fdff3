"""Every entry of INDEXES keeps its promise against brute force: recall AND scores, filters included."""

from pathlib import Path

import numpy as np
import pytest

from pluribus import indexes
from pluribus.errors import ConfigError, ReleaseError

WIDTH = 32


def clusters(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(50, WIDTH))
    found = centres[rng.integers(0, 50, n)] + 0.4 * rng.normal(size=(n, WIDTH))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float16)


@pytest.fixture(scope="module", params=sorted(indexes.INDEXES))
def built(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[indexes.Built, np.ndarray, Path]:
    vectors = clusters(3000)
    queries = {"picture": vectors[:100], "text": clusters(100, seed=1)}
    made = indexes.build(request.param, vectors, queries=queries, promise=0.95)
    path = tmp_path_factory.mktemp("index") / "index.faiss"
    path.write_bytes(made.data)
    return made, vectors, path


def test_recall_and_scores_against_brute_force(built: tuple[indexes.Built, np.ndarray, Path]) -> None:
    made, vectors, path = built
    index = indexes.load(path, width=WIDTH, n=len(vectors))
    asked = clusters(50, seed=2).astype(np.float32)
    _, true_places = indexes.exact_scores(asked, vectors, 10)
    scores, places = indexes.search(index, asked, 10)
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(places, true_places, strict=True)])
    assert recall >= 0.9
    told = np.einsum("mkd,md->mk", vectors[places].astype(np.float32), asked)
    np.testing.assert_allclose(scores, told, atol=2e-3)
    assert set(made.recall) == {"picture", "text"}
    assert min(made.recall.values()) >= 0.95


def test_a_filter_is_exact_even_when_it_keeps_almost_nothing(built: tuple[indexes.Built, np.ndarray, Path]) -> None:
    _, vectors, path = built
    index = indexes.load(path, width=WIDTH, n=len(vectors))
    _, places = indexes.search(index, clusters(5, seed=3), 4, allowed=np.array([7, 2900]))
    assert all(set(row) == {7, 2900, -1} for row in places)


def test_the_wrong_index_is_refused(built: tuple[indexes.Built, np.ndarray, Path], tmp_path: Path) -> None:
    _, vectors, path = built
    with pytest.raises(ReleaseError, match="3000 vectors of 32"):
        indexes.load(path, width=WIDTH, n=len(vectors) + 1)
    (tmp_path / "cut").write_bytes(path.read_bytes()[:100])
    with pytest.raises(ReleaseError, match="not a faiss index"):
        indexes.load(tmp_path / "cut", width=WIDTH, n=len(vectors))


def test_a_query_that_is_not_finite_is_refused(built: tuple[indexes.Built, np.ndarray, Path]) -> None:
    _, vectors, path = built
    index = indexes.load(path, width=WIDTH, n=len(vectors))
    with pytest.raises(ValueError, match="finite"):
        indexes.search(index, np.full((1, WIDTH), np.nan), 3)


def test_small_shops_are_exact_and_unknown_kinds_are_refused() -> None:
    assert indexes.choose("auto", 20_000, 20_000) == "exact"
    assert indexes.choose("auto", 20_001, 20_000) == "ivf"
    with pytest.raises(ConfigError, match="exact"):
        indexes.choose("hnsw9000", 5, 10)


def test_equal_vectors_do_not_count_as_misses() -> None:
    """Variants share a picture and a text: any of the equal ones is as right as another."""
    vectors = np.repeat(clusters(40), 50, axis=0)
    made = indexes.build("ivf", vectors, queries={"picture": vectors[::50]}, promise=0.95)
    assert made.recall["picture"] == 1.0


def test_one_product_is_a_shop_too() -> None:
    made = indexes.build(
        "exact", clusters(1), queries={"picture": clusters(1), "text": np.zeros((0, WIDTH))}, promise=0.95
    )
    assert made.recall == {"picture": 1.0}
