"""Ranking in a large shop with an approximate index: what a filter leaves is found whole, and in the right order."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pluribus import indexes, vectors
from pluribus.records import Index
from pluribus.search import ranking
from pluribus.search.ranking import Asked

N, WIDTH = 20_000, 16


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Products of picture only, four of each group, behind inverted lists."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(N, WIDTH)).astype(np.float32)
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)
    path: Path = tmp_path_factory.mktemp("index") / "index.faiss"
    path.write_bytes(indexes.build(Index(kind="ivf"), rows, queries={}).data)
    none, every = np.zeros(N, bool), np.ones(N, bool)
    space = vectors.Space(fused=rows, image=rows, text=np.zeros_like(rows), has_image=every, has_text=none)
    shares = lambda places: (np.ones(len(places), np.float32), np.zeros(len(places), np.float32))
    index = indexes.load(path, width=WIDTH, n=N)
    return SimpleNamespace(index=index, space=space, shares=shares, groups=np.arange(N) // 4)


def asked(words: np.ndarray | None = None, weight: float = 0.0) -> Asked:
    vector = np.zeros((1, WIDTH), np.float32)
    vector[0, 0] = 1
    return Asked(vector, words, weight)


def best(shop: SimpleNamespace, allowed: np.ndarray, k: int) -> list[int]:
    """By brute force: the best of each group, best first."""
    order = allowed[np.argsort(-shop.space.fused[allowed, 0].astype(np.float32), kind="stable")]
    return [int(p) for p in order[np.sort(np.unique(shop.groups[order], return_index=True)[1])][:k]]


@pytest.mark.parametrize("kept", [2, 40, 3_000, 9_000])
def test_what_a_filter_leaves_is_found_whole(shop: SimpleNamespace, kept: int) -> None:
    """From 1 in 10,000 on; 2 come back for k = 20 where there are 2."""
    allowed = np.sort(np.random.default_rng(kept).permutation(N)[:kept])
    found = ranking.rank(shop, asked(), 20, allowed=allowed, diversity=0.0, collapse=True)
    assert found.places.tolist() == best(shop, allowed, 20)
    assert len(found.places) == min(20, len(np.unique(shop.groups[allowed])))


def test_nothing_is_left_nothing_is_found(shop: SimpleNamespace) -> None:
    nobody = np.zeros(0, np.int64)
    assert not len(ranking.rank(shop, asked(), 5, allowed=nobody, diversity=0.5, collapse=True).places)


@pytest.mark.parametrize("diversity", [0.5, 1.0])
def test_nothing_is_found_twice_however_diverse(shop: SimpleNamespace, diversity: float) -> None:
    found = ranking.rank(shop, asked(), 20, allowed=None, diversity=diversity, collapse=True).places
    assert len(set(found.tolist())) == 20


def test_k_groups_come_back_however_many_variants_each_has(shop: SimpleNamespace) -> None:
    found = ranking.rank(shop, asked(), 4_000, allowed=None, diversity=0.0, collapse=True)
    assert len(found.places) == 4_000 == len(np.unique(shop.groups[found.places]))


def test_what_only_the_words_find_is_found(shop: SimpleNamespace) -> None:
    far = int(np.argmin(shop.space.fused[:, 0].astype(np.float32)))
    words = np.zeros(N, np.float32)
    words[far] = 1.0
    found = ranking.rank(shop, asked(words, 0.8), 3, allowed=None, diversity=0.0, collapse=True)
    assert found.places[0] == far
    assert found.parts["lexical"][0] == pytest.approx(0.8)
