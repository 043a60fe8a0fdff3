"""The shelf of opened releases: a shop is back as soon as it can be, and no passing trouble is remembered."""

import shutil
import time
from pathlib import Path

import pytest
from test_swaps import go_live

from pluribus import search
from pluribus.errors import ReleaseError, StoreError
from pluribus.serve import shelf as shelves
from pluribus.serve.counters import Counters
from pluribus.serve.shelf import Shelf
from pluribus.store import Store, open_store

LONG = 2**40


@pytest.fixture
def store(demo_store: str, tmp_path: Path) -> Store:
    """A copy of the demo shops that may be changed."""
    shutil.copytree(demo_store, tmp_path / "store")
    return open_store(str(tmp_path / "store"))


def live(shelf: Shelf, shop: str = "atelier") -> str:
    return shelf.take(shop).release.manifest.release


def test_shops_that_do_not_fit_into_memory_together_are_all_served(store: Store) -> None:
    shelf = Shelf(store, Counters(), memory_bytes=1)
    for _ in range(3):
        assert live(shelf, "atelier") != live(shelf, "hearth")
        assert len(shelf.open_releases()) == 1


def test_a_shop_that_goes_live_is_served_however_often_it_is_asked_for(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelves, "REMEMBERED_S", 0.3)
    current = store.local("shops/atelier/CURRENT")
    current.rename(current.with_name("away"))
    shelf = Shelf(store, Counters(), memory_bytes=LONG)
    with pytest.raises(ReleaseError, match="no live release"):
        shelf.take("atelier")
    current.with_name("away").rename(current)
    for _ in range(100):  # 5 s of asking more often than it is looked
        time.sleep(0.05)
        try:
            assert live(shelf)
            return
        except ReleaseError:
            pass
    pytest.fail("every request put the next look off")


def test_a_hiccup_of_the_store_is_no_damage_of_the_release(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf(store, Counters(), memory_bytes=LONG, poll_s=0.0, stale_s=0.0)
    before, opened, failed = live(shelf), search.open, []

    def flaky(*args: object) -> search.Searcher:
        if not failed:
            failed.append(args)
            raise StoreError("the store did not answer")
        return opened(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(search, "open", flaky)
    after = go_live(store)
    assert live(shelf) == before, "the old one keeps serving"
    assert shelf.troubles() == {"atelier": "the store did not answer"}
    assert live(shelf) == after
    assert shelf.troubles() == {}
