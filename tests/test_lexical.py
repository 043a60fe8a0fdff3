"""Words: what is asked is found however it is written, scores are BM25's, a lexicon survives its file."""

import mmap
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pluribus import lexical
from pluribus.errors import ReleaseError
from pluribus.lexical import building

TEXTS = [
    "Red summer dress",
    "Dresses & skirts, RED",
    "Café lamp 3.5mm",
    "",
    "blue bus",
    "Großes Glas",
    "Vases in a box, watch candies",
]


@pytest.mark.parametrize(
    ("asked", "found"),
    [("dress", [0, 1]), ("DRESSES", [0, 1]), ("cafe", [2]), ("lamps", [2]), ("3.5mm", [2]), ("buss", []), ("bus", [4]),
     ("vase", [6]), ("boxes", [6]), ("watches", [6]), ("candy", [6]),
     ("grosses glas", [5]), ("nothing here", []), ("", []), ("!?", [])],
)  # fmt: skip
def test_a_word_is_found_however_it_is_written(asked: str, found: list[int]) -> None:
    assert np.flatnonzero(lexical.build(TEXTS).scores(asked)).tolist() == found


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("summre dress", "summer dress"), ("sumer", "summer"), ("summmer", "summer"), ("summir", "summer"),
     ("vsae", "vsae"), ("wummer", "wummer"),
     ("smumre", "smumre"), ("candis", "candy"), ("3.6mm", "3 6mm"), ("dress", "dress"), ("drses", "dress"), ("", "")],
)  # fmt: skip
def test_a_slip_of_the_pen_is_forgiven_and_nothing_else(typed: str, meant: str) -> None:
    assert lexical.build(TEXTS).read(typed) == meant


@given(word=st.text("abcdefg", min_size=5, max_size=9), at=st.integers(0, 7), other=st.sampled_from("abcdefgh"))
def test_one_slip_is_one_edit(word: str, at: int, other: str) -> None:
    at = min(at, len(word) - 2)
    swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    for slip in (
        swapped,
        word[:at] + other + word[at:],
        word[:at] + word[at + 1 :],
        word[:at] + other + word[at + 1 :],
    ):
        assert lexical.one_slip(word, slip) and lexical.one_slip(slip, word)
    assert not lexical.one_slip(word, "z" + word + "z")
    assert not lexical.one_slip(word, "zz" + word[2:])


WORDS = st.sampled_from(["red", "blue", "dresses", "lamp", "écharpe", "x", "42", "…"])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(WORDS, max_size=9).map(" ".join), max_size=40), st.sampled_from([3, building.BLOCK]))
@example(["red red red", "red red blue", *["red red red red red red red blue"] * 2], building.BLOCK)
def test_what_words_are_worth_is_bm25s_own_to_the_bit(texts: list[str], block: int) -> None:
    import bm25s

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(building, "BLOCK", block)
        made = lexical.build(texts)
    place: dict[str, int] = {}
    ids = [[place.setdefault(word, len(place)) for word in lexical.words(text)] for text in texts]
    if not place:
        assert made.n == len(texts) and not len(made.worth) and not made.scores("red").any()
        return
    peer = bm25s.BM25(k1=building.K1, b=building.B, method="lucene")
    peer.index((ids, place), create_empty_token=False, show_progress=False)
    assert made.spelled.split("\n") == list(place)
    for ours, theirs in (("worth", "data"), ("texts", "indices"), ("starts", "indptr")):
        np.testing.assert_array_equal(getattr(made, ours), peer.scores[theirs])


def test_scores_are_a_share_of_the_most_there_could_be() -> None:
    made = lexical.build(TEXTS)
    for query in ("red dress", "dress", "red red lamp"):
        assert 0 < made.scores(query).max() <= 1
    assert made.scores("red dress").max() > made.scores("red zzz").max(), "a word that nobody says is missed"


def test_a_lexicon_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "words.npz"
    for texts in (TEXTS, ["", ""], []):
        made = lexical.build(texts)
        made.write(path)
        read = lexical.load(path, n=len(texts))
        np.testing.assert_array_equal(read.scores("red café"), made.scores("red café"))
        assert read.read("sumer") == made.read("sumer")
    lexical.build(TEXTS).write(path)
    with pytest.raises(ReleaseError, match="expected 5"):
        lexical.load(path, n=5)


def test_an_opened_lexicon_is_mapped_and_leaves_no_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, unpacked = tmp_path / "words.npz", tmp_path / "unpacked"
    lexical.build(TEXTS).write(path)
    unpacked.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(unpacked))
    read = lexical.load(path, n=len(TEXTS))
    assert isinstance(read.worth.base, mmap.mmap | np.memmap) and isinstance(read.texts.base, mmap.mmap | np.memmap)
    assert not list(unpacked.iterdir())
    assert read.scores("dress").any()


def test_of_words_a_slip_away_the_most_frequent_is_meant_and_of_equals_the_first_said() -> None:
    said = ["summit mummers", "summir summit", "sommer"]
    assert lexical.build(said).read("summi") == "summit"
    assert lexical.build(["summar summer"]).read("summr") == "summar"
