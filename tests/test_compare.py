"""Comparisons: a path moves along what was asked, meets nothing twice, and says when there is nothing further."""

from itertools import islice

import numpy as np
import pytest

from pluribus import compare, search
from pluribus.compare import trial
from pluribus.compare.prompts import kind_of
from pluribus.compare.routes import METHODS, Question, unit
from pluribus.errors import ConfigError
from pluribus.search import Searcher


@pytest.fixture(scope="module")
def atelier(demo_store: str) -> Searcher:
    return search.open(demo_store, "atelier")


def question(n: int = 60, seed: int = 0) -> Question:
    """Products on an arc from start to end, in noise."""
    rng = np.random.default_rng(7)
    array = unit(rng.normal(size=(n, 8)) * 0.1 + np.outer(np.linspace(-1, 1, n), np.eye(8)[0]) + np.eye(8)[1])
    return Question(array=array, seed=seed, start=-np.eye(8)[:1], end=np.eye(8)[:1], steps=5, per_step=2)


@pytest.mark.parametrize("method", METHODS)
def test_every_way_meets_nothing_twice_and_never_the_seed(method: str) -> None:
    asked = question()
    found = [i for stop in METHODS[method].of(asked) for i in stop]
    assert len(found) == len(set(found)) == 10
    assert asked.seed not in found


@pytest.mark.parametrize("method", ["guided", "published", "text difference"])
def test_ways_with_a_direction_go_towards_the_end_and_not_the_start(method: str) -> None:
    asked = question(seed=20)
    stops = METHODS[method].of(asked)
    means = [float(asked.meter[stop].mean()) for stop in stops]
    assert means[-1] > float(asked.meter[asked.seed])
    assert means[-1] > means[0]


def test_the_same_look_in_another_size_is_met_once() -> None:
    asked = question(30)
    twice = Question(
        array=np.repeat(asked.array, 2, axis=0), seed=0, start=asked.start, end=asked.end, steps=4, per_step=3
    )
    for method in METHODS.values():
        looks = [i // 2 for stop in method.of(twice) for i in stop]
        assert len(looks) == len(set(looks))
        assert 0 not in looks


def test_where_nothing_is_further_the_path_ends() -> None:
    last = question(seed=int(question().meter.argmax()))
    assert METHODS["guided"].of(last) == []


def test_a_walk_keeps_the_category_and_its_meter_rises(atelier: Searcher) -> None:
    walked = 0
    for row in atelier.products.slice(0, 12).to_pylist():
        path = compare.walk(atelier, row["product_id"], more="darker", steps=3)
        meters = [path.meter, *(meter for step in path.steps for meter in step.meters)]
        assert meters == sorted(meters)
        assert {hit.product["category"] for hit in path.hits} <= {row["category"]}
        walked += bool(path.hits)
    assert walked >= 6


def test_own_words_give_the_direction_too(atelier: Searcher) -> None:
    first = atelier.products["product_id"][0].as_py()
    path = compare.walk(atelier, first, start="blue shirt", end="dark blue shirt", same_category=False, steps=2)
    assert (path.asked, path.start, path.end) == ("blue shirt → dark blue shirt", ("blue shirt",), ("dark blue shirt",))
    assert len(path.hits) == 2


@pytest.mark.parametrize(
    "asked",
    [{}, {"more": "darker", "end": "x"}, {"start": "x"}, {"more": "darker", "steps": 0}, {"more": "x" * 999},
     {"more": "darker", "method": "magic"}, {"more": " "}, {"start": " ", "end": "black"},
     {"more": "darker", "length": "longer"}],
)  # fmt: skip
def test_nonsense_is_one_line(atelier: Searcher, asked: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        compare.walk(atelier, atelier.products["product_id"][0].as_py(), **asked)  # type: ignore[arg-type]


def test_an_unknown_product_is_named(atelier: Searcher) -> None:
    with pytest.raises(ConfigError, match="no-such"):
        compare.walk(atelier, "no-such", more="darker")


@pytest.mark.parametrize(
    ("category", "title", "kind"),
    [("Clothing > Dresses", "x", "dress"), ("Watches", "x", "watch"), ("Scarves", "x", "scarf"),
     (None, "Red Mug", "mug"),
     ("A > T-Shirts", "x", "t-shirt"), ("Shorts", "x", "shorts"), (None, None, "product"), ("{0}", "x", "0")],
)  # fmt: skip
def test_a_kind_is_named_in_the_singular(category: str | None, title: str | None, kind: str) -> None:
    assert kind_of({"category": category, "title": title}) == kind


def test_the_rank_correlation_is_spearman_s_with_ties_shared() -> None:
    assert trial.spearman([1, 2, 3, 4], [10, 20, 30, 40]) == pytest.approx(1)
    assert trial.spearman([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1)
    assert trial.spearman([1, 2, 3], [5, 5, 5]) == 0
    # By hand: ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4.
    assert trial.spearman([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(0.9487, abs=1e-4)


def test_ours_beats_the_published_walk_on_drawn_products(atelier: Searcher) -> None:
    galleries = list(islice(trial.drawn(atelier.encoder, 120), 3))
    found = {
        one.method: one
        for one in trial.measure(
            atelier.encoder, galleries, "darker", within="shop", methods=("guided", "published", "random"), seeds=120
        )
    }
    ours = found.pop("guided")
    assert ours.low > 0.5
    assert all(ours.low > other.high for other in found.values())
    assert 0 < ours.distinct <= 1


def test_the_foreground_is_what_differs_from_the_border() -> None:
    picture = np.full((90, 90, 3), 250, np.uint8)
    picture[30:60, 30:60] = 20
    assert trial.foreground_lightness(picture) == pytest.approx(6.3, abs=1)
    assert trial.foreground_lightness(picture[:20]) > 95
