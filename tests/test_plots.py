"""Plots: every chart is a valid, small specification that Vega can draw, whatever the numbers."""

import html
import importlib.util
import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from pluribus import plots
from pluribus.records import Score
from pluribus.train.choosing import CHOSEN_BY, Candidate


def score(name: str, value: float) -> Score:
    return Score(name=name, value=value, n=100, low=value - 0.1, high=value + 0.1, chance=0.05, note="gallery of 100")


SCORES = {name: score(name, 0.5) for name in ("title→product hits@5", "title→picture hits@5")}
SPIKY = [
    "a \"quoted\" 'name'",
    "</script><script>alert(1)</script>",
    "dots.in.name",
    "br[ack]ets",
    "co:lon:Q",
    "back\\slash",
]
CHARTS = {
    "scores": lambda: plots.scores(SCORES, {"title→picture hits@5": score("title→picture hits@5", 0.4)}),
    "scores alone": lambda: plots.scores(SCORES),
    "seconds": lambda: plots.stage_seconds({"a": {"ingest": 1.0, "embed": 2.0}, "b": {"ingest": 3.0}}),
    "bars": lambda: plots.bars({"Women > Shoes": 3, "<b>bold</b>": 2}, "products"),
    "spiky scores": lambda: plots.scores({name: score(name, 0.5) for name in SPIKY}),
    "spiky seconds": lambda: plots.stage_seconds({name: {"ingest": 1.0} for name in SPIKY}),
    "spiky bars": lambda: plots.bars({name: n for n, name in enumerate(SPIKY)}, SPIKY[0]),
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


def point(n: int, group: str) -> dict[str, Any]:
    return {"product_id": f"p{n}", "title": "a title", "group": group, "x": n, "y": -n}


CHARTS["spiky points"] = lambda: plots.points([point(n, name) for n, name in enumerate(SPIKY)])
CHARTS["points"] = lambda: plots.points([point(n, f"group {min(n, 40)}") for n in range(100)])


@pytest.fixture(scope="module")
def schema() -> Draft7Validator:
    """Vega-Lite's own JSON schema, which Altair carries; nothing of ours imports that."""
    found = importlib.util.find_spec("altair")
    if not (found and found.origin):
        pytest.skip("no Altair here, which Streamlit and Great Expectations bring")
    path = Path(found.origin).parent / "vegalite/v6/schema/vega-lite-schema.json"
    return Draft7Validator(json.loads(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", CHARTS)
def test_every_chart_can_be_drawn(name: str) -> None:
    chart = CHARTS[name]()
    spec = json.dumps(chart, allow_nan=False)
    assert "https://vega.github.io/schema/vega-lite/v6.json" in spec  # without it a card's chart stays blank
    assert plots.png(chart, width_px=200, scale=1).startswith(b"\x89PNG")


@pytest.mark.parametrize("name", CHARTS)
def test_every_chart_is_what_vega_lite_calls_one(name: str, schema: Draft7Validator) -> None:
    """A misspelt option would be drawn too, without it."""
    assert schema.is_valid(CHARTS[name]())
    assert schema.is_valid(plots._wide(CHARTS[name](), 200))


def test_a_misspelt_option_is_seen(schema: Draft7Validator) -> None:
    for place in (lambda chart: chart["layer"][0]["mark"], lambda chart: chart["encoding"]["x"]):
        chart = plots.bars({"a": 1}, "products")
        place(chart)["titel"] = "x"
        assert not schema.is_valid(chart)


@pytest.mark.parametrize("name", CHARTS)
def test_every_column_that_is_drawn_is_there(name: str) -> None:
    """A name that no row has would be drawn as a blank, and a dot in it read as a path."""
    chart = CHARTS[name]()
    for view in chart.get("vconcat", [chart]):
        for layer in view["layer"]:
            rows = layer.get("data", view["data"])["values"]
            drawn = set(re.findall(r'"field": "(.*?)"', json.dumps([view["encoding"] | layer["encoding"]])))
            assert all(drawn <= row.keys() for row in rows), drawn


def test_spiky_names_are_drawn_as_they_are() -> None:
    import vl_convert

    for draw in ("spiky scores", "spiky seconds", "spiky bars"):
        picture = vl_convert.vegalite_to_svg(plots._wide(CHARTS[draw](), 600))
        texts = [html.unescape(text) for text in re.findall(r"<text[^>]*>(.*?)</text>", picture)]
        assert set(SPIKY) <= set(texts), draw


def test_the_mouse_moves_a_map_and_a_map_only() -> None:
    (moved,) = CHARTS["points"]()["layer"][0]["params"]
    assert moved["bind"] == "scales" and moved["select"]["encodings"] == ["x", "y"]
    assert "params" not in json.dumps(CHARTS["bars"]())


def test_groups_beyond_the_largest_are_grey_together() -> None:
    chart = CHARTS["points"]()
    scale = chart["encoding"]["color"]["scale"]
    assert len(scale["domain"]) == len(scale["range"]) == len(plots.MUTED) + 1
    assert (scale["domain"][0], scale["domain"][-1], scale["range"][-1]) == ("group 40", "others", plots.PALE)
    assert {row["group"] for row in chart["data"]["values"]} == set(scale["domain"])


def test_a_chart_costs_no_library() -> None:
    """Four tasks of every refresh draw some; Altair alone took 0.35 CPU-seconds of each."""
    code = (
        "import sys; from pluribus import plots; plots.bars({'a': 1}, 'b'); plots.points([]); plots.scores({})\n"
        "plots.stage_seconds({}); print({'altair', 'pandas', 'pyarrow', 'torch', 'numpy'} & {*sys.modules})"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


def test_a_score_that_is_no_number_leaves_a_gap() -> None:
    chart = plots.scores({"x": score("x", math.nan)})
    assert json.dumps(chart, allow_nan=False)


def test_many_names_and_many_shops_stay_readable() -> None:
    spec = plots.bars({f"category {n:03}": 200 - n for n in range(200)}, "products")
    rows = spec["data"]["values"]
    assert [row["name"] for row in rows] == [f"category {n:03}" for n in range(plots.MOST_BARS)]
    assert "185 rarer ones are not shown" in json.dumps(spec)
    shops = {f"shop{n}": {"ingest": float(n)} for n in range(100)}
    assert "shop99" in json.dumps(plots.stage_seconds(shops))
    assert '"shop9"' not in json.dumps(plots.stage_seconds(shops))  # the slowest only


def test_scores_as_rows_state_interval_n_gallery_chance_and_live() -> None:
    row = plots.score_rows(SCORES, {"title→product hits@5": score("title→product hits@5", 0.4)})[0]
    assert row == {
        "score": "title→product hits@5", "value": "0.500", "95 % interval": "0.400 – 0.600", "n": "100",
        "of": "gallery of 100", "chance": "0.050", "× chance": "10.0", "live release": "0.400 (0.300 – 0.500)",
    }  # fmt: skip
