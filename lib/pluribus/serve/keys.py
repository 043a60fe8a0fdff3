"""Keys of shops: 256 random bits each, of which the store holds nothing but the sha256.

    shops/<shop>/keys/<sha256>.json     opens this shop
    keys/<sha256>.json                  the operator's: opens /metrics, and no shop

A random key of 256 bits needs no salt and no slow hash. Looking one up takes the same one read of the store whether
its shop exists or not, so neither words nor time tell a stranger which shops there are.
"""

import hashlib
import hmac
import json
import re
import secrets
import time
from collections import OrderedDict
from datetime import UTC, datetime

from pluribus.errors import ConfigError, Missing
from pluribus.store import Store

KEY = re.compile(r"plu_[A-Za-z0-9_-]{43}")
SHOP = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
ID_CHARS = 12
REMEMBERED = 10_000


def new(store: Store, shop: str = "") -> str:
    """A new key of a shop, or of the operator ("" ). It cannot be shown again."""
    key = f"plu_{secrets.token_urlsafe(32)}"
    digest = hashlib.sha256(key.encode()).hexdigest()
    record = {"shop": shop, "sha256": digest, "created": datetime.now(UTC).isoformat(timespec="microseconds")}
    store.create(_place(shop, digest), json.dumps(record).encode())
    return key


def known(store: Store, shop: str = "") -> list[dict[str, str]]:
    """The keys of a shop, or of the operator: id and birth, the oldest first."""
    records = [json.loads(store.get(item.key)) for item in store.items(_place(shop, "").removesuffix(".json"))]
    rows = [{"key": record["sha256"][:ID_CHARS], "created": record["created"]} for record in records]
    return sorted(rows, key=lambda row: row["created"])


def revoke(store: Store, key: str, shop: str = "") -> str:
    """Forget a key, named by its id or itself; returns its id. Servers follow within their memory (`Keys`)."""
    wanted = hashlib.sha256(key.encode()).hexdigest() if KEY.fullmatch(key) else key
    folder = _place(shop, "").removesuffix(".json")
    names = [item.key for item in store.items(folder)]
    found = [name for name in names if len(wanted) >= ID_CHARS and name.startswith(folder + wanted)]
    if len(found) != 1:
        ids = ", ".join(name.removeprefix(folder)[:ID_CHARS] for name in names) or "none: it has no key"
        raise ConfigError(f"no key {wanted!r:.80} of {shop or 'the operator'}", expected=f"one of {ids}")
    store.delete(found[0])
    return found[0].removeprefix(folder)[:ID_CHARS]


def _place(shop: str, digest: str) -> str:
    return f"shops/{shop}/keys/{digest}.json" if shop else f"keys/{digest}.json"


class Keys:
    """What a server knows of keys: each answer of the store is trusted for `trust_s`, so a revoked key lives no longer.

    Refusals are remembered too, apart from the good ones: a flood of guesses cannot push those out.
    """

    def __init__(self, store: Store, *, trust_s: float = 30.0) -> None:
        self._store, self._trust_s = store, trust_s
        self._memories: dict[bool, OrderedDict[tuple[str, str], float]] = {True: OrderedDict(), False: OrderedDict()}

    def remembered(self, shop: str, key: str) -> bool | None:
        """Whether the key opens the shop, as far as is known without asking the store."""
        if not KEY.fullmatch(key) or (shop and not SHOP.fullmatch(shop)):
            return False
        entry, now = (shop, hashlib.sha256(key.encode()).hexdigest()), time.monotonic()
        for opens, memory in self._memories.items():
            if memory.get(entry, 0.0) > now:
                memory.move_to_end(entry)
                return opens
        return None

    def opens(self, shop: str, key: str) -> bool:
        """Whether the key opens the shop; may read the store. Raises StoreError when that cannot be reached."""
        found = self.remembered(shop, key)
        return self._asked(shop, key) if found is None else found

    def _asked(self, shop: str, key: str) -> bool:
        digest = hashlib.sha256(key.encode()).hexdigest()
        try:
            record = json.loads(self._store.get(_place(shop, digest)))
            same_key = hmac.compare_digest(str(record["sha256"]), digest)
            opens = hmac.compare_digest(str(record["shop"]).encode(), shop.encode()) and same_key
        except (Missing, ValueError, KeyError, TypeError):
            opens = False
        memory = self._memories[opens]
        memory[shop, digest] = time.monotonic() + self._trust_s
        while len(memory) > REMEMBERED:
            memory.popitem(last=False)
        return opens
