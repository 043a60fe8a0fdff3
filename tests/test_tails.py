"""Tails: laws that are known are found again, head shares and divergences are exact, too little is said."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from pluribus import tails
from pluribus.cli import app
from pluribus.errors import FeedError, PluribusError
from pluribus.feeds import logs
from pluribus.records import Limits


def drawn(alpha: float, rate: float, *, x_min: int = 1, n: int = 50_000, seed: int = 1) -> np.ndarray:
    """Counts of a law that is known, by inverse transform of its exact sums."""
    k = np.arange(x_min, 2_000_000, dtype=float)
    reached = np.cumsum(k**-alpha * np.exp(-rate * k))
    return x_min + np.searchsorted(reached / reached[-1], np.random.default_rng(seed).random(n))


@pytest.mark.parametrize("alpha", [1.8, 2.32, 2.72, 3.2])
def test_a_power_law_is_found_again(alpha: float) -> None:
    found = tails.fit(drawn(alpha, 0))
    assert found.verdict == "power law"
    assert found.alpha == pytest.approx(alpha, abs=0.05)
    assert found.p is not None and found.p >= tails.SURE


@pytest.mark.parametrize(
    ("alpha", "rate"), [(0.8, 0.02), (1.2, 0.01), (1.5, 0.001), (1.5, 0.05), (2.0, 0.01), (2.5, 0.01)]
)
def test_a_truncated_power_law_is_found_again(alpha: float, rate: float) -> None:
    found = tails.fit(drawn(alpha, rate))
    assert found.verdict == "truncated power law"
    assert found.truncated_alpha == pytest.approx(alpha, abs=0.05)
    assert found.rate == pytest.approx(rate, rel=0.35)
    assert found.ratio is not None and found.ratio < 0
    assert found.p is not None and found.p < tails.SURE


def test_a_law_that_begins_later_is_found_where_it_begins() -> None:
    """Below 8 there is no law: as many of each."""
    body = np.random.default_rng(2).integers(1, 8, 30_000)
    found = tails.fit(np.concatenate([body, drawn(2.2, 0, x_min=8)]))
    assert found.x_min is not None and 8 <= found.x_min <= 12
    assert found.alpha == pytest.approx(2.2, abs=0.05)


def test_what_follows_neither_law_is_called_neither() -> None:
    found = tails.fit(np.random.default_rng(3).integers(500, 1_500, 20_000))
    assert found.verdict.startswith("cannot tell because neither law fits")


@pytest.mark.parametrize(
    ("counts", "why"),
    [([], "0 different items"), ([0] * 500, "0 different items"), ([3] * 99, "99 different items"),
     ([1] * 500, "1 different frequencies"), ([1, 2, 3] * 500, "3 different frequencies")],
)  # fmt: skip
def test_too_little_is_said_to_be_too_little(counts: list[int], why: str) -> None:
    found = tails.fit(counts)
    assert why in found.verdict
    assert found.alpha is None and found.x_min is None


def test_the_head_is_exact() -> None:
    counts = [1, 1, 50, 1, 1, 30, 1, 10, 3, 2, 0, 0]  # 10 items that occur, 100 events; zeros are none
    assert tails.head(counts, [0.1, 0.2, 0.25, 0.5, 1.0]) == [
        {"top": 0.1, "items": 1, "events": 0.5},
        {"top": 0.2, "items": 2, "events": 0.8},
        {"top": 0.3, "items": 3, "events": 0.9},
        {"top": 0.5, "items": 5, "events": 0.95},
        {"top": 1.0, "items": 10, "events": 1.0},
    ]
    assert tails.half(counts) == 0.1
    assert tails.half([1] * 10) == 0.5
    assert tails.head([]) == [] and tails.half([]) is None and tails.head_curve([0]) == []


def test_divergence_is_nothing_for_equals_and_one_bit_for_strangers() -> None:
    dresses = {"red dress": 40, "blue dress": 20}
    assert tails.divergence(dresses, {name: 10 * n for name, n in dresses.items()}).bits == pytest.approx(0, abs=1e-12)
    assert tails.divergence(dresses, {"sofa": 7}).bits == pytest.approx(1)
    half = tails.divergence({"a": 1}, {"a": 1, "b": 1}).bits
    assert half == pytest.approx(0.5 * math.log2(1 / 0.75) + 0.5 * (0.5 * math.log2(0.5 / 0.75) + 0.5 * math.log2(2)))


def test_divergence_says_what_chance_would_show() -> None:
    names = np.random.default_rng(4).integers(0, 1_000, (2, 500))
    own, pool = (Counter(map(str, side)) for side in names)
    found = tails.divergence(own, pool)
    assert found.bits is not None and found.chance is not None
    assert found.bits == pytest.approx(found.chance, abs=0.05) and found.bits > 0.3
    assert tails.divergence({}, pool).why_not == "the shop has none"
    assert tails.divergence(own, {"x": 0}).why_not == "the pool has none"


@pytest.mark.parametrize(
    ("counts", "why"),
    [(np.random.default_rng(6).geometric(0.1, 3_000), "alpha ran to"), ([1] * 5_000 + [2, 3, 4], "alpha ran to"),
     (range(10**12 - 200, 10**12), "")],
)  # fmt: skip
def test_counts_without_a_tail_get_no_law(counts: Sequence[int], why: str) -> None:
    found = tails.fit(counts)
    assert found.verdict.startswith("cannot tell because") and why in found.verdict
    json.dumps(asdict(found), allow_nan=False)


def test_numbers_of_any_size_cost_no_memory_and_no_nan() -> None:
    rng = np.random.default_rng(5)
    heavy = (rng.pareto(0.8, 3_000) * 1e6 + 1).clip(1, 1e12).astype(np.int64)
    found = tails.fit(heavy)
    json.dumps([asdict(found), tails.head(heavy)], allow_nan=False)
    assert len(found.curve) <= tails.POINTS


# ------------------------------------------------------------------------------------------------------- logs, the verb


def told(*arguments: str) -> Any:
    done = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout, parse_constant=lambda word: pytest.fail(f"{word} in an answer"))


EVENTS = "time,query,user\n1,Red dress,a\n2,red  dress ,b\n3,sofa,a\n4,,a\n5,SOFA,c\n6,sofa,d\n"
COUNTED = (
    '[{"query": "red dress", "popularity": 2}, {"query": "sofa", "popularity": 3.0}, {"query": "hat", "popularity": 0}]'
)


@pytest.mark.parametrize(
    ("content", "options", "unused"),
    [(EVENTS, (), 1), (EVENTS.replace(",", "\t"), ("--column", "query"), 1), (COUNTED, ("--count", "popularity"), 1),
     ("query;count\nred dress;2\nsofa;3\nhat;many\nhat;-1\nhat;nan\n", (), 3)],
)  # fmt: skip
def test_a_log_is_counted_in_any_format(content: str, options: tuple[str, ...], unused: int, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(content)
    found = told("tails", "--log", str(log), *options)
    assert (found["column"], found["events"], found["items"]) == ("query", 5, 2)
    assert found["head"][0] == {"top": 0.5, "items": 1, "events": 0.6}
    assert found["blank"] + found["unreadable"] + found["never"] == unused
    assert "2 different items occurred, and 100 are needed" in found["fit"]["verdict"]
    assert found["fit"]["alpha"] is None


def test_ids_keep_their_case(tmp_path: Path) -> None:
    log = tmp_path / "views.jsonl"
    log.write_text('{"product_id": "a1"}\n{"product_id": "A1"}\n{"product_id": "a1"}\n')
    assert logs.read(log, limits=Limits()).counts == {"a1": 2, "A1": 1}


def test_a_log_beyond_the_limits_or_without_its_column_is_one_line(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text(EVENTS)
    with pytest.raises(FeedError, match="more than 5 lines"):
        logs.read(log, limits=Limits(rows=5))
    with pytest.raises(FeedError, match="larger than 20 bytes"):
        logs.read(log, limits=Limits(feed_bytes=20))
    log.write_text("a,b\n1,2\n")
    for arguments in (["--log", str(log)], ["--log", str(tmp_path / "none")], [], ["--png", "x.png"], ["../x"]):
        with pytest.raises(PluribusError) as refused:
            CliRunner().invoke(app, ["tails", *arguments], catch_exceptions=False)
        assert "\n" not in str(refused.value), arguments


def test_a_log_s_pictures_are_drawn_and_stay_harmless(tmp_path: Path) -> None:
    log, png, page = tmp_path / "log.jsonl", tmp_path / "tail.png", tmp_path / "tail.html"
    column = "</script><script>alert(1)</script>"
    lines = [json.dumps({column: f"q{i}", "count": int(n)}) for i, n in enumerate(drawn(2.0, 0.01, n=2_000))]
    log.write_text("\n".join(lines))
    found = told(
        "tails", "--log", str(log), "--column", column, "--pool", str(log), "--png", str(png), "--html", str(page)
    )
    assert found["fit"]["verdict"] == "truncated power law"
    assert found["from the pool"]["bits"] == pytest.approx(0, abs=1e-9)
    assert png.read_bytes().startswith(b"\x89PNG")
    assert "<script>alert" not in page.read_text()


def test_a_shop_without_a_log_is_compared_with_all_others(demo_store: str) -> None:
    rows = {row["of"]: row for row in told("--store", demo_store, "tails", "hearth")["apart"]}
    assert set(rows) == {"category", "brand"}
    assert rows["category"]["shops"] == 2
    assert rows["brand"]["bits"] == pytest.approx(1), "no brand is sold by two demo shops"
    assert 0.8 < rows["category"]["bits"] < 1, "nearly nobody else sells furniture"
    assert rows["category"]["bits"] > 2 * rows["category"]["chance"]


def test_a_real_log_is_told_apart(data: Path) -> None:
    folder = data / "behaviour" / "yoochoose_100k"
    found = told("tails", "--log", str(folder / "yoochoose-clicks-100k_train_full.txt"), "--column", "ItemId")
    assert (found["events"], found["items"]) == (70_278, 2_933)
    assert found["fit"]["verdict"] == "truncated power law"
