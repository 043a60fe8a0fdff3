"""Pictures as a model wants them: squares of its size, by the same PIL operations as open_clip's own chain.

PIL's pixels are open_clip's exactly, need no torch (4 CPU-seconds to import) and release the interpreter's lock, so
threads share the work. Scaled decoding (`draft`) is left out: it changes pixels, and stored pictures are small.
Where torch is there in any case, and a GPU waits for pixels, `towers_torch.to_square` makes the same ones sooner.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
from PIL import Image

from pluribus.errors import ShopError
from pluribus.records import Model

INTERPOLATIONS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


def to_square(picture: bytes | np.ndarray, model: Model) -> np.ndarray:
    """One picture, JPEG bytes or uint8 [height, width, 3], as the model's uint8 [side, side, 3]. Raises ShopError."""
    image = Image.fromarray(decoded(picture))
    side, size = model.image_size_px, resized(image.size, model)
    if size != image.size:
        image = image.resize(size, INTERPOLATIONS[model.interpolation])
    if size != (side, side):
        left, top = (_margin(length, side) for length in size)
        image = image.crop((left, top, left + side, top + side))  # black where it is smaller
    return np.asarray(image)


ToSquare = Callable[[bytes | np.ndarray, Model], np.ndarray]


def square_batches(
    pictures: Iterable[bytes | np.ndarray], model: Model, batch_size: int, to_square: ToSquare = to_square
) -> Iterator[np.ndarray]:
    """Batches uint8 [n, side, side, 3]; while the caller works on one, the next is being made. Raises ShopError."""
    left = iter(pictures)
    with ThreadPoolExecutor(len(os.sched_getaffinity(0)), "squares") as pool:
        ahead = [pool.submit(to_square, picture, model) for picture in islice(left, batch_size)]
        while ahead:
            batch = np.stack([square.result() for square in ahead])
            ahead = [pool.submit(to_square, picture, model) for picture in islice(left, batch_size)]
            yield batch


def resized(size: tuple[int, int], model: Model) -> tuple[int, int]:
    """Width and height that a picture is brought to before its middle is cut out."""
    side, (width, height) = model.image_size_px, size
    fit = {"shortest": min(height, width), "longest": max(height, width)}.get(model.resize)
    return (max(1, int(side * width / fit)), max(1, int(side * height / fit))) if fit else (side, side)


def decoded(picture: bytes | np.ndarray) -> np.ndarray:
    """Pixels uint8 [height, width, 3] of a stored picture, PIL's to the bit; arrays pass. Raises ShopError."""
    if not isinstance(picture, bytes):
        return picture
    import simplejpeg

    try:
        return np.asarray(simplejpeg.decode_jpeg(picture, "RGB"))
    except ValueError as error:
        raise ShopError(f"a stored picture cannot be decoded: {error}", expected="JPEG",
                        do="fetch the shop's pictures again") from None  # fmt: skip


def _margin(length: int, side: int) -> int:
    """Where a centred square begins, by torchvision's way of halving odd margins."""
    return round((length - side) / 2) if length > side else -((side - length) // 2)
