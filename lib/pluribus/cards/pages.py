"""Pages: a validation report as one self-contained HTML page, to send to a merchant or open from a card.

Great Expectations' own Data Docs print tenants' text unescaped and load styles from the network, so this is ours: every
value passes through Jinja's autoescape, and the page's own policy forbids scripts and every request.
"""

import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from pluribus.errors import printable
from pluribus.jobs import Job
from pluribus.store import Store

PAGE = "report.html"  # beside the report.json it shows

TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{ shop }}: validation report</title>
<style>
:root { --ink: #1a202c; --soft: #5a6575; --paper: #fff; --line: #dde2ea; --bad: #b42318; --warn: #925a00;
  --good: #18794e }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --soft: #9aa5b5; --paper: #14171c; --line: #2d333d;
  --bad: #ff8a7a; --warn: #f2b84b; --good: #5ecb98 } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 72rem;
  margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem; margin: 0 } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
p { margin: .3rem 0; color: var(--soft) }
.numbers { display: flex; flex-wrap: wrap; gap: .5rem 2.5rem; margin: 1rem 0; padding: 0 }
.numbers div { font-size: 1.6rem; font-variant-numeric: tabular-nums }
.numbers span { display: block; font-size: .85rem; color: var(--soft) }
.scroll { overflow-x: auto } table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .4rem .9rem .4rem 0; border-bottom: 1px solid var(--line) }
th { font-weight: 600; font-size: .85rem; color: var(--soft) }
.n { text-align: right; font-variant-numeric: tabular-nums }
td code { font: .85rem ui-monospace, monospace; overflow-wrap: anywhere; white-space: pre-wrap; display: block }
.bad { color: var(--bad) } .warn { color: var(--warn) } .good { color: var(--good) } small { color: var(--soft) }
</style></head><body>
<h1>{{ shop }}</h1><p>Validation report: what became of every row of the catalog, and why.</p>
<div class="numbers">
{% for name, number in numbers.items() %}<div>{{ number }}<span>{{ name }}</span></div>{% endfor %}
</div>
{% if report.reasons %}
<h2>Why rows are quarantined</h2><p>A row with several reasons counts under each of them.</p>
<div class="scroll"><table><tr><th>reason</th><th class="n">rows</th><th class="n">of all</th><th>expected</th></tr>
{% for code, n in report.reasons.items() %}<tr><td>{{ code }}</td><td class="n">{{ "{:,}".format(n) }}</td>
<td class="n">{{ percent(n / rows) }}</td><td>{{ says.get(code, "") }}</td></tr>{% endfor %}
</table></div>
{% endif %}
<h2>Every expectation</h2><p>Rows that fail a critical one are quarantined; the others are counted.</p>
<div class="scroll"><table>
<tr><th>expectation</th><th>severity</th><th></th><th class="n">rows</th><th class="n">of all</th>
<th>for example</th></tr>
{% for f in report.findings %}<tr>
<td>{{ f.says }}<br><small>{{ f.code }}: {{ f.expectation }}{{ " of " + f.column if f.column }}</small></td>
<td>{{ f.severity }}</td>
<td class="{{ verdict(f)[0] }}">{{ verdict(f)[1] }}</td>
<td class="n">{{ "{:,}".format(f.failed) if f.failed }}</td><td class="n">{{ percent(f.share) if f.failed }}</td>
<td>{% for example in examples(f) %}<code>{{ printable(example) }}</code>{% endfor %}
{% if f.observed and not f.examples %}<small>observed:</small> <code>{{ printable(f.observed) }}</code>{% endif %}</td>
</tr>{% endfor %}
</table></div>
<p>See the rows themselves: <code>pluribus quarantine {{ shop }}</code></p>
</body></html>
"""


def validation_page(shop: str, report: Mapping[str, Any]) -> str:
    """The page of a report as `validate` stores it (report.json). The same report gives the same page."""
    numbers = {name: f"{report[name]:,}" for name in ("rows", "accepted", "quarantined")}
    met = sum(finding["passed"] for finding in report["findings"])
    page: str = _template().render(
        shop=shop,
        report=report,
        rows=max(1, report["rows"]),
        numbers=numbers | {"expectations met": f"{met} of {len(report['findings'])}"},
        says={finding["code"]: finding["says"] for finding in report["findings"]},
    )
    return page


def keep(store: Store, jobs: Iterable[Job]) -> None:
    """Write the page beside each report of these jobs, refused catalogs included; a page already there stays."""
    for job in jobs:
        own = store.within(f"shops/{job.shop}")
        found = judgement(own, job) if "validate" in job.seconds else None
        if found and not any(own.items(found[0] + PAGE)):
            own.create(found[0] + PAGE, validation_page(job.shop, found[1]).encode())


def judgement(store: Store, job: Job) -> tuple[str, dict[str, Any]] | None:
    """Where the judgement of a job's snapshot lies, and its report; None when there is none.

    A refused catalog has no `job.validation`: its report is the newest one of its snapshot.
    """
    if not job.snapshot:
        return None
    items = store.items(job.validation or f"snapshots/{job.snapshot}/checks/")
    reports = [(item.modified, item.key) for item in items if item.key.endswith("/report.json")]
    if not reports:
        return None
    _, key = max(reports)
    return key.removesuffix("report.json"), json.loads(store.get(key))


def percent(share: float) -> str:
    """A share as people read it: nothing that happened is 0 %, nothing that failed leaves 100 %."""
    if share in (0, 1):
        return f"{share:.0%}"
    return f"{min(max(share, 0.001), 0.999):.1%}"


def examples(finding: Mapping[str, Any], most: int = 5) -> list[str]:
    """Some different values that failed; that one is missing the expectation has already said."""
    return [value for value in dict.fromkeys(finding["examples"]) if value not in ("nan", "None", "<NA>")][:most]


@cache
def _template() -> Any:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.globals.update(percent=percent, printable=printable, verdict=_verdict, examples=examples)
    return environment.from_string(TEMPLATE)


def _verdict(finding: Mapping[str, Any]) -> tuple[str, str]:
    """CSS class and word of a finding."""
    if finding["passed"]:
        return "good", "✓ met"
    return ("bad", "✗ failed") if finding["severity"] == "critical" else ("warn", "! failed")
