"""The shop's own categories, judged by its pictures and words: agreement, and products that look misplaced."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pluribus import indexes, metrics, texts
from pluribus.classify.words import Label, evidence, label_vectors, shares
from pluribus.errors import ConfigError
from pluribus.records import Score
from pluribus.search import Searcher

NEIGHBOURS = 10
POOL = 40  # asked for, before the product's own group is left out


@dataclass(frozen=True)
class Agreement:
    """How often a way to guess says the shop's own category: the last level, where enough products share it."""

    by: str  # "zero-shot", "neighbours"
    score: Score


@dataclass(frozen=True)
class Suspect:
    """A product that another category fits better."""

    product_id: str
    title: str
    category: str  # what the shop says
    rather: str  # what its picture and words say
    suspicion: float  # 0 to 1: evidence for `rather` less that for its own, by how unusual the verdict is
    neighbours: float  # share of its neighbours that are of `rather`


def vote(shop: Searcher, product_id: str, k: int = NEIGHBOURS) -> list[Label]:
    """The categories of the k products most like it, its own group left out, each with its share of the vote."""
    [place] = shop.rows([product_id])
    names, votes = _votes(shop, _classes(shop), np.array([place]), k)
    order = [i for i in np.argsort(-votes[0], kind="stable") if votes[0, i] > 0]
    return [Label(names[i], float(votes[0, i]), 0.0) for i in order]


def agreement(shop: Searcher) -> list[Agreement]:
    """Zero-shot labels and neighbours' votes beside the feed's categories. Raises ConfigError with fewer than two."""
    names, own, asked = _own(shop)
    ways = {"zero-shot": _zero_shot(shop, names)[asked], "neighbours": _votes(shop, _classes(shop), asked)[1]}
    found = []
    for by, said in ways.items():
        right = (said.argmax(axis=1) == own[asked]).astype(float)
        low, high = metrics.interval(right)
        share = np.bincount(own[asked]) / len(asked)
        chance = 1 / len(names) if by == "zero-shot" else float((share**2).sum())
        note = f"{len(names)} categories"
        value = float(right.mean())
        found.append(Agreement(by, Score(name=f"{by} category", value=value, n=len(asked), low=low, high=high,
                                         chance=chance, note=note)))  # fmt: skip
    return found


def suspects(shop: Searcher, most: int = 50, least: float = 0.0) -> list[Suspect]:
    """Products that look misplaced, the most suspicious first: labels and neighbours speak for another category.

    Two categories that this shop (or this model) mixes up all the time make nobody suspicious: a verdict counts by how
    rarely it is given to products of that category.
    """
    names, own, asked = _own(shop)
    votes = _votes(shop, _classes(shop), asked)[1]
    said = (_zero_shot(shop, names)[asked] + votes) / 2
    rows = np.arange(len(asked))
    others = said.copy()
    others[rows, own[asked]] = -1
    rather = others.argmax(axis=1)
    surprise = _surprise(own[asked], said.argmax(axis=1), len(names))[own[asked], rather]
    gap = (said[rows, rather] - said[rows, own[asked]]) * surprise
    order = [i for i in np.argsort(-gap, kind="stable")[:most] if gap[i] > least]
    products = shop.products.take(asked[order]).select(["product_id", "title", "category"]).to_pylist()
    return [
        Suspect(row["product_id"], row["title"] or "", row["category"] or "", names[rather[i]], float(gap[i]),
                float(votes[i, rather[i]]))
        for i, row in zip(order, products, strict=True)
    ]  # fmt: skip


def _surprise(own: np.ndarray, said: np.ndarray, n: int) -> np.ndarray:
    """How unusual a verdict is [n, n], 0 to 1: -log of the share of a category's products that get it."""
    mixed = np.zeros((n, n))
    np.add.at(mixed, (own, said), 1)
    share = mixed / np.maximum(1, mixed.sum(axis=1, keepdims=True))
    return np.asarray(np.clip(np.log(share + 1e-3) / np.log(1e-3), 0, 1))


def _classes(shop: Searcher) -> list[str]:
    return texts.classes(shop.products)


def _own(shop: Searcher) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The classes, each product's own as a number (-1: none), and the rows that have one."""
    said = _classes(shop)
    names = sorted(set(said) - {""})
    if len(names) < 2:
        raise ConfigError(f"{len(names)} categories with enough products in {shop.shop}", expected="at least 2")
    number: dict[str, int] = {name: n for n, name in enumerate(names)}
    own = np.array([number.get(name, -1) for name in said])
    return names, own, np.flatnonzero(own >= 0)


def _zero_shot(shop: Searcher, names: list[str]) -> np.ndarray:
    return shares(evidence(shop, label_vectors(shop.encoder, [texts.singular(name) for name in names])))


def _votes(shop: Searcher, said: list[str], asked: np.ndarray, k: int = NEIGHBOURS) -> tuple[list[str], Any]:
    """Of each row asked, the share [n, names] of its k nearest that bear each name; nameless neighbours do not vote."""
    names = sorted(set(said) - {""})
    number = {name: n for n, name in enumerate(names)}
    of = np.array([number.get(name, -1) for name in said])
    pool = min(max(POOL, 4 * k), shop.products.num_rows)
    _, near = indexes.search(shop.index, shop.space.fused[asked].astype(np.float32), pool)
    votes = np.zeros((len(asked), len(names)), dtype=np.float32)
    for row, (place, found) in enumerate(zip(asked, near, strict=True)):
        foreign = found[(found >= 0) & (shop.groups[found] != shop.groups[place])]
        voters = of[foreign][of[foreign] >= 0][:k]
        np.add.at(votes[row], voters, 1 / max(1, len(voters)))
    return names, votes
