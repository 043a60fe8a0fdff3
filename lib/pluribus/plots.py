"""Plots: results in, chart specifications out; drawn once, for cards, the app and README alike.

Every chart is an Altair chart over a handful of rows: nothing here reads a store, and no chart grows with a catalog.
Text of tenants appears as data only (axis labels, tooltips), which Vega draws as text.
"""

import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from pluribus.plan import STAGES
from pluribus.records import Score
from pluribus.train.choosing import CHOSEN_BY, Candidate

BLUE, GREY, RED, PALE = "#2b6cb0", "#a0aec0", "#c53030", "#d6d1c9"
MUTED = ("#3f6c8f", "#b8653f", "#5f8a5b", "#8a6a9a", "#c2a14d", "#4f9a98", "#a5485c", "#7d7468", "#93a8d0", "#d0948a",
         "#9cb57a", "#6a5a4a")  # fmt: skip
MOST_BARS = 15
MOST_SHOPS = 40


def scores(found: Mapping[str, Score], live: Mapping[str, Score] | None = None) -> Any:
    """Each score with its 95 % interval (blue), what chance would give (red tick), and the live release (grey)."""
    import altair as alt

    rows = [_score_row(score, "this release") for score in found.values()]
    rows += [_score_row(score, "live release") for name, score in (live or {}).items() if name in found]
    kinds = {"this release": BLUE, **({"live release": GREY} if live else {}), "chance": RED}
    colours = alt.Scale(domain=list(kinds), range=list(kinds.values()))
    y = alt.Y("score:N", title=None, sort=list(found), axis=alt.Axis(labelLimit=260))
    x = alt.X("value:Q", title="score, with its 95 % interval", scale=alt.Scale(domain=[0, 1]))
    offset = alt.YOffset("of:N", sort=["this release", "live release"])
    colour = alt.Color("of:N", title=None, scale=colours, legend=alt.Legend(orient="top"))
    tooltip = ["score:N", "of:N", *(alt.Tooltip(f"{name}:Q", format=".3f") for name in ("value", "low", "high")), "n:Q"]
    measured = alt.Chart(_data(rows)).encode(y=y, yOffset=offset, color=colour, tooltip=tooltip)
    chance = [{"score": s.name, "value": _finite(s.chance), "of": "chance"} for s in found.values()]
    return _styled(
        measured.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q"), x2="high:Q")
        + measured.mark_point(filled=True, size=70, opacity=1).encode(x=x)
        + alt.Chart(_data(chance)).mark_tick(thickness=2, size=22).encode(y=y, x=x, color=colour, tooltip=["value:Q"]),
        step=44 if live else 30,
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


def tradeoff(candidates: Sequence[Candidate]) -> Any:
    """What each candidate of a fine-tuning can do at home (VALID) and abroad (external sets); red: the start model."""
    import altair as alt

    rows = [
        {"candidate": c.name, "home": c.scores[CHOSEN_BY].value, "abroad": score.value, "set": name,
         "of": "candidate" if c.learning_rate else "start model"}
        for c in candidates for name, score in c.external.items()
    ]  # fmt: skip
    place = alt.Chart(_data(rows)).encode(
        x=alt.X("abroad:Q", title="external F1", scale=alt.Scale(zero=False, padding=16)),
        y=alt.Y("home:Q", title=CHOSEN_BY, scale=alt.Scale(zero=False, padding=16)),
        tooltip=["candidate:N", "set:N", *(alt.Tooltip(f"{name}:Q", format=".3f") for name in ("home", "abroad"))],
    )
    scale = alt.Scale(domain=["candidate", "start model"], range=[BLUE, RED])
    points = place.mark_point(filled=True, size=80).encode(
        color=alt.Color("of:N", title=None, scale=scale, legend=alt.Legend(orient="top")), shape=alt.Shape("set:N")
    )
    return _styled(points + place.mark_text(align="left", dx=8).encode(text="candidate:N"), step=0)


def stage_seconds(seconds: Mapping[str, Mapping[str, float]]) -> Any:
    """Where the time of each shop went: one bar a shop, one colour a stage; the slowest shops."""
    import altair as alt

    slowest = sorted(seconds, key=lambda shop: -sum(seconds[shop].values()))[:MOST_SHOPS]
    rows = [
        {"shop": shop, "stage": stage, "seconds": seconds[shop].get(stage, 0.0), "place": place}
        for shop in slowest
        for place, stage in enumerate(STAGES)
    ]
    bars = alt.Chart(_data(rows)).mark_bar()
    return _styled(
        bars.encode(
            y=alt.Y("shop:N", title=None, sort=slowest, axis=alt.Axis(labelLimit=200)),
            x=alt.X("sum(seconds):Q", title="seconds"),
            color=alt.Color("stage:N", sort=list(STAGES), title=None, legend=alt.Legend(orient="top")),
            order="place:Q",
            tooltip=["shop:N", "stage:N", alt.Tooltip("seconds:Q", format=".1f")],
        )
    )


def bars(counts: Mapping[str, int], unit: str, *, colour: str = BLUE) -> Any:
    """How many `unit` ("rows", "products") there are of each name, the most frequent first."""
    import altair as alt

    ordered = sorted(counts.items(), key=lambda item: -item[1])[:MOST_BARS]
    bare = alt.Axis(labels=False, ticks=False, grid=False, domain=False, titleAnchor="start")
    rows = [{"name": name, "n": n} for name, n in ordered]
    drawn = alt.Chart(_data(rows)).encode(
        y=alt.Y("name:N", title=None, sort=[name for name, _ in ordered], axis=alt.Axis(labelLimit=260)),
        x=alt.X("n:Q", title=_more(unit, len(counts) - len(ordered)), axis=bare),
        tooltip=["name:N", alt.Tooltip("n:Q", format=",", title=unit)],
    )
    numbers = drawn.mark_text(align="left", dx=4, color="#4a5568").encode(text=alt.Text("n:Q", format=","))
    return _styled(drawn.mark_bar(color=colour) + numbers)


def histogram(values: Sequence[float], unit: str, *, bins: int = 30) -> Any:
    """How values are spread; the dearest hundredth is one last bin, so that a single slip does not flatten the rest."""
    import altair as alt

    finite = np.array([value for value in values if math.isfinite(value)])
    top = float(np.quantile(finite, 0.99)) if len(finite) else 1.0
    counts, edges = np.histogram(np.minimum(finite, top), bins=bins)
    rows = [
        {"low": float(low), "high": float(high), "n": int(n)}
        for low, high, n in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    return _styled(
        alt.Chart(_data(rows))
        .mark_bar(color=BLUE)
        .encode(
            x=alt.X("low:Q", bin="binned", title=f"{unit} (the last bar: {top:,.2f} and more)"),
            x2="high:Q",
            y=alt.Y("n:Q", title="products"),
            tooltip=[alt.Tooltip(f"{name}:Q", format=",.2f") for name in ("low", "high")] + ["n:Q"],
        ),
        step=0,
    )


def points(found: Sequence[Mapping[str, Any]]) -> Any:
    """Places on a map, one colour a group; the groups beyond the largest ones are grey together."""
    import altair as alt

    counts: dict[str, int] = {}
    for point in found:
        counts[point["group"]] = counts.get(point["group"], 0) + 1
    named = sorted(counts, key=lambda group: -counts[group])[: len(MUTED)]
    rows = [dict(point) | {"group": point["group"] if point["group"] in named else "others"} for point in found]
    shown = [*named, *(["others"] if len(counts) > len(named) else [])]
    colours = alt.Scale(domain=shown, range=[*MUTED[: len(named)], PALE])
    bare = {"axis": None, "scale": alt.Scale(zero=False, nice=False, padding=12)}
    chart = (
        alt.Chart(_data(rows))
        .mark_circle(size=55, opacity=0.8)
        .encode(
            x=alt.X("x:Q", **bare),
            y=alt.Y("y:Q", **bare),
            color=alt.Color("group:N", title=None, scale=colours, legend=alt.Legend(orient="right", labelLimit=200)),
            tooltip=["title:N", "product_id:N", "group:N"],
        )
    )
    return chart.properties(height=520).configure_view(stroke=None).interactive()


def tail(curve: Sequence[Mapping[str, float | None]], head: Sequence[Mapping[str, float]], *, what: str) -> Any:
    """How often things occur, beside both laws, on logarithmic axes; below, what the top share makes of all events."""
    import altair as alt

    rows = [
        {"at least": point["at least"], "items": point[name], "of": "seen" if name == "items" else name}
        for point in curve
        for name in ("items", "power law", "truncated power law")
        if (point[name] or 0) > 1e-9  # the logarithm of nothing
    ]
    least = min((point["items"] or 1 for point in curve), default=1e-9) / 3
    log = alt.Scale(type="log", domainMin=least, domainMax=1, clamp=True)
    colours = alt.Scale(domain=["seen", "power law", "truncated power law"], range=[GREY, RED, BLUE])
    reached = alt.Chart(_data(rows)).encode(
        x=alt.X("at\\ least:Q", title=f"events of one {what}, at least", scale=alt.Scale(type="log")),
        y=alt.Y("items:Q", title="share of all", scale=log, axis=alt.Axis(format="~g")),
        color=alt.Color("of:N", title=None, scale=colours, legend=alt.Legend(orient="top")),
        tooltip=["of:N", "at\\ least:Q", alt.Tooltip("items:Q", format=".3g")],
    )
    laws = reached.transform_filter("datum.of != 'seen'").mark_line(clip=True, strokeWidth=2)
    seen = reached.transform_filter("datum.of == 'seen'").mark_point(filled=True, size=24, opacity=0.9)
    percent = alt.Axis(format="~%")
    made = alt.Chart(_data([dict(point) for point in head])).mark_line(color=BLUE, point=True).encode(
        x=alt.X("top:Q", title=f"the most frequent share, by {what}", scale=alt.Scale(type="log"), axis=percent),
        y=alt.Y("events:Q", title="of all events", scale=alt.Scale(domain=[0, 1]), axis=percent),
        tooltip=[alt.Tooltip("top:Q", format=".2%"), "items:Q", alt.Tooltip("events:Q", format=".1%")],
    )  # fmt: skip
    height = {"height": 220}
    stacked = alt.vconcat((laws + seen).properties(**height), made.properties(**height))
    return stacked.configure_view(stroke=None).configure_axis(labelFontSize=12, titleFontSize=12, gridColor="#edf2f7")


def page(chart: Any, *, title: str, width_px: int = 860) -> str:
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


def png(chart: Any, *, width_px: int = 640, scale: float = 2.0) -> bytes:
    """A chart as a picture, for README and terminals."""
    import vl_convert

    rendered: bytes = vl_convert.vegalite_to_png(_wide(chart, width_px), scale=scale)
    return rendered


def _wide(chart: Any, width_px: int) -> dict[str, Any]:
    """The specification of a chart so wide; of charts above one another, of each."""
    if not hasattr(chart, "vconcat"):
        found: dict[str, Any] = chart.properties(width=width_px).to_dict()
        return found
    wide = chart.copy(deep=False)
    wide.vconcat = [part.properties(width=width_px) for part in chart.vconcat]
    told: dict[str, Any] = wide.to_dict()
    return told


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


def _data(rows: list[dict[str, Any]]) -> Any:
    import altair as alt

    return alt.Data(values=rows)


def _styled(chart: Any, *, step: int = 22) -> Any:
    sized = chart.properties(height={"step": step, "for": "position"} if step else 180)
    return sized.configure_view(stroke=None).configure_axis(labelFontSize=12, titleFontSize=12, gridColor="#edf2f7")
