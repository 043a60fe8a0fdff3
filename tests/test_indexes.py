"""Every entry of INDEXES keeps its promise against brute force: recall AND scores, filters included."""

from pathlib import Path

import numpy as np
import pytest

from pluribus import indexes
from pluribus.errors import ReleaseError
from pluribus.records import Index

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
    made = indexes.build(Index(kind=request.param), vectors, queries=queries)
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


def test_who_asks_for_all_gets_all(built: tuple[indexes.Built, np.ndarray, Path]) -> None:
    """Inverted lists answer only from the lists they look at: more of them, where those hold too little."""
    _, vectors, path = built
    index = indexes.load(path, width=WIDTH, n=len(vectors))
    _, places = indexes.search(index, clusters(3, seed=4), 2900)
    assert (places >= 0).all() and all(len(set(row)) == 2900 for row in places)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="what a process maps can be read on Linux only")
def test_processes_share_the_pages_of_an_index(built: tuple[indexes.Built, np.ndarray, Path]) -> None:
    _, vectors, path = built
    index = indexes.load(path, width=WIDTH, n=len(vectors))
    assert index.ntotal and str(path) in Path("/proc/self/maps").read_text()


@pytest.mark.parametrize(
    ("n", "memory_mb", "kinds"),
    [(20_000, 1, ["exact"]), (20_001, 100, ["ivf", "exact"]), (1_000_000, 50, ["ivf8"])],
)  # fmt: skip
def test_the_type_follows_size_and_memory_and_says_so(n: int, memory_mb: int, kinds: list[str]) -> None:
    chosen, why = indexes.choose(Index(memory_mb=memory_mb), (n, WIDTH))
    assert chosen == kinds
    assert why.startswith(f"{kinds[0]}: {n:,} products")


def test_what_fits_nowhere_and_unknown_kinds_are_refused() -> None:
    with pytest.raises(ReleaseError, match="take 32 MB in the smallest index"):
        indexes.choose(Index(memory_mb=10), (1_000_000, WIDTH))
    with pytest.raises(ReleaseError, match="exact"):
        indexes.choose(Index(kind="hnsw9000"), (5, WIDTH))


def test_lists_that_miss_the_promise_give_way_to_exact_search() -> None:
    """Noise has no neighbourhoods: only all lists together keep 0.999."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(2_000, 128))
    noise = (noise / np.linalg.norm(noise, axis=1, keepdims=True)).astype(np.float16)
    asked = -noise[:100] + noise[100:200]
    made = indexes.build(Index(exact_up_to=1_000, recall_at_10=0.999), noise, queries={"text": asked})
    assert made.kind == "exact" and made.recall["text"] == 1.0
    assert "so the next" in made.why


def test_equal_vectors_do_not_count_as_misses() -> None:
    """Variants share a picture and a text: any of the equal ones is as right as another."""
    vectors = np.repeat(clusters(40), 50, axis=0)
    made = indexes.build(Index(kind="ivf"), vectors, queries={"picture": vectors[::50]})
    assert made.recall["picture"] == 1.0


def test_the_promise_is_kept_on_queries_that_were_not_the_sample(tmp_path: Path) -> None:
    vectors = clusters(6_000)
    made = indexes.build(Index(kind="ivf", recall_at_10=0.9), vectors, queries={"text": clusters(200, seed=5)})
    asked = clusters(1_000, seed=6).astype(np.float32)
    (tmp_path / "index.faiss").write_bytes(made.data)
    index = indexes.load(tmp_path / "index.faiss", width=WIDTH, n=len(vectors))
    _, true_places = indexes.exact_scores(asked, vectors, 10)
    _, places = indexes.search(index, asked, 10)
    assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(places, true_places, strict=True)]) >= 0.9
    assert made.settings["nprobe"] < made.settings["nlist"]


def test_one_product_is_a_shop_too() -> None:
    made = indexes.build(Index(), clusters(1), queries={"picture": clusters(1), "text": np.zeros((0, WIDTH))})
    assert made.recall == {"picture": 1.0}
