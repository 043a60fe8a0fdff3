"""Strangers' pictures, good, odd and hostile, each at its exact outcome."""

import base64
import io
import random
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pluribus import pixels
from pluribus.pixels import Picture
from pluribus.sandbox import Sandbox

LIMITS = {"side_px": 64, "least_px": 16, "most_px": 1_000_000}
COLOURS = [(200, 30, 30), (30, 160, 30), (30, 30, 200), (230, 220, 40)]  # quarters of `quarters`, row by row
INK = (0, 0, 0)
CHILD = Sandbox("pluribus.pixels:answer", LIMITS)


def quarters(width: int = 120, height: int = 80) -> Image.Image:
    """Four quarters in four colours: shows every turn and flip."""
    image = Image.new("RGB", (width, height))
    for n, colour in enumerate(COLOURS):
        left, top = (n % 2) * width // 2, (n // 2) * height // 2
        image.paste(colour, (left, top, left + width // 2, top + height // 2))
    return image


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module", autouse=True)
def child() -> Iterator[None]:
    """Every picture of these tests goes through a limited child as well, and must come out the same."""
    with closing(CHILD):
        yield


def reencode(data: bytes, **limits: int) -> Picture:
    picture = pixels.reencode(data, **LIMITS | limits)
    if not limits:
        reply = CHILD.call(data)
        assert reply is not None and pixels.read_answer(reply) == picture
    return picture


def corners(jpeg: bytes) -> list[int]:
    """Which of COLOURS lies nearest to each quarter's middle."""
    array = np.asarray(pixels.decode_picture(jpeg)).astype(int)
    height, width = array.shape[:2]
    middles = [array[y * height // 4, x * width // 4] for y in (1, 3) for x in (1, 3)]
    return [int(np.argmin([np.abs(middle - colour).sum() for colour in COLOURS])) for middle in middles]


@pytest.mark.parametrize(
    "data",
    [
        encoded(quarters(), "JPEG", quality=95),
        encoded(quarters(), "JPEG", progressive=True),
        encoded(quarters(), "JPEG", comment=b"<script>"),
        encoded(quarters(), "JPEG") + b"trailing" * 1000,
        encoded(quarters(), "PNG"),
        encoded(quarters(), "PNG", interlace=True),
        encoded(quarters().convert("P"), "PNG"),
        encoded(quarters().convert("RGBA"), "PNG"),
        encoded(quarters(), "WEBP", lossless=True),
        encoded(quarters(), "GIF"),
        encoded(quarters(), "MPO", save_all=True, append_images=[quarters()]),
    ],
)
def test_every_kind_of_picture_becomes_our_own(data: bytes) -> None:
    picture = reencode(data)
    assert (picture.width, picture.height, picture.reason) == (120, 80, "")
    assert corners(picture.jpeg) == [0, 1, 2, 3]
    with Image.open(io.BytesIO(picture.jpeg)) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (96, 64))
        assert set(image.info) == {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
        assert image.layer == [(1, 1, 1, 0), (2, 1, 1, 1), (3, 1, 1, 1)]  # type: ignore[attr-defined]  # 4:4:4


def test_the_shorter_side_is_reduced_and_never_enlarged() -> None:
    sizes = {(120, 80): (96, 64), (80, 120): (64, 96), (40, 30): (40, 30), (64, 64): (64, 64), (1000, 20): (1000, 20)}
    for size, expected in sizes.items():
        assert pixels.decode_picture(reencode(encoded(quarters(*size), "PNG")).jpeg).size == expected


def test_our_pixels_are_the_strangers_pixels() -> None:
    noise = np.random.default_rng(0).normal(size=(12, 12, 3)).cumsum(0).cumsum(1)
    smooth = Image.fromarray(np.uint8(128 + 127 * noise / np.abs(noise).max())).resize(
        (900, 900), Image.Resampling.BICUBIC
    )
    exact = np.asarray(smooth.resize((64, 64), Image.Resampling.BICUBIC)).astype(int)
    for kind, most in {"PNG": 1.0, "JPEG": 1.5}.items():
        ours = np.asarray(pixels.decode_picture(reencode(encoded(smooth, kind)).jpeg))
        assert np.abs(ours - exact).mean() < most


@pytest.mark.parametrize(
    ("orientation", "order"),
    [
        (1, [0, 1, 2, 3]), (2, [1, 0, 3, 2]), (3, [3, 2, 1, 0]), (4, [2, 3, 0, 1]),
        (5, [0, 2, 1, 3]), (6, [2, 0, 3, 1]), (7, [3, 1, 2, 0]), (8, [1, 3, 0, 2]), (77, [0, 1, 2, 3]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_pictures_are_turned_upright(kind: str, orientation: int, order: list[int]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = reencode(encoded(quarters(), kind, exif=exif))
    assert corners(picture.jpeg) == order
    turned = orientation in (5, 6, 7, 8)
    assert (picture.width, picture.height) == ((80, 120) if turned else (120, 80))
    assert pixels.decode_picture(picture.jpeg).size == ((64, 96) if turned else (96, 64))


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0" + b"\xff" * 40, b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x12\x01" * 9, b"Exif\0\0"]
)
def test_a_picture_outlives_its_broken_exif(exif: bytes) -> None:
    assert corners(reencode(encoded(quarters(), "JPEG", exif=exif)).jpeg) == [0, 1, 2, 3]


def test_transparency_lies_on_white() -> None:
    clear = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    half = Image.new("RGBA", (64, 64), (0, 0, 0, 128))
    grey = Image.new("LA", (64, 64), (0, 0))
    palette = Image.new("P", (64, 64), 0)
    palette.putpalette([0, 0, 0])
    cases = {
        encoded(clear, "PNG"): 255, encoded(clear, "WEBP", lossless=True): 255, encoded(half, "PNG"): 127,
        encoded(grey, "PNG"): 255, encoded(palette, "PNG", transparency=0): 255,
        encoded(palette, "GIF", transparency=0): 255,
        encoded(Image.new("RGB", (64, 64), (1, 2, 3)), "PNG", transparency=(1, 2, 3)): 255,
    }  # fmt: skip
    for data, value in cases.items():
        assert np.abs(np.asarray(pixels.decode_picture(reencode(data).jpeg)).astype(int) - value).max() <= 2


def test_other_kinds_of_pixels() -> None:
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    grey = np.asarray(pixels.decode_picture(reencode(encoded(Image.fromarray(ramp), "PNG"), side_px=256).jpeg))
    assert np.abs(grey[:, 128, 0].astype(int) - np.arange(256)).max() <= 2  # 16 bits are scaled, not clipped
    assert corners(reencode(encoded(quarters().convert("CMYK"), "JPEG", quality=95)).jpeg) == [0, 1, 2, 3]
    black = pixels.decode_picture(reencode(encoded(Image.new("1", (64, 64)), "PNG")).jpeg)
    assert black.getextrema() == ((0, 0),) * 3


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_counts(kind: str) -> None:
    others = [Image.new("RGB", (120, 80), INK)] * 20
    assert corners(reencode(encoded(quarters(), kind, save_all=True, append_images=others)).jpeg) == [0, 1, 2, 3]


def _png(width: int, height: int, *extra: tuple[bytes, bytes], data: bytes | None = None) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 1000) if data is None else data
    chunks = [(b"IHDR", header), *extra, (b"IDAT", body), (b"IEND", b"")]
    packed = [struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("evil.exe", b"MZ")
    return buffer.getvalue()


JPEG = encoded(quarters(), "JPEG")
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "FORMAT"),
        (b"\0" * 5000, "FORMAT"),
        (b"<!doctype html><html>not found</html>", "FORMAT"),
        (SVG, "FORMAT"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "FORMAT"),
        (b"SIMPLE  =                    T" + b" " * 3000, "FORMAT"),
        (b"%PDF-1.7\n", "FORMAT"),
        (_zip(), "FORMAT"),
        (encoded(quarters(), "TIFF"), "FORMAT"),
        (encoded(quarters(), "BMP"), "FORMAT"),
        (encoded(quarters(), "ICO"), "FORMAT"),
        (encoded(quarters(), "AVIF"), "FORMAT"),
        (JPEG[:-1], "TRUNCATED"),
        (JPEG[:-2], "TRUNCATED"),
        (JPEG[: len(JPEG) // 2], "TRUNCATED"),
        (JPEG[:20], "DECODE"),
        (JPEG[:3], "DECODE"),
        (encoded(quarters(), "PNG")[:-40], "TRUNCATED"),
        (encoded(quarters(), "GIF")[:-40], "TRUNCATED"),
        (encoded(quarters(), "WEBP")[:-40], "DECODE"),
        (b"RIFF\x24\0\0\0WAVEfmt " + b"\0" * 40, "DECODE"),
        (_png(100, 100, data=b"no zlib"), "DECODE"),
        (_png(0, 0), "DECODE"),
        (_png(100, 100, (b"zTXt", b"a\0\0" + zlib.compress(b"\0" * 10**8)), data=b""), "DECODE"),
        (encoded(Image.new("RGB", (1, 1)), "PNG"), "SMALL"),
        (encoded(Image.new("RGB", (1, 1)), "GIF"), "SMALL"),
        (encoded(Image.new("RGB", (200, 15)), "JPEG"), "SMALL"),
        (_png(30_000, 30_000), "PIXELS"),
        (_png(1_000, 1_001), "PIXELS"),
        (_png(10_001, 20), "PIXELS"),
        (_png(2**31 - 1, 2**31 - 1), "PIXELS"),
        (encoded(Image.new("L", (10_100, 16)), "JPEG"), "PIXELS"),
    ],
)
def test_what_is_no_picture(data: bytes, reason: str) -> None:
    assert reencode(data) == Picture(reason=reason)


def test_a_picture_that_is_also_a_zip_comes_out_as_a_picture_only() -> None:
    picture = reencode(JPEG + _zip())
    assert corners(picture.jpeg) == [0, 1, 2, 3] and not zipfile.is_zipfile(io.BytesIO(picture.jpeg))


def test_mutants_never_raise() -> None:
    rng = random.Random(7)
    originals = [encoded(quarters(), kind) for kind in ("JPEG", "PNG", "WEBP", "GIF")]
    seen = set()
    for _ in range(1200):
        data = bytearray(rng.choice(originals))
        for _ in range(rng.randint(1, 8)):
            data[rng.randrange(8, len(data))] = rng.randrange(256)
        picture = reencode(bytes(data))
        assert bool(picture.jpeg) != bool(picture.reason) and picture.reason in ("", *pixels.REASONS)
        seen.add(picture.reason)
    assert {"", "DECODE"} <= seen


def test_answers_travel_as_bytes() -> None:
    assert pixels.read_answer(pixels.answer(JPEG, **LIMITS)) == reencode(JPEG)
    assert pixels.read_answer(pixels.answer(b"no", **LIMITS)) == Picture(reason="FORMAT")


@pytest.mark.parametrize(
    "reply",
    [
        b"", b"\0\1\0\1", b"\0\1\0\1\0", b"\0\1\0\1\0<html>", b"\0\1\0\1\0" + JPEG[:-1], b"\0\1\0\1\2" + JPEG,
        b"\0\1\0\1\x06", b"\0\1\0\1\xff",
    ],
)  # fmt: skip
def test_what_a_child_gone_bad_may_say(reply: bytes) -> None:
    assert pixels.read_answer(reply) is None


def test_thumbnails_for_pages() -> None:
    head, _, text = pixels.data_uri(reencode(JPEG).jpeg, side_px=30).partition(",")
    with Image.open(io.BytesIO(base64.b64decode(text))) as image:
        assert (head, image.format, image.size) == ("data:image/jpeg;base64", "JPEG", (30, 20))
