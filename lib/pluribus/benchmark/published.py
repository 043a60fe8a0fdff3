"""Published: what others printed of models and sets, with its source. Nothing here was measured by us.

Farfetch's products are not public: its rows stand beside shops to show the size of such numbers, on another catalog.
The deck's first FashionCLIP and the repository's differ (0.71 and 0.74 on F-MNIST); both are given.
"""

from collections.abc import Sequence

from pluribus.benchmark import RETRIEVAL, ZERO_SHOT, Row
from pluribus.benchmark.sets import Set

DECK = "published: Mo' models, mo' problems, KDD'22 keynote, table "
README = "published: github.com/patrickjohncyh/fashion-clip, README"
FARFETCH = "Farfetch (not public)"
#: The deck's Table 2, HITS@5 by split; the gallery is not stated.
TABLE_2 = {"FashionCLIP": {"TEST": 0.61, "HOUT-C": 0.57, "HOUT-B": 0.55},
           "CLIP": {"TEST": 0.22, "HOUT-C": 0.28, "HOUT-B": 0.27}}  # fmt: skip
#: The deck's Table 3, weighted F1 by set; prompts and sizes are not stated.
TABLE_3 = {"FashionCLIP": {FARFETCH: 0.39, "KAGL": 0.67, "F-MNIST": 0.71, "DEEP": 0.47},
           "CLIP": {FARFETCH: 0.31, "KAGL": 0.63, "F-MNIST": 0.66, "DEEP": 0.45}}  # fmt: skip
#: The repository's, weighted F1.
REPOSITORY = {
    "OpenAI CLIP": {"F-MNIST": 0.66, "KAGL": 0.63, "DEEP": 0.45},
    "FashionCLIP": {"F-MNIST": 0.74, "KAGL": 0.67, "DEEP": 0.48},
    "LAION CLIP": {"F-MNIST": 0.78, "KAGL": 0.71, "DEEP": 0.58},
    "FashionCLIP 2.0": {"F-MNIST": 0.83, "KAGL": 0.73, "DEEP": 0.62},
}


def rows(sets: Sequence[Set]) -> list[Row]:
    """What was printed of sets like these."""
    like = {of.like for of in sets}
    names = {name for name in like if name not in ("", "shop")} | ({FARFETCH} if "shop" in like else set())
    found = [
        Row(table=RETRIEVAL, model=model, data=FARFETCH, of=split, printed={"hits@5": value}, source=f"{DECK}2")
        for model, splits in TABLE_2.items() for split, value in splits.items() if "shop" in like
    ]  # fmt: skip
    return found + [
        Row(table=ZERO_SHOT, model=model, data=name, of="not stated", printed={"F1": value}, source=source)
        for source, table in ((f"{DECK}3", TABLE_3), (README, REPOSITORY))
        for model, values in table.items() for name, value in values.items() if name in names
    ]  # fmt: skip
