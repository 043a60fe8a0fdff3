"""The sides of the benchmark of the decoder's children: the same pictures, in the limited pool and in process."""

import io
from pathlib import Path

from beside import Benchmark, Goal

PICTURES, SIDES = 1_000, (720, 540)
OPTIONS = {"side_px": 256, "least_px": 16, "most_px": 25_000_000}


def photograph(seed: int, size: tuple[int, int]) -> bytes:
    """A photograph as far as a decoder is concerned: smooth shapes with noise, JPEG 90."""
    import numpy as np
    from PIL import Image

    noise = np.random.default_rng(seed)
    small = Image.fromarray(noise.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    grain = np.asarray(small.resize(size, Image.Resampling.BICUBIC)) + noise.normal(0, 6, (size[1], size[0], 1))
    buffer = io.BytesIO()
    Image.fromarray(grain.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def write(folder: Path) -> None:
    """Photographs of 720 x 540."""
    for number in range(PICTURES):
        (folder / f"{number}.jpg").write_bytes(photograph(number, SIDES))


def pooled(folder: Path) -> None:
    """As `images` decodes: by children without files, sockets or much memory, their start included."""
    from concurrent.futures import ThreadPoolExecutor

    from pluribus import images, sandbox

    with images._decoders(OPTIONS) as decode, ThreadPoolExecutor(4) as threads:
        found = list(threads.map(decode, (path.read_bytes() for path in sorted(folder.glob("*.jpg")))))
    for template in sandbox._templates.values():
        template.close()  # what its children took is counted once it was waited for
    assert len(found) == PICTURES and not any(picture.reason for picture in found)


def in_process(folder: Path) -> None:
    """The same function, called."""
    from pluribus import images, pixels

    assert images
    found = [pixels.reencode(path.read_bytes(), **OPTIONS) for path in sorted(folder.glob("*.jpg"))]
    assert len(found) == PICTURES and not any(picture.reason for picture in found)


BENCHMARKS = {
    "decoders": Benchmark(
        f"{PICTURES:,} photographs decoded in limited children", write, pooled, {"in process, unguarded": in_process},
        (Goal(peer="in process, unguarded", most=1.25),),
    )
}  # fmt: skip
