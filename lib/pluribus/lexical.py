"""Words: BM25 over a shop's own texts, for what vectors blur: names, numbers, brands.

Every word of every text is scored once, when a release is built; asking then adds up columns.
"""

import re
import tempfile
import unicodedata
import zipfile
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa

from pluribus.errors import ReleaseError

#: Chosen on icecat_relevance and homedepot_relevance (`make relevance`): product texts are short, so their length says
#: little (b below bm25s' 0.75) and a repeated word too (k1 below its 1.5).
K1, B = 1.0, 0.4
ARRAYS = ("worth", "texts", "starts")
BLOCK = 200_000  # words at a time, as Python objects 15 MB
GROUPS = 16
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
        return float(_idf(self.n, self._n_texts(word)))

    def write(self, path: Path) -> None:
        """As one file of a release."""
        spelled = np.frombuffer(self.spelled.encode(), dtype=np.uint8)
        with path.open("wb") as file:
            np.savez_compressed(file, n=self.n, worth=self.worth, texts=self.texts, starts=self.starts, words=spelled)


def _idf(n: int, n_texts: Any) -> Any:
    """How rare words are that so many of n texts say."""
    return np.log(1 + (n - n_texts + 0.5) / (n_texts + 0.5))


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
    """The lexicon of these texts: BM25 as Lucene counts it (Kamphuis et al., ECIR 2020), to the bit what bm25s gives.

    Some texts are read at a time; who says which word how often goes to a file, and from there to its place in the
    lexicon, which is mapped. Held are the different words, and how many words each text has.
    """
    lengths: array[int] = array("i")
    with tempfile.TemporaryDirectory(prefix="pluribus-") as folder, (Path(folder) / "said").open("w+b") as file:
        blocks = []
        for said, n_words in _blocks(texts):
            blocks.append(_read(said, n_words, len(lengths), file))
            lengths.extend(n_words)
        file.seek(0)
        spoken = [(known, n_texts) for known, n_texts in blocks if len(known)]  # Arrow drops pieces without rows
        return _lexicon(spoken, np.frombuffer(lengths, np.int32), file, Path(folder))


def _blocks(texts: Iterable[str]) -> Iterator[tuple[list[str], list[int]]]:
    """The words of some texts at a time, and how many each text has."""
    said, n_words = list[str](), list[int]()
    for text in texts:
        found = words(text)
        said += found
        n_words.append(len(found))
        if len(said) >= BLOCK:
            yield said, n_words
            said, n_words = [], []
    yield said, n_words


def _read(said: list[str], n_words: list[int], n_before: int, file: IO[bytes]) -> tuple[pa.Array, np.ndarray]:
    """The different words of some texts, and how many of the texts say each [words].

    Appended to the file are, word after word, the texts that say it and how often: [2, pairs] int32.
    """
    coded, n = _column(said).dictionary_encode(), max(1, len(n_words))
    of_text = np.repeat(np.arange(len(n_words)), n_words)
    pairs, times = np.unique_counts(_numbers(coded).astype(np.int64) * n + of_text)
    word, text = np.divmod(pairs, n)
    np.stack([n_before + text, times]).astype(np.int32).tofile(file)
    return coded.dictionary, np.bincount(word, minlength=len(coded.dictionary)).astype(np.int32)


def _column(said: list[str]) -> pa.Array:
    """Words as a column, each with the end of its line; `pa.array` would import pandas for it."""
    flat = "".join([f"{word}\n" for word in said]).encode()
    ends = np.flatnonzero(np.frombuffer(flat, np.uint8) == ord("\n")) + 1
    offsets = np.concatenate([[0], ends]).astype(np.int32)
    return pa.Array.from_buffers(pa.string(), len(ends), [None, pa.py_buffer(offsets), pa.py_buffer(flat)])


def _numbers(coded: pa.DictionaryArray) -> np.ndarray:
    """Which word of the dictionary each is [n] int32."""
    return np.frombuffer(coded.indices.buffers()[1], np.int32, len(coded), 4 * coded.indices.offset)


def _lexicon(blocks: list[tuple[pa.Array, np.ndarray]], lengths: np.ndarray, file: IO[bytes], folder: Path) -> Lexicon:
    """All that the blocks said, in one; mapped from files of this folder, which may go.

    lengths  [texts] int32, how many words each has    file  what `_read` wrote of these blocks
    """
    if not blocks:
        return Lexicon(len(lengths), "", np.zeros(0, np.float32), np.zeros(0, np.int32), np.zeros(1, np.int64))
    spelled, numbers = _numbered([known for known, _ in blocks])
    pa.default_memory_pool().release_unused()  # Arrow keeps what it freed
    starts = np.zeros(spelled.count("\n") + 2, np.int64)
    for part, (_, n_texts) in zip(numbers, blocks, strict=True):
        starts[part + 1] += n_texts
    starts.cumsum(out=starts)
    worth, texts = (
        np.memmap(folder / kind.__name__, kind, "w+", shape=(int(starts[-1]),)) for kind in (np.float32, np.int32)
    )
    filled, mean = starts[:-1].copy(), lengths.mean()
    for part, (_, n_texts) in zip(numbers, blocks, strict=True):
        text, times = np.fromfile(file, np.int32, 2 * int(n_texts.sum())).reshape(2, -1)
        place = np.repeat(filled[part] - n_texts.cumsum() + n_texts, n_texts) + np.arange(len(text))
        idf = _idf(len(lengths), starts[part + 1] - starts[part]).astype(np.float32)
        longer = B * lengths[text] / mean  # in bm25s' order: another one rounds otherwise now and then
        texts[place] = text
        worth[place] = np.repeat(idf, n_texts) * (times / (K1 * ((1 - B) + longer) + times))
        filled[part] += n_texts
    return Lexicon(len(lengths), spelled, worth, texts, starts)


def _numbered(known: list[pa.Array]) -> tuple[str, list[np.ndarray]]:
    """The words of all blocks, each once and as first said, a line each; and which of them each block's are, int32.

    They are told apart in some groups, by the sum of their bytes: Arrow's table of two million words takes 200 MB.
    """
    every = pa.concat_arrays(known)
    starts, flat = (np.frombuffer(of, kind) for of, kind in zip(every.buffers()[1:], (np.int32, np.uint8), strict=True))
    group = np.add.reduceat(flat[: starts[len(every)]], starts[: len(every)], dtype=np.uint8) % GROUPS
    first = np.empty(len(every), np.int32)  # where the same word stands first
    for one in np.unique(group):
        at = np.flatnonzero(group == one)
        numbers = _numbers(_taken(every, at).dictionary_encode())
        new = np.diff(np.maximum.accumulate(numbers), prepend=-1) > 0
        first[at] = at[new][numbers]
    new = first == np.arange(len(every), dtype=np.int32)
    numbers = (np.cumsum(new, dtype=np.int32) - 1)[first]
    return _spelled(_taken(every, np.flatnonzero(new))), np.split(numbers, np.cumsum([*map(len, known)])[:-1])


def _taken(column: pa.Array, places: np.ndarray) -> pa.Array:
    """Some of a column; numbers made by `pa.array` would import pandas."""
    return column.take(pa.Array.from_buffers(pa.int64(), len(places), [None, pa.py_buffer(places)]))


def _spelled(known: pa.Array) -> str:
    """A column by `_column` as text; its last line needs no end."""
    _, offsets, flat = known.buffers()
    return str(memoryview(flat)[: np.frombuffer(offsets, np.int32)[len(known)] - 1], "utf-8")


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
