"""A service in a process of its own, for tests that ask it as strangers do."""

import subprocess
import sys
from typing import Any

import httpx
import pytest

from pluribus.serve import keys
from pluribus.store import Store

SHOPS = ("atelier", "hearth", "outpost")


class Service:
    """A service in a process of its own, over its own copy of a store."""

    def __init__(self, store: Store, *options: str, shops: tuple[str, ...] = SHOPS) -> None:
        self.store = store
        command = [sys.executable, "-c", "from pluribus.cli import main; main()", "--store", store.url, "serve"]
        self.process = subprocess.Popen([*command, "--port", "0", *options], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        told = self.process.stdout.readline()
        self.url = next((word for word in told.split() if word.startswith("http://127.0.0.1:")), "")
        if not self.url:
            self.process.communicate(timeout=30)
            pytest.fail(f"the service did not start: {told}")
        self.keys = {shop: keys.new(store, shop) for shop in shops}
        self.operator = keys.new(store)
        self.client = httpx.Client(base_url=self.url, timeout=60, trust_env=False)

    def ask(self, shop: str, path: str = "", *, key: str | None = None, **asked: Any) -> httpx.Response:
        """GET without members, else POST them as JSON; with the shop's own key unless another is given."""
        headers = {"Authorization": f"Bearer {self.keys.get(shop) if key is None else key}"}
        if asked:
            return self.client.post(f"/v1/shops/{shop}{path}", json=asked, headers=headers)
        return self.client.get(f"/v1/shops/{shop}{path}", headers=headers)

    def close(self) -> None:
        self.client.close()
        self.process.terminate()
        self.process.communicate(timeout=30)
