"""Leave one shop out: does a model that learned from other shops serve a shop it has never seen?

    make transfer         (refreshes the real shops first; needs PLURIBUS_DATA)

For each of the four real shops with pictures, `mini` is fine-tuned on the other three and asked about the fourth before
and after: a title must find its picture among GALLERY of that shop's. Steps and learning rate were fixed beforehand,
once for all shops: nothing is chosen by a look at the shop that judges. The weights are thrown away.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from pluribus import lexical, metrics, models, releases, settings, tables, texts, validate
from pluribus.models import encoders, towers_torch
from pluribus.records import Model
from pluribus.store import Store, open_store
from pluribus.train import Pairs, fit, gather, judging, splits

ROOT = Path(__file__).resolve().parents[1]
SHOPS = ("myntra_fashion", "ikea_furniture", "luma_sport", "nh_liquor")
GALLERY = 1_000
SEED = 0


class Shop:
    """One real shop: what it teaches, and the products that ask when it is held out."""

    def __init__(self, store: Store, name: str, model: Model) -> None:
        own = store.within(f"shops/{name}")
        live = releases.current(own, shop=name)
        path = releases.open_release(own, shop=name).path("products.parquet") if live else validate.accepted(own)
        rows = gather.examples(path, shop=name, model=model)
        self.rows = rows.set_column(rows.schema.get_field_index("split"), "split", pa.array([splits.TRAIN] * len(rows)))
        self.captions = gather.captions(self.rows)
        squares = dict(gather.load_squares(own, list(self.captions), model))
        self.squares = np.stack([squares[content] for content in self.captions]).transpose(0, 3, 1, 2)
        place = {content: i for i, content in enumerate(self.captions)}
        asked = self.rows.take(np.sort(np.random.default_rng(SEED).permutation(len(rows))[:GALLERY]))
        self.titles, first = asked["title"].to_pylist(), [own[0] for own in asked["pictures"].to_pylist()]
        self.pictures = self.squares[[place[content] for content in first]].transpose(0, 2, 3, 1)
        self.groups = judging.equally_right(self.titles, first)
        self.others = _other_words(path, set(asked["product_id"].to_pylist()), asked["product_id"].to_pylist())

    def pairs(self) -> Pairs:
        return Pairs(self.squares, list(self.captions.values()), share=len(self.squares) ** 0.5, vary=gather.VARY)

    def ranked(self, encoder: encoders.Encoder) -> metrics.Ranked:
        """Of each title's picture."""
        images = np.concatenate([encoder._unit(encoder.see(part)) for part in np.array_split(self.pictures, 16)])
        return metrics.rank(encoder.texts(self.titles), images, self.groups, self.groups)

    def chance(self) -> float:
        relevant = np.bincount(self.groups)[self.groups]
        return float(metrics.METRICS["hits@5"].chance(len(self.titles), relevant).mean())


def _other_words(path: Path, wanted: set[str], order: list[str]) -> list[str]:
    """What a shop says of its products besides their titles: all that a text alone could find them by."""
    rows = tables.read(path, [*texts.COLUMNS])
    said = texts.product_texts(rows, "{description} {category} {colour} {brand} {size} {gender} {material}")
    found = {i: text for i, text in zip(rows["product_id"].to_pylist(), said, strict=True) if i in wanted}
    return [found[i] for i in order]


def baselines(shop: Shop, encoder: encoders.Encoder) -> dict[str, float]:
    """Hits@5 of titles for what else the shop says of the product: by BM25, and by text vectors alone."""
    lexicon = lexical.build(shop.others)
    by_words = metrics.rank_rows((lexicon.scores(title) for title in shop.titles), shop.groups, shop.groups)
    by_text = metrics.rank(encoder.texts(shop.titles), encoder.texts(shop.others), shop.groups, shop.groups)
    hits = metrics.METRICS["hits@5"].of
    return {"BM25": float(hits(by_words).mean()), "texts alone": float(hits(by_text).mean())}


def leave_out(
    held: str, shops: dict[str, Shop], start: Model, cards: pa.Table, how: dict[str, float]
) -> dict[str, object]:
    """One line of the table."""
    began = time.process_time()
    encoder = towers_torch.read(start)
    shop, before = shops[held], shops[held].ranked(encoder)
    line = {"shop": held, "n": len(shop.titles), "chance": shop.chance(), **baselines(shop, encoder)}
    outside = judging.naming(encoder, "clothing_cc0", cards)
    losses: list[float] = []
    fit(encoder, [other.pairs() for name, other in shops.items() if name != held], seed=SEED, still=True,
        report=lambda progress: losses.append(progress.loss - progress.chance), **how)  # type: ignore[arg-type] # fmt: skip
    after = shop.ranked(encoder)
    for name in ("hits@5", "mrr"):
        one, other = (metrics.METRICS[name].of(ranked) for ranked in (before, after))
        line |= {f"{name} {what}": (values.mean(), *metrics.interval(values))
                 for what, values in (("before", one), ("after", other), ("gain", other - one))}  # fmt: skip
    line |= {"clothing_cc0 before": outside.value, "clothing_cc0 after": judging.naming(encoder, "", cards).value,
             "loss above chance": float(np.mean(losses[-10:])), "cpu_s": time.process_time() - began}  # fmt: skip
    return line


def markdown(lines: list[dict[str, object]]) -> str:
    """The table for people."""
    head = ["unseen shop", "gallery", "chance", "hits@5 before", "after", "gain (95 %)", "MRR before", "after",
            "gain (95 %)", "clothing_cc0 F1", "texts alone*", "BM25*"]  # fmt: skip
    rows = [head, ["---"] * len(head)]
    for x in lines:
        cells = [x["shop"], f"{x['n']:,}", f"{x['chance']:.3f}"]
        for name in ("hits@5", "mrr"):
            cells += [f"{x[f'{name} before'][0]:.3f}", f"{x[f'{name} after'][0]:.3f}"]  # type: ignore[index]
            cells += ["{:+.3f} ({:+.3f} to {:+.3f})".format(*x[f"{name} gain"])]  # type: ignore[misc]
        cells += [
            f"{x['clothing_cc0 before']:.3f} → {x['clothing_cc0 after']:.3f}",
            f"{x['texts alone']:.3f}",
            f"{x['BM25']:.3f}",
        ]
        rows.append(cells)
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows)


def main() -> None:
    """All four shops, one after the other."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--config", default=str(ROOT / "config" / "real"))
    options.add_argument("--model", default="mini")
    options.add_argument("--steps", type=int, default=40)
    options.add_argument("--learning-rate", type=float, default=3e-4)
    options.add_argument("--external", type=Path, required=True, help="clothing_cc0's tar")
    options.add_argument("--held", nargs="*", default=SHOPS, help="which of the four; default: each in turn")
    asked = options.parse_args()
    config = settings.load(asked.config)
    store, model = open_store(config.store), config.model(asked.model)
    start, _ = models.placed(store, models.register(store, model), model)
    shops = {name: Shop(store, name, model) for name in SHOPS}
    how = {"steps": asked.steps, "batch_size": 256, "learning_rate": asked.learning_rate}
    lines = []
    for held in asked.held:
        lines.append(leave_out(held, shops, start, judging.labelled_in(asked.external), how))
        print(json.dumps(lines[-1], default=float), flush=True)
    print(
        f"\n{how}\n\n{markdown(lines)}\n\n* title → what else the shop says of the product, same products: no picture."
    )


if __name__ == "__main__":
    main()
