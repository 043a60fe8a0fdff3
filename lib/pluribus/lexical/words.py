"""Words as they are compared, and how far one is from another."""

import re
import unicodedata

_WORD = re.compile(r"\w+")


def words(text: str) -> list[str]:
    """The words of a text as they are compared: small, without accents, plurals as singulars."""
    return [singular(word) for word in written(text)]


def written(text: str) -> list[str]:
    """The same, plurals as they are."""
    plain = text.casefold()
    if not plain.isascii():
        plain = "".join(c for c in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(c))
    return _WORD.findall(plain)


def singular(word: str) -> str:
    """Harman's S-stemmer, taught "dresses", "boxes", "watches"; harmless to other languages."""
    if len(word) > 3 and word.endswith("ies") and word[-4] not in "ae":
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "zzes", "ches", "shes")):
        return word[:-2]
    if len(word) > 2 and word.endswith("s") and word[-2] not in "us":
        return word[:-1]
    return word


def one_slip(a: str, b: str) -> bool:
    """Whether one letter more, less, other, or two in each other's place make one word the other (Damerau 1964)."""
    if abs(len(a) - len(b)) > 1:
        return False
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    a, b = a[start:], b[start:]
    end = next((i for i, (x, y) in enumerate(zip(a[::-1], b[::-1], strict=False)) if x != y), min(len(a), len(b)))
    a, b = a[: len(a) - end], b[: len(b) - end]
    return len(a) + len(b) < 2 or (len(a) == len(b) == 1) or (len(a) == 2 and a == b[::-1])
