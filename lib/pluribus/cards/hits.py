"""A page of products with their pictures: what a search found, to look at or to send to a merchant.

Self-contained: pictures are in the page, and its own policy forbids scripts and every request. Shops' text passes
through Jinja's autoescape; a link is one only where it begins with http.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from pluribus.cards.thumbnails import thumbnails
from pluribus.errors import printable
from pluribus.store import Store

MOST = 500
SIDE_PX = 220

TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">
<title>{{ title }}</title>
<style>
:root { --ink: #1a202c; --soft: #5a6575; --paper: #fff; --line: #dde2ea; --empty: #f1f3f7 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --soft: #9aa5b5; --paper: #14171c; --line: #2d333d;
  --empty: #1d2128 } }
body { font: 15px/1.4 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 80rem;
  margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem; margin: 0 0 .2rem } p { color: var(--soft); margin: 0 0 1.2rem }
ol { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: 1rem; list-style: none;
  padding: 0 }
li { border: 1px solid var(--line); border-radius: .6rem; overflow: hidden }
li > div { padding: .6rem .8rem .8rem }
img, .none { display: grid; place-items: center; width: 100%; aspect-ratio: 1; object-fit: contain;
  background: #fff; color: var(--soft) }
.none { background: var(--empty) }
b { font-weight: 600; display: block; overflow-wrap: anywhere } a { color: inherit }
small { color: var(--soft); display: block; overflow-wrap: anywhere; font-variant-numeric: tabular-nums }
</style></head><body>
<h1>{{ title }}</h1><p>{{ note }}</p>
<ol>{% for card in cards %}<li>
{% if card.picture %}<img src="{{ card.picture }}" alt="">{% else %}<span class="none">no picture</span>{% endif %}
<div><b>{% if card.link %}<a href="{{ card.link }}" rel="noreferrer noopener">{{ card.title }}</a>
{% else %}{{ card.title }}{% endif %}</b>
{% for line in card.lines %}<small>{{ line }}</small>{% endfor %}</div>
</li>{% endfor %}</ol>
</body></html>
"""


def hits_page(
    stores: Sequence[Store], title: str, note: str, products: Sequence[tuple[Mapping[str, Any], Sequence[str]]]
) -> str:
    """A page of (product, lines said of it), at most `MOST` of them, with pictures from the shops' `stores`."""
    shown = products[:MOST]
    first = [next(iter(product["pictures"] or ()), "") for product, _ in shown]
    seen: dict[str, str] = {}
    for store in stores:
        seen |= thumbnails(
            store, [name for name in first if name and name not in seen], most=MOST, packs=MOST, side_px=SIDE_PX
        )
    cards = [
        {
            "title": printable(product["title"] or "no title", 200),
            "link": product["link"] if (product["link"] or "").startswith(("https://", "http://")) else "",
            "picture": seen.get(picture),
            "lines": [printable(line, 200) for line in lines if line],
        }
        for (product, lines), picture in zip(shown, first, strict=True)
    ]
    page: str = _template().render(title=printable(title, 200), note=printable(note, 400), cards=cards)
    return page


@cache
def _template() -> Any:
    from jinja2 import Environment, StrictUndefined

    return Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string(TEMPLATE)
