"""Words: BM25 over a shop's own texts, for what vectors blur: names, numbers, brands. The only owner of bm25s."""

import logging
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np

_WORD = re.compile(r"\w+")


def words(text: str) -> list[str]:
    """The words of a text as they are compared: small, without accents, plurals as singulars."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return [_singular(word) for word in _WORD.findall("".join(c for c in plain if not unicodedata.combining(c)))]


def _singular(word: str) -> str:
    """Harman's S-stemmer, enough for "dresses" to find "dress" and harmless to other languages."""
    if len(word) > 3 and word.endswith("ies") and word[-4] not in "ae":
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith("es") and word[-3] in "sxz":
        return word[:-2]
    if len(word) > 2 and word.endswith("s") and word[-2] not in "us":
        return word[:-1]
    return word


class Lexicon:
    """The words of n texts, ready to be asked."""

    def __init__(self, texts: Sequence[str]) -> None:
        import bm25s

        logging.getLogger("bm25s").setLevel(logging.WARNING)
        self._n = len(texts)
        self._bm25: Any = None
        known: dict[str, int] = {}
        ids = [[known.setdefault(word, len(known)) for word in words(text)] for text in texts]
        self._known = known
        if known:
            self._bm25 = bm25s.BM25(method="lucene")
            self._bm25.index((ids, known), create_empty_token=False, show_progress=False)
        counts = np.zeros(len(known), dtype=np.int64)
        for row in ids:
            counts[list(set(row))] += 1
        self._idf = np.log(1 + (self._n - counts + 0.5) / (counts + 0.5))
        self._unknown_idf = float(np.log(1 + (self._n + 0.5) / 0.5))

    def scores(self, query: str) -> np.ndarray:
        """How much of the query each text says, [n] in 0 to 1: its BM25 score over the most that any text could get."""
        asked = words(query)
        ids = [self._known[word] for word in asked if word in self._known]
        if not ids:
            return np.zeros(self._n, dtype=np.float32)
        most = float(self._idf[ids].sum()) + self._unknown_idf * (len(asked) - len(ids))
        found: np.ndarray = self._bm25.get_scores_from_ids(ids) / np.float32(most)
        return found
