"""What shoppers do to a title: each change keeps the meaning, so the answer should stay."""

import hashlib
import re
from collections.abc import Callable

#: Pairs that mean the same on a product page; a title that has one is asked with the other.
SYNONYMS = (
    ("sofa", "couch"), ("mug", "cup"), ("trousers", "pants"), ("sneakers", "trainers"), ("shoes", "footwear"),
    ("tee", "t-shirt"), ("tshirt", "t-shirt"), ("jumper", "sweater"), ("pullover", "sweater"), ("hoodie", "hoody"),
    ("jacket", "coat"), ("bag", "handbag"), ("backpack", "rucksack"), ("wardrobe", "closet"), ("rug", "carpet"),
    ("lamp", "light"), ("notebook", "laptop"), ("tv", "television"), ("display", "monitor"), ("phone", "telephone"),
    ("headphones", "headset"), ("cable", "cord"), ("grey", "gray"), ("navy", "dark blue"), ("maroon", "dark red"),
    ("whiskey", "whisky"), ("whisky", "whiskey"), ("men", "mens"), ("women", "ladies"), ("women's", "ladies"),
    ("kids", "children"), ("spectacles", "glasses"), ("cushion", "pillow"), ("armchair", "easy chair"),
    ("chest", "dresser"), ("bottle", "flask"), ("vase", "flower vase"), ("kayak", "canoe"), ("tent", "camping tent"),
    ("umbrella", "parasol"), ("striped", "stripy"), ("dotted", "spotted"), ("checked", "checkered"),
    ("floral", "flowery"), ("shirt", "button-up shirt"), ("shorts", "short trousers"), ("watch", "wristwatch"),
)  # fmt: skip
_WORD = re.compile(r"[^\W\d_][\w'’-]*")


def typo(title: str) -> str:
    """Two neighbouring letters of the longest word change places, as fingers do; never the first letter."""
    found = max(_WORD.findall(title), key=len, default="")
    if len(found) < 4:
        return title
    at = 1 + _digit(title) % (len(found) - 2)
    swapped = found[:at] + found[at + 1] + found[at] + found[at + 2 :]
    return title.replace(found, swapped, 1)


def case(title: str) -> str:
    """All in capitals; already so: all in small letters."""
    return title.lower() if title.isupper() else title.upper()


def order(title: str) -> str:
    """The words the other way round."""
    return " ".join(reversed(title.split()))


def synonym(title: str) -> str:
    """The first word that has a synonym gives way to it."""
    for word in _WORD.findall(title):
        other = _OTHER.get(word.lower())
        if other:
            return title.replace(word, other, 1)
    return title


def _digit(title: str) -> int:
    return hashlib.sha256(title.encode("utf-8", "replace")).digest()[0]


_OTHER = {b: a for a, b in SYNONYMS if " " not in b} | dict(SYNONYMS)

TITLE_CHANGES: dict[str, Callable[[str], str]] = {
    "typo": typo,
    "case": case,
    "word order": order,
    "synonym": synonym,
}
