"""What a host asks of robots: robots.txt (RFC 9309) and the X-Robots-Tag of an answer. Text in, yes or no out.

Both are strangers' text: the number of rules is bounded, and patterns are compared by plain searching, never turned
into regular expressions, which could be made to take for ever.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote

MOST_BYTES = 512 * 2**10
MOST_RULES = 5_000
#: Words of an X-Robots-Tag that forbid what we do: show a picture elsewhere, learn from it.
FORBIDDING = frozenset(("none", "noindex", "noimageindex", "noai", "noimageai"))


@dataclass(frozen=True)
class Rules:
    """What one agent may fetch of one host: patterns of paths, and whether they are allowed."""

    patterns: tuple[tuple[str, bool], ...] = ()

    def allows(self, path: str) -> bool:
        """By the longest pattern that fits; where two are as long, the kinder one. What nothing fits is allowed."""
        path = unquote(path, errors="replace")
        found = [(len(pattern), allowed) for pattern, allowed in self.patterns if _fits(pattern, path)]
        return max(found, default=(0, True))[1]


def parse(text: str, agent: str) -> Rules:
    """The rules for our agent by name, else those for all."""
    rules: dict[str, list[tuple[str, bool]]] = {}
    names: list[str] = []
    naming = False
    for line in text.splitlines():
        key, _, value = (part.strip() for part in line.partition("#")[0].partition(":"))
        key = key.lower()
        if key == "user-agent":
            names = [*names, value.lower()] if naming else [value.lower()]
            for name in names:
                rules.setdefault(name, [])
        elif key in ("allow", "disallow") and value:
            for name in names:
                rules[name].append((unquote(value, errors="replace"), key == "allow"))
        naming = key == "user-agent" or (naming and not key)
    own = rules.get(agent, rules.get("*", []))
    return Rules(tuple(own[:MOST_RULES]))


def forbids(tag: str, agent: str) -> bool:
    """Whether an X-Robots-Tag ("noindex", "otherbot: noindex, nofollow") forbids our agent to use what came."""
    meant = True
    for part in tag.lower().split(","):
        name, named, rest = part.strip().partition(":")
        if named and name != "unavailable_after":
            meant = name.strip() in (agent, "*")
        if meant and (rest if named else name).strip() in FORBIDDING:
            return True
    return False


def token(user_agent: str) -> str:
    """What robots.txt calls us: "pluribus (catalog pictures ...)" -> "pluribus"."""
    found = re.match(r"[a-zA-Z_-]+", user_agent)
    return found[0].lower() if found else "*"


def _fits(pattern: str, path: str) -> bool:
    """Whether a pattern with "*" (anything) and a final "$" (the end) fits the beginning of a path."""
    ends = pattern.endswith("$")
    first, *pieces = pattern.removesuffix("$").split("*")
    if not path.startswith(first):
        return False
    place = len(first)
    for piece in pieces[:-1]:
        place = path.find(piece, place) + len(piece)
        if place < len(piece):
            return False
    last = pieces[-1] if pieces else ""
    if not ends:
        return path.find(last, place) >= 0
    return path.endswith(last) and len(path) - len(last) >= place if pieces else len(path) == place
