"""Words: what is asked is found however it is written, scores are BM25's, a lexicon survives its file."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluribus import lexical
from pluribus.errors import ReleaseError

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


def test_scores_are_bm25_s_as_a_share_of_the_most_there_could_be() -> None:
    import bm25s

    made = lexical.build(TEXTS)
    peer = bm25s.BM25(k1=lexical.K1, b=lexical.B, method="lucene")
    peer.index([lexical.words(text) for text in TEXTS], show_progress=False)
    for query in ("red dress", "dress", "red red lamp"):
        ours, theirs = made.scores(query), peer.get_scores(lexical.words(query))
        assert 0 < ours.max() <= 1
        np.testing.assert_allclose(ours / ours.max(), theirs / theirs.max(), rtol=1e-5)
    assert made.scores("red dress").max() > made.scores("red zzz").max(), "a word that nobody says is missed"


def test_a_lexicon_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "words.npz"
    for texts in (TEXTS, ["", ""], []):
        made = lexical.build(texts)
        path.write_bytes(made.dump())
        read = lexical.load(path, n=len(texts))
        np.testing.assert_array_equal(read.scores("red café"), made.scores("red café"))
        assert read.read("sumer") == made.read("sumer")
    path.write_bytes(lexical.build(TEXTS).dump())
    with pytest.raises(ReleaseError, match="expected 5"):
        lexical.load(path, n=5)


def test_an_opened_lexicon_is_mapped_and_leaves_no_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, unpacked = tmp_path / "words.npz", tmp_path / "unpacked"
    path.write_bytes(lexical.build(TEXTS).dump())
    unpacked.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(unpacked))
    read = lexical.load(path, n=len(TEXTS))
    assert isinstance(read.worth, np.memmap) and isinstance(read.texts, np.memmap)
    assert not list(unpacked.iterdir())
    assert read.scores("dress").any()


def test_of_words_a_slip_away_the_most_frequent_is_meant_and_of_equals_the_first_said() -> None:
    said = ["summit mummers", "summir summit", "sommer"]
    assert lexical.build(said).read("summi") == "summit"
    assert lexical.build(["summar summer"]).read("summr") == "summar"
