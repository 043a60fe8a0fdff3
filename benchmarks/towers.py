"""Towers of real size: ViT-B/32 with random weights (no hub is reached), pictures and texts beside open_clip's chain.

The peer is what clip-retrieval runs on a processor: PIL, open_clip's preprocessing, torch eager, texts padded to 77
tokens. The roof is a bfloat16 matrix product of as many operations. Weights and export are made once, in .bench/.
"""

import io
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from beside import Benchmark, Goal, counted
from decoding import photograph

KEPT = Path(__file__).resolve().parents[1] / ".bench"
NAME, GFLOP = "ViT-B-32", 8.82  # of one picture (open_clip's docs/model_profile.csv)
SQUARES, PHOTOS, MANY, TITLES, QUERIES, WARM, BATCH, SIDE_PX = 64, 64, 200, 192, 160, 32, 16, 400


def model() -> Any:
    """As a model file would describe it."""
    from pluribus.records import Model

    return Model(
        name="vit", weights=str(KEPT / "vit-b-32.safetensors"), width=512, sha256="", licence="", architecture=NAME
    )


def write(folder: Path) -> None:
    """The model, registered and exported once; photographs, squares and titles."""
    from pluribus import render
    from pluribus.models import towers_torch

    weights = KEPT / "vit-b-32.safetensors"
    if not weights.exists():
        import torch

        KEPT.mkdir(exist_ok=True)
        torch.manual_seed(0)
        towers_torch.save(towers_torch.untrained(model()), weights.with_suffix(".part"))
        weights.with_suffix(".part").rename(weights)
    encoder(fast=True)
    np.save(folder / "squares.npy", np.random.default_rng(0).integers(0, 256, (SQUARES, 224, 224, 3), dtype=np.uint8))
    write_photos(folder)
    items = [render.sample("fashion", seed) for seed in range(TITLES)]
    (folder / "titles.json").write_text(
        json.dumps([render.caption(item, "long title", i) for i, item in enumerate(items)])
    )


def write_photos(folder: Path) -> None:
    """Photographs of 400 px."""
    for number in range(MANY):
        (folder / f"{number}.jpg").write_bytes(photograph(number, (SIDE_PX, SIDE_PX)))


def encoder(*, fast: bool, precision: Literal["float", "int8"] = "float") -> Any:
    """Ours, from its cached export."""
    from pluribus import models
    from pluribus.store import open_store

    os.environ["XDG_CACHE_HOME"] = str(KEPT / "cache")
    store = open_store(str(KEPT / "vit"))
    return models.load(store, models.register(store, replace(model(), precision=precision)), "cpu", fast=fast)


def peer() -> tuple[Any, Any, Any]:
    """open_clip's network of the same weights, its preprocessing, its tokenizer."""
    import open_clip

    network, _, preprocess = open_clip.create_model_and_transforms(NAME, pretrained=model().weights)
    return network.eval(), preprocess, open_clip.get_tokenizer(NAME)


def jpegs(folder: Path, n: int) -> list[bytes]:
    """The first n photographs."""
    return [(folder / f"{i}.jpg").read_bytes() for i in range(n)]


def tower_ours(folder: Path) -> dict[str, Any]:
    """Squares to features, nothing else."""
    see, squares = encoder(fast=True).see, np.load(folder / "squares.npy")
    see(squares[:BATCH])
    with counted() as took:
        found = np.concatenate([see(squares[i : i + BATCH]) for i in range(0, SQUARES, BATCH)])
    np.save(folder / "ours.npy", found)
    return took.of


def tower_theirs(folder: Path) -> dict[str, Any]:
    """The same squares, normalised beforehand."""
    import torch

    from pluribus.models.towers_torch import to_input

    network, _, _ = peer()
    squares = torch.from_numpy(np.load(folder / "squares.npy")).permute(0, 3, 1, 2)
    pixels = to_input(squares, model()).contiguous()
    with torch.inference_mode():
        network.encode_image(pixels[:BATCH])
        with counted() as took:
            found = torch.cat([network.encode_image(pixels[i : i + BATCH]) for i in range(0, SQUARES, BATCH)])
    np.save(folder / "theirs.npy", found.numpy())
    return took.of


def roof(folder: Path) -> dict[str, Any]:
    """As many operations in bfloat16 matrix products of 2,048 a side."""
    import torch

    a = torch.randn(2048, 2048).bfloat16()
    a @ a
    times = SQUARES * GFLOP / (2 * 2.048**3)
    with counted() as took:
        for _ in range(round(times)):
            a @ a
    return took.of | {"CPU-s": took.of["CPU-s"] * times / round(times)}


def photos_ours(folder: Path) -> dict[str, Any]:
    """Bytes to vectors."""
    ours, photos = encoder(fast=True), jpegs(folder, PHOTOS)
    ours.images(photos[:BATCH])
    with counted() as took:
        found = ours.images(photos, BATCH)
    np.save(folder / "ours.npy", found)
    return took.of


def photos_theirs(folder: Path) -> dict[str, Any]:
    """The same, a batch after the other."""
    import torch
    from PIL import Image

    (network, preprocess, _), photos, found = peer(), jpegs(folder, PHOTOS), []
    with counted() as took, torch.inference_mode():
        for first in range(0, PHOTOS, BATCH):
            opened = [preprocess(Image.open(io.BytesIO(photo))) for photo in photos[first : first + BATCH]]
            found.append(network.encode_image(torch.stack(opened), normalize=True))
    np.save(folder / "theirs.npy", torch.cat(found).numpy())
    return took.of


def squares_ours(folder: Path) -> dict[str, Any]:
    """Bytes to the levels 0 ... 255 that the tower takes; it normalises them itself. As GPUs are fed."""
    from pluribus.models.squares import square_batches
    from pluribus.models.towers_torch import to_square

    photos = jpegs(folder, MANY)
    to_square(photos[0], model())
    with counted() as took:
        found = np.concatenate(list(square_batches(photos, model(), BATCH, to_square)))
    np.save(folder / "ours.npy", found)
    return took.of


def squares_theirs(folder: Path) -> dict[str, Any]:
    """Bytes to normalised floats by open_clip's transform."""
    import torch
    from open_clip.transform import image_transform
    from PIL import Image

    of, photos = model(), jpegs(folder, MANY)
    transform = image_transform(224, is_train=False, mean=of.mean, std=of.std)
    transform(Image.open(io.BytesIO(photos[0])))
    with counted() as took:
        found = torch.cat([torch.stack([transform(Image.open(io.BytesIO(photo))) for photo in photos[i : i + BATCH]])
                           for i in range(0, MANY, BATCH)])  # fmt: skip
    levels = (found.permute(0, 2, 3, 1).numpy() * np.float32(of.std) + np.float32(of.mean)) * 255
    np.save(folder / "theirs.npy", levels)
    return took.of


def texts_ours(folder: Path) -> dict[str, Any]:
    """Titles to vectors, in single precision as the peer's."""
    ours, titles = encoder(fast=False), json.loads((folder / "titles.json").read_text())
    with counted() as took:
        found = ours.texts(titles)
    np.save(folder / "ours.npy", found)
    return took.of


def texts_theirs(folder: Path) -> dict[str, Any]:
    """The same, padded to 77 tokens."""
    import torch

    (network, _, tokenizer), titles = peer(), json.loads((folder / "titles.json").read_text())
    with counted() as took, torch.inference_mode():
        found = [network.encode_text(tokenizer(titles[i : i + 64]), normalize=True) for i in range(0, TITLES, 64)]
    np.save(folder / "theirs.npy", torch.cat(found).numpy())
    return took.of


def query_ours(folder: Path, precision: Literal["float", "int8"] = "float") -> dict[str, Any]:
    """One title after the other, as a service that has answered some others of every length before."""
    ours, titles = encoder(fast=False, precision=precision), json.loads((folder / "titles.json").read_text())
    for title in titles[-WARM:]:
        ours.texts([title])
    with counted() as took:
        found = [ours.texts([title]) for title in titles[:QUERIES]]
    np.save(folder / ("theirs.npy" if precision == "float" else "ours.npy"), np.concatenate(found))
    return took.of


def query_int8(folder: Path) -> dict[str, Any]:
    """The same, matrices of 8 bits."""
    return query_ours(folder, "int8")


def write_int8(folder: Path) -> None:
    """The model in both precisions, registered and exported once; titles."""
    write(folder)
    encoder(fast=False, precision="int8")


def query_theirs(folder: Path) -> dict[str, Any]:
    """The same."""
    import torch

    (network, _, tokenizer), titles = peer(), json.loads((folder / "titles.json").read_text())
    with torch.inference_mode():
        for title in titles[-WARM:]:
            network.encode_text(tokenizer([title]), normalize=True)
        with counted() as took:
            for title in titles[:QUERIES]:
                network.encode_text(tokenizer([title]), normalize=True)
    return took.of


def alike(folder: Path) -> dict[str, Any]:
    """How far what both left is apart."""
    ours, theirs = (np.load(folder / f"{name}.npy").astype(np.float64) for name in ("ours", "theirs"))
    if ours.ndim > 2:
        return {"largest difference, levels": float(np.abs(ours - np.rint(theirs)).max())}
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    apart = np.linalg.norm(ours - theirs, axis=1) / np.linalg.norm(theirs, axis=1)
    return {"least cosine": float(((ours * theirs).sum(axis=1) / lengths).min()), "difference": float(apart.max())}


EAGER, CHAIN, ROOF = "open_clip, eager fp32", "PIL + open_clip, eager fp32", "bf16 matmul"
COSINE = Goal("least cosine", least=0.9999)
BENCHMARKS = {
    "images": Benchmark(
        "ViT-B/32: 64 squares to features", write, tower_ours, {EAGER: tower_theirs, ROOF: roof},
        (Goal(peer=EAGER, least=3.8), COSINE, Goal(peer=ROOF, most=1 / 0.85)), alike,
    ),
    "photos": Benchmark(
        f"ViT-B/32: 64 JPEGs of {SIDE_PX} px to vectors", write, photos_ours, {CHAIN: photos_theirs},
        (Goal(peer=CHAIN, least=3.5), COSINE), alike,
    ),
    "preprocess": Benchmark(
        f"{MANY} JPEGs of {SIDE_PX} px to squares of 224, as for a GPU", write_photos, squares_ours,
        {"PIL + open_clip": squares_theirs},
        (Goal(peer="PIL + open_clip", least=2.5), Goal("largest difference, levels", most=1)), alike,
    ),
    "texts": Benchmark(
        "ViT-B/32: 192 titles to vectors, fp32", write, texts_ours, {"open_clip, padded to 77": texts_theirs},
        (Goal(peer="open_clip, padded to 77", least=4.5), Goal("difference", most=1e-5)), alike,
    ),
    "one query": Benchmark(
        "ViT-B/32: a title at a time, fp32", write, query_ours, {"open_clip, padded to 77": query_theirs},
        (Goal(peer="open_clip, padded to 77", least=8),),
    ),
    "one query, int8": Benchmark(
        "ViT-B/32: a title at a time, matrices of 8 bits", write_int8, query_int8, {"ours, fp32": query_ours},
        (Goal(peer="ours, fp32", least=2), Goal("least cosine", least=0.999)), alike,
    ),
}  # fmt: skip
