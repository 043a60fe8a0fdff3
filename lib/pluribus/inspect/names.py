"""Names of releases as people type them."""

from pluribus import releases
from pluribus.errors import ReleaseError
from pluribus.store import Store


def resolve(shop_store: Store, *, shop: str, name: str) -> releases.Release:
    """The release that is meant by its id, the id's beginning, its run, "live" or "previous".

    Raises ReleaseError when that is none, or more than one.
    """
    if name == "live":
        return releases.open_release(shop_store, shop=shop)
    if name == "previous":
        return _previous(shop_store, shop)
    there = sorted(releases.listing(shop_store))
    found = [release for release in there if release.startswith(name)] if name else []
    if not found:
        found = [entry for entry in there if _run(shop_store, shop, entry) == name]
    if len(found) != 1:
        many = f"{len(found)} releases" if found else "no release"
        known = ", ".join(release[:12] for release in there[:8]) or "none"
        raise ReleaseError(
            f"{many} of shop {shop} by the name {name!r}", expected=f'one of {known}, a run, "live" or "previous"'
        )
    return releases.open_release(shop_store, shop=shop, release=found[0])


def _previous(shop_store: Store, shop: str) -> releases.Release:
    now = releases.current(shop_store, shop=shop)
    there = releases.listing(shop_store)
    retired = [entry.release for entry in now.retired if entry.release in there] if now else []
    if not retired:
        raise ReleaseError(f"shop {shop} has no release before the live one", do="name two releases")
    return releases.open_release(shop_store, shop=shop, release=retired[-1])


def _run(shop_store: Store, shop: str, release: str) -> str:
    try:
        return str(releases.open_manifest(shop_store, shop=shop, release=release)[0].facts.get("run", ""))
    except ReleaseError:
        return ""
