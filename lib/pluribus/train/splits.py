"""Splits: which products a training may see, and which only judge it.

    TRAIN, VALID, TEST   at random
    HOUT-C, HOUT-B       whole categories, whole brands, never seen in training
    SHOP <name>          whole shops, never seen: what a new customer will get

Generated products may be in TRAIN and nowhere else: a model is judged by what shops sell, not by what was drawn for it.

What hangs together stays together: products that share a picture (by content), an item group or an id of their shop
are one thing, so no picture and no variant of a judged product was ever trained on. A thing's place is drawn from its
own name and the seed: it stays there when the catalog grows, and the next training does not learn this one's TEST.
"""

import hashlib
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pluribus.errors import ConfigError

TRAIN, VALID, TEST, HOUT_C, HOUT_B, LEFT_OUT = "TRAIN", "VALID", "TEST", "HOUT-C", "HOUT-B", ""
LEAST = 30  # products of a shop that is trained on; fewer cannot be told from chance
NAMED_LEAST = 5  # products a category or brand needs to be held out


@dataclass(frozen=True, kw_only=True)
class Thing:
    """What of a product decides its split."""

    shop: str
    product_id: str
    pictures: tuple[str, ...]  # contents
    category: str = ""
    brand: str = ""
    group_id: str = ""
    generator: str = ""  # who drew it; "" for a product of a shop


def shop_split(shop: str) -> str:
    """The name of a held-out shop's split."""
    return f"SHOP {shop}"


def split(
    things: Sequence[Thing],
    *,
    held_shops: Iterable[str] = (),
    held_categories: Iterable[str] = (),
    held_brands: Iterable[str] = (),
    valid_share: float = 0.1,
    test_share: float = 0.1,
    seed: int = 0,
) -> list[str]:
    """The split of each product, LEFT_OUT for those that hang together with a held-out one.

    Raises ConfigError for a shop too small to learn from, for a held-out one that sells only what was generated, and
    where nothing would be left to train on or to judge.
    """
    shops, categories, brands = set(held_shops), set(held_categories), set(held_brands)
    _check_sizes(things, shops)
    _check_real(things, shops)
    found = [LEFT_OUT] * len(things)
    for members in together([[*_marks(thing)] for thing in things]):
        own = {i: _held(things[i], shops, categories, brands) for i in members}
        if any(own.values()):
            of_shops = {name for name in own.values() if name.startswith("SHOP ")}
            kept = {i: name for i, name in own.items() if not of_shops or name in of_shops}
        else:
            kept = dict.fromkeys(members, _drawn([things[i] for i in members], valid_share, test_share, seed))
        for i, name in kept.items():
            found[i] = name if name == TRAIN or not things[i].generator else LEFT_OUT
    empty = [name for name in (TRAIN, VALID, TEST) if name not in found]
    if empty:
        raise ConfigError(f"no product is left for {', '.join(empty)}", expected="enough that do not hang together",
                          do="hold out less, or add shops")  # fmt: skip
    return found


def hold_out(values: Sequence[str], *, share: float, seed: int = 0) -> list[str]:
    """Some values (categories, brands) to hold out: in an order drawn by the seed until they cover `share` of all.

    None of them is more than a fifth of all, or rarer than NAMED_LEAST; "" is never held out.
    """
    counts = Counter(filter(None, values))
    fit = [value for value, n in counts.items() if NAMED_LEAST <= n <= len(values) / 5]
    chosen: list[str] = []
    for value in sorted(fit, key=lambda value: _digest(f"{seed}\0{value}")):
        if sum(counts[c] for c in chosen) >= share * len(values):
            break
        chosen.append(value)
    return sorted(chosen)


def _held(thing: Thing, shops: set[str], categories: set[str], brands: set[str]) -> str:
    if thing.shop in shops:
        return shop_split(thing.shop)
    return HOUT_C if thing.category in categories else HOUT_B if thing.brand in brands else ""


def _drawn(members: Sequence[Thing], valid_share: float, test_share: float, seed: int) -> str:
    real = [thing for thing in members if not thing.generator]
    if not real:
        return TRAIN
    name = min(f"{thing.shop}\0{thing.product_id}" for thing in real)
    place = _digest(f"{seed}\0{name}") / 2**64
    return TEST if place < test_share else VALID if place < test_share + valid_share else TRAIN


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:8])


def together(marks: Sequence[Iterable[Hashable]]) -> Iterable[list[int]]:
    """Things, by number, in groups that share a mark, directly or through others."""
    parent = list(range(len(marks)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[Hashable, int] = {}
    for i, own in enumerate(marks):
        for mark in own:
            parent[root(i)] = root(first.setdefault(mark, i))
    groups: dict[int, list[int]] = {}
    for i in range(len(marks)):
        groups.setdefault(root(i), []).append(i)
    return groups.values()


def _marks(thing: Thing) -> Iterable[Hashable]:
    yield ("id", thing.shop, thing.product_id)
    if thing.group_id:
        yield ("group", thing.shop, thing.group_id)
    yield from thing.pictures


def _check_sizes(things: Sequence[Thing], held_shops: set[str]) -> None:
    counts: Mapping[str, int] = Counter(thing.shop for thing in things)
    for shop, n in sorted(counts.items()):
        if n < LEAST and shop not in held_shops:
            raise ConfigError(f"shop {shop} has {n} products with title and picture", expected=f"at least {LEAST}",
                              do="leave it out, or hold it out as a whole")  # fmt: skip


def _check_real(things: Sequence[Thing], held_shops: set[str]) -> None:
    real = {thing.shop for thing in things if not thing.generator}
    for shop in sorted(held_shops & {thing.shop for thing in things} - real):
        raise ConfigError(
            f"shop {shop} has only generated products, and cannot judge", do="let it teach, or leave it out"
        )
