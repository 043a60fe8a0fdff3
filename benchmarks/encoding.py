"""The sides of the benchmarks that encode: our encoder, and the chain of open_clip's own documentation.

Both compute mini on the processor from the same weights, pictures (256 px, as stores keep them) and titles. The peer
decodes and preprocesses with PIL and torchvision and pads every text to the context, in torch eager, batches of 64.
"""

import gzip
import io
import json
import os
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from beside import Benchmark, Goal, counted

ROOT = Path(__file__).resolve().parents[1]
PICTURES, TITLES = 600, 6_000
NAME = "benchmark-mini"


def write(folder: Path) -> None:
    """The model, registered and exported once, the pictures and the titles."""
    from pluribus import models, render, settings
    from pluribus.store import open_store

    model = settings._models(str(ROOT / "config/models"))["mini"]
    fingerprint = models.register(open_store(str(folder / "store")), model)
    (folder / "fingerprint").write_text(fingerprint)
    ours(folder)
    items = [render.sample(vertical, seed) for seed in range(TITLES // 3) for vertical in render.VERTICALS]
    (folder / "titles.json").write_text(json.dumps([render.caption(item, "title", i) for i, item in enumerate(items)]))
    for i, item in enumerate(items[:PICTURES]):
        render.draw(item, 256).save(folder / f"{i}.jpg", quality=90)
    (folder / "configs").mkdir()
    (folder / "configs" / f"{NAME}.json").write_text(json.dumps(model.architecture))


def ours(folder: Path, *, fast: bool = False) -> Any:
    """The encoder, from its cached export, as a search or (`fast`) the embed step loads it."""
    from pluribus import models
    from pluribus.store import open_store

    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    return models.load(open_store(str(folder / "store")), (folder / "fingerprint").read_text(), "cpu", fast=fast)


def theirs(folder: Path) -> tuple[Any, Any, Any]:
    """open_clip's network, preprocessing and tokenizer, whose merges are cut to mini's."""
    import open_clip

    open_clip.add_model_config(folder / "configs")
    (weights,) = map(str, folder.glob("store/models/*/weights.safetensors"))
    network, _, preprocess = open_clip.create_model_and_transforms(NAME, pretrained=weights, image_resize_mode="squash")
    text = open_clip.get_model_config(NAME)["text_cfg"]
    merges = folder / "merges.gz"
    if not merges.exists():
        with gzip.open(open_clip.tokenizer.default_bpe(), "rt", encoding="utf-8") as lines:
            kept = "".join(islice(lines, text["vocab_size"] - 514 + 1)).rstrip("\n")
        merges.write_bytes(gzip.compress(kept.encode()))
    return network.eval(), preprocess, open_clip.SimpleTokenizer(str(merges), context_length=text["context_length"])


def ready_ours(folder: Path) -> None:
    """From nothing to the vector of a text."""
    assert ours(folder).texts(["a red dress"]).shape == (1, 192)


def ready_theirs(folder: Path) -> None:
    """The same."""
    import torch

    network, _, tokenizer = theirs(folder)
    with torch.inference_mode():
        assert network.encode_text(tokenizer(["a red dress"]), normalize=True).shape == (1, 192)


def pictures_ours(folder: Path) -> dict[str, Any]:
    """JPEG bytes to vectors."""
    encoder, jpegs = ours(folder, fast=True), [(folder / f"{i}.jpg").read_bytes() for i in range(PICTURES)]
    encoder.images(jpegs[:1])
    with counted() as took:
        assert encoder.images(jpegs).shape == (PICTURES, 192)
    return took.of


def pictures_theirs(folder: Path) -> dict[str, Any]:
    """The same."""
    import torch
    from PIL import Image

    network, preprocess, _ = theirs(folder)
    jpegs = [(folder / f"{i}.jpg").read_bytes() for i in range(PICTURES)]
    with torch.inference_mode():
        network.encode_image(preprocess(Image.open(io.BytesIO(jpegs[0])))[None])
    with counted() as took, torch.inference_mode():
        for first in range(0, PICTURES, 64):
            opened = [Image.open(io.BytesIO(jpeg)) for jpeg in jpegs[first : first + 64]]
            network.encode_image(torch.stack([preprocess(picture) for picture in opened]), normalize=True)
    return took.of


def texts_ours(folder: Path) -> dict[str, Any]:
    """Titles to vectors."""
    encoder, titles = ours(folder), json.loads((folder / "titles.json").read_text())
    with counted() as took:
        assert encoder.texts(titles).shape == (TITLES, 192)
    return took.of


def texts_theirs(folder: Path) -> dict[str, Any]:
    """The same."""
    import torch

    network, _, tokenizer = theirs(folder)
    titles = json.loads((folder / "titles.json").read_text())
    with counted() as took, torch.inference_mode():
        for first in range(0, TITLES, 64):
            network.encode_text(tokenizer(titles[first : first + 64]), normalize=True)
    return took.of


def write_int8(folder: Path) -> None:
    """The same, and mini with matrices of 8 bits."""
    from pluribus import models, settings
    from pluribus.store import open_store

    write(folder)
    model = settings._models(str(ROOT / "config/models"))["mini-int8"]
    (folder / "int8").mkdir()
    (folder / "int8" / "store").symlink_to(folder / "store")
    (folder / "int8" / "fingerprint").write_text(models.register(open_store(str(folder / "store")), model))
    ours(folder / "int8")


def asked(folder: Path, encoder: Any, name: str) -> dict[str, Any]:
    """Titles one at a time, and the pictures they are asked of: kept as vectors."""
    titles = json.loads((folder / "titles.json").read_text())[:PICTURES]
    pictures = encoder.images([(folder / f"{i}.jpg").read_bytes() for i in range(PICTURES)])
    for title in titles[-32:]:
        encoder.texts([title])
    with counted() as took:
        rows = [encoder.texts([title]) for title in titles]
    np.savez(folder / f"{name}.npz", pictures=pictures, titles=np.concatenate(rows))
    return took.of


def asked_int8(folder: Path) -> dict[str, Any]:
    """In 8 bits."""
    return asked(folder, ours(folder / "int8"), "int8")


def asked_float(folder: Path) -> dict[str, Any]:
    """In single precision."""
    return asked(folder, ours(folder), "float")


def lost(folder: Path) -> dict[str, Any]:
    """What the ten nearest pictures of a title, and its own among the first five, lose by 8 bits."""
    scores = {}
    for name in ("int8", "float"):
        kept = np.load(folder / f"{name}.npz")
        scores[name] = kept["titles"] @ kept["pictures"].T
    order = {name: np.argsort(-of, axis=1, kind="stable") for name, of in scores.items()}
    pairs = zip(order["int8"][:, :10], order["float"][:, :10], strict=True)
    hits = {name: float((of[:, :5] == np.arange(PICTURES)[:, None]).any(axis=1).mean()) for name, of in order.items()}
    return {
        "recall@10 of the exact": float(np.mean([len(set(mine) & set(wanted)) / 10 for mine, wanted in pairs])),
        "hits@5 lost": hits["float"] - hits["int8"],
    }


EAGER = "open_clip, eager fp32"
BENCHMARKS = {
    "encoder ready": Benchmark(
        "process start to the first text's vector", write, ready_ours, {EAGER: ready_theirs},
        (Goal(peer=EAGER, least=8), Goal(most=2)),
    ),
    "pictures, mini": Benchmark(
        "600 stored JPEGs to vectors of mini", write, pictures_ours, {EAGER: pictures_theirs},
        (Goal(peer=EAGER, least=2),),
    ),
    "texts, mini": Benchmark(
        "6,000 titles to vectors of mini", write, texts_ours, {EAGER: texts_theirs}, (Goal(peer=EAGER, least=4.5),),
    ),
    "int8, mini": Benchmark(
        "mini: what 600 titles lose by matrices of 8 bits", write_int8, asked_int8, {"ours, fp32": asked_float},
        (Goal("recall@10 of the exact", least=0.95), Goal("hits@5 lost", most=0.01)),
        lost,
    ),
}  # fmt: skip
