"""The tab Quality: what was measured of the live release, what was refused and why, cost, history, differences."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from pluribus import answers, evaluate, findings, inspect, plots, releases, validate
from pluribus.app import looks
from pluribus.cards import glimpses, pages
from pluribus.cards.thumbnails import thumbnails
from pluribus.errors import CatalogRejected
from pluribus.store import Store

REFUSED_SHOWN, REFUSED_PACKS = 50, 2
TELLING = (" hits@5", " F1")  # scores that are drawn


def show(store: Store, shop: str) -> None:
    """Scores, the newest catalog, what was refused, cost, history, what changed."""
    own = store.within(f"shops/{shop}")
    _scores(own, shop)
    try:
        report, refused = validate.newest(own)
    except CatalogRejected as error:
        looks.trouble(str(error))
    else:
        _findings(report)
        _refused(own, glimpses.refused(refused, REFUSED_SHOWN))
    _cost(store, shop)
    st.subheader("Releases", anchor=False)
    history = releases.history(own, shop=shop)
    looks.table(
        [
            {
                "release": entry.release,
                "state": entry.state,
                "feed read": looks.minute(entry.asof),
                "built": looks.minute(entry.created),
                "MB": f"{entry.size_bytes / 1e6:,.1f}",
            }
            for entry in history
        ]
    )
    _changed(own, shop, [entry.release for entry in history if entry.state in ("live", "retired", "never live")])


def _scores(own: Store, shop: str) -> None:
    """What was measured of the live release before it went live."""
    st.subheader("How well products are found", anchor=False)
    opened = releases.open_release(own, shop=shop)
    told = json.loads(opened.path("evaluation.json").read_bytes())
    verdict = findings.verdict(told)
    if any(row["because"] for row in verdict):
        looks.table(verdict)
    else:
        st.text(f"The gate's verdict: {verdict[0]['verdict']}")
    found = evaluate.scores_of(opened)
    telling = {name: score for name, score in found.items() if name.endswith(TELLING) and "macro" not in name}
    if telling:
        st.vega_lite_chart(spec=plots.scores(telling), width="stretch")
    with st.expander("Every score, and what was not measured"):
        looks.table(
            [{name: cell for name, cell in row.items() if name != "live release"} for row in plots.score_rows(found)]
        )
        looks.table(findings.not_measured(told))
    if tests := findings.behaviours(told):
        with st.expander("How it behaves when things change, and where it fails"):
            looks.table(tests)


def _findings(report: Mapping[str, Any]) -> None:
    """How many rows were accepted, and what every expectation said of them."""
    st.subheader("The newest catalog", anchor=False)
    judged = report["findings"]
    met = sum(finding["passed"] for finding in judged)
    numbers = {name: f"{report[name]:,}" for name in ("rows", "accepted", "quarantined")}
    boxes = st.columns(4)
    for box, (name, number) in zip(boxes, (numbers | {"met": f"{met} of {len(judged)}"}).items(), strict=True):
        box.metric("Expectations met" if name == "met" else name.capitalize(), number, border=True)
    order = sorted(judged, key=lambda finding: finding["passed"])  # what failed comes first, worst first as it came
    looks.table(
        [
            {
                "": "✓" if finding["passed"] else "✗" if finding["severity"] == "critical" else "!",
                "expected": finding["says"],
                "severity": finding["severity"],
                "rows": finding["failed"],
                "of all": pages.percent(finding["share"]),
                "for example": ", ".join(pages.examples(finding)),
            }
            for finding in order
        ],
        column_config={"": st.column_config.Column(width=40), "expected": st.column_config.Column(width=420)},
    )


def _refused(own: Store, rows: Sequence[Mapping[str, Any]]) -> None:
    """Some quarantined rows of each reason, with their pictures."""
    st.subheader("Quarantined rows", anchor=False)
    if not rows:
        st.caption("None: every row was accepted.")
        return
    found = thumbnails(own, [row["picture"] for row in rows if row["picture"]], packs=REFUSED_PACKS)
    shown = [
        {
            "picture": found.get(row["picture"] or ""),
            "row": row["row"],
            "product": row["product_id"] or "no id",
            "title": row["title"] or "",
            "price": answers.price(row),
            "why": ", ".join(row["reasons"]),
            "as it came": row["came"],
        }
        for row in rows
    ]
    looks.table(shown, column_config={"picture": st.column_config.ImageColumn("", width=50)})


def _cost(store: Store, shop: str) -> None:
    """What the shop's last runs took, stage by stage."""
    jobs = inspect.open(store).runs(shop, most=10)
    if not jobs:
        return
    st.subheader("What its runs took", anchor=False)
    looks.table(
        [
            {
                "run": looks.minute(str(job["started"])),
                "state": job["state"],
                "embedded": job["counts"].get("embedded", 0),
                "reused": job["counts"].get("reused", 0),
                "seconds": f"{sum(job['seconds'].values()):,.1f}",
                "MB written": f"{sum(job['size_bytes'].values()) / 1e6:,.1f}",
                "reason": job["reason"],
            }
            for job in jobs
        ]
    )


def _changed(own: Store, shop: str, ids: Sequence[str]) -> None:
    """One release against another."""
    st.subheader("What changed", anchor=False)
    if len(ids) < 2:
        st.caption("There is only one whole release: nothing to compare it with.")
        return
    left, right = st.columns(2)
    before = left.selectbox("From", ids, index=1, key="diff-before")
    after = right.selectbox("To", ids, index=0, key="diff-after")
    found = inspect.compare(own, shop=shop, before=before, after=after)
    numbers = {"Added": len(found.added), "Removed": len(found.removed), "Changed": len(found.changed)}
    for box, (name, number) in zip(st.columns(4), numbers.items(), strict=False):
        box.metric(name, f"{number:,}", border=True)
    looks.table([{"column": name, "products with another value": n} for name, n in found.columns.items()])
    looks.table(
        [
            {"score": name, "then": then, "now": now}
            for name, (then, now) in found.scores.items()
            if then is not None or now is not None
        ]
    )
    looks.table([{"quarantined for": code, "then": then, "now": now} for code, (then, now) in found.quarantine.items()])
