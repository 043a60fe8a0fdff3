"""The sides of the benchmark of the decoder's children: the same pictures, in the limited pool and in process."""

import io
from pathlib import Path

PICTURES, SIDES = 1_000, (720, 540)
OPTIONS = {"side_px": 256, "least_px": 16, "most_px": 25_000_000}


def write(folder: Path) -> None:
    """Photographs of 720 x 540 as far as a decoder is concerned: smooth shapes with noise, JPEG 90."""
    import numpy as np
    from PIL import Image

    noise = np.random.default_rng(0)
    for number in range(PICTURES):
        small = Image.fromarray(noise.integers(0, 256, (9, 12, 3), dtype=np.uint8)).resize(
            SIDES, Image.Resampling.BICUBIC
        )
        grain = np.asarray(small).astype(int) + noise.normal(0, 6, (SIDES[1], SIDES[0], 1)).astype(int)
        buffer = io.BytesIO()
        Image.fromarray(grain.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
        (folder / f"{number}.jpg").write_bytes(buffer.getvalue())


def pooled(folder: Path) -> None:
    """As `images` decodes: by children without files, sockets or much memory, their start included."""
    from concurrent.futures import ThreadPoolExecutor

    from pluribus import images

    with images._decoders(OPTIONS) as decode, ThreadPoolExecutor(4) as threads:
        found = list(threads.map(decode, (path.read_bytes() for path in sorted(folder.glob("*.jpg")))))
    assert len(found) == PICTURES and not any(picture.reason for picture in found)


def in_process(folder: Path) -> None:
    """The same function, called."""
    from pluribus import images, pixels

    assert images
    found = [pixels.reencode(path.read_bytes(), **OPTIONS) for path in sorted(folder.glob("*.jpg"))]
    assert len(found) == PICTURES and not any(picture.reason for picture in found)
