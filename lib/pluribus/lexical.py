"""Words: BM25 over a shop's own texts, for what vectors blur: names, numbers, brands. The only owner of bm25s.

bm25s scores every word of every text once, when a release is built; asking then adds up columns and needs no library.
"""

import io
import re
import tempfile
import unicodedata
import zipfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from pluribus.errors import ReleaseError

#: Chosen on icecat_relevance and homedepot_relevance (`make relevance`): product texts are short, so their length says
#: little (b below bm25s' 0.75) and a repeated word too (k1 below its 1.5).
K1, B = 1.0, 0.4
ARRAYS = ("worth", "texts", "starts")
SPELT = 5  # letters at least: shorter words have too many neighbours to be read as one of them
_WORD = re.compile(r"\w+")


def words(text: str) -> list[str]:
    """The words of a text as they are compared: small, without accents, plurals as singulars."""
    return [_singular(word) for word in _written(text)]


def _written(text: str) -> list[str]:
    """The same, plurals as they are."""
    plain = text.casefold()
    if not plain.isascii():
        plain = "".join(c for c in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(c))
    return _WORD.findall(plain)


def _singular(word: str) -> str:
    """Harman's S-stemmer, taught "dresses", "boxes", "watches"; harmless to other languages."""
    if len(word) > 3 and word.endswith("ies") and word[-4] not in "ae":
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "zzes", "ches", "shes")):
        return word[:-2]
    if len(word) > 2 and word.endswith("s") and word[-2] not in "us":
        return word[:-1]
    return word


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
        return " ".join(map(self._meant, _written(query)))

    def _meant(self, written: str) -> str:
        word = _singular(written)
        if self._n_texts(word):
            return word
        for tried in dict.fromkeys((word, written)):  # "drses" is no plural
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
        n_texts = self._n_texts(word)
        return float(np.log(1 + (self.n - n_texts + 0.5) / (n_texts + 0.5)))

    def dump(self) -> bytes:
        """As one file of a release."""
        buffer = io.BytesIO()
        spelled = np.frombuffer(self.spelled.encode(), dtype=np.uint8)
        np.savez_compressed(buffer, n=self.n, worth=self.worth, texts=self.texts, starts=self.starts, words=spelled)
        return buffer.getvalue()


def one_slip(a: str, b: str) -> bool:
    """Whether one letter more, less, other, or two in each other's place make one word the other (Damerau 1964)."""
    if abs(len(a) - len(b)) > 1:
        return False
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    a, b = a[start:], b[start:]
    end = next((i for i, (x, y) in enumerate(zip(a[::-1], b[::-1], strict=False)) if x != y), min(len(a), len(b)))
    a, b = a[: len(a) - end], b[: len(b) - end]
    return len(a) + len(b) < 2 or (len(a) == len(b) == 1) or (len(a) == 2 and a == b[::-1])


class _Said:
    """Texts as the numbers of their words, held in one array: as a list each they take four times the room."""

    def __init__(self) -> None:
        self._words, self._ends = array("i"), array("q", [0])

    def add(self, numbers: Iterable[int]) -> None:
        """One more text."""
        self._words.extend(numbers)
        self._ends.append(len(self._words))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __iter__(self) -> Iterator[Sequence[int]]:
        return (self._words[start:end] for start, end in pairwise(self._ends))


def build(texts: Iterable[str]) -> Lexicon:
    """The lexicon of these texts."""
    import bm25s

    place: dict[str, int] = {}
    said = _Said()
    for text in texts:
        said.add(place.setdefault(word, len(place)) for word in words(text))
    if not place:
        return Lexicon(len(said), "", np.zeros(0, np.float32), np.zeros(0, np.int32), np.zeros(1, np.int64))
    spelled, numbers = "\n".join(place), range(len(place))
    del place  # half of what a large shop's words take: bm25s asks for their numbers only
    made = bm25s.BM25(k1=K1, b=B, method="lucene", csc_backend="auto")
    columns = made.build_index_from_ids(numbers, said, show_progress=False)
    return Lexicon(
        len(said),
        spelled,
        np.asarray(columns["data"], np.float32),
        np.asarray(columns["indices"], np.int32),
        np.asarray(columns["indptr"], np.int64),
    )


def load(path: Path, *, n: int) -> Lexicon:
    """A lexicon from its file, whose bytes were already verified. Raises ReleaseError when it is not of n texts.

    It is unpacked and mapped: the kernel may drop again what is not asked.
    """
    with tempfile.TemporaryDirectory(prefix="pluribus-") as folder:
        with zipfile.ZipFile(path) as packed:
            packed.extractall(folder)
        parts = {file.stem: np.load(file, mmap_mode="r" if file.stem in ARRAYS else None, allow_pickle=False)
                 for file in Path(folder).iterdir()}  # fmt: skip
    found = Lexicon(int(parts["n"]), parts["words"].tobytes().decode(), *(parts[name] for name in ARRAYS))
    n_words = found.spelled.count("\n") + 1 if found.spelled else 0
    if found.n != n or len(found.starts) != n_words + 1:
        raise ReleaseError(f"the lexicon holds {found.n} texts", expected=str(n), do="roll back, or refresh the shop")
    return found
