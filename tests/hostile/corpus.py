"""Every case there is."""

from hostile import addresses, artifacts, feeds, pictures, rows
from hostile.case import Case

CASES: list[Case] = [*feeds.CASES, *rows.CASES, *addresses.CASES, *pictures.CASES, *artifacts.CASES]
