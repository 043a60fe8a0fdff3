"""Plots: results in, chart specifications out; drawn once, for cards, the app and README alike.

Every chart is a Vega-Lite specification, a plain dict over a handful of rows: nothing here reads a store, and no chart
grows with a catalog. Text of tenants appears as data and titles only (axis labels, tooltips), which Vega draws as text.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from pluribus.jobs import STAGES
from pluribus.records import Score

if TYPE_CHECKING:
    from pluribus.train.choosing import Candidate

Spec = dict[str, Any]  #: a Vega-Lite specification, or a part of one

BLUE, GREY, RED, PALE = "#2b6cb0", "#a0aec0", "#c53030", "#d6d1c9"
MUTED = ("#3f6c8f", "#b8653f", "#5f8a5b", "#8a6a9a", "#c2a14d", "#4f9a98", "#a5485c", "#7d7468", "#93a8d0", "#d0948a",
         "#9cb57a", "#6a5a4a")  # fmt: skip
MOST_BARS = 15
MOST_SHOPS = 40


def scores(found: Mapping[str, Score], live: Mapping[str, Score] | None = None) -> Spec:
    """Each score with its 95 % interval (blue), what chance would give (red tick), and the live release (grey)."""
    rows = [_score_row(score, "this release") for score in found.values()]
    rows += [_score_row(score, "live release") for name, score in (live or {}).items() if name in found]
    chance = [{"score": s.name, "value": _finite(s.chance), "of": "chance"} for s in found.values()]
    kinds = {"this release": BLUE, **({"live release": GREY} if live else {}), "chance": RED}
    numbers = [_number(name, format=".3f") for name in ("value", "low", "high")]
    measured = {
        "yOffset": _name("of", sort=["this release", "live release"]),
        "tooltip": [_name("score"), _name("of"), *numbers, _number("n")],
    }
    placed = {  # its colours are no shared encoding: Streamlit would leave a line for the title of their legend
        "x": _number("value", title="score, with its 95 % interval", scale={"domain": [0, 1]}),
        "color": _colours("of", kinds),
    }
    return _chart(
        rows,
        _mark("rule", placed | measured | {"x": _number("low"), "x2": {"field": "high"}}, strokeWidth=2),
        _mark("point", placed | measured, filled=True, size=70, opacity=1),
        _mark("tick", placed | {"tooltip": [_number("value")]}, thickness=2, size=22) | {"data": {"values": chance}},
        step=44 if live else 30,
        y=_name("score", title=None, sort=list(found), axis={"labelLimit": 260}),
    )


def score_rows(found: Mapping[str, Score], live: Mapping[str, Score] | None = None) -> list[dict[str, str]]:
    """The same as a table: value, interval, n, gallery, chance and how many times chance, the live release's value."""
    return [
        {
            "score": score.name,
            "value": f"{score.value:.3f}",
            "95 % interval": f"{score.low:.3f} – {score.high:.3f}",
            "n": f"{score.n:,}",
            "of": score.note,
            "chance": f"{score.chance:.3f}",
            "× chance": f"{score.value / score.chance:,.1f}" if score.chance > 0 else "",
            "live release": _live_value((live or {}).get(score.name)),
        }
        for score in found.values()
    ]


def tradeoff(candidates: "Sequence[Candidate]") -> Spec:
    """What each candidate of a fine-tuning can do at home (VALID) and abroad (external sets); red: the start model."""
    from pluribus.train.choosing import CHOSEN_BY

    rows = [
        {"candidate": c.name, "home": c.scores[CHOSEN_BY].value, "abroad": score.value, "set": name,
         "of": "candidate" if c.learning_rate else "start model"}
        for c in candidates for name, score in c.external.items()
    ]  # fmt: skip
    near = {"zero": False, "padding": 16}
    kinds = {"color": _colours("of", {"candidate": BLUE, "start model": RED}), "shape": _name("set")}
    return _chart(
        rows,
        _mark("point", kinds, filled=True, size=80),
        _mark("text", {"text": _name("candidate")}, align="left", dx=8),
        x=_number("abroad", title="external F1", scale=near),
        y=_number("home", title=CHOSEN_BY, scale=near),
        tooltip=[_name("candidate"), _name("set"), *(_number(name, format=".3f") for name in ("home", "abroad"))],
    )


def stage_seconds(seconds: Mapping[str, Mapping[str, float]]) -> Spec:
    """Where the time of each shop went: one bar a shop, one colour a stage; the slowest shops."""
    slowest = sorted(seconds, key=lambda shop: -sum(seconds[shop].values()))[:MOST_SHOPS]
    rows = [
        {"shop": shop, "stage": stage, "seconds": seconds[shop].get(stage, 0.0), "place": place}
        for shop in slowest
        for place, stage in enumerate(STAGES)
    ]
    return _chart(
        rows,
        _mark("bar"),
        step=22,
        x=_number("seconds", aggregate="sum", title="seconds"),
        y=_name("shop", title=None, sort=slowest, axis={"labelLimit": 200}),
        color=_name("stage", title=None, sort=list(STAGES), legend={"orient": "top"}),
        order=_number("place"),
        tooltip=[_name("shop"), _name("stage"), _number("seconds", format=".1f")],
    )


def bars(counts: Mapping[str, int], unit: str, *, colour: str = BLUE) -> Spec:
    """How many `unit` ("rows", "products") there are of each name, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: -item[1])[:MOST_BARS]
    bare = {"labels": False, "ticks": False, "grid": False, "domain": False, "titleAnchor": "start"}
    return _chart(
        [{"name": name, "n": n} for name, n in ordered],
        _mark("bar", color=colour),
        _mark("text", {"text": _number("n", format=",")}, align="left", dx=4, color="#4a5568"),
        step=22,
        x=_number("n", title=_more(unit, len(counts) - len(ordered)), axis=bare),
        y=_name("name", title=None, sort=[name for name, _ in ordered], axis={"labelLimit": 260}),
        tooltip=[_name("name"), _number("n", format=",", title=unit)],
    )


def histogram(values: Sequence[float], unit: str, *, bins: int = 30) -> Spec:
    """How values are spread; the dearest hundredth is one last bin, so that a single slip does not flatten the rest."""
    import numpy as np

    finite = np.array([value for value in values if math.isfinite(value)])
    top = float(np.quantile(finite, 0.99)) if len(finite) else 1.0
    counts, edges = np.histogram(np.minimum(finite, top), bins=bins)
    rows = [
        {"low": float(low), "high": float(high), "n": int(n)}
        for low, high, n in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    return _chart(
        rows,
        _mark("bar", color=BLUE),
        x=_number("low", bin="binned", title=f"{unit} (the last bar: {top:,.2f} and more)"),
        x2={"field": "high"},
        y=_number("n", title="products"),
        tooltip=[*(_number(name, format=",.2f") for name in ("low", "high")), _number("n")],
    )


def points(found: Sequence[Mapping[str, Any]]) -> Spec:
    """Places on a map that the mouse moves, one colour a group; groups beyond the largest ones are grey together."""
    counts = Counter(point["group"] for point in found)
    named = [group for group, _ in counts.most_common(len(MUTED))]
    rows = [dict(point) | {"group": point["group"] if point["group"] in named else "others"} for point in found]
    colours = dict(zip(named, MUTED, strict=False)) | ({"others": PALE} if len(counts) > len(named) else {})
    bare = {"axis": None, "scale": {"zero": False, "nice": False, "padding": 12}}
    moved = {"name": "moved", "select": {"type": "interval", "encodings": ["x", "y"]}, "bind": "scales"}
    return _chart(
        rows,
        _mark("circle", size=55, opacity=0.8) | {"params": [moved]},
        height=520,
        x=_number("x", **bare),
        y=_number("y", **bare),
        color=_colours("group", colours, orient="right", labelLimit=200),
        tooltip=[_name("title"), _name("product_id"), _name("group")],
    )


def tail(curve: Sequence[Mapping[str, float | None]], head: Sequence[Mapping[str, float]], *, what: str) -> Spec:
    """How often things occur, beside both laws, on logarithmic axes; below, what the top share makes of all events."""
    rows = [
        {"at least": point["at least"], "items": point[name], "of": "seen" if name == "items" else name}
        for point in curve
        for name in ("items", "power law", "truncated power law")
        if (point[name] or 0) > 1e-9  # the logarithm of nothing
    ]
    least = min((point["items"] or 1 for point in curve), default=1e-9) / 3
    log, percent = {"type": "log"}, {"format": "~%"}
    reached = _view(
        rows,
        _mark("line", clip=True, strokeWidth=2) | {"transform": [{"filter": "datum.of != 'seen'"}]},
        _mark("point", filled=True, size=24, opacity=0.9) | {"transform": [{"filter": "datum.of == 'seen'"}]},
        height=220,
        x=_number("at least", title=f"events of one {what}, at least", scale=log),
        y=_number("items", title="share of all", axis={"format": "~g"},
                  scale={**log, "domainMin": least, "domainMax": 1, "clamp": True}),
        color=_colours("of", {"seen": GREY, "power law": RED, "truncated power law": BLUE}),
        tooltip=[_name("of"), _number("at least"), _number("items", format=".3g")],
    )  # fmt: skip
    made = _view(
        [dict(point) for point in head],
        _mark("line", color=BLUE, point=True),
        height=220,
        x=_number("top", title=f"the most frequent share, by {what}", scale=log, axis=percent),
        y=_number("events", title="of all events", scale={"domain": [0, 1]}, axis=percent),
        tooltip=[_number("top", format=".2%"), _number("items"), _number("events", format=".1%")],
    )
    return _styled({"vconcat": [reached, made]})


def page(chart: Spec, *, title: str, width_px: int = 860) -> str:
    """A chart as one self-contained page that answers the mouse: Vega is inside, and nothing is requested.

    vl_convert writes a specification into the script as it is, so that a title "</script>..." would end it and begin
    another: it gets a placeholder, and our own JSON, without a single "<", goes in its place.
    """
    import vl_convert

    actions = {"export": True, "source": False, "compiled": False, "editor": False}
    wanted = {**_wide(chart, width_px), "usermeta": {"embedOptions": {"actions": actions}}}
    placed = {"mark": "point", "description": "pluribus-placeholder"}
    bundled: str = vl_convert.vegalite_to_html(placed, bundle=True)
    before, found, after = bundled.partition(json.dumps(placed, separators=(",", ":")))
    if not found:
        raise RuntimeError("this vl_convert writes its pages in another way: mend plots.page")
    inside = json.dumps(wanted).replace("<", "\\u003c")
    bundled = before + inside + after
    policy = "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data:"
    head = f'<meta http-equiv="Content-Security-Policy" content="{policy}"><title>{escape(title)}</title>'
    return bundled.replace("<head>", f"<head>{head}", 1)


def png(chart: Spec, *, width_px: int = 640, scale: float = 2.0) -> bytes:
    """A chart as a picture, for README and terminals."""
    import vl_convert

    rendered: bytes = vl_convert.vegalite_to_png(_wide(chart, width_px), scale=scale)
    return rendered


def _wide(chart: Spec, width_px: int) -> Spec:
    """The specification of a chart so wide; of charts above one another, of each."""
    if "vconcat" not in chart:
        return chart | {"width": width_px}
    return chart | {"vconcat": [part | {"width": width_px} for part in chart["vconcat"]]}


def _more(unit: str, left_out: int) -> str:
    return f"{unit} ({left_out:,} rarer ones are not shown)" if left_out else unit


def _score_row(score: Score, of: str) -> dict[str, Any]:
    numbers = {"value": score.value, "low": score.low, "high": score.high}
    return {"score": score.name, "of": of, "n": score.n} | {name: _finite(v) for name, v in numbers.items()}


def _live_value(score: Score | None) -> str:
    return f"{score.value:.3f} ({score.low:.3f} – {score.high:.3f})" if score else ""


def _finite(value: float) -> float | None:
    """JSON knows no NaN, and a card with one is blank."""
    return value if math.isfinite(value) else None


def _number(column: str, **how: Any) -> Spec:
    """A column of numbers, and how it is shown. Columns have names of ours: Vega reads dots and brackets as a path."""
    return {"field": column, "type": "quantitative", **how}


def _name(column: str, **how: Any) -> Spec:
    """A column of names, and how it is shown."""
    return {"field": column, "type": "nominal", **how}


def _colours(column: str, colours: Mapping[str, str], *, orient: str = "top", **legend: Any) -> Spec:
    """A column whose values have these colours, and where its legend stands."""
    scale = {"domain": [*colours], "range": [*colours.values()]}
    return _name(column, title=None, scale=scale, legend={"orient": orient, **legend})


def _mark(kind: str, own: Spec | None = None, **look: Any) -> Spec:
    """A mark for every row, with the encoding that is its own."""
    return {"mark": {"type": kind, **look}, "encoding": own or {}}


def _view(rows: list[Spec], *marks: Spec, height: Any, **shared: Any) -> Spec:
    """Rows, and marks over one another that share an encoding."""
    return {"data": {"values": rows}, "height": height, "encoding": shared, "layer": list(marks)}


def _chart(rows: list[Spec], *marks: Spec, step: int = 0, height: int = 180, **shared: Any) -> Spec:
    """A chart so high, or with `step` pixels for each of its bars."""
    return _styled(_view(rows, *marks, height={"step": step, "for": "position"} if step else height, **shared))


def _styled(view: Spec) -> Spec:
    """The look of every chart; $schema says what it is: a card's chart stays blank without."""
    axis = {"labelFontSize": 12, "titleFontSize": 12, "gridColor": "#edf2f7"}
    schema = "https://vega.github.io/schema/vega-lite/v6.json"
    return {"$schema": schema, **view, "config": {"view": {"stroke": None}, "axis": axis}}
