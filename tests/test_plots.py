"""Plots: every chart is a valid, small specification that Vega can draw, whatever the numbers."""

import json
import math

import pytest

from pluribus import plots
from pluribus.records import Score
from pluribus.train.choosing import CHOSEN_BY, Candidate


def score(name: str, value: float) -> Score:
    return Score(name=name, value=value, n=100, low=value - 0.1, high=value + 0.1, chance=0.05, note="gallery of 100")


SCORES = {name: score(name, 0.5) for name in ("title→product hits@5", "title→picture hits@5")}
CHARTS = {
    "scores": lambda: plots.scores(SCORES, {"title→picture hits@5": score("title→picture hits@5", 0.4)}),
    "scores alone": lambda: plots.scores(SCORES),
    "seconds": lambda: plots.stage_seconds({"a": {"ingest": 1.0, "embed": 2.0}, "b": {"ingest": 3.0}}),
    "bars": lambda: plots.bars({"Women > Shoes": 3, "<b>bold</b>": 2}, "products"),
    "histogram": lambda: plots.histogram([1.0, 2.0, 3.0, 1e9, math.nan], "EUR"),
    "no prices": lambda: plots.histogram([], "EUR"),
    "one price": lambda: plots.histogram([5.0], "EUR"),
    "tail": lambda: plots.tail(
        [
            {"at least": 1, "items": 1.0, "power law": None, "truncated power law": None},
            {"at least": 9, "items": 0.1, "power law": 0.2, "truncated power law": 0.0},
        ],
        [{"top": 0.5, "items": 1, "events": 0.9}, {"top": 1.0, "items": 2, "events": 1.0}],
        what="<b>query</b>",
    ),
    "no tail": lambda: plots.tail([], [], what="query"),
    "tradeoff": lambda: plots.tradeoff(
        [
            Candidate(
                learning_rate=rate,
                scores={CHOSEN_BY: SCORES["title→picture hits@5"]},
                external={"set F1": score("", 0.6)},
            )
            for rate in (0.0, 1e-4)
        ]
    ),
}


@pytest.mark.parametrize("name", CHARTS)
def test_every_chart_can_be_drawn(name: str) -> None:
    chart = CHARTS[name]()
    spec = json.dumps(chart.to_dict(), allow_nan=False)
    assert "https://vega.github.io/schema/vega-lite" in spec  # without it a card's chart stays blank
    assert plots.png(chart, width_px=200, scale=1).startswith(b"\x89PNG")


def test_a_score_that_is_no_number_leaves_a_gap() -> None:
    chart = plots.scores({"x": score("x", math.nan)})
    assert json.dumps(chart.to_dict(), allow_nan=False)


def test_many_names_and_many_shops_stay_readable() -> None:
    spec = plots.bars({f"category {n:03}": 200 - n for n in range(200)}, "products").to_dict()
    (rows,) = (
        [layer["data"]["values"] for layer in spec["layer"][:1]]
        if "data" in spec["layer"][0]
        else [spec["data"]["values"]]
    )
    assert [row["name"] for row in rows] == [f"category {n:03}" for n in range(plots.MOST_BARS)]
    assert "185 rarer ones are not shown" in json.dumps(spec)
    shops = {f"shop{n}": {"ingest": float(n)} for n in range(100)}
    assert "shop99" in json.dumps(plots.stage_seconds(shops).to_dict())
    assert '"shop9"' not in json.dumps(plots.stage_seconds(shops).to_dict())  # the slowest only


def test_scores_as_rows_state_interval_n_gallery_chance_and_live() -> None:
    row = plots.score_rows(SCORES, {"title→product hits@5": score("title→product hits@5", 0.4)})[0]
    assert row == {
        "score": "title→product hits@5", "value": "0.500", "95 % interval": "0.400 – 0.600", "n": "100",
        "of": "gallery of 100", "chance": "0.050", "× chance": "10.0", "live release": "0.400 (0.300 – 0.500)",
    }  # fmt: skip
