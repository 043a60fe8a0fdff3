"""A lexicon from texts, in a bounded memory: every word of every text is scored once, when a release is built."""

import tempfile
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa

from pluribus.lexical.lexicon import Lexicon, rarity
from pluribus.lexical.words import words

#: Chosen on icecat_relevance and homedepot_relevance (`make relevance`): product texts are short, so their length says
#: little (b below bm25s' 0.75) and a repeated word too (k1 below its 1.5).
K1, B = 1.0, 0.4
BLOCK = 200_000  # words at a time, as Python objects 15 MB
GROUPS = 16


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
        idf = rarity(len(lengths), starts[part + 1] - starts[part]).astype(np.float32)
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
