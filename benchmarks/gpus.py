"""ViT-B/32 on a GPU, beside a matrix product of as many operations and beside clip-retrieval's chain. Wall seconds.

Part of `make bench` where the driver offers a GPU; `PLURIBUS_BENCH_DEVICE=cpu` walks the same code without one.
"""

import io
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import towers
from beside import Benchmark, Goal

DEVICE = os.environ.get("PLURIBUS_BENCH_DEVICE", "cuda")
SMALL = DEVICE == "cpu"
BATCH, BATCHES, PHOTOS, SIDE = (8, 1, 16, 512) if SMALL else (512, 20, 20_000, 8192)
KEPT_PHOTOS = 500  # different ones


def write(folder: Path) -> None:
    """The weights, and photographs of 400 px."""
    towers.write(folder)
    for number in range(towers.MANY, KEPT_PHOTOS):
        (folder / f"{number}.jpg").write_bytes(towers.photograph(number, (towers.SIDE_PX, towers.SIDE_PX)))


def encoder() -> Any:
    """Ours, as the embed step loads it where there is a GPU."""
    from pluribus import models
    from pluribus.store import open_store

    store = open_store(str(towers.KEPT / "vit"))
    return models.load(store, models.register(store, towers.model()), DEVICE, fast=True)


def timed(work: Callable[[], object]) -> float:
    """Wall seconds until the device is done."""
    import torch

    wait = torch.cuda.synchronize if torch.cuda.is_available() else lambda: None
    wait()
    began = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - began


def tower_ours(_: Path) -> dict[str, Any]:
    """Squares of uint8 to features, the way to the device and back included."""
    see = encoder().see
    squares = np.random.default_rng(0).integers(0, 256, (BATCH, 224, 224, 3), dtype=np.uint8)
    see(squares)
    return {"wall s": timed(lambda: [see(squares) for _ in range(BATCHES)])}


def roof(_: Path) -> dict[str, Any]:
    """As many operations in bfloat16 matrix products."""
    import torch

    a = torch.randn(SIDE, SIDE, device=DEVICE).bfloat16()
    a @ a
    took = min(timed(lambda: a @ a) for _ in range(10))
    return {"wall s": took * BATCH * BATCHES * towers.GFLOP * 1e9 / (2 * SIDE**3)}


def photos(folder: Path) -> list[bytes]:
    """As many as asked, over and over."""
    kept = towers.jpegs(folder, KEPT_PHOTOS)
    return [kept[i % KEPT_PHOTOS] for i in range(PHOTOS)]


def photos_ours(folder: Path) -> dict[str, Any]:
    """Bytes to vectors."""
    ours, said = encoder(), photos(folder)
    ours.images(said[:BATCH], BATCH)
    found: list[np.ndarray] = []
    took = timed(lambda: found.append(ours.images(said, BATCH)))
    np.save(folder / "ours.npy", found[0])
    return {"wall s": took}


def photos_theirs(folder: Path) -> dict[str, Any]:
    """PIL and open_clip's transform in a worker a core, the network in half precision: clip-retrieval's inference."""
    import torch
    from PIL import Image

    (network, preprocess, _), said = towers.peer(), photos(folder)
    network = network.to(DEVICE)

    class Photos(torch.utils.data.Dataset[Any]):
        def __len__(self) -> int:
            return len(said)

        def __getitem__(self, i: int) -> Any:
            return preprocess(Image.open(io.BytesIO(said[i])))

    loader = torch.utils.data.DataLoader(Photos(), BATCH, num_workers=os.cpu_count() or 1)
    found: list[Any] = []

    def work() -> None:
        with torch.inference_mode(), torch.autocast(DEVICE, torch.float16, enabled=DEVICE == "cuda"):
            found.extend(network.encode_image(batch.to(DEVICE), normalize=True).float().cpu() for batch in loader)

    took = timed(work)
    np.save(folder / "theirs.npy", torch.cat(found).numpy())
    return {"wall s": took}


def profile(folder: Path) -> None:
    """Where one embedding's time goes, by kernel, as text: `python benchmarks/gpus.py FOLDER`."""
    from torch.profiler import ProfilerActivity, profile

    ours, said = encoder(), photos(folder)[: 4 * BATCH]
    kinds = [ProfilerActivity.CPU, *([] if SMALL else [ProfilerActivity.CUDA])]
    with profile(activities=kinds) as seen:
        ours.images(said, BATCH)
    print(seen.key_averages().table(sort_by="self_cpu_time_total" if SMALL else "self_cuda_time_total", row_limit=15))


ROOF, CHAIN = f"bf16 matmul {SIDE}³", "clip-retrieval's chain"
BENCHMARKS = {
    "gpu, images": Benchmark(
        f"ViT-B/32 on {DEVICE}: {BATCH * BATCHES:,} squares to features", write, tower_ours, {ROOF: roof},
        (Goal("wall s", ROOF, most=1 / 0.55),),
    ),
    "gpu, photos": Benchmark(
        f"ViT-B/32 on {DEVICE}: {PHOTOS:,} JPEGs of {towers.SIDE_PX} px to vectors", write, photos_ours,
        {CHAIN: photos_theirs}, (Goal("wall s", CHAIN, least=4), Goal("least cosine", least=0.999)), towers.alike,
    ),
}  # fmt: skip


if __name__ == "__main__":
    import sys

    place = Path(sys.argv[1])
    place.mkdir(parents=True, exist_ok=True)
    write(place)
    print(json.dumps({"device": DEVICE}))
    profile(place)
