"""Words: BM25 over a shop's own texts, for what vectors blur: names, numbers, brands.

Every word of every text is scored once, when a release is built; asking then adds up columns.
"""

import io
import re
import tempfile
import unicodedata
import zipfile
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from pluribus.errors import ReleaseError

#: Chosen on icecat_relevance and homedepot_relevance (`make relevance`): product texts are short, so their length says
#: little (b below bm25s' 0.75) and a repeated word too (k1 below its 1.5).
K1, B = 1.0, 0.4
ARRAYS = ("worth", "texts", "starts")
BLOCK = 20_000  # texts, or words, at a time
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


def build(texts: Iterable[str]) -> Lexicon:
    """The lexicon of these texts."""
    lengths = array("i")
    said = pa.chunked_array([_column(block, lengths) for block in _blocks(map(words, texts))], pa.string())
    coded, n = said.dictionary_encode(), np.frombuffer(lengths, np.int32)
    del said
    if not len(coded):
        return Lexicon(len(n), "", np.zeros(0, np.float32), np.zeros(0, np.int32), np.zeros(1, np.int64))
    known = coded.chunk(0).dictionary  # every chunk has all of them
    numbers = np.concatenate([np.frombuffer(part.indices.buffers()[1], np.int32, len(part)) for part in coded.chunks])
    spelled = "\n".join(known.to_pylist())
    return Lexicon(len(n), spelled, *_weighed(numbers, n, len(known)))


def _blocks(texts: Iterator[list[str]]) -> Iterator[list[list[str]]]:
    """The words of some texts at a time: as Python objects all would take ten times the room."""
    while block := list(islice(texts, BLOCK)):
        yield block


def _column(texts: list[list[str]], lengths: "array[int]") -> pa.Array:
    """All words of these texts, whose numbers are noted; `pa.array` would import pandas for it."""
    lengths.extend(map(len, texts))
    spelled = [word.encode() for text in texts for word in text]
    ends = np.cumsum([0, *map(len, spelled)], dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), len(spelled), [None, pa.py_buffer(ends), pa.py_buffer(b"".join(spelled))])


def _weighed(numbers: np.ndarray, lengths: np.ndarray, n_words: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What each word is worth in each text that says it, word after word; those texts; where each word begins.

    numbers  [words said] int32, text after text    lengths  [texts] int32, how many words each says

    BM25 as Lucene counts it (Kamphuis et al., ECIR 2020), to the bit what bm25s gives, of which this holds a third: its
    loops over texts want a Python object for each word.
    """
    n = len(lengths)
    said = numbers.astype(np.int64)  # a word in a text is one number, so that sorting brings its repeats together
    said *= n
    said += np.repeat(np.arange(n, dtype=np.int32), lengths)
    said.sort()
    relative = lengths / lengths.mean()
    worth, texts, counts = [], [], []
    for first in range(0, n_words, BLOCK):
        some = range(first, min(first + BLOCK, n_words))
        start, end = np.searchsorted(said, (some.start * n, some.stop * n))
        pairs, times = np.unique_counts(said[start:end])
        word, text = np.divmod(pairs, n)
        n_texts = np.bincount(word - first, minlength=len(some))
        idf = np.log(1 + (n - n_texts + 0.5) / (n_texts + 0.5)).astype(np.float32)
        worth.append((idf[word - first] * (times / (K1 * ((1 - B) + B * relative[text]) + times))).astype(np.float32))
        texts.append(text.astype(np.int32))
        counts.append(n_texts)
    starts = np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int64)
    return np.concatenate(worth), np.concatenate(texts), starts


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
