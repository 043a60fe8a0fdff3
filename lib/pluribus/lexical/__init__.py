"""Words: BM25 over a shop's own texts, for what vectors blur: names, numbers, brands.

words      what counts as the same word
building   texts -> a lexicon, when a release is built
lexicon    asked by adding up columns
"""

from pluribus.lexical.building import build
from pluribus.lexical.lexicon import Lexicon, load
from pluribus.lexical.words import one_slip, words

__all__ = ["Lexicon", "build", "load", "one_slip", "words"]
