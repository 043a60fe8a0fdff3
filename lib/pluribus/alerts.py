"""Alerts and figures: what an operator's other systems hear of a run. Nothing in here can fail a run that is done."""

import json
import os
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any

from pluribus import ledger
from pluribus.errors import PluribusError, printable
from pluribus.fleet import Alerts, Rates
from pluribus.store import Store

TIMEOUT_S = 10
UNTOLD = "could not be told"
FAILED = "after the run"  # begins what somebody should know of
MOST_NAMED = 50  # shops in one message
TROUBLE = {"set aside": "shop set aside", "failed gate": "gate failed"}


def found(report: Mapping[str, Any], alerts: Alerts, rates: Rates) -> list[dict[str, str]]:
    """What somebody should hear of a run: kind, shop, and why."""
    told = [
        {"kind": TROUBLE[job["state"]], "shop": job["shop"], "why": printable(job["reason"], 500)}
        for job in report["jobs"]
        if job["state"] in TROUBLE
    ]
    usd = ledger.of_run(report, rates)["USD"]
    if alerts.most_usd and usd > alerts.most_usd:
        why = f"run {report['run']} cost {usd:.2f} USD, the limit is {alerts.most_usd:.2f}"
        told.append({"kind": "cost overrun", "shop": "", "why": why})
    return told


def tell(report: Mapping[str, Any], alerts: Alerts, rates: Rates) -> str:
    """Send what was found to the webhook, in one message; returns what came of it, in words without the address."""
    told = found(report, alerts, rates)
    if not alerts.webhook or not told:
        return "nothing to tell" if not told else f"{len(told)} alerts, and no webhook is configured"
    text = "; ".join(f"{one['kind']}: {one['shop']} {one['why']}".strip() for one in told[:3])
    message = {"run": report["run"], "text": printable(text, 1000), "n": len(told), "alerts": told[:MOST_NAMED]}
    try:
        asked = urllib.request.Request(  # noqa: S310 - the operator's own address
            alerts.webhook, json.dumps(message).encode(), {"Content-Type": "application/json"}, method="POST"
        )
        with urllib.request.urlopen(asked, timeout=TIMEOUT_S) as answer:  # noqa: S310
            return f"{len(told)} alerts told, answered {answer.status}"
    except (OSError, ValueError, HTTPException) as error:
        return f"{len(told)} alerts {UNTOLD}: {type(error).__name__}"


def after(store: Store, key: str, operations: Callable[[], tuple[Rates, Alerts]]) -> str:
    """Alerts to whom the configuration names, and figures beside the report of a run; returns what came of it."""
    try:
        rates, whom = operations()
        report = json.loads(store.get(key))
    except (PluribusError, OSError) as error:
        return f"{FAILED}: no figures, nor alerts: {error}"
    said = f"alerts: {tell(report, whom, rates)}"
    try:
        text = prometheus(report, rates)
        store.create(key.replace("runs/", "metrics/").replace(".json", ".prom"), text.encode())
        if whom.metrics:
            keep(text, whom.metrics)
    except (PluribusError, OSError) as error:
        return f"{FAILED}: {said}; no figures: {error}"
    return f"{FAILED}: {said}" if UNTOLD in said else said


def prometheus(report: Mapping[str, Any], rates: Rates) -> str:
    """A run as Prometheus text: totals by state and stage, and one line a shop for what is watched by shop."""
    jobs, figures = report["jobs"], ledger.of_run(report, rates)
    seconds: dict[str, float] = {}
    for job in jobs:
        for stage, spent in job["seconds"].items():
            seconds[stage] = seconds.get(stage, 0.0) + spent
    states: dict[str, int] = {}
    for job in jobs:
        states[job["state"]] = states.get(job["state"], 0) + 1
    counted = {name: sum(job["counts"].get(name, 0) for job in jobs) for name in ("rows", "quarantined", "embedded")}
    trouble = [job for job in jobs if job["state"] in TROUBLE]
    families: list[tuple[str, str, list[tuple[dict[str, str], float]]]] = [
        ("pluribus_run_shops", "shops by how they came through", [({"state": s}, n) for s, n in states.items()]),
        ("pluribus_run_stage_seconds", "seconds of all shops", [({"stage": s}, v) for s, v in seconds.items()]),
        ("pluribus_run_items", "rows, and contents encoded", [({"kind": k}, n) for k, n in counted.items()]),
        ("pluribus_run_usd", "cost at the configured prices", [({}, figures["USD"])]),
        ("pluribus_run_started_seconds", "when it started", [({}, _epoch(report["started"]))]),
        ("pluribus_run_finished_seconds", "when it ended", [({}, _epoch(report["finished"]))]),
        ("pluribus_shop_in_trouble", "set aside or refused", [({"shop": j["shop"], "state": j["state"]}, 1)
                                                              for j in trouble]),
    ]  # fmt: skip
    lines = []
    for name, says, values in families:
        lines += [f"# HELP {name} {says}, of the newest run", f"# TYPE {name} gauge"]
        lines += [f"{name}{_labels(labels)} {value:.12g}" if not name.endswith("_seconds") else
                  f"{name}{_labels(labels)} {value:.3f}" for labels, value in values]  # fmt: skip
    return "\n".join(lines) + "\n"


def keep(text: str, place: str) -> None:
    """Rewrite the file that Prometheus' textfile collector reads: it never sees half of one."""
    path = Path(place)
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    staged.write_text(text)
    staged.replace(path)


def _labels(labels: Mapping[str, str]) -> str:
    escape = {"\\": "\\\\", '"': '\\"', "\n": "\\n"}
    said = [f'{name}="{"".join(escape.get(c, c) for c in value)}"' for name, value in labels.items()]
    return "{" + ",".join(said) + "}" if said else ""


def _epoch(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()
