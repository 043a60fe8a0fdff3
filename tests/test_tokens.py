"""Token numbers: open_clip's own, for real titles and for anything else a shop may write."""

import csv
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from open_clip.tokenizer import SimpleTokenizer, canonicalize_text

from pluribus.models import tokens

WHOLE = 48_894  # CLIP's merges
ODD = [
    "", " ", "\t\n", "a" * 300, "Café & crème", "Caf&eacute; &amp;amp; cr&egrave;me", "FranÃ§ais", "“Curly” ‘quotes’ …",
    "it's we've I'll he'd you're don't I'm 'S 'LL", "12,5 cm × 3½", "٣٤٥ ⅷ ²", "👗👠 red 👨‍👩‍👧", "日本語 ワンピース",
    "платье", "فستان أحمر", "İSTANBUL ẞ ǅ", "e\u0301 é ﬁ", "a\u200bb\u00adc\ufeffd", "x\x00y\x1bz\x85w",
    "\u2028line\u2029", "__init__ <b>bold</b>", "&lt;b&gt; &amp;lt; &#128087; &nosuch; &",
    "C++/C# 100%  --- *** $9.99", "ñ n\u0303", "a\u0345 \u0345", "ſ 'ſ K Å", "\U0001f1e9\U0001f1ea",
]  # fmt: skip


@pytest.fixture(scope="module")
def theirs() -> SimpleTokenizer:
    return SimpleTokenizer()


ours = tokens.byte_pairs(WHOLE, 77)


def test_odd_texts(theirs: SimpleTokenizer) -> None:
    for text in ODD:
        assert ours([text]).tolist() == theirs([text]).tolist(), text


@given(text=st.text(st.characters(exclude_categories=["Cs", "Cn"]), max_size=60))
def test_any_text(text: str, theirs: SimpleTokenizer) -> None:
    """Of letters that this Python knows: the newest are not known to every library."""
    assume(all(unicodedata.category(letter) != "Cn" for letter in tokens.cleaned(text)))  # ftfy may have made some
    assume("_of_text>" not in text.lower())
    assert ours([text]).tolist() == theirs([text]).tolist()


@given(text=st.lists(st.sampled_from("aZ'sStT&;#<>_-9 \t£éÃ©ß☂\x1b[0m\"“amplt"), max_size=40).map("".join))
def test_any_mixture_of_what_cleaning_looks_at(text: str, theirs: SimpleTokenizer) -> None:
    assert ours([text]).tolist() == theirs([text]).tolist()


def test_real_titles(data: Path, theirs: SimpleTokenizer) -> None:
    """Of every shop in the data, with their descriptions, HTML and all."""
    texts = set()
    for file in sorted(data.glob("shops/*/products*.csv")):
        with file.open(encoding="utf-8", newline="") as lines:
            csv.field_size_limit(2**24)
            for row in csv.DictReader(lines):
                texts.update(value[:400] for value in row.values() if isinstance(value, str))
    kept = sorted(texts)[:: max(1, len(texts) // 6000)]
    assert len(kept) > 2000
    assert np.array_equal(ours(kept), theirs(kept).numpy())


def test_an_end_mark_written_by_a_shop_ends_nothing() -> None:
    """open_clip's tokenizer takes it for its own, and what follows would not count."""
    (row,) = ours(["mug<end_of_text>red"])
    assert (row == row.max()).sum() == 1
    assert row.argmax() == np.count_nonzero(row) - 1


def test_texts_longer_than_the_context_end_in_the_end_mark(theirs: SimpleTokenizer) -> None:
    text = ["word " * 100]
    assert tokens.byte_pairs(WHOLE, 16)(text).tolist() == theirs(text, context_length=16).tolist()
    assert ours([]).shape == (0, 77)


@given(text=st.text(max_size=40))
def test_sentence_pieces_see_texts_as_open_clips_do(text: str) -> None:
    assert tokens.canonical(text) == canonicalize_text(tokens.cleaned(text))
