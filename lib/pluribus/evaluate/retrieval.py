"""Retrieval: is the right product found, and how does that compare with simpler searches?

    title→product      the title asks the fused vectors: what a shopper's search does
    title→picture      FashionCLIP's: the title asks, the product's own picture must answer
    picture→picture    another picture of the same product must answer
    words→product      "dark red vase" asks; every product of that colour and kind is right

Each is also measured at galleries of 1,000, 5,000 and 20,000 where there are so many: scores of different shops can
only be compared at equal galleries.
"""

from collections.abc import Callable, Iterator

import numpy as np

from pluribus import metrics, probes, vectors
from pluribus.evaluate.exam import Exam, Unmeasured
from pluribus.records import Score
from pluribus.search.searcher import HYBRID

GALLERIES = (1_000, 5_000, 20_000)
FIXED = ("hits@1", "hits@5", "mrr")  # at fixed galleries
WORK = 30_000_000  # scores by words at most: at a million products 30 queries
BASELINE = ("hits@5", "mrr", "ndcg@10")


def title_to_product(exam: Exam) -> list[Score]:
    """The title asks, the fused vectors answer."""
    return _scores("title→product", exam.answers, exam)


def title_to_picture(exam: Exam) -> list[Score]:
    """The title asks, pictures alone answer."""
    release = exam.release
    exam.enough(release.has_image)
    asked = exam.sample(release.has_image & release.titled)
    if not len(asked):
        raise Unmeasured("no product with a picture has a title")
    place = np.flatnonzero(release.has_image)
    queries = exam.look_up([release.titles[i] for i in asked])
    groups = release.groups
    return _scores(
        "title→picture", metrics.rank(queries, metrics.Some(release.image, place), groups[asked], groups[place]), exam
    )


def picture_to_picture(exam: Exam) -> list[Score]:
    """A second picture asks, the first pictures answer; pictures that are also somebody's first are not asked."""
    release = exam.release
    place = np.flatnonzero([bool(first) for first in release.first_pictures])
    exam.enough(release.has_image)
    firsts = set(release.first_pictures)
    others = [next((c for c in contents or [] if c not in firsts), "")
              for part in release.rows["pictures"].chunks for contents in part.to_pylist()]  # fmt: skip
    asked = exam.sample(np.array([bool(other) for other in others], dtype=bool))
    if len(asked) < exam.gate.products_least:
        raise Unmeasured(
            f"{len(asked)} products have a second picture of their own, and {exam.gate.products_least} are needed"
        )
    gallery = exam.shelf.get([vectors.picture_key(release.first_pictures[i]) for i in place])
    queries = exam.shelf.get([vectors.picture_key(others[i]) for i in asked])
    groups = release.groups
    return _scores("picture→picture", metrics.rank(queries, gallery, groups[asked], groups[place]), exam)


def words_to_product(exam: Exam) -> list[Score]:
    """Few words ask; and the same words ask the text vectors alone, and the pictures alone."""
    release = exam.release
    exam.enough(np.ones(len(release.fused), bool))
    found = probes.words(release.rows)
    if len(found) < exam.gate.products_least:
        raise Unmeasured(f"colours and categories make {len(found)} queries, and {exam.gate.products_least} are needed")
    said = [words.query for words in found]
    member = np.full(len(release.fused), -1)  # a product is of one colour and one kind: of one query at most
    for n, words in enumerate(found):
        member[list(words.rows)] = n
    del found  # it has a number for each product
    queries, wanted = exam.look_up(said), np.arange(len(said))
    scores = _scores("words→product", metrics.rank(queries, release.fused, wanted, member), exam)
    for name, gallery, there in (
        ("text vectors alone", release.text, release.has_text),
        ("pictures alone", release.image, release.has_image),
    ):
        if there.sum() >= exam.gate.products_least:
            some = metrics.Some(gallery, np.flatnonzero(there))
            ranked = metrics.rank(queries, some, wanted, member[there])
            scores += metrics.ranking_scores(f"words→product, {name}", ranked, only=BASELINE, seed=exam.seed)
    return scores + _with_words(exam, said, queries, member)


def _with_words(exam: Exam, said: list[str], queries: np.ndarray, member: np.ndarray) -> list[Score]:
    """The same by BM25 alone, and by both as search ranks: a part of the queries where a shop is very large."""
    if exam.lexicon is None:
        return []
    asked = max(20, WORK // len(member))
    wanted = np.arange(len(said[:asked]))
    bm25, again = (map(exam.lexicon.scores, said[:asked]) for _ in range(2))
    cosines = metrics.cosine_rows(queries[:asked], exam.release.fused)
    both = ((1 - HYBRID) * cosine + HYBRID * words for cosine, words in zip(cosines, again, strict=True))
    scores = []
    for name, rows in (("BM25 alone", bm25), ("vectors and BM25 as search ranks", both)):
        ranked = metrics.rank_rows(rows, wanted, member)
        scores += metrics.ranking_scores(f"words→product, {name}", ranked, only=BASELINE, seed=exam.seed)
    return scores


TASKS: dict[str, Callable[[Exam], list[Score]]] = {
    "title→product": title_to_product,
    "title→picture": title_to_picture,
    "picture→picture": picture_to_picture,
    "words→product": words_to_product,
}


def _scores(task: str, ranked: metrics.Ranked, exam: Exam) -> list[Score]:
    return [
        *metrics.ranking_scores(task, ranked, seed=exam.seed),
        *(score for size in GALLERIES if size < ranked.n_gallery for score in _at(task, ranked, size, exam)),
    ]


def _at(task: str, ranked: metrics.Ranked, size: int, exam: Exam) -> Iterator[Score]:
    yield from metrics.ranking_scores(f"{task}, {size:,}:", ranked, only=FIXED, n_gallery=size, seed=exam.seed)
