"""Chapters: what a card says of one shop at one stage. Each takes the shop's own store and its job, and only reads.

A shop set aside at a stage has a chapter too: its reason, what is known so far, and what stays live meanwhile.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pluribus import ingest as snapshots
from pluribus import plots, releases, tables
from pluribus.cards import glimpses, layout, pages
from pluribus.cards.pages import percent
from pluribus.cards.thumbnails import thumbnails
from pluribus.jobs import Job
from pluribus.store import Store

SHOWN = 12  # products in a grid
ROWS_SHOWN = 15  # quarantined rows in a table
QUERIES, NEAREST = 4, 5
TITLE_CHARS, CAME_CHARS = 60, 160


def ingest(store: Store, job: Job) -> list[Any]:
    """The snapshot: a sample of it, how full its columns are, which pictures could not be had."""
    taken = snapshots.latest(store, job.snapshot) if job.snapshot else None
    if taken is None:
        return [trouble(store, job), layout.commands({f"pluribus refresh --shops {job.shop}": "once it is mended"})]
    path = tables.local(store, snapshots.rows_key(taken.id))
    known = {
        "snapshot": taken.id,
        "read": taken.asof[:19],
        "raw feeds kept as": "\n".join(taken.feeds),
        "rows": taken.rows,
        "deleted by tombstones": taken.deleted or "",
        "distinct good pictures": taken.pictures,
        "picture references that led nowhere": taken.picture_faults,
    }
    shown = [_sample(store, glimpses.spread(path, taken.rows)), layout.facts(known | live(store, job))]
    return shown + _composition(path, taken.rows)


def validate(store: Store, job: Job) -> list[Any]:
    """The judgement: reasons, examples with pictures, expectations that failed, and where the whole report is."""
    found = pages.judgement(store, job)
    if found is None:
        return [trouble(store, job)]
    prefix, report = found
    codes = {finding["code"]: finding for finding in report["findings"]}
    reasons = [
        {"reason": code, "rows": n, "of all": percent(n / max(1, report["rows"])), "expected": codes[code]["says"]}
        for code, n in report["reasons"].items()
    ]
    warnings = [
        {
            "warning": finding["code"],
            "rows": finding["failed"],
            "of all": percent(finding["share"]),
            "expected": finding["says"],
            "for example": "\n".join(pages.examples(finding, 3)),
        }
        for finding in report["findings"]
        if not finding["passed"] and finding["severity"] != "critical"
    ]
    passed = sum(finding["passed"] for finding in report["findings"])
    known = {"rows": report["rows"], "accepted": report["accepted"], "quarantined": report["quarantined"]}
    met = f"{passed} of {len(report['findings'])}"
    commands = {f"pluribus quarantine {job.shop}": "every quarantined row with its reasons"}
    commands |= {
        f"pluribus quarantine {job.shop} --reason {code}": "those only" for code in list(report["reasons"])[:1]
    }
    return [
        trouble(store, job) if job.reason else None,
        layout.facts(known | {"expectations met": met, "whole report": f"{store.url}/{prefix}{pages.PAGE}"}),
        _link(store, prefix),
        layout.table(reasons),
        layout.chart(plots.bars(report["reasons"], "quarantined rows", colour=plots.RED)) if len(reasons) > 1 else None,
        _refused(store, glimpses.refused(tables.local(store, prefix + "quarantine.parquet"), ROWS_SHOWN)),
        layout.table(warnings),
        layout.commands(commands) if reasons else None,
    ]


def embed(store: Store, job: Job) -> list[Any]:
    """What the vectors are made of."""
    if job.reason or not job.validation:
        return [trouble(store, job)]
    path = tables.local(store, job.validation + "products.parquet")
    shelf: dict[str, list[int]] = {}
    for item in store.items("vectors/"):
        shelf.setdefault(item.key.split("/")[1], []).append(item.size_bytes)
    kept = [
        {"vectors of model": fingerprint[:12], "files": len(sizes), "size": layout.size(sum(sizes))}
        for fingerprint, sizes in shelf.items()
    ]
    return [
        _sample(store, glimpses.spread(path, job.counts["rows"])),
        _bars(glimpses.coverage(path), "accepted products, by what their vector is made of"),
        layout.table(kept),
    ]


def build(store: Store, job: Job) -> list[Any]:
    """The index with its measured recall, the release's files, and nearest neighbours."""
    if not job.release:
        return [trouble(store, job)]
    made = json.loads(store.get(releases.key(job.release, "build.json")))
    recall = [
        {"asked with": name, "recall@10 against exact search": value, "queries": made["queries"][name]}
        for name, value in made["recall@10"].items()
    ]
    settings = ", ".join(f"{name} {value}" for name, value in made["settings"].items())
    weights = ", ".join(f"{name} {weight:g}" for name, weight in made["fusion"].items())
    files = [{"file": n, "size": layout.size(f.size_bytes), "sha256": f.sha256[:16]} for n, f in job.files.items()]
    return [
        layout.facts({"release": job.release, "products": made["products"], "index": f"{made['index']} {settings}",
                      "why this index": made["why"],
                      "weights of the fused vector": weights}),
        layout.table(recall),
        *_neighbours(store, job),
        layout.table(files),
    ]  # fmt: skip


def publish(store: Store, job: Job) -> list[Any]:
    """What is live now, what changed by it, and how to look at it or go back."""
    now = releases.current(store, shop=job.shop)
    if now is None:
        return [trouble(store, job)]
    before = now.retired[-1].release if now.retired else ""
    commands = {
        f'pluribus search {job.shop} "what a shopper would type"': "ask it",
        f"pluribus releases {job.shop}": "every release there is",
        **({f"pluribus rollback {job.shop}": "back to the release before, and hold the shop there"} if before else {}),
        **({f"pluribus unhold {job.shop}": "let the next refresh publish again"} if now.hold else {}),
    }
    outcome = {"outcome": OUTCOMES.get(job.state, job.reason), "built in this run": job.release}
    shown = [layout.facts(outcome | live(store, job))]
    if job.state == "published":
        shown += _changes(store, now.release, before)
    return [*shown, layout.commands(commands)]


#: What became of a release, in words.
OUTCOMES = {
    "published": "it is live",
    "unchanged": "the live release was made of the same input: nothing to switch",
    "superseded": "the live release is of a newer feed and stays",
    "held": "somebody holds the shop on its live release; unhold lets the next refresh publish",
}


# ---------------------------------------------------------------------------------------------------------------- parts


def trouble(store: Store, job: Job) -> Any:
    """Why a shop did not get through, and what it serves meanwhile."""
    return layout.facts({job.state: job.reason} | live(store, job))


def live(store: Store, job: Job) -> dict[str, str]:
    now = releases.current(store, shop=job.shop)
    if now is None:
        return {"live release": "none yet"}
    held = ", held" if now.hold else ""
    return {"live release": f"{now.release}\nsince {now.at[:19]}, of a feed read {now.asof[:19]}{held}"}


def _sample(store: Store, rows: Sequence[Mapping[str, Any]]) -> Any:
    """A grid of products, those first whose pictures lie together."""
    found = thumbnails(store, [row["picture"] for row in rows if row["picture"]], most=SHOWN, packs=1)
    seen = [row for row in rows if row["picture"] in found]
    shown = [*seen, *(row for row in rows if not row["picture"])][:SHOWN]
    return layout.grid([(found.get(row["picture"] or ""), _caption(row)) for row in shown])


def _composition(path: Path, n_rows: int) -> list[Any]:
    """How full the columns are, which pictures could not be had, and how categories, brands and prices are spread."""
    filled = glimpses.filled(path)
    currency, prices = glimpses.prices(path, n_rows)
    left = {
        "columns that no row has": ", ".join(name for name, share in filled.items() if not share),
        "source columns kept as extra (of the first 1,000 rows)": ", ".join(
            f"{name} ({n:,})" for name, n in glimpses.unplaced(path).items()
        ),
    }
    return [
        layout.prose("The share of rows that have each column; `pictures`: at least one that could be read."),
        layout.table([{name: percent(share) for name, share in filled.items() if share}]),
        layout.facts(left),
        _faults(glimpses.faults(path)),
        _bars(glimpses.tally(path, "category"), "products of each category"),
        _bars(glimpses.tally(path, "brand"), "products of each brand"),
        layout.chart(plots.histogram(prices, currency)) if prices else None,
    ]


def _caption(row: Mapping[str, Any]) -> str:
    return f"{_title(row)}\n{row['product_id'] or 'no id'}" + (f"\n{_price(row)}" if row["price"] is not None else "")


def _title(row: Mapping[str, Any]) -> str:
    title = " ".join((row["title"] or "no title").split())
    return title if len(title) <= TITLE_CHARS else title[: TITLE_CHARS - 1] + "…"


def _price(row: Mapping[str, Any]) -> str:
    return "" if row["price"] is None else f"{row['price']:,.2f} {row['currency'] or ''}".strip()


def _faults(found: Sequence[Mapping[str, Any]]) -> Any:
    return layout.table(
        [
            {
                "no picture because": fault["reason"],
                "which means": glimpses.FAULT_MEANS.get(fault["reason"], "the server refused or could not be reached"),
                "references": fault["n"],
                "for example": fault["example"],
            }
            for fault in found
        ]
    )


def _bars(counts: Mapping[str, int], unit: str) -> Any:
    return layout.chart(plots.bars(counts, unit)) if counts else None


def _link(store: Store, prefix: str) -> Any:
    """A link to the report's page, for stores that a browser can open. The address is ours and percent-encoded."""
    if "://" in store.url:
        return None
    return layout.prose(f"[Open the whole validation report]({Path(f'{store.url}/{prefix}{pages.PAGE}').as_uri()})")


def _refused(store: Store, rows: Sequence[Mapping[str, Any]]) -> Any:
    """Quarantined rows with their pictures."""
    found = thumbnails(store, [row["picture"] for row in rows if row["picture"]], packs=2)
    shown = [
        {
            "quarantined": layout.thumbnail(found.get(row["picture"] or "")),
            "row": f"{row['row']}",
            "product": row["product_id"] or "no id",
            "title": _title(row),
            "price": _price(row),
            "why": "\n".join(row["reasons"]),
            "as it came": row["came"][:CAME_CHARS],
        }
        for row in rows
    ]
    return layout.table(shown)


def _neighbours(store: Store, job: Job) -> list[Any]:
    """Some products of a release and their nearest, a line each; nothing where that would open a large file."""
    index_bytes = job.files["index.faiss"].size_bytes
    if index_bytes > glimpses.INDEX_MOST_BYTES:
        said = f"The index has {layout.size(index_bytes)} and is not opened for a card."
        return [layout.note(said), layout.commands({f'pluribus search {job.shop} "some words"': "opens it"})]
    built = releases.unsealed(store, shop=job.shop, release=job.release, files=job.files)
    found = glimpses.neighbours(built, products=QUERIES, nearest=NEAREST)
    rows = [row for near in found for row in (near.product, *(row for _, row in near.nearest))]
    seen = thumbnails(store, [row["picture"] for row in rows if row["picture"]])
    parts = []
    for near in found:
        line = [(seen.get(near.product["picture"] or ""), f"nearest to\n{_caption(near.product)}")]
        line += [
            (seen.get(row["picture"] or ""), f"cosine {cosine:.3f}\n{_caption(row)}") for cosine, row in near.nearest
        ]
        parts.append(layout.grid(line))
    return parts


def _changes(store: Store, release: str, before: str) -> list[Any]:
    """What the live release has that the one before had not, and the other way round."""
    path = tables.local(store, releases.key(release, "products.parquet"))
    if not before or not any(store.items(releases.key(before, "products.parquet"))):
        return [_sample(store, glimpses.spread(path, 0))]
    counts, added = glimpses.changes(tables.local(store, releases.key(before, "products.parquet")), path)
    return [layout.facts({f"{change}, of the products": n for change, n in counts.items()}), _sample(store, added)]
