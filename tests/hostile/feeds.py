"""Deliveries: files that are traps as a whole. They go through `ingest` as a shop's do."""

import gzip
import io
import json
import random
import struct
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hostile.case import Case, outcome_of
from pluribus import contracts, ingest, tables, validate
from pluribus.records import Feed, Images, Limits
from pluribus.store import open_store

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SUITES = Path(__file__).parents[2] / "expectations"
ITEM = "<item><id>1</id><title>Red shirt</title></item>"
TWO = b"id,title\n1,Red shirt\n2,Blue shirt\n"

Make = Callable[[Path], None]  # writes the delivery at a path


def delivered(make: Make, folder: Path, *, limits: Limits | None = None, judged: bool = False, **feed: Any) -> str:
    """What came of a delivery: accepted with its rows, or rejected; `judged`: by validation too."""
    path = folder / "feed"
    make(path)
    rows = outcome_of(lambda: json.dumps(rows_of(path, folder, limits=limits or Limits(), **feed)))
    return outcome_of(lambda: judge(folder)) if judged and rows.startswith("accepted") else rows


def judge(folder: Path, live_products: int = 0) -> str:
    """What validation makes of the snapshot taken last."""
    store = open_store(str(folder / "store"))
    taken, suites = ingest.latest(store), contracts.suites(open_store(str(SUITES)), "")
    assert taken is not None
    of: dict[str, Any] = {"snapshot": taken.id, "rows_key": ingest.rows_key(taken.id), "suites": suites}
    found = validate.validate(store, **of, limits=Limits(), live_products=live_products)
    return f"{found.accepted} of {found.rows} rows"


def rows_of(path: Path, folder: Path, *, limits: Limits, **feed: Any) -> list[list[Any]]:
    """Id, title and defects of every row that ingest makes of a file."""
    store = open_store(str(folder / "store"))
    asked = {"feeds": (Feed(source=(str(path),), **feed),), "images": Images(), "limits": limits, "now": NOW}
    taken = ingest.ingest(store, **asked)
    rows = tables.read(store.local(ingest.rows_key(taken.id)), ["product_id", "title", "defects"]).to_pylist()
    return [[row["product_id"], row["title"], row["defects"]] for row in rows]


def case(name: str, make: Make | bytes | str, outcome: str, **how: Any) -> Case:
    """A delivery of these bytes, or of what `make` writes."""
    data = make.encode() if isinstance(make, str) else make
    writer = (lambda path: path.write_bytes(data)) if isinstance(data, bytes) else data
    return Case(f"feed: {name}", partial(delivered, writer, **how), outcome)


def refused(says: str) -> str:
    return f"rejected FeedError: .*(?:{says}).*"


def unfit(code: str) -> str:
    """A catalog of which so many rows are quarantined that its shop keeps its release."""
    return rf"rejected CatalogRejected: .* rows are unfit \(.*{code}.*"


def written(*pieces: tuple[bytes, int]) -> Make:
    """Writes each piece so many times, without holding them all."""

    def make(path: Path) -> None:
        with path.open("wb") as file:
            for piece, times in pieces:
                for _ in range(times):
                    file.write(piece)

    return make


# --------------------------------------------------------------------------------------------------------------- XML


def xml(dtd: str, text: str = "&a;") -> str:
    return f'<?xml version="1.0"?>{dtd}<rss>{ITEM}<item><id>2</id><title>{text}</title></item></rss>'


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
MEGA = b"x" * 2**20
BELOW = f"<{'k' * 2**20}>{'<x>1</x><y>2</y>' * 9_999}</{'k' * 2**20}>"

XML = [
    case("XXE of a file", xml('<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]>'), refused("DOCTYPE")),
    case("XXE of an address", xml('<!DOCTYPE a [<!ENTITY a SYSTEM "http://127.0.0.1:9/">]>'), refused("DOCTYPE")),
    case("external DTD", xml('<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd">', ""), refused("DOCTYPE")),
    case("parameter entity", xml('<!DOCTYPE a [<!ENTITY % p SYSTEM "file:///etc/passwd">%p;]>'), refused("DOCTYPE")),
    case("billion laughs", xml(f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]>', "&l9;"), refused("DOCTYPE")),
    case("quadratic entities", xml(f'<!DOCTYPE a [<!ENTITY a "{"x" * 100_000}">]>', "&a;" * 10_000),
         refused("DOCTYPE")),
    case("DOCTYPE and nothing more", xml("<!DOCTYPE rss>", ""), refused("DOCTYPE")),
    case("unknown entity", xml("", "&nothing;"), refused("not well-formed")),
    case("10,000 deep", "<rss>" + "<a>" * 10_000 + ITEM + "</a>" * 10_000 + "</rss>", refused("too deep")),
    case("a text of 100 MB", written((b"<rss><item><id>1</id><title>", 1), (MEGA, 100), (b"</title></item></rss>", 1)),
         refused("larger than")),
    case("a comment of 100 MB", written((b"<rss><!--", 1), (MEGA, 100), (b"-->" + ITEM.encode() + b"</rss>", 1)),
         refused("larger than")),
    case("an attribute of 7 MB", f'<rss><item a="{"x" * 7_000_000}"/>{ITEM * 2}</rss>',
         r"accepted \[.*LEN.*"),
    case("1,000,000 attributes", "<rss><item " + " ".join(f'a{n}="1"' for n in range(1_000_000)) + "/></rss>",
         refused("larger than")),
    case("5,000 attributes", "<rss><item " + " ".join(f'a{n}="1"' for n in range(5_000)) + "/></rss>",
         refused("too many attributes")),
    case("XInclude", f'<rss xmlns:xi="http://www.w3.org/2001/XInclude">{ITEM}<item><id>2</id><title>'
         '<xi:include href="file:///etc/passwd" parse="text"/></title></item></rss>',
         r'accepted \[\["1", "Red shirt", null\], \["2", null, null\]\]'),
    case("UTF-16 that says it is UTF-8", '<?xml version="1.0" encoding="UTF-8"?>'.encode("utf-16-le")
         + f"<rss>{ITEM}</rss>".encode("utf-16-le"), refused("not well-formed")),
    case("an encoding nobody knows", f'<?xml version="1.0" encoding="utf-9"?><rss>{ITEM}</rss>',
         refused("not well-formed")),
    case("an encoding that is code", f'<?xml version="1.0" encoding="rot13"?><rss>{ITEM}</rss>',
         refused("not well-formed")),
    case("100,000 deep within 300 kB", "<rss>" + "<a>" * 100_000, refused("too deep")),
    case("names of a megabyte, dotted", "<rss>" + f"<item><id>1</id>{BELOW}</item>" * 2 + "</rss>",
         refused("1,048,577 characters")),
    case("50,000 categories, each below the last", f"<rss>{ITEM}" + "".join(
        f'<category id="{n + 1}" parentId="{n}">Shirts</category>' for n in range(50_000)) + ITEM + "</rss>",
        r'accepted \[\["1", "Red shirt", null\], \["1", "Red shirt", null\]\]'),
    case("cut in the middle", f"<rss>{ITEM}{ITEM[:20]}", refused("not well-formed")),
]  # fmt: skip

# -------------------------------------------------------------------------------------------------------- wrappings


def zipped(*members: tuple[Any, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return buffer.getvalue()


def named(name: str, mode: int = 0, flags: int = 0) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr, info.flag_bits = mode << 16, flags
    return info


def overlapping() -> bytes:
    """A zip whose second member is declared to lie where the first does."""
    whole = bytearray(zipped(("a.csv", TWO * 50), ("b.csv", TWO * 50)))
    second = whole.rindex(b"PK\x01\x02")
    whole[second + 42 : second + 46] = struct.pack("<I", 0)
    return bytes(whole)


def encrypted() -> bytes:
    whole = bytearray(zipped(("a.csv", TWO)))
    whole[6] |= 1
    whole[whole.index(b"PK\x01\x02") + 8] |= 1
    return bytes(whole)


def wrong_sum() -> bytes:
    whole = bytearray(zipped(("a.csv", TWO * 50), method=zipfile.ZIP_STORED))
    whole[60] ^= 1
    return bytes(whole)


def gzip_bomb(path: Path) -> None:
    """A gigabyte in one megabyte."""
    with gzip.open(path, "wb", compresslevel=9) as file:
        file.write(b"id,title\n")
        for _ in range(1024):
            file.write(b"0" * (2**20 - 1) + b"\n")


def zip_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.csv", "w") as file:
        file.write(b"id,title\n")
        for _ in range(512):
            file.write(b"1,a\n" * 2**18)


def sparse(path: Path) -> None:
    """5 GiB of nothing that take no room on the disk."""
    with path.open("wb") as file:
        file.write(b"id,title\n")
        file.truncate(5 * 2**30)


WRAPPINGS = [
    case("gzip bomb", gzip_bomb, refused("unpacks to more than 200 times")),
    case("zip bomb", zip_bomb, refused("unpacks to more than 200 times")),
    case("gzip in gzip", gzip.compress(gzip.compress(TWO)), refused("packed twice")),
    case("zip in gzip", gzip.compress(zipped(("a.csv", TWO))), refused("packed twice")),
    case("gzip in zip", zipped(("a.csv.gz", gzip.compress(TWO))), refused("packed twice")),
    case("500,000 empty gzip members", gzip.compress(b"") * 500_000, refused("hold nothing")),
    case("gzip cut short", gzip.compress(TWO * 99)[:-9], refused("cannot be unpacked")),
    case("gzip of a wrong sum", gzip.compress(TWO * 99)[:-8] + bytes(8), refused("cannot be unpacked")),
    case("gzip with garbage behind it", gzip.compress(TWO) + b"garbage", refused("cannot be unpacked")),
    case("gzip by name only", b"\x1f\x8bno gzip at all", refused("cannot be unpacked")),
    case("zip by its magic only", b"PK\x03\x04" + b"x" * 500, refused("no readable zip")),
    case("overlapping zip", overlapping(), refused("overlapping")),
    case("zip name that climbs", zipped(("../../etc/cron.d/x", TWO)), refused("points outside")),
    case("zip name that climbs by backslash", zipped(("..\\..\\x.csv", TWO)), refused("points outside")),
    case("zip name from the root", zipped(("/etc/passwd", TWO)), refused("points outside")),
    case("zip with a symbolic link", zipped((named("a.csv", 0o120777), b"/etc/passwd")), refused("points outside")),
    case("zip of 2,000 members", zipped(*((f"{n}.csv", TWO) for n in range(2_000))), refused("2,000 members")),
    case("encrypted zip", encrypted(), refused("encrypted")),
    case("zip by lzma", zipped(("a.csv", TWO), method=zipfile.ZIP_LZMA), refused("rare zip method")),
    case("zip of a wrong sum", wrong_sum(), refused("cannot be unpacked")),
    case("office document", zipped(("[Content_Types].xml", b""), ("xl/a.xml", b"<a/>")), refused("office document")),
    case("5 GiB of nothing", sparse, refused("5,368,709,120 bytes")),
    case("empty file", b"", refused("is empty")),
    case("a web page", b"<!DOCTYPE html><html><body>Please log in</body></html>", refused("web page")),
    case("a program", b"\x7fELF" + bytes(range(256)) * 64, unfit("NOID"), judged=True),
]  # fmt: skip

# -------------------------------------------------------------------------------------------------- tables and JSON


def name_bomb(path: Path) -> None:
    """A name of 1 MB above 200,000 values: 200 GB of dotted names from 4 MB of JSON."""
    inner = ",".join(f'"{n}":1' for n in range(200_000))
    path.write_text('[{"id":"1","title":"a"},{"id":"2","' + "k" * 2**20 + '":{' + inner + "}}]")


def long_names(path: Path) -> None:
    """30 MB of names, each new."""
    with path.open("w") as file:
        file.write('{"products":[{"id":"1","title":"a"}],')
        file.write(",".join(f'"{n}{"k" * 10_000}":{{"x":{{"y":{{}}}}}}' for n in range(3_000)))
        file.write("}")


HEADER = "id,title," + ",".join(f"c{n}" for n in range(10_000))
DEEP = 100_000

TEXTS = [
    case("10,000 columns", HEADER + "\n1,a" + ",x" * 10_000 + "\n", refused("10,002 columns")),
    case("two headers of one name", b"id,title,title\n1,a,b\n", refused("two columns named 'title'")),
    case("UTF-16 said to be UTF-8", "id,title\n1,a\n2,b\n".encode("utf-16"), unfit("NOID"),
         judged=True, encoding="utf-8"),
    case("UTF-16 cut in the middle", "id,title\n1,a\n".encode("utf-16")[:-1], refused("not in the encoding")),
    case("an encoding that is no encoding", TWO, refused("encoding 'rot13' is unknown"), encoding="rot13"),
    case("a line of 100 MB", written((b"id,title\n1,", 1), (MEGA, 100), (b"\n2,b\n", 1)), refused("a line is longer")),
    case("a quote that never closes", written((b'id,title\n1,"a\n', 1), (b"2,b\n", 200_000)),
         r'accepted \[\["1", .*\["2", "b", null\].*', limits=Limits(rows=300_000)),
    case("an unclosed quote before doubled ones", written((b'id,title\n1,"a\n', 1), (b'2,""b\n', 50_000)),
         "accepted .*"),
    case("a quote on every line", written((b"id,title\n", 1), (b'7,"a\n', 100_000)), "accepted .*"),
    case("99,000 spaces in a category", b"id,title,category\n1,a,x" + b" " * 99_000 + b"y\n2,b,c > d\n",
         r'accepted \[\["1", "a", null\], \["2", "b", null\]\]'),
    case("99,000 bars and spaces in a category", b"id,title,category\n1,a,x" + b" |" * 49_500 + b"y\n2,b,c > d\n",
         r'accepted \[\["1", "a", null\], \["2", "b", null\]\]'),
    case("99,000 openings of tags", b"id,title\n1," + b"<" * 99_000 + b"\n2," + b"<a" * 49_000 + b"\n", "accepted .*"),
    case("99,000 ampersands", b"id,title\n1," + b"&amp;" * 19_000 + b"\n", "accepted .*"),
    case("99,000 digits of a price", b"id,title,price\n1,a," + b"9" * 99_000 + b"\n2,b,1" + b"'1" * 40_000 + b"\n",
         r'accepted \[\["1", "a", \["PRICE"\]\], \["2", "b", \["PRICE"\]\]\]'),
    case("a record without end", written((b"id,title\n", 1), (b'x","\n', 100_000)), refused("cannot be made sense of")),
    case("200 lines of quotes over and over", written((b"id,title\n", 1), (b'1,"\n' + b'""\n' * 199 + b'"x\n', 500)),
         "accepted .*|" + refused("cannot be made sense of")),
    case("1 MB of letters of no known script", b"id,title\n" + random.Random(5).randbytes(2**20).replace(b"\0", b"x"),
         unfit(".*"), judged=True),
    case("more rows than the limit", written((b"id,title\n", 1), (b"1,a\n", 1001)), refused("more than 1,000 rows"),
         limits=Limits(rows=1000)),
    case("NUL bytes among the text", b"id,title\n1,a\0b\n2\0,c\n", "accepted .*"),
    case("JSON 100,000 lists deep", b"[" * DEEP, refused("nested too deeply")),
    case("JSON 100,000 objects deep", b'[{"id":1,"a":' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}]",
         refused("nested too deeply")),
    case("JSON 900 objects deep", b'[{"id":1,"a":' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}]",
         refused("nested too deeply")),
    case("JSON lines 900 deep", (b'{"id":1,"a":' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}\n") * 2,
         refused("nested too deeply")),
    case("a JSON string of 100 MB", written((b'[{"id":1,"title":"', 1), (MEGA, 100), (b'"}]', 1)),
         refused("longer than")),
    case("a JSON number of a million digits", b'[{"id":1,"title":"a","price":' + b"9" * 10**6 + b"}]",
         r'accepted \[\["1", "a", \["LEN"(, "PRICE")?\]\]\]'),
    case("JSON names of a megabyte, dotted", name_bomb, refused("a name expected|1,048,576 characters")),
    case("JSON names of 30 MB, each new", long_names, refused("a name expected")),
    case("JSON of 3,000 names", json.dumps([{f"c{n}": 1 for n in range(3_000)} | {"id": 1}]),
         refused("more than 2,000 names")),
    case("JSON of 3,000 names below", json.dumps([{"id": 1, "a": {f"c{n}": 1 for n in range(3_000)}}]),
         refused("more than 2,000 names")),
    case("JSON whose name is a list", b'{[1]: {"a": {"b": 1}}, "c": {"d": {}}}', refused("a name expected")),
    case("JSON that breaks off", b'[{"id":1,"title":"a"},{"id":2,', refused("after 1 items")),
    case("JSON with more behind it", b'[{"id":1,"title":"a"}] {"id":2}', refused("more text")),
    case("JSON of numbers only", b"[1,2,3]", "accepted .*|" + refused("no column|no products")),
    case("an id given twice in one object", b'[{"id":"1","title":"a","id":"2"}]', r'accepted \[\["2", "a", null\]\]'),
]  # fmt: skip

# ----------------------------------------------------------------------------------------------------------- Parquet


def parquet(table: pa.Table, **options: Any) -> Make:
    return lambda path: pq.write_table(table, path, **options)


def dictionary_bomb(path: Path) -> None:
    """5,000,000 strings of 1 kB from half a megabyte."""
    one = pa.DictionaryArray.from_arrays(pa.array(bytes(500_000), pa.int8()), pa.array(["x" * 1000]))
    table = pa.table({"id": pa.chunked_array([one] * 10)})
    pq.write_table(table, path, row_group_size=5_000_000)


def page_bomb(path: Path) -> None:
    """Twelve values of 100 MB, packed to some kilobytes."""
    titles = pa.DictionaryArray.from_arrays(pa.array(bytes(12), pa.int8()), pa.array(["x" * 10**8]))
    table = pa.table({"id": [str(n) for n in range(12)], "title": titles})
    pq.write_table(table, path, compression="zstd", write_statistics=False)


class Payload(pa.ExtensionType):  # type: ignore[misc]
    """A type that would do something when it is read back."""

    def __init__(self) -> None:
        super().__init__(pa.string(), "hostile.payload")

    def __arrow_ext_serialize__(self) -> bytes:
        return b"payload"

    @classmethod
    def __arrow_ext_deserialize__(cls, storage: pa.DataType, serialized: bytes) -> "Payload":
        raise SystemExit("payload ran")


def extension(path: Path) -> None:
    pq.write_table(pa.table({"id": pa.ExtensionArray.from_storage(Payload(), pa.array(["1"]))}), path)
    pa.register_extension_type(Payload())


def nested(depth: int) -> pa.Table:
    value, kind = "x", pa.string()
    for _ in range(depth):
        value, kind = {"a": value}, pa.struct([("a", kind)])  # type: ignore[assignment]
    return pa.table({"id": ["1"], "title": ["a"], "deep": pa.array([value], kind)})


def flipped(path: Path) -> None:
    """Parquet files, each with some bytes changed."""
    dice = random.Random(4)
    table = pa.table({"id": [str(n) for n in range(99)], "title": ["Red shirt"] * 99, "price": list(range(99))})
    pq.write_table(table, path)
    good = path.read_bytes()
    for number in range(8):
        data = bytearray(good)
        for _ in range(dice.randint(1, 6)):
            data[dice.randrange(4, len(data))] = dice.randrange(256)
        (path.parent / f"mutant{number}").write_bytes(data)


def mutants(folder: Path) -> str:
    """How damaged files come out: never by a foreign exception, never by a death of the parent."""
    flipped(folder / "feed")
    outcomes = [
        outcome_of(lambda path=path: str(len(rows_of(path, folder / path.name[6:], limits=Limits()))))
        for path in sorted(folder.glob("mutant*"))[:8]
    ]
    kinds = {outcome.partition(":")[0].partition(" 9")[0] for outcome in outcomes}
    return ", ".join(sorted(kinds))


GOOD = pa.table({"id": ["1", "2"], "title": ["a", "b"]})


def cut_footer(path: Path) -> None:
    pq.write_table(GOOD, path)
    path.write_bytes(path.read_bytes()[:-20] + b"\xff" * 16 + b"PAR1")


PARQUET = [
    case("Parquet dictionary bomb", dictionary_bomb, refused("unpacks to more than 200 times")),
    case("Parquet page bomb", page_bomb, refused("cannot be read within its limits")),
    case("Parquet of a bad footer", cut_footer, refused("not sound")),
    case("Parquet by its magic only", b"PAR1 nothing PAR1", refused("not sound")),
    case("Parquet with an extension type", extension, refused("extension types")),
    case("Parquet of 3,000 columns", parquet(pa.table({f"c{n}": [1] for n in range(3_000)})), refused("3,000 columns")),
    case("Parquet 50 structs deep", parquet(nested(50)), r'accepted \[\["1", "a", null\]\]'),
    case("Parquet 200 structs deep", parquet(nested(200)), refused("too deeply nested")),
    case("Parquet with names of ill will", parquet(pa.table({"id": ["1"], "title": ["a"], '";copy x to y;--': ["z"]})),
         r'accepted \[\["1", "a", null\]\]'),
    Case("feed: 8 damaged Parquet files", mutants, r"(accepted(, )?)?(rejected FeedError)?"),
]  # fmt: skip

# ----------------------------------------------------------------------------------------------------- whole catalogs


def shrunk(folder: Path) -> str:
    """The previous good feed without nine tenths of its products."""
    path = folder / "feed.csv"
    path.write_text("id,title\n" + "".join(f"{n},Red shirt {n}\n" for n in range(10)))
    rows_of(path, folder, limits=Limits())
    return outcome_of(lambda: judge(folder, live_products=100))


def absent(folder: Path) -> str:
    return outcome_of(lambda: str(rows_of(folder / "nothing.csv", folder, limits=Limits())))


CATALOGS = [
    Case(
        "feed: nine tenths of the catalog gone", shrunk, "rejected CatalogRejected: the catalog shrank from 100 to 10.*"
    ),
    Case("feed: no file at all", absent, refused("no feed at")),
]

CASES = [*XML, *WRAPPINGS, *TEXTS, *PARQUET, *CATALOGS]
