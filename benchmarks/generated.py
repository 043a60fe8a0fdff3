"""Does drawing products help? Training on what shops sell, on what was generated, and on both.

    make generated        (refreshes the real shops first; needs PLURIBUS_DATA)

The same start weights, steps and learning rate for all three; judged on the TEST split of each real
shop with pictures, which holds nothing generated: titles ask for their pictures. Gains are paired with the start model
on the same titles. The generated pictures are those of the renderer that the check agreed with.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from pluribus import generate, metrics, models, render, settings, validate
from pluribus.models import towers_torch
from pluribus.models.encoders import Encoder
from pluribus.models.squares import to_square
from pluribus.records import Model
from pluribus.render.surfaces import PATTERNS
from pluribus.store import Store, open_store
from pluribus.train import Pairs, fit, gather, judging
from pluribus.train.splits import TEST

ROOT = Path(__file__).resolve().parents[1]
SHOPS = ("myntra_fashion", "ikea_furniture", "luma_sport", "nh_liquor")
SEED = 0


def accepted(store: Store, shop: str, model: Model) -> pa.Table:
    """The examples of what the last judgement on a shop accepted."""
    return gather.examples(validate.accepted(store.within(f"shops/{shop}")), shop=shop, model=model)


def drawn(judge: Encoder, n: int) -> tuple[Pairs, generate.Drawn]:
    """The renderer's whole grid as a source of training, as large a part of it as all shops together."""
    grid = generate.Grid.of(list(render.KINDS), render.COLOURS, list(PATTERNS), SEED)
    found = generate.generate(generate.GENERATORS["renderer"]("", "cpu"), grid, judge, n=n)
    squares = np.stack([to_square(jpeg, judge.model) for _, jpeg in found.accepted]).transpose(0, 3, 1, 2)
    captions = [(wish.words, f"{wish.colour} {wish.kind}") for wish, _ in found.accepted]
    return Pairs(squares, captions, vary=gather.VARY, generated=True), found


def judged(encoder: Encoder, store: Store, tests: dict[str, pa.Table]) -> dict[str, dict[str, np.ndarray]]:
    """Hits@5 and reciprocal rank of each title, by shop."""
    ranked = {shop: judging.ranked(encoder, store.within(f"shops/{shop}"), rows) for shop, rows in tests.items()}
    return {shop: {name: metrics.METRICS[name].of(of) for name in judging.ASKED} for shop, of in ranked.items()}


def lines(way: str, now: dict[str, dict[str, np.ndarray]], start: dict[str, dict[str, np.ndarray]]) -> list[list[str]]:
    """A line for each shop and one for all their titles."""
    named = {shop: (now[shop], start[shop]) for shop in now}
    both = [{name: np.concatenate([of[shop][name] for shop in now]) for name in judging.ASKED} for of in (now, start)]
    rows = []
    for shop, (one, other) in {**named, "all four": (both[0], both[1])}.items():
        cells = [way, shop, f"{len(one['mrr']):,}"]
        for name in judging.ASKED:
            low, high = metrics.interval(one[name] - other[name])
            gain = (one[name] - other[name]).mean()
            cells += [f"{one[name].mean():.3f}", f"{gain:+.3f} ({low:+.3f} to {high:+.3f})" if way != "start" else ""]
        rows.append(cells)
    return rows


def main() -> None:
    """The start model and the three trainings."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--config", default=str(ROOT / "config" / "real"))
    options.add_argument("--store", default="")
    options.add_argument("--pictures", type=int, default=400, help="to generate")
    options.add_argument("--steps", type=int, default=200)
    options.add_argument("--learning-rate", type=float, default=1e-4)
    options.add_argument("--external", type=Path, help="a folder or tar of a folder a class: what is forgotten")
    asked = options.parse_args()
    config = settings.load(asked.config, store=asked.store)
    store, model = open_store(config.store), config.model("mini")
    fingerprint = models.register(store, model)
    start, _ = models.placed(store, fingerprint, model)
    synthetic, found = drawn(models.load(store, fingerprint), asked.pictures)
    print(json.dumps(generate.told(found)), flush=True)
    rows = gather.divide(pa.concat_tables([accepted(store, shop, model) for shop in SHOPS]), seed=SEED)
    tests = gather.of_split(rows, TEST)
    outside = judging.labelled_in(asked.external) if asked.external else None
    table, first = [], None
    with tempfile.TemporaryDirectory(prefix="pluribus-") as folder:
        real = gather.pairs(store, rows, start, Path(folder))
        synthetic = Pairs(synthetic.squares, synthetic.captions, sum(pairs.share for pairs in real),
                          vary=gather.VARY, generated=True)  # fmt: skip
        ways = {"start": [], "real": real, "generated": [synthetic], "both": [*real, synthetic]}
        for way, sources in ways.items():
            began, encoder = time.process_time(), towers_torch.read(start)
            if sources:
                fit(encoder, sources, steps=asked.steps, learning_rate=asked.learning_rate, seed=SEED, still=True)
            now = judged(encoder, store, tests)
            first = first or now
            own = lines(way, now, first)
            named = f"{judging.naming(encoder, '', outside).value:.3f}" if outside else "not measured"
            table += [[*cells, named if cells[1] == "all four" else ""] for cells in own]
            pictures = sum(len(pairs.captions) for pairs in sources)
            print(
                json.dumps({"way": way, "pictures": pictures, "cpu_s": round(time.process_time() - began)}), flush=True
            )
    head = ["trained on", "judged by TEST of", "n", "hits@5", "gain (95 %)", "MRR", "gain (95 %)", "clothing_cc0 F1"]
    galleries = ", ".join(f"{shop} {len(own):,}" for shop, own in tests.items())
    print(f"\n{asked.steps} steps of 256 at {asked.learning_rate:g}; galleries: {galleries}\n")
    print("\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *table]))


if __name__ == "__main__":
    main()
