"""A lexicon: for each word, which texts say it and what that is worth; written to a file, mapped, asked."""

import re
import tempfile
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pluribus.errors import ReleaseError
from pluribus.lexical.words import one_slip, singular, words, written

ARRAYS = ("worth", "texts", "starts")
SPELT = 5  # letters at least: shorter words have too many neighbours to be read as one of them


@dataclass(frozen=True, eq=False)
class Lexicon:
    """The words of n texts, ready to be asked: for each word, which texts say it and what that is worth."""

    n: int
    spelled: str  # the words, a line each
    worth: np.ndarray  # float32, word after word
    texts: np.ndarray  # int32, beside it
    starts: np.ndarray  # int64 [words + 1]: where each word's part begins

    @cached_property
    def _by_hash(self) -> tuple[np.ndarray, np.ndarray]:
        """The words' hashes in order, and the numbers of the words: a dict of a million words takes 250 MB."""
        each = (found[0] for found in re.finditer(".+", self.spelled))
        hashes = np.fromiter(map(hash, each), np.int64, len(self.starts) - 1)
        order = np.argsort(hashes, kind="stable").astype(np.int32)
        return hashes[order], order

    def _part(self, word: str) -> slice:
        """Where the worth of a word lies, and the texts that say it; nowhere for a word that none says."""
        hashes, numbers = self._by_hash
        at = int(np.searchsorted(hashes, hash(word)))
        if at == len(hashes) or hashes[at] != hash(word):
            return slice(0, 0)
        start, end = self.starts[numbers[at] : numbers[at] + 2].tolist()
        return slice(start, end)

    def _n_texts(self, word: str) -> int:
        """How many texts say a word."""
        part = self._part(word)
        return int(part.stop - part.start)

    def scores(self, query: str) -> np.ndarray:
        """How much of the query each text says, [n] in 0 to 1: its BM25 score over the most that any text could get."""
        found, most = np.zeros(self.n, dtype=np.float32), 0.0
        for word in words(query):
            part = self._part(word)
            most += self.idf(word)
            found[self.texts[part]] += self.worth[part]
        return found / np.float32(most) if most else found

    def read(self, query: str) -> str:
        """The query with each word that no text says as the most frequent one that is a slip away and begins alike."""
        return " ".join(map(self._meant, written(query)))

    def _meant(self, typed: str) -> str:
        word = singular(typed)
        if self._n_texts(word):
            return word
        for tried in dict.fromkeys((word, typed)):  # "drses" is no plural
            if len(tried) < SPELT or not tried.isalpha():
                continue
            near = [known for known in self._like(tried) if one_slip(tried, known)]
            if near:
                return max(near, key=self._n_texts)
        return word

    def _like(self, word: str) -> list[str]:
        """The words that begin alike and are as long, give or take a letter."""
        like = rf"\n({word[0]}.{{{len(word) - 2},{len(word)}}})(?=\n)"
        return re.findall(like, f"\n{self.spelled}\n")

    def idf(self, word: str) -> float:
        """How rare a word is among the texts, in nats."""
        return float(rarity(self.n, self._n_texts(word)))

    def write(self, path: Path) -> None:
        """As one file of a release."""
        spelled = np.frombuffer(self.spelled.encode(), dtype=np.uint8)
        with path.open("wb") as file:
            np.savez_compressed(file, n=self.n, worth=self.worth, texts=self.texts, starts=self.starts, words=spelled)


def rarity(n: int, n_texts: Any) -> Any:
    """How rare words are that so many of n texts say."""
    return np.log(1 + (n - n_texts + 0.5) / (n_texts + 0.5))


def load(path: Path, *, n: int) -> Lexicon:
    """A lexicon from its file, whose bytes were already verified. Raises ReleaseError when it is not of n texts.

    It is unpacked and mapped: the kernel may drop again what is not asked.
    """
    with tempfile.TemporaryDirectory(prefix="pluribus-") as folder:
        with zipfile.ZipFile(path) as packed:
            packed.extractall(folder)
        parts = {file.stem: np.load(file, mmap_mode="r" if file.stem in ARRAYS else None, allow_pickle=False)
                 for file in Path(folder).iterdir()}  # fmt: skip
    found = Lexicon(int(parts["n"]), parts["words"].tobytes().decode(), *(np.asarray(parts[name]) for name in ARRAYS))
    n_words = found.spelled.count("\n") + 1 if found.spelled else 0
    if found.n != n or len(found.starts) != n_words + 1:
        raise ReleaseError(f"the lexicon holds {found.n} texts", expected=str(n), do="roll back, or refresh the shop")
    return found
