"""A shop's release, opened: asking it, and what it answers."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from pluribus import indexes, lexical, releases, tables, texts, vectors
from pluribus.errors import ConfigError
from pluribus.search import filters as conditions
from pluribus.search import ranking
from pluribus.search import terms as asking
from pluribus.search.filters import Filter
from pluribus.search.terms import Encodes

HYBRID = 0.8  # what words weigh beside vectors in a score: by `make relevance`, see NOTES.md
WORDS = "words.npz"
SAID = 0.5  # of the words of a query: a product that says as much is a match, however far its vector
WITNESS = 0.5  # what a smaller share weighs beside the nearest cosine: NOTES.md
MOST_EVIDENCE = 1 + WITNESS
MOST_ID = 64  # characters of a text that may be a product's id
KEPT_ROWS = 10_000  # products kept as Python objects: making one takes 0.03 ms


def evidence(cosine: Any, share: Any) -> Any:
    """That a shop has what is asked: how near its nearest product lies, and how much of the words one of them says."""
    return cosine + WITNESS * share


@dataclass(frozen=True)
class Hit:
    """One product found: its id, its score, its row as the shop wrote it, and what the score is made of."""

    product_id: str
    title: str
    score: float
    product: dict[str, Any] = field(repr=False)
    parts: dict[str, float] = field(default_factory=dict)  # image, text, lexical: they sum to the score
    variants: int = 1  # products of its group in the release, itself included


@dataclass(frozen=True)
class Searcher:
    """A shop's release, opened: every byte verified, the index in memory."""

    shop: str
    release: releases.Release
    products: pa.Table
    index: Any
    encoder: Encodes

    def query(
        self,
        what: Any,
        k: int = 10,
        *,
        filters: Sequence[str | Filter] = (),
        hybrid: float = HYBRID,
        diversity: float = 0.0,
        collapse: bool = True,
        cutoff: bool = True,
    ) -> list[Hit]:
        """The k best products for words, a picture, or weighted terms (`terms.terms`), best first.

        filters    conditions that every hit meets, exactly (`filters`)
        hybrid     0 to 1: what words weigh (BM25) beside vectors
        diversity  0 to 1: how much a hit may lose for being like those before it
        collapse   one hit for all variants of a product
        cutoff     nothing at all where the shop has no good match

        Raises ConfigError on an empty query and on an option that means nothing.
        """
        asked = asking.terms(what)
        vector = asking.vector(asked, self.encoder)
        said = [term for term in asked if isinstance(term.said, str)]
        words = None
        if said and (hybrid or cutoff):
            shares = [term.weight * self._said(term.said) for term in said]
            words = np.asarray(np.sum(shares, axis=0)) / sum(max(term.weight, 0) for term in asked)
        if cutoff and words is not None and len(said) == len(asked) and self._strange(vector, words):
            return []
        words = words if hybrid else None
        options: dict[str, Any] = {"filters": filters, "diversity": diversity, "collapse": collapse}
        return self.near(vector, k, lexical_scores=words, hybrid=hybrid, **options)

    def near(
        self,
        vector: np.ndarray,
        k: int = 10,
        *,
        filters: Sequence[str | Filter] = (),
        excluded: np.ndarray | None = None,
        lexical_scores: np.ndarray | None = None,
        hybrid: float = 0.0,
        diversity: float = 0.0,
        collapse: bool = True,
    ) -> list[Hit]:
        """The k products nearest to a unit vector [1, width], but for those at the `excluded` positions."""
        if not 1 <= k <= 10_000:
            raise ConfigError(f"k = {k}", expected="1 to 10,000")
        for name, share in (("hybrid", hybrid), ("diversity", diversity)):
            if not 0 <= share <= 1:
                raise ConfigError(f"{name} = {share}", expected="0 to 1")
        asked = ranking.Asked(vector, lexical_scores, hybrid if lexical_scores is not None else 0.0)
        allowed = self._allowed(filters, excluded)
        ranked = ranking.rank(self, asked, k, allowed=allowed, diversity=diversity, collapse=collapse)
        return self._hits(ranked.places.tolist(), ranked.scores.tolist(), ranked.parts)

    def facets(
        self, names: Sequence[str] = ("brand", "category", "colour", "availability"), *,
        filters: Sequence[str | Filter] = (), most: int = 20,
    ) -> dict[str, dict[str, int]]:  # fmt: skip
        """How many products that meet the filters have each value of these fields, the most frequent first."""
        rows = self.products.filter(pa.array(conditions.mask(self.products, filters))) if filters else self.products
        sql = "select v, count(*) as n from rows where v is not null group by v order by n desc, v limit $most"
        found = {}
        for name in names:
            table = pa.table({"v": conditions.column(rows, name)})
            counted = tables.query(sql, {"most": most}, rows=table).to_pylist()
            found[name] = {row["v"]: row["n"] for row in counted}
        return found

    def rows(self, product_ids: Sequence[str]) -> list[int]:
        """The rows of these products, in order. Raises ConfigError naming an id that the release does not hold."""
        unknown = [product_id for product_id in product_ids if product_id not in self.places]
        if unknown:
            raise ConfigError(
                f"no product {unknown[0]!r:.80} in the live release of {self.shop}",
                do=f"it may be quarantined: pluribus quarantine {self.shop}",
            )
        return [self.places[product_id] for product_id in product_ids]

    def get(self, product_ids: Sequence[str]) -> list[dict[str, Any]]:
        """These products as the shop wrote them, in order. Raises ConfigError naming an unknown one."""
        return self._products(self.rows(product_ids))

    def hit(self, place: int, score: float) -> Hit:
        """The product of one row, as found with this score."""
        return self._hits([place], [score], {})[0]

    @cached_property
    def space(self) -> vectors.Space:
        """The vectors behind the index, mapped when first asked for and kept as long as this searcher."""
        name = vectors.space_file(self.release.manifest.files)
        return vectors.read_space(self.release.path(name), self.encoder.width)

    @cached_property
    def places(self) -> dict[str, int]:
        """The row of each product."""
        return {product_id: place for place, product_id in enumerate(self.products["product_id"].to_pylist())}

    @cached_property
    def groups(self) -> np.ndarray:
        """A number for each product [n], equal for variants of one another."""
        numbers: dict[str, int] = {}  # Arrow's own ways to numbers import pandas: a second of every command
        names = self.products["group_id"].to_pylist()
        found = np.array([-1 if name is None else numbers.setdefault(name, len(numbers)) for name in names], np.int64)
        return np.where(found < 0, len(found) + np.arange(len(found)), found)

    @cached_property
    def lexicon(self) -> lexical.Lexicon:
        """The words of the shop's products; counted now for a release from before they were part of it."""
        if WORDS not in self.release.manifest.files:
            return lexical.build(texts.words(self.products))
        return lexical.load(self.release.path(WORDS), n=self.products.num_rows)

    def shares(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of each of these products [m], how much its picture's and its text's vector weigh in its fused one."""
        of = self.space
        has_image, has_text = of.has_image[places], of.has_text[places]
        image = np.where(has_text, self._fusion["image"], 1.0) * has_image
        text = np.where(has_image, self._fusion["text"], 1.0) * has_text
        between = np.einsum("nd,nd->n", of.image[places], of.text[places], dtype=np.float32)
        norm = np.sqrt(image**2 + text**2 + 2 * image * text * between)
        norm = np.where(norm > 0, norm, 1)
        return (image / norm).astype(np.float32), (text / norm).astype(np.float32)

    @cached_property
    def _fusion(self) -> dict[str, float]:
        """What the release's build weighed its parts with."""
        found: dict[str, float] = json.loads(self.release.path("build.json").read_bytes())["fusion"]
        return found

    @cached_property
    def cutoff(self) -> float | None:
        """The evidence below which a text's best product is no match, as the release's evaluation found it.

        None: nothing was found out, or by a pluribus that asked cosines alone; the next refresh does.
        """
        told = json.loads(self.release.path("evaluation.json").read_bytes()).get("cutoff") or {}
        return float(told["evidence"]) if "evidence" in told else None

    def _said(self, text: str) -> np.ndarray:
        """How much of a text's words each product says [n], 0 to 1; its own id is all that can be said."""
        found = self.lexicon.scores(self.lexicon.read(text))
        if len(text) <= MOST_ID and any(map(str.isdigit, text)):
            ids = dict(self._cells)["product_id"]
            places = {ids.index(spelled).as_py() for spelled in (text, text.upper(), text.lower())} - {-1}
            found[list(places)] = 1.0
        return found

    def _strange(self, vector: np.ndarray, words: np.ndarray) -> bool:
        """Whether the shop has nothing of the kind: too little evidence, and no product that says half of the words."""
        if self.cutoff is None or (share := words.max(initial=0.0)) >= SAID:
            return False
        scores, _ = indexes.search(self.index, vector, 1)
        return bool(evidence(scores[0, 0], share) < self.cutoff)

    def _allowed(self, filters: Sequence[str | Filter], excluded: np.ndarray | None) -> np.ndarray | None:
        """Positions that may answer; None for all."""
        if not len(filters) and excluded is None:
            return None
        kept = conditions.mask(self.products, filters)
        if excluded is not None:
            kept[excluded] = False
        return np.flatnonzero(kept)

    def _hits(self, places: Sequence[int], scores: Sequence[float], parts: dict[str, np.ndarray]) -> list[Hit]:
        return [
            Hit(
                row["product_id"],
                row["title"] or "",
                float(scores[i]),
                row,
                {name: float(part[i]) for name, part in parts.items()},
                int(self._sizes[self.groups[places[i]]]),
            )
            for i, row in enumerate(self._products(places))
        ]

    @cached_property
    def _sizes(self) -> np.ndarray:
        """How many products each group has."""
        return np.bincount(self.groups)

    def _products(self, places: Sequence[int]) -> list[dict[str, Any]]:
        """The rows at these places, as copies. Those asked for lately are kept: queries repeat, and so do answers."""
        rows = {place: self._kept.get(place) for place in places}
        missing = [place for place, row in rows.items() if row is None]
        if missing:
            made = {place: self._product(place) for place in missing}
            rows |= made
            if len(self._kept) > KEPT_ROWS:
                self._kept.clear()
            self._kept.update(made)
        return [dict(rows[place] or {}) for place in places]

    def _product(self, place: int) -> dict[str, Any]:
        """One row, cell by cell: `take` would import pandas, a slice of the table takes twice as long."""
        row = {name: None if cells is None else cells[place].as_py() for name, cells in self._cells}
        return row | {"extra": dict(row["extra"] or [])}

    @cached_property
    def _cells(self) -> list[tuple[str, Any]]:
        """Each column by its name; None for one in which nothing is said."""
        columns = ((name, tables.one_piece(self.products[name])) for name in self.products.column_names)
        return [(name, None if column.null_count == len(column) else column) for name, column in columns]

    @cached_property
    def _kept(self) -> dict[int, dict[str, Any]]:
        return {}
