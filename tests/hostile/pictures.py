"""Pictures: bytes of ill will behind a picture's name, through `images` and its limited child."""

import gzip
import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from PIL import Image, PngImagePlugin

from hostile.case import Case
from pluribus import images, pixels

NOW = datetime(2026, 1, 1, tzinfo=UTC)
Make = Callable[[], bytes]


def looked_at(make: Make | bytes, folder: Path) -> str:
    """What became of one picture: its reason, or the size it had and the bytes of ours."""
    (folder / "p").mkdir()
    (folder / "p" / "a.jpg").write_bytes(make if isinstance(make, bytes) else make())
    (folder / "p" / "b.jpg").write_bytes(SOUND)
    batches = list(images.pictures(["a.jpg", "b.jpg"], sources=[str(folder / "p")], known={}, now=NOW))
    rows = {row["ref"]: row for batch in batches for row in batch.to_pylist()}
    assert rows["b.jpg"]["picture"], "its neighbour suffered"
    row = rows["a.jpg"]
    if row["reason"]:
        return f"refused {row['reason']}"
    ours = pixels.decode_picture(row["picture"])
    plain = not ours.info.get("exif") and not ours.info.get("comment") and not zipfile.is_zipfile(
        io.BytesIO(row["picture"])
    )  # fmt: skip
    return f"picture {row['width']}x{row['height']} as {ours.width}x{ours.height}{'' if plain else ' and more'}"


def case(name: str, make: Make | bytes, outcome: str) -> Case:
    return Case(f"picture: {name}", partial(looked_at, make), outcome)


def encoded(image: Image.Image, kind: str, **how: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **how)  # type: ignore[arg-type]
    return buffer.getvalue()


def plain(side: int = 64) -> Image.Image:
    return Image.new("RGB", (side, side), (200, 60, 60))


SOUND = encoded(plain(), "JPEG")


def png(width: int, height: int, *extra: tuple[bytes, bytes], data: bytes | None = None, bits: int = 8) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 1000) if data is None else data
    chunks = [(b"IHDR", header), *extra, (b"IDAT", body), (b"IEND", b"")]
    packed = [struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def frames(kind: str, count: int) -> Make:
    def make() -> bytes:
        first, other = plain(), Image.new("RGB", (64, 64), "blue")
        return encoded(first, kind, save_all=True, append_images=[other, plain()] * (count // 2))

    return make


def polyglot() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("evil.exe", b"MZ")
    return SOUND + buffer.getvalue()


def texted() -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "<script>alert(1)</script>")
    return encoded(plain(), "PNG", pnginfo=info)


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "<script>"
    return encoded(plain().resize((80, 40)), "JPEG", exif=exif, comment=b"<script>")


def fits() -> bytes:
    """CVE-2026-40192: a FITS file that unpacks gzip without bound."""
    return b"SIMPLE  =                    T".ljust(2880) + gzip.compress(bytes(10**7))


def mutants(folder: Path) -> str:
    """400 damaged pictures of every format: reasons or pictures, no child's death unnoticed, none of ours."""
    dice, (side,) = random.Random(3), (64,)
    (folder / "m").mkdir()
    originals = [encoded(plain(side), kind) for kind in ("JPEG", "PNG", "WEBP", "GIF")]
    for number in range(400):
        data = bytearray(dice.choice(originals))
        for _ in range(dice.randint(1, 8)):
            data[dice.randrange(4, len(data))] = dice.randrange(256)
        (folder / "m" / f"{number}.jpg").write_bytes(data)
    refs = [f"{number}.jpg" for number in range(400)]
    rows = [
        row
        for batch in images.pictures(refs, sources=[str(folder / "m")], known={}, now=NOW)
        for row in batch.to_pylist()
    ]
    assert len(rows) == 400
    return ", ".join(sorted({row["reason"] or "picture" for row in rows}))


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script><image href="file:///etc/passwd"/></svg>'
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%id) (w) file closefile\n"

VAST_GIF = b"GIF89a" + b"\xff" * 4 + bytes(3) + b"," + bytes(4) + b"\x01\0\x01\0\0\x02\x02D\x01\0;"

CASES = [
    case("PNG of 30,000 squared", png(30_000, 30_000), "refused PIXELS"),
    case("PNG of 2^31 squared", png(2**31 - 1, 2**31 - 1), "refused PIXELS"),
    case("PNG 10,001 wide", png(10_001, 20), "refused PIXELS"),
    case("PNG of 5,001 squared", png(5_001, 5_001), "refused PIXELS"),
    case("PNG whose rows never come", png(4_000, 4_000), "refused (TRUNCATED|DECODE)"),
    case("PNG whose text is a bomb", png(64, 64, (b"zTXt", b"a\0\0" + zlib.compress(bytes(10**8)))), "refused DECODE"),
    case("PNG whose profile is a bomb", png(64, 64, (b"iCCP", b"a\0\0" + zlib.compress(bytes(10**8)))),
         "refused (DECODE|TRUNCATED)"),
    case("PNG of no pixels", png(0, 0), "refused DECODE"),
    case("JPEG cut by a byte", SOUND[:-1], "refused TRUNCATED"),
    case("JPEG cut in half", SOUND[: len(SOUND) // 2], "refused TRUNCATED"),
    case("JPEG that says 65,500 squared", SOUND.replace(b"\x00\x40\x00\x40\x03", b"\xff\xdc\xff\xdc\x03"),
         "refused PIXELS"),
    case("TIFF named .jpg", lambda: encoded(plain(), "TIFF"), "refused FORMAT"),
    case("BMP named .jpg", lambda: encoded(plain(), "BMP"), "refused FORMAT"),
    case("SVG with a script", SVG, "refused FORMAT"),
    case("EPS that starts a program", EPS, "refused FORMAT"),
    case("FITS gzip bomb", fits, "refused FORMAT"),
    case("PDF", b"%PDF-1.7\n" + bytes(3000), "refused FORMAT"),
    case("HTML as a picture", b"<!doctype html><html>404</html>", "refused FORMAT"),
    case("nothing", b"", "refused FORMAT"),
    case("magic and nothing more", b"\xff\xd8\xff", "refused DECODE"),
    case("11 MiB", SOUND + bytes(11 * 2**20), "refused SIZE"),
    case("GIF of 2,000 frames", frames("GIF", 2_000), "picture 64x64 as 64x64"),
    case("WEBP of 200 frames", frames("WEBP", 200), "picture 64x64 as 64x64"),
    case("GIF whose screen is 65,535 squared", VAST_GIF, "refused PIXELS"),
    case("CMYK JPEG", lambda: encoded(plain().convert("CMYK"), "JPEG"), "picture 64x64 as 64x64"),
    case("a picture that is a zip too", polyglot, "picture 64x64 as 64x64"),
    case("a picture with a script in its text", texted, "picture 64x64 as 64x64"),
    case("a picture that lies on its side, with comments", turned, "picture 40x80 as 40x80"),
    case("1 x 1", lambda: encoded(plain(1), "PNG"), "refused SMALL"),
    case("1 x 9,999", lambda: encoded(Image.new("L", (1, 9_999)), "PNG"), "refused SMALL"),
    case("25 million pixels, all there", lambda: encoded(Image.new("L", (5_000, 5_000)), "PNG"),
         "picture 5000x5000 as 256x256"),
    Case("picture: 400 damaged ones", mutants, "(CRASH, )?DECODE, (FORMAT, )?(PIXELS, )?(SMALL, )?TRUNCATED, picture"),
]  # fmt: skip
