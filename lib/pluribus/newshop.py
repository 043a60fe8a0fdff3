"""A new shop: look at its feed and write the shop's file, saying what was understood and what was not."""

import json
import re
from functools import partial
from pathlib import Path

from pluribus.errors import ConfigError, printable
from pluribus.feeds import proposals
from pluribus.settings import SHOP_NAME, parse_shop


def propose(feed: Path, *, name: str = "", folder: Path | None) -> str:
    """Write `<folder>/<name>.toml` for a feed file; with no folder only show it. Returns the report for people.

    Raises ConfigError when the name is unfit or the shop's file exists, FeedError when the feed cannot be read.
    """
    if not feed.is_file():
        raise ConfigError(f"no feed at {feed}", expected="a file", do="pass --feed FILE")
    name = name or re.sub(r"[^a-z0-9_-]+", "_", feed.name.split(".")[0].lower()).strip("_-")
    if not SHOP_NAME.fullmatch(name):
        raise ConfigError(f"shop name {name!r}", expected="1 to 63 of a-z, 0-9, '-', '_'", do="pass --name")
    seen = proposals.look(feed)
    text = _file(feed.resolve(), seen)
    parse_shop(text.encode(), f"{name}.toml")  # what we write, we can read
    if folder is None:
        return text
    path = folder / f"{name}.toml"
    if path.exists():
        raise ConfigError(f"{path} is there already", do="pass another --name, or --out - to only look")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return f"{text}\nwritten to {path}; try it: pluribus refresh --shops {name}"


def _file(feed: Path, seen: proposals.Look) -> str:
    quoted = partial(json.dumps, ensure_ascii=False)  # TOML's basic strings are JSON's, but for halves of a character
    lines = [
        f"# Proposed from {feed.name}: {seen.format}, {seen.rows:,} rows looked at.",
        *(f"# Mind: {warning}." for warning in seen.warnings),
        "",
        'vertical = ""                      # an overlay of expectations/, such as "fashion"',
        "",
        "[[feeds]]",
        f"source = {quoted(str(feed))}",
        f"format = {quoted(seen.format)}",
        'mode = "snapshot"                  # or "delta": rows change the catalog, they do not replace it',
        'currency = ""                      # ISO code, for prices that do not say',
        "",
        "[feeds.columns]                    # ours = theirs; several of theirs are joined",
    ]
    for ours, theirs in seen.mapping.items():
        value = quoted(theirs[0]) if len(theirs) == 1 else json.dumps(list(theirs), ensure_ascii=False)
        share, sample = seen.columns.get(theirs[0], (0.0, ""))
        lines.append(f"{ours} = {value}".ljust(34) + f" # {share:.0%} filled, e.g. {sample[:50]}")
    lines += [f"# not found: {', '.join(seen.missing)}"] if seen.missing else []
    lines += [f"# kept as extra: {', '.join(printable(column, 60) for column in seen.extra)}"] if seen.extra else []
    lines += ["", "[images]", "source = []                        # folder, tar, zip or s3://; addresses need none"]
    if "images" not in seen.mapping:
        lines.append('path = ""                          # such as "{product_id}.jpg"')
    return "\n".join(lines) + "\n"
