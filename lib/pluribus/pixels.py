"""One stranger's picture into one of our own: the only module that knows Pillow.

Pictures come from tenants, and image decoders are written in C. So bytes from outside are decoded once, by
`reencode`, inside a limited child process (`sandbox`), and leave it as a plain RGB JPEG of at most a few hundred
pixels a side. Later stages read only those, with `decode_picture`.

The policy is Pillow's own security advice (https://pillow.readthedocs.io/en/stable/handbook/security.html): formats by
an allow-list, bomb warnings as errors, truncation refused, metadata dropped.
"""

import base64
import errno
import io
import struct
import warnings
from typing import NamedTuple

import numpy as np
from PIL import Image

#: What a picture may be, told by its first bytes, never by its name or its Content-Type.
FORMATS = {"JPEG": b"\xff\xd8\xff", "PNG": b"\x89PNG\r\n\x1a\n", "WEBP": b"RIFF", "GIF": b"GIF8"}
#: Why bytes are no picture: not of FORMATS, broken, cut short, too small, too many pixels.
REASONS = ("FORMAT", "DECODE", "TRUNCATED", "SMALL", "PIXELS")
ANSWERS = ("", *REASONS)
HEAD = struct.Struct(">HHB")  # of an answer: width, height, which of ANSWERS
MOST_SIDE_PX = 10_000
ORIENTATION = 0x0112  # an EXIF tag
#: Its value -> what turns the picture upright.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Picture(NamedTuple):
    """A picture of our own, or the reason why there is none. Width and height are the original's, upright."""

    jpeg: bytes = b""
    width: int = 0
    height: int = 0
    reason: str = ""


def reencode(data: bytes, *, side_px: int, least_px: int, most_px: int) -> Picture:
    """A stranger's bytes as an upright RGB JPEG (quality 95, 4:4:4) whose shorter side is at most `side_px`.

    Only the first frame of an animation is taken; transparency lies on white; pictures are never enlarged.
    Never raises on account of `data`: a reason of REASONS is the answer.
    """
    kind = next((name for name, magic in FORMATS.items() if data.startswith(magic)), "")
    if not kind:
        return Picture(reason="FORMAT")
    Image.MAX_IMAGE_PIXELS = most_px
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd metadata, which is dropped anyway
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=[kind]) as image:
                return _smaller(image, side_px, least_px)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        return Picture(reason="PIXELS")
    except EOFError:
        return Picture(reason="TRUNCATED")
    except MemoryError:
        raise  # the limit of the child, not a property of the picture alone
    except Exception as error:  # a broken file raises nearly anything from inside Pillow
        if isinstance(error, OSError) and error.errno == errno.EMFILE:
            raise  # the child's limit as well: something that `answer` did not rehearse
        return Picture(reason="TRUNCATED" if "truncated" in str(error).lower() else "DECODE")


def answer(data: bytes, *, side_px: int, least_px: int, most_px: int) -> bytes:
    """`reencode` as the sandbox wants it, bytes to bytes. Nothing at all is answered after a rehearsal.

    Pillow imports much on demand, and a child that has given up its rights can open no file any more.
    """
    if not data:
        for kind in FORMATS:
            reencode(_sample(kind), side_px=side_px, least_px=1, most_px=most_px)
    picture = reencode(data, side_px=side_px, least_px=least_px, most_px=most_px)
    return HEAD.pack(picture.width, picture.height, ANSWERS.index(picture.reason)) + picture.jpeg


def read_answer(reply: bytes) -> Picture | None:
    """The picture in a child's reply, None where it is none: a child that met hostile bytes is not trusted either."""
    if len(reply) < HEAD.size:
        return None
    width, height, number = HEAD.unpack_from(reply)
    jpeg = reply[HEAD.size :]
    is_jpeg = jpeg.startswith(FORMATS["JPEG"]) and jpeg.endswith(b"\xff\xd9")
    fits = (is_jpeg and number == 0) or (not jpeg and 0 < number < len(ANSWERS))
    return Picture(jpeg, width, height, ANSWERS[number]) if fits else None


def decode_picture(jpeg: bytes) -> Image.Image:
    """The RGB pixels of a picture of our own (`schemas.PICTURE.picture`); never for bytes from outside."""
    with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as image:
        return image.convert("RGB")


def changed(jpeg: bytes, change: str) -> bytes:
    """A picture of our own as another photographer might have delivered it: "crop", "flip" or "grey"."""
    image = decode_picture(jpeg)
    width, height = image.size
    if change == "crop":
        image = image.crop((width // 10, height // 10, max(1, width - width // 10), max(1, height - height // 10)))
    elif change == "flip":
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    else:
        image = image.convert("L").convert("RGB")
    return _jpeg(image, quality=95)


def data_uri(jpeg: bytes, side_px: int = 96) -> str:
    """A picture of our own as a `data:` address for a page, its longer side at most `side_px`."""
    with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as image:
        image.draft(None, (side_px, side_px))
        image.thumbnail((side_px, side_px), Image.Resampling.BICUBIC)
        return "data:image/jpeg;base64," + base64.b64encode(_jpeg(image.convert("RGB"), quality=85)).decode()


def overlay(picture: np.ndarray, heat: np.ndarray) -> bytes:
    """Pixels under a map of heat [rows, columns] from 0 to 1: PNG, cold places pale, hot ones red."""
    whole = Image.fromarray(picture)
    smooth = Image.fromarray(np.rint(255 * heat).astype(np.uint8)).resize(whole.size, Image.Resampling.BICUBIC)
    pale = Image.blend(whole.convert("L").convert("RGB"), Image.new("RGB", whole.size, "white"), 0.55)
    shown = Image.composite(whole, pale, smooth)
    glow = Image.new("RGB", whole.size, (220, 30, 30))
    buffer = io.BytesIO()
    Image.composite(glow, shown, smooth.point(lambda share: share * 0.4)).save(buffer, "PNG")
    return buffer.getvalue()


def _sample(kind: str) -> bytes:
    """A small animation of this kind, transparent and turned, to send a decoder through its paces."""
    image, exif, buffer = Image.new("RGBA", (16, 16)), Image.Exif(), io.BytesIO()
    exif[ORIENTATION] = 6
    if kind == "JPEG":
        image.convert("CMYK").save(buffer, kind, exif=exif)
    else:
        image.save(buffer, kind, exif=exif, save_all=True, append_images=[Image.new("RGBA", (16, 16), "red")])
    return buffer.getvalue()


def _smaller(image: Image.Image, side_px: int, least_px: int) -> Picture:
    width, height = image.size
    if max(width, height) > MOST_SIDE_PX:
        return Picture(reason="PIXELS")
    if min(width, height) < least_px:
        return Picture(reason="SMALL")
    scale = min(1.0, side_px / min(width, height))
    target = max(1, round(width * scale)), max(1, round(height * scale))
    # A JPEG decodes at 1/2, 1/4, 1/8 for less; from 1.5 times the target on, the difference to a full decode is
    # below 1/255 on average (measured on 800 px photographs).
    image.draft(None, (target[0] * 3 // 2, target[1] * 3 // 2))
    image.load()  # before `getexif`, which loads a PNG itself, and whose errors we forgive
    turn = UPRIGHT.get(_orientation(image))
    small = _rgb(image).resize(target, Image.Resampling.BICUBIC)
    upright = small.transpose(turn) if turn is not None else small
    if turn in (UPRIGHT[5], UPRIGHT[6], UPRIGHT[7], UPRIGHT[8]):
        width, height = height, width
    return Picture(_jpeg(upright, quality=95), width, height)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits a pixel, where `convert` would clip and not scale
        return image.convert("I").point(lambda value: value * (1 / 257)).convert("L").convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    clear = image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(clear, mask=clear.getchannel("A"))
    return white


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, struct.error):
        return 1  # a picture outlives its broken EXIF block


def _jpeg(image: Image.Image, quality: int) -> bytes:
    image.info.clear()  # Pillow would carry a comment over
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, subsampling="4:4:4")
    return buffer.getvalue()
