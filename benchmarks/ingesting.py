"""A million rows: read, and changed by a delta; beside pandas, and beside the least there is to do."""

from pathlib import Path
from typing import Any

from beside import Benchmark, Goal, counted

ROWS, CHANGED = 1_000_000, 20_000
PEAK = Goal("peak MB", most=2_000)


def write_feed(folder: Path) -> None:
    """A million products, 10 columns, about 250 MB: ids, titles, HTML, prices with currency, categories."""
    with (folder / "feed.csv").open("w") as file:
        file.write("id,title,description,brand,category,color,size,price,availability,image_link\n")
        file.writelines(line(i) for i in range(ROWS))


def line(i: int, price: int = 0) -> str:
    """One row."""
    return (
        f"sku-{i},Product {i} in colour {i % 97},<p>A fine thing number {i % 5000} made of matter &amp; care. "
        f"It has been described at some length so that rows weigh what rows weigh.</p>,Brand {i % 300},"
        f"Home > Room {i % 12} > Kind {i % 150},colour {i % 97},{i % 40},{i % 900 + price}.{i % 100:02d} EUR,in stock,"
        f"https://shop.example/{i}.jpg\n"
    )


def read_ours(folder: Path) -> None:
    """Feed to canonical Parquet: sniff, map, clean HTML, parse prices, keep what has no column."""
    from pluribus import feeds, tables
    from pluribus.records import Feed, Limits
    from pluribus.schemas import PRODUCT

    rows = feeds.products([folder / "feed.csv"], feed=Feed(source=()), limits=Limits())
    assert tables.write(folder / "ours.parquet", rows, PRODUCT) == ROWS


def read_pandas(folder: Path) -> None:
    """What one would write with pandas: the same columns cleaned with its string methods."""
    import pandas as pd

    frame = pd.read_csv(folder / "feed.csv", dtype=str)
    frame["description"] = frame["description"].str.replace(r"<[^>]+>", " ", regex=True).str.replace("&amp;", "&")
    price = frame["price"].str.extract(r"([\d.]+) (\w+)")
    frame["price"], frame["currency"] = price[0].astype(float), price[1]
    frame["availability"] = frame["availability"].str.replace(" ", "_")
    frame["category"] = frame["category"].str.strip()
    frame.drop_duplicates("id").to_parquet(folder / "theirs.parquet")


def read_least(folder: Path) -> None:
    """Parse every column and write it as it is, by DuckDB: nothing can be a feed's ingest and do less."""
    import duckdb

    source = f"read_csv('{folder}/feed.csv', all_varchar = true)"
    duckdb.sql(f"copy (select * from {source}) to '{folder}/least.parquet' (compression zstd)")


def write_delta(folder: Path) -> None:
    """A catalog of a million rows, and new prices for two in a hundred, as canonical rows."""
    from pluribus import feeds, tables
    from pluribus.records import Feed, Limits
    from pluribus.schemas import PRODUCT

    write_feed(folder)
    (folder / "delta.csv").write_text(
        "id,price\n" + "".join(f"sku-{i},{i % 900 + 1}.00 EUR\n" for i in range(0, ROWS, ROWS // CHANGED))
    )
    for name in ("feed", "delta"):
        rows = feeds.products([folder / f"{name}.csv"], feed=Feed(source=()), limits=Limits())
        tables.write(folder / f"{name}.parquet", rows, PRODUCT)


def delta_ours(folder: Path) -> dict[str, Any]:
    """As `ingest` applies a delta: what it does not carry stays as it was; what comes of it is on disk, mapped."""
    from pluribus import deltas, tables
    from pluribus.schemas import PRODUCT

    tables.query("select 1")  # duckdb's import, as pandas' is not counted either
    with counted() as took:
        old = tables.batches(folder / "feed.parquet", tables.BATCH_ROWS, PRODUCT.names)
        merged = tables.scratch(deltas.apply(old, tables.read(folder / "delta.parquet")), PRODUCT)
        assert merged.num_rows == ROWS
    tables.write(folder / "ours.parquet", merged.to_batches(), PRODUCT)  # for `delta_same`
    return took.of


def delta_pandas(folder: Path) -> dict[str, Any]:
    """The same with pandas' merge and concat; `extra`, which it would turn into Python lists, is left out."""
    import pandas as pd

    with counted() as took:
        old, delta = (pd.read_parquet(folder / f"{name}.parquet").drop(columns="extra") for name in ("feed", "delta"))
        carried = [name for name in delta if delta[name].notna().any() and delta[name].map(str).str.strip("[]").any()]
        rest = [name for name in old if name not in carried] + ["product_id"]
        changed = delta.loc[~delta["deleted"], carried].merge(old[rest], on="product_id", how="left")
        merged = pd.concat([old[~old["product_id"].isin(delta["product_id"])], changed], ignore_index=True)
        merged["row"] = range(len(merged))
        assert len(merged) == ROWS
        merged.to_parquet(folder / "theirs.parquet")
    return took.of


def delta_same(folder: Path) -> dict[str, Any]:
    """Both hold the same prices."""
    from pluribus import tables

    sql = "select count(*) as n from ours join theirs using (product_id) where ours.price is distinct from theirs.price"
    different = tables.query(sql, ours=folder / "ours.parquet", theirs=folder / "theirs.parquet")["n"][0].as_py()
    return {"products unlike": different}


BENCHMARKS = {
    "ingest": Benchmark(
        "1,000,000-row CSV to canonical Parquet", write_feed, read_ours,
        {"pandas": read_pandas, "parse + write": read_least},
        (Goal(peer="pandas", least=1.6), Goal(peer="parse + write", most=2.5), PEAK),
    ),
    "delta": Benchmark(
        "20,000 new prices for 1,000,000 rows", write_delta, delta_ours, {"pandas": delta_pandas},
        (Goal(peer="pandas", least=5), Goal("products unlike", most=0), PEAK), delta_same,
    ),
}  # fmt: skip
