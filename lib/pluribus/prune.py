"""Prune: what of a shop's past nobody can need any more, beside the releases that `publish.collect` deletes.

Kept are the newest snapshot, every snapshot that a release on the shelf was made of, those younger than `keep_days`,
and the diary. Vectors are kept for the models that a release is of, and for those named. Nothing is guessed: a release
that cannot be read stops the shop's pruning.
"""

from datetime import datetime, timedelta

from pluribus import ingest, releases
from pluribus.errors import ReleaseError
from pluribus.manifests import moment
from pluribus.publish import GRACE_S
from pluribus.store import Item, Store


def garbage(own: Store, *, shop: str, now: datetime, keep_days: float, models: frozenset[str]) -> list[Item]:
    """Objects of a shop that can go. Raises ReleaseError when a release is not readable."""
    cutoff = now - timedelta(days=keep_days)
    snapshots, fingerprints = set(), set(models)
    for entry in releases.history(own, shop=shop):
        if entry.state == "unfinished":
            if moment(entry.created) >= now - timedelta(seconds=GRACE_S):
                return []  # somebody is building: what it builds upon cannot be known yet
            continue  # refused, or left by one who died: nobody can publish it
        if entry.state == "damaged":
            raise ReleaseError(f"release {entry.release} of {shop} is damaged", do="collect it, or refresh the shop")
        if entry.state == "doomed":
            continue
        made, _ = releases.open_manifest(own, shop=shop, release=entry.release)
        snapshots.add(made.facts["snapshot"])
        fingerprints.add(made.facts["fingerprint"])
    newest = ingest.latest(own)
    snapshots |= {newest.id} if newest else set()
    gone = []
    for item in own.items("snapshots/"):
        of = item.key.split("/")[1]
        if of != "log" and of not in snapshots and item.modified < cutoff:
            gone.append(item)
    vectors = [item for item in own.items("vectors/") if item.key.split("/")[1] not in fingerprints]
    return gone + [item for item in vectors if item.modified < cutoff]


def reports(store: Store, *, now: datetime, keep_days: float) -> list[Item]:
    """Run reports and figures that are old."""
    cutoff = now - timedelta(days=keep_days)
    return [item for prefix in ("runs/", "metrics/") for item in store.items(prefix) if item.modified < cutoff]
