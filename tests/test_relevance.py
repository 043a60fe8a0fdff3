"""Graded relevance: the measures agree with trec_eval, and judgements are read as logs are."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytrec_eval

from pluribus import relevance, search
from pluribus.errors import ConfigError, FeedError
from pluribus.feeds import logs
from pluribus.records import Limits


def test_measures_agree_with_trec_eval() -> None:
    rng = np.random.default_rng(0)
    scores = rng.permutation(60).astype(float)
    gains = {int(place): float(rng.integers(0, 4)) for place in rng.permutation(60)[:25]} | {7: 3.0}
    judge = pytrec_eval.RelevanceEvaluator({"q": {f"{p}": int(gain) for p, gain in gains.items()}}, {"ndcg_cut.10"})
    everything = {f"{place}": float(score) for place, score in enumerate(scores)}
    judged = {name: score for name, score in everything.items() if int(name) in gains}
    ours = relevance.one(scores, gains, 1.5)
    assert ours[0] == pytest.approx(judge.evaluate({"q": judged})["q"]["ndcg_cut_10"], abs=1e-9)
    assert ours[1] == pytest.approx(judge.evaluate({"q": everything})["q"]["ndcg_cut_10"], abs=1e-9)
    first = next((n for n, place in enumerate(np.argsort(-scores)[:10], 1) if gains.get(int(place), 0) > 1.5), 0)
    assert ours[2] == (1 / first if first else 0.0)


def test_judgements_of_a_shop_by_its_own_search(demo_store: str, tmp_path: Path) -> None:
    shop = search.open(demo_store, "atelier")
    rows = shop.products.slice(0, 12).to_pylist()
    other = shop.products["product_id"][20].as_py()
    file = tmp_path / "rated.csv"
    lines = [f"{row['title']},{row['product_id']},3\n{row['title']},{other},0\n{row['title']},gone,2\n" for row in rows]
    file.write_text("query,docid,rating\n" + "".join(lines) + "nothing,gone,3\nbroken,x,often\n")
    judged = relevance.known(logs.judgements(file, limits=Limits()), shop.places)
    queries = len({row["title"] for row in rows})
    assert (len(judged.queries), judged.unknown, judged.hopeless) == (queries, queries + 1, 1)
    found: Any = {row["way"]: row for row in relevance.measure(shop, judged)}
    both = found["both, as search ranks"]
    assert both["nDCG@10 judged"] > 0.95, "titles find their own products before another"
    assert both["n"] == queries
    assert both["95 %"]["MRR@10 all"][0] <= both["MRR@10 all"] <= both["95 %"]["MRR@10 all"][1]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("query,docid\na,b\n", "no column rating"),
        ("query,docid,rating\n", "no judgement in"),
        ("query,docid,rating\na,b,nan\na,b,-1\n", "no judgement in"),
    ],
)
def test_a_file_without_judgements_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "rated.csv").write_text(text)
    with pytest.raises(FeedError, match=says):
        logs.judgements(tmp_path / "rated.csv", limits=Limits())


def test_judgements_of_another_shop_measure_nothing() -> None:
    with pytest.raises(ConfigError, match="no judged query has a good answer"):
        relevance.known({"a": {"x": 3.0}}, {"y": 0})
