"""Texts to token numbers, by the Rust library `tokenizers`: CLIP's byte pairs, or a tokenizer.json.

CLIP's merges are read from open_clip's wheel without importing it, which takes 11 CPU-seconds. The numbers are those
of its SimpleTokenizer, with two differences: "<end_of_text>" inside a text is so many letters, not an end; and
letters that Unicode got since version 16 count as signs until the library's regular expressions know them.
"""

import gzip
import html
import string
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from pluribus.errors import ModelError
from pluribus.models.weights import architecture_of, open_clip_folder
from pluribus.records import Model

Tokenize = Callable[[Sequence[str]], np.ndarray]
#: What a word is: possessives and contractions, a run of letters, one digit, a run of anything else, except the Greek
#: iota below a letter: to Python's `regex`, ignoring case, U+0345 is no letter and folds to one, so it is in no class.
WORD = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|\p{L}+|\p{N}|[^\s\p{L}\p{N}\x{345}]+"
NO_PUNCTUATION = str.maketrans("_", " ", string.punctuation.replace("_", ""))


def make_tokenizer(model: Model, file: Path | None = None) -> Tokenize:
    """Texts to token numbers [n, context], int64, 0 after the end; `file` is the tokenizer.json of other models.

    A vocabulary of V < 49,408 entries is CLIP's own, cut to its first V - 514 merges: rarer words fall into pieces.
    """
    text = architecture_of(model)["text_cfg"]
    context = text.get("context_length", 77)
    if file:
        return sentence_pieces(file, context)
    return byte_pairs(text.get("vocab_size", 49408) - 514, context)


def byte_pairs(merges: int, context: int) -> Tokenize:
    """CLIP's tokenizer with its first `merges` merges."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors

    with gzip.open(open_clip_folder() / "bpe_simple_vocab_16e6.txt.gz", "rt", encoding="utf-8") as lines:
        pairs = [(left, right) for left, right in (line.split() for line in islice(lines, 1, merges + 1))]
    letters = _byte_letters()
    entries = [*letters, *(letter + "</w>" for letter in letters), *map("".join, pairs)]
    start, end = len(entries), len(entries) + 1
    vocabulary = {entry: number for number, entry in enumerate(entries)} | {"<start>": start, "<end>": end}
    tokenizer = Tokenizer(models.BPE(vocabulary, pairs, end_of_word_suffix="</w>"))
    words = pre_tokenizers.Split(Regex(WORD), "removed", invert=True)
    letters_of_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, letters_of_bytes])
    tokenizer.post_processor = processors.TemplateProcessing(
        "<start> $A <end>", special_tokens=[("<start>", start), ("<end>", end)]
    )
    tokenizer.enable_truncation(context)
    tokenizer.enable_padding(length=context, pad_id=0)
    return lambda texts: _numbers(tokenizer, [cleaned(text).lower() for text in texts], context)


def sentence_pieces(file: Path, context: int) -> Tokenize:
    """SigLIP's: lower case without punctuation, always the whole context long, padded with the end mark."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # noqa: BLE001 - the library raises nothing narrower
        raise ModelError(f"{file.name} cannot be read: {error}", expected="a tokenizer of `tokenizers`") from None
    tokenizer.enable_truncation(context)
    tokenizer.enable_padding(length=context, pad_id=1, pad_token="</s>")  # noqa: S106 (no password)
    return lambda texts: _numbers(tokenizer, [canonical(text) for text in texts], context)


def cleaned(text: str) -> str:
    """As CLIP was taught: broken encodings mended, HTML entities resolved twice, white space single."""
    if not (text.isascii() and text.isprintable() and "&" not in text):  # of others ftfy changes nothing
        import ftfy  # 0.1 s

        text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return " ".join(text.split())


def canonical(text: str) -> str:
    """As SigLIP was taught: besides, in lower case and without punctuation."""
    return " ".join(cleaned(text).translate(NO_PUNCTUATION).lower().split())


def _numbers(tokenizer: Any, texts: list[str], context: int) -> np.ndarray:
    found = tokenizer.encode_batch_fast(texts)
    return np.array([text.ids for text in found], np.int64).reshape(len(texts), context)


def _byte_letters() -> list[str]:
    """A printable letter for each of the 256 bytes, in the order of CLIP's vocabulary (and GPT-2's)."""
    shown = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = 256 - len(shown)
    return [chr(byte) for byte in shown] + [chr(256 + n) for n in range(hidden)]
