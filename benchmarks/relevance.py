"""How good search and type-ahead are on real judgements: the tables behind the fusion's and the suggester's constants.

    make relevance        (PLURIBUS_DATA: the shared data; the store of `make real` for the Icecat catalog)

Graded judgements: Icecat (90 queries, grades 0 to 3) over its live release, Home Depot (500 of its 8,817 queries,
grades 1 to 3) over its 43,249 titles. `judged` ranks what people graded and nothing else; `all` ranks the whole gallery
and counts what nobody graded as wrong, which favours engines like the one that made the pool.

Type-ahead: the query log of a Best Buy demo (2,120 queries, with popularity) over 48,194 Best Buy products. `sessions`:
what was clicked in published sessions of three queries, the query to be completed. `simulated`: two products that say
all words of a query, drawn outside those that stand for it.
"""

import argparse
import csv
import gzip
import io
import json
import os
import sys
import tarfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa

from pluribus import lexical, relevance, search, suggest, texts
from pluribus.feeds import logs
from pluribus.records import Limits
from pluribus.search.terms import Encodes

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results"
WEIGHTS = (0.5, 0.6, 0.7, 0.8, 0.9)
HOMEDEPOT_QUERIES = 500


def judge(score: Callable[[int], np.ndarray], judged: list[dict[int, float]], good: float) -> tuple[float, ...]:
    """nDCG@10 judged, nDCG@10 of all, MRR@10 of all, over queries with at least one product of gain above `good`."""
    return tuple(np.mean([relevance.one(score(n), gains, good) for n, gains in enumerate(judged)], axis=0))


def rrf(one: np.ndarray, other: np.ndarray, k: int = 60, pool: int = 1_000) -> np.ndarray:
    """Reciprocal rank fusion, the usual way to join rankings whose scores do not compare."""
    fused = np.zeros(len(one))
    for scores in (one, other):
        best = relevance.top(scores, pool)
        best = best[scores[best] > 0]
        fused[best] += 1 / (k + 1 + np.arange(len(best)))
    return fused


def compare(name: str, vectors: np.ndarray, lexicon: lexical.Lexicon, asked: np.ndarray, queries: list[str],
            judged: list[dict[int, float]], good: float) -> list[dict[str, object]]:  # fmt: skip
    """Vectors, BM25, and every way to join them."""
    words = [lexicon.scores(query) for query in queries]
    near = lambda n: vectors @ asked[n]
    peak = lambda scores: scores / (scores.max() or 1)
    ways: dict[str, Callable[[int], np.ndarray]] = {"vectors": near, "BM25": lambda n: words[n]}
    ways |= {f"{w:g} words": lambda n, w=w: (1 - w) * near(n) + w * words[n] for w in WEIGHTS}
    ways |= {"0.7 words, best = 1": lambda n: 0.3 * near(n) + 0.7 * peak(words[n])}
    ways |= {"RRF, k = 60": lambda n: rrf(near(n), words[n])}
    rows = []
    for way, score in ways.items():
        found = judge(score, judged, good)
        names = ("nDCG@10 judged", "nDCG@10 all", "MRR@10 all")
        rows.append({"judgements": f"{name} ({len(queries):,} queries)", "way": way}
                    | {name: round(value, 3) for name, value in zip(names, found, strict=True)})  # fmt: skip
    return rows


def keep_answerable(
    queries: list[str], judged: list[dict[int, float]], good: float
) -> tuple[list[str], list[dict[int, float]]]:
    """Queries that something good was found for."""
    kept = [n for n, gains in enumerate(judged) if max(gains.values(), default=0) > good]
    return [queries[n] for n in kept], [judged[n] for n in kept]


def icecat(data: Path, shop: search.Searcher) -> list[dict[str, object]]:
    """The live release of a shop, asked what people asked."""
    rated = logs.judgements(data / "benchmarks/icecat_relevance/rated.csv", limits=Limits())
    known = relevance.known(rated, shop.places)
    queries, judged = known.queries, known.gains
    vectors, asked = shop.space.fused.astype(np.float32), shop.encoder.texts(queries)
    lexicon = lexical.build(texts.words(shop.products))
    return compare("Icecat", vectors, lexicon, asked, queries, judged, known.good)


def homedepot(data: Path, encoder: Encodes) -> list[dict[str, object]]:
    """Titles alone: descriptions are not in the data."""
    with gzip.open(data / "benchmarks/homedepot_relevance/train_split.csv.gz", "rt", encoding="latin-1") as file:
        rows = list(csv.DictReader(file))
    titles = {row["product_uid"]: row["product_title"] for row in rows}
    place = {uid: n for n, uid in enumerate(titles)}
    grades: dict[str, dict[int, float]] = defaultdict(dict)
    for row in rows:
        grades[row["search_term"]][place[row["product_uid"]]] = float(row["relevance"]) - 1
    names = sorted(grades)
    chosen = [names[n] for n in np.sort(np.random.default_rng(0).permutation(len(names))[:HOMEDEPOT_QUERIES])]
    queries, judged = keep_answerable(chosen, [grades[name] for name in chosen], 1.3)
    lexicon = lexical.build(list(titles.values()))
    vectors, asked = encoder.texts(list(titles.values())), encoder.texts(queries)
    return compare("Home Depot", vectors, lexicon, asked, queries, judged, 1.3)


def best_buy(data: Path, encoder: Encodes) -> SimpleNamespace:
    """The catalog as `suggest` sees an opened release."""
    with tarfile.open(data / "behaviour/retrotech/products.tgz") as tar:
        member = tar.extractfile("products.csv")
        assert member
        rows = list(csv.DictReader(io.TextIOWrapper(member, encoding="utf-8"), skipinitialspace=True))
    rows = list({row["upc"].lstrip("0"): row for row in rows}.values())
    titles, brands = ([row[name].strip() or None for row in rows] for name in ("name", "manufacturer"))
    blank = pa.nulls(len(rows), pa.string())
    products = pa.table(
        {"title": titles, "brand": brands} | dict.fromkeys(("category", "colour", "material", "gender"), blank)
    )
    said = [f"{title or ''} {brand or ''}" for title, brand in zip(titles, brands, strict=True)]
    fused = encoder.texts(said)
    places = {row["upc"].lstrip("0"): n for n, row in enumerate(rows)}
    return SimpleNamespace(products=products, groups=np.arange(len(rows)), places=places, lexicon=lexical.build(said),
                           space=SimpleNamespace(fused=fused))  # fmt: skip


def type_ahead(data: Path, encoder: Encodes, sample: int = 100) -> list[dict[str, object]]:
    """MRR@5 by what a session's nearness is worth; 0 is popularity alone."""
    shop = best_buy(data, encoder)
    told = json.loads((data / "behaviour/algolia_queries/instant_search_demo_query_suggestions.json").read_text())
    log = {row["query"]: max(float(row["popularity"]), 0.1) for row in told}
    rng = np.random.default_rng(0)
    cases: dict[str, list[tuple[str, list[str]]]] = {"sessions": [], "simulated": []}
    for query in ("dryer", "headphones", "ipad"):
        log.setdefault(query, 1.0)
        clicked: dict[str, list[str]] = defaultdict(list)
        with gzip.open(data / f"behaviour/retrotech/{query}_sessions.gz", "rt") as file:
            for row in csv.DictReader(file):
                if row["clicked"] == "True" and row["clicked_doc_id"].lstrip("0") in shop.places:
                    clicked[row["sess_id"]].append(row["clicked_doc_id"].lstrip("0"))
        sessions = list(clicked.values())
        cases["sessions"] += [(query, sessions[n]) for n in rng.permutation(len(sessions))[:sample]]
    words = suggest.learn(shop, log)  # type: ignore[arg-type]
    ids = list(shop.places)
    weights = np.array([log[query] for query in log])
    for query in rng.choice(list(log), 20 * sample, p=weights / weights.sum()):
        said = shop.lexicon.scores(str(query))
        full = np.setdiff1d(
            np.flatnonzero(said >= 0.5 * said.max()) if said.max() > 0 else [], suggest._found(shop, str(query))
        )
        if len(full) >= 2 and len(cases["simulated"]) < 3 * sample:
            cases["simulated"].append((str(query), [ids[int(n)] for n in rng.choice(full, 2, replace=False)]))
    rows = []
    for name, asked in cases.items():
        for worth in (0.0, 4.0, 8.0, 16.0):
            suggest.NEARNESS = worth
            row: dict[str, object] = {"cases": f"{name} ({len(asked):,})", "nearness": worth}
            for typed in (0, 1, 2):
                row[f"MRR@5, {typed} typed"] = round(float(np.mean([mrr(words, *case, typed) for case in asked])), 3)
            rows.append(row)
    return [*rows, {"cases": f"time of one completion among {len(words.texts):,}", **speed(words, ids)}]


def mrr(words: suggest.Suggester, query: str, session: list[str], typed: int) -> float:
    """Of the query itself among the first five completions of what was typed of it."""
    found = [completion.text for completion in words.complete(query[:typed], 5, session=session)]
    return 1 / (found.index(query) + 1) if query in found else 0.0


def speed(words: suggest.Suggester, ids: list[str]) -> dict[str, object]:
    """CPU milliseconds of a completion with a session: one thread's, for a busy machine's clock says little."""
    prefixes = [
        words.keys[n][:length] for n in range(0, len(words.keys), len(words.keys) // 200) for length in (0, 1, 2, 4)
    ]
    took = []
    for n, prefix in enumerate(prefixes):
        began = time.thread_time()
        words.complete(prefix, 5, session=[ids[n]])
        took.append(1_000 * (time.thread_time() - began))
    return {f"p{q} CPU ms": round(float(np.percentile(took, q)), 2) for q in (50, 95, 99)}


def markdown(rows: list[dict[str, object]]) -> str:
    """As a table."""
    names = list(rows[0])
    lines = [names, ["---"] * len(names), *([str(row.get(name, "")) for name in names] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    """Print the tables, and keep them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", default=str(ROOT / ".pluribus-real"))
    data = Path(os.environ.get("PLURIBUS_DATA") or ROOT.parent / "shared" / "data")
    shop = search.open(parser.parse_args().store, "icecat_electronics")
    found = markdown([*icecat(data, shop), *homedepot(data, shop.encoder)])
    print(found, "\n", flush=True)
    *rows, took = type_ahead(data, shop.encoder)
    ahead = f"{markdown(rows)}\n\n{markdown([took])}"
    print(ahead)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "relevance.md").write_text(f"{found}\n\n{ahead}\n")


if __name__ == "__main__":
    sys.exit(main())
