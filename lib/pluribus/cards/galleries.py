"""Galleries: products with their pictures as one self-contained HTML page, to open at once or to send to a merchant.

Every value passes through Jinja's autoescape, pictures are `data:` addresses of our own re-encoded bytes, and the
page's own policy forbids scripts and every request.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pluribus.cards.thumbnails import thumbnails
from pluribus.errors import printable
from pluribus.store import Store

SIDE_PX = 224
PACKS = 64  # a page is asked for by a person, who can wait for as many packs

TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{ title }}</title>
<style>
:root { --ink: #1a202c; --soft: #5a6575; --paper: #fff; --line: #dde2ea; --bar: #2b6cb0 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --soft: #9aa5b5; --paper: #14171c; --line: #2d333d } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 76rem;
  margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem; margin: 0 } h2 { font-size: 1rem; margin: 1.6rem 0 .6rem; color: var(--soft) }
p { margin: .3rem 0; color: var(--soft) }
.path { display: flex; flex-wrap: wrap; gap: 0 1.2rem } .path section { flex: none }
.tiles { display: flex; flex-wrap: wrap; gap: 1rem } figure { margin: 0; width: 11rem }
figure img, figure .none { width: 11rem; height: 11rem; object-fit: contain; background: #fff;
  border: 1px solid var(--line); border-radius: .5rem }
figure .none { display: grid; place-items: center; color: #5a6575 }
figcaption { margin-top: .35rem; font-size: .85rem; overflow-wrap: anywhere }
figcaption span { display: block; color: var(--soft) }
meter { display: block; width: 16rem; height: .6rem }
</style></head><body>
<h1>{{ printable(title) }}</h1>{% for line in about %}<p>{{ printable(line) }}</p>{% endfor %}
<div class="{{ "path" if across else "" }}">
{% for row in rows %}<section><h2>{{ printable(row.heading) }}</h2><div class="tiles">
{% for tile in row.tiles %}<figure>
{% if tile.picture %}<img src="{{ tile.picture }}" alt="{{ printable(tile.title) }}">
{% else %}<div class="none">no picture</div>{% endif %}
<figcaption>{{ printable(tile.title) }}{% for line in tile.lines %}<span>{{ printable(line) }}</span>{% endfor %}
</figcaption></figure>
{% endfor %}</div>{% for text, share in row.bars %}<p>{{ printable(text) }}
<meter min="0" max="1" value="{{ share }}"></meter></p>{% endfor %}</section>
{% endfor %}</div>
</body></html>
"""


@dataclass(frozen=True)
class Tile:
    """One product, or one picture: what is shown of it."""

    picture: str  # a data: address, "" for none
    title: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """Tiles, or bars of words, under one heading."""

    heading: str
    tiles: Sequence[Tile] = ()
    bars: Sequence[tuple[str, float]] = ()  # what, and how much of the whole width


def gallery(title: str, rows: Iterable[Row], *, about: Sequence[str] = (), across: bool = False) -> str:
    """The page; `across` lays the rows beside one another, as a path."""
    page: str = _template().render(title=title, rows=list(rows), about=about, across=across)
    return page


def first_pictures(store: Store, products: Iterable[dict[str, Any]], *, side_px: int = SIDE_PX) -> dict[str, str]:
    """Product id -> the `data:` address of its first picture; products without one are absent."""
    first = {row["product_id"]: row["pictures"][0] for row in products if row["pictures"]}
    shown = thumbnails(store, first.values(), most=len(first), packs=PACKS, side_px=side_px)
    return {product_id: shown[content] for product_id, content in first.items() if content in shown}


@cache
def _template() -> Any:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.globals.update(printable=printable)
    return environment.from_string(TEMPLATE)
