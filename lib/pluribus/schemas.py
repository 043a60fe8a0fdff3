"""The tables of pluribus, as Arrow schemas: rows of a feed, of a snapshot, and what became of its pictures."""

import pyarrow as pa

#: The column of a feed by which a generated product says who drew it: kept in `extra`, and minded by `train.splits`.
GENERATED = "pluribus_generator"

AVAILABILITY = ("in_stock", "out_of_stock", "preorder", "backorder", "discontinued")

#: One row per item of a feed, readable or not. `row` is its position in the delivery, from 0. `defects` holds the
#: codes of what could not be read ("PRICE", "COLUMNS" ...); the text itself is then kept in `extra`.
PRODUCT = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("product_id", pa.string()),
        pa.field("group_id", pa.string()),
        pa.field("title", pa.string()),
        pa.field("description", pa.string()),
        pa.field("brand", pa.string()),
        pa.field("category", pa.string()),  # a path, "Women > Shoes > Boots"
        pa.field("colour", pa.string()),
        pa.field("size", pa.string()),
        pa.field("gender", pa.string()),
        pa.field("material", pa.string()),
        pa.field("price", pa.float64()),
        pa.field("sale_price", pa.float64()),
        pa.field("currency", pa.string()),  # ISO 4217
        pa.field("availability", pa.string()),  # one of AVAILABILITY
        pa.field("link", pa.string()),
        pa.field("images", pa.list_(pa.string())),  # references in the shop's order, best first
        pa.field("locale", pa.string()),
        pa.field("deleted", pa.bool_(), nullable=False),  # a tombstone of a delta feed
        pa.field("defects", pa.list_(pa.string())),
        pa.field("extra", pa.map_(pa.string(), pa.string())),  # every source column that has no place above
    ]
)

#: A product row once its pictures are known: the name of each good one, and what was wrong with the others.
SNAPSHOT = PRODUCT.append(pa.field("pictures", pa.list_(pa.string()))).append(
    pa.field("picture_faults", pa.list_(pa.string()))
)

#: What became of each picture reference: `content` names the picture (`images.content_of`), null when `reason` is set.
PICTURE = pa.schema(
    [
        pa.field("ref", pa.string(), nullable=False),
        pa.field("validator", pa.string()),  # ETag, or size and time: unchanged means "need not be fetched again"
        pa.field("content", pa.string()),
        pa.field("reason", pa.string()),  # why there is no picture: MISSING, DECODE, SMALL ...
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("checked", pa.timestamp("us", "UTC")),
        pa.field("picture", pa.binary()),  # our own re-encoded JPEG, the only pixels later stages ever decode
    ]
)

#: A PICTURE once its bytes are packed away: `pack` is the key of the Parquet file that holds them.
LEDGER = pa.schema([*[f for f in PICTURE if f.name != "picture"], pa.field("pack", pa.string())])
PACK = pa.schema([pa.field("content", pa.string(), nullable=False), pa.field("picture", pa.binary(), nullable=False)])
