"""Coverage-guided fuzzing of what reads strangers' bytes: make fuzz (or: python tests/fuzz.py TARGET SECONDS).

A foreign exception, more than 1 GiB, or 20 seconds over one input is a crash; its bytes are kept in
tests/hostile/crashes/, where `test_crashes` replays them for ever.
"""

import sys
import tempfile
from contextlib import suppress
from pathlib import Path

CRASHES = Path(__file__).parent / "hostile" / "crashes"
MOST_MB, HANG_S, MOST_BYTES = 1024, 20, 16_384


def feeds(data: bytes) -> None:
    """A delivery: rows of our schema, or FeedError. (A Parquet file goes to a child, which may die.)"""
    from pluribus import feeds
    from pluribus.errors import FeedError
    from pluribus.records import Feed, Limits
    from pluribus.schemas import PRODUCT

    if data.startswith(b"PAR1"):
        return
    with tempfile.NamedTemporaryFile(dir=SCRATCH) as file, suppress(FeedError):
        file.write(data)
        file.flush()
        row = 0
        for batch in feeds.products([Path(file.name)], feed=Feed(source=()), limits=Limits(feed_bytes=2**24)):
            assert batch.schema == PRODUCT
            assert batch["row"].to_pylist() == list(range(row, row + batch.num_rows)), "a row was lost"
            row += batch.num_rows


def prices(data: bytes) -> None:
    """A column of prices: finite amounts from 0 up in known currencies, or illegible."""
    import math

    import pyarrow as pa

    from pluribus.feeds import prices

    hint, *values = data.decode("utf-8", "ignore").split("\n")
    hint = hint if hint in prices.CURRENCIES else ""
    column = pa.array(values, pa.string())
    amounts, currencies, bad = prices.prices(column, hint, prices.decimal_mark(column))
    for amount, currency, illegible in zip(amounts.to_pylist(), currencies.to_pylist(), bad.to_pylist(), strict=True):
        assert amount is None or (math.isfinite(amount) and amount >= 0 and not illegible)
        assert currency is None or currency in prices.CURRENCIES
    assert set(prices.currencies(column, hint).to_pylist()) <= {None, *prices.CURRENCIES}


def settings(data: bytes) -> None:
    """A shop's file: a Shop whose name is one, or ConfigError."""
    from pluribus import settings
    from pluribus.errors import ConfigError

    with suppress(ConfigError):
        shop = settings.parse_shop(data, "shop.toml", data_root="/data")
        assert settings.SHOP_NAME.fullmatch(shop.name)


def manifests(data: bytes) -> None:
    """CURRENT and manifests: refused, or spelled again without loss."""
    from pluribus.manifests import decode_current, decode_manifest, encode

    for decode in (decode_current, decode_manifest):
        with suppress(ValueError, RecursionError):
            found = decode(data)
            assert decode(encode(found)) == found


TARGETS = {target.__name__: target for target in (feeds, prices, settings, manifests)}
SCRATCH = "/dev/shm" if Path("/dev/shm").is_dir() else None


def seeds(target: str) -> list[bytes]:
    """Sound inputs to start from."""
    from pluribus.feeds import FEEDS
    from pluribus.manifests import Current, File, Manifest, encode

    shops = Path(__file__).parents[1] / "config" / "shops"
    at, digest = "2026-01-01T00:00:00+00:00", "0" * 64
    made = {"shop": "s", "release": "r", "asof": at, "input_key": digest}
    manifest = Manifest(**made, created=at, files={"a": File(sha256=digest, size_bytes=1)}, facts={"a": 1})
    live = {"seq": 1, "nonce": "0" * 32, "manifest_sha256": digest, "why": "", "at": at, "hold": False}
    return {
        "feeds": [kind.example for kind in FEEDS.values()],
        "prices": [b"EUR\n35.00 USD\n$2,030\n1.234,56 \xe2\x82\xac\n1 234,50 kr\nEUR 12\n12,-\n1e5\n(5)\nnull"],
        "settings": [path.read_bytes() for path in shops.glob("*.toml")],
        "manifests": [encode(manifest), encode(Current(**made, **live))],  # type: ignore[arg-type]
    }[target]


def main() -> None:
    """Fuzz one target for some seconds; exit code 0 when nothing was found."""
    import atheris

    name, seconds = sys.argv[1], int(sys.argv[2])
    with atheris.instrument_imports(include=["pluribus", "csv", "json", "tomllib", "xml"]):
        import pluribus.feeds
        import pluribus.manifests
        import pluribus.settings
    assert pluribus.feeds
    for seed in (b"", *seeds(name)):  # imports on demand are no hang
        TARGETS[name](seed)
    CRASHES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(seeds(name)):
            (Path(corpus) / str(number)).write_bytes(seed)
        limits = [f"-rss_limit_mb={MOST_MB}", f"-timeout={HANG_S}", f"-max_len={MOST_BYTES}"]
        options = [f"-max_total_time={seconds}", f"-artifact_prefix={CRASHES}/{name}-", "-print_final_stats=1"]
        atheris.Setup([sys.argv[0], *limits, *options, corpus], TARGETS[name])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
