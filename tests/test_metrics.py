"""Metrics against other people's code and their definitions; ties never flatter; chance is what chance gives."""

import numpy as np
import pytest
import pytrec_eval
from sklearn.metrics import accuracy_score, f1_score

from pluribus import metrics
from pluribus.metrics import rankings

#: Ours -> trec_eval's. Its recip_rank looks at the whole ranking, as ours does.
TREC = {
    "hits@1": "success_1", "hits@5": "success_5", "hits@10": "success_10", "mrr": "recip_rank",
    "ndcg@10": "ndcg_cut_10", "recall@1": "recall_1", "recall@10": "recall_10", "precision@1": "P_1",
    "precision@10": "P_10",
}  # fmt: skip


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def drawn(
    seed: int, n: int = 60, m: int = 30, groups: int = 20
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    gallery, queries = unit(rng.normal(size=(n, 8))), unit(rng.normal(size=(m, 8)))
    of = rng.integers(0, groups, n)
    return queries, gallery, rng.choice(of, m), of


def made(ranks: list[int], n_gallery: int = 100) -> metrics.Ranked:
    """Rankings with one right item each, at these ranks."""
    first = np.array(ranks)
    right = first[:, None] == np.arange(1, metrics.DEPTH + 1)
    blank = np.zeros(right.shape)
    return metrics.Ranked(first, blank.astype(int), blank, right, np.ones(len(first), int), n_gallery)


@pytest.mark.parametrize("seed", range(8))
def test_every_metric_agrees_with_trec_eval(seed: int) -> None:
    """On random data, small and larger galleries, groups of one to many."""
    queries, gallery, wanted, of = drawn(seed, n=[60, 7, 300][seed % 3], groups=[20, 3, 5][seed % 3])
    ranked = metrics.rank(queries, gallery, wanted, of)
    judged = {f"q{i}": {f"d{j}": int(of[j] == g) for j in range(len(of))} for i, g in enumerate(wanted)}
    cosines = queries.astype(np.float32) @ gallery.astype(np.float32).T
    run = {f"q{i}": {f"d{j}": float(s) for j, s in enumerate(row)} for i, row in enumerate(cosines)}
    asked = {"success.1,5,10", "recip_rank", "ndcg_cut.10", "recall.1,10", "P.1,10"}
    theirs = pytrec_eval.RelevanceEvaluator(judged, asked).evaluate(run)
    assert set(TREC) == set(metrics.METRICS)
    for name, metric in metrics.METRICS.items():
        expected = [theirs[f"q{i}"][TREC[name]] for i in range(len(queries))]
        assert metric.of(ranked) == pytest.approx(np.array(expected), abs=1e-9), name


@pytest.mark.parametrize("seed", range(5))
def test_classification_agrees_with_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, said = rng.integers(0, 6, 200), rng.integers(0, 8, 200)
    ours = metrics.f1(truth, said, 8)
    for value, average in ((ours.weighted, "weighted"), (ours.macro, "macro")):
        assert value == pytest.approx(f1_score(truth, said, average=average, zero_division=0), abs=1e-9)
    assert ours.accuracy == pytest.approx(accuracy_score(truth, said), abs=1e-9)
    (weighted, *_) = metrics.f1_scores("x", truth, said, 8)
    assert weighted.low < weighted.value < weighted.high


@pytest.mark.parametrize("name", sorted(metrics.METRICS))
def test_a_perfect_ranking_beats_a_shuffled_one(name: str) -> None:
    of = metrics.METRICS[name].of
    ranks = np.random.default_rng(0).integers(1, 100, 100)
    perfect = of(made([1] * 100)).mean()
    assert perfect == pytest.approx(0.1 if name == "precision@10" else 1.0)
    assert perfect > of(made(list(ranks))).mean() + 0.01


@pytest.mark.parametrize("name", sorted(metrics.METRICS))
def test_chance_is_what_random_order_gives(name: str) -> None:
    metric, rng, n_gallery = metrics.METRICS[name], np.random.default_rng(0), 40
    for m in (1, 3):
        shuffled = rng.random((20_000, n_gallery)).argsort(axis=1)[:, :m]
        right = np.zeros((20_000, n_gallery), bool)
        np.put_along_axis(right, shuffled, True, axis=1)
        random = metrics.Ranked(1.0 + shuffled.min(axis=1), shuffled, shuffled, right[:, :10], np.full(20_000, m),
                                n_gallery)  # fmt: skip
        (expected,) = metric.chance(n_gallery, np.array([m]))
        assert metric.of(random).mean() == pytest.approx(expected, abs=0.012)


@pytest.mark.parametrize("name", [name for name, metric in metrics.METRICS.items() if metric.drawn])
def test_a_smaller_gallery_is_the_mean_over_its_draws(name: str) -> None:
    """The closed form against really drawing galleries of 30 out of 90, the right items always among them."""
    metric, rng = metrics.METRICS[name], np.random.default_rng(0)
    queries, gallery, wanted, of = drawn(1, n=90, m=12, groups=40)
    score = next(s for s in metrics.ranking_scores("x", metrics.rank(queries, gallery, wanted, of), n_gallery=30)
                 if s.name == f"x {name}")  # fmt: skip
    totals = []
    for _ in range(150):
        for query, group in zip(queries, wanted, strict=True):
            right = np.flatnonzero(of == group)
            kept = np.concatenate([right, rng.permutation(np.flatnonzero(of != group))[: 30 - len(right)]])
            totals.append(metric.of(metrics.rank(query[None], gallery[kept], np.array([group]), of[kept]))[0])
    assert score.value == pytest.approx(np.mean(totals), abs=0.02)
    assert score.note == "gallery of 30"


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, gallery, wanted, of = drawn(3, n=500, m=40, groups=100)
    whole = metrics.rank(queries, gallery, wanted, of)
    monkeypatch.setattr(rankings, "CHUNK", 37)
    monkeypatch.setattr(rankings, "BLOCK", 7)
    pieces = metrics.rank(queries, gallery, wanted, of)
    assert (whole.first == pieces.first).all() and (whole.top == pieces.top).all()
    order = np.argsort(-(queries @ gallery.T), axis=1)
    assert (whole.top == order[:, :10]).all()


def test_ties_count_against_us() -> None:
    """A model that gives every product the same vector must not look perfect, in any metric."""
    same = np.repeat(unit(np.ones((1, 4))), 30, axis=0)
    ranked = metrics.rank(same[:5], same, np.arange(5), np.arange(30))
    assert list(ranked.first) == [30] * 5
    assert not ranked.right.any()


def test_no_right_item_is_a_miss() -> None:
    queries, gallery, _, of = drawn(0)
    ranked = metrics.rank(queries[:3], gallery, np.array([99, 99, 99]), of)
    assert all((metric.of(ranked) == 0).all() for metric in metrics.METRICS.values())


def test_interval_covers_the_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for seed in range(200):
        low, high = metrics.interval(rng.random(120), draws=300, seed=seed)
        inside += low < 0.5 < high
    assert 0.90 <= inside / 200 <= 0.99


def test_mred_and_being_less_wrong_by_their_definitions() -> None:
    missed = np.array([True, True, False, False, False, False])
    slices = np.array(["a", "a", "a", "b", "b", "b"])
    assert metrics.mred(missed, slices) == pytest.approx(-1 / 3)  # 2/3 and 0, both 1/3 off
    assert metrics.mred(missed, np.array(list("abcabc"))) == pytest.approx(-((1 / 6) + (1 / 6) + (1 / 3)) / 3)
    gold, near = np.array([[1.0, 0], [1, 0]]), np.array([[0.6, 0.8], [1, 0]])
    assert metrics.less_wrong(gold, near, np.array([True, False])) == pytest.approx(0.6)
