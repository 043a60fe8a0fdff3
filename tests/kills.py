"""SIGKILL at every write point, while others read, publish, roll back and collect at the same shop.

A point of a folder is any change of the file system; one of a bucket is a PUT or DELETE, before it is sent and again
once it landed. Readers are processes of their own: what one accepts must be whole, of one release, and never older
than what it saw; what it is refused must have been replaced meanwhile.
"""

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from trial import AT_ONCE, SHOP, build, read_whole

from pluribus import publish, releases
from pluribus.errors import ReleaseError, StoreError
from pluribus.store import Store, View, open_store
from pluribus.store.s3 import S3

CHANGES = {"os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir"}
NEWER = "2030-01-01T00:00:00+00:00"


def open_shop(location: str) -> Store:
    """The shop's store, its clients made (0.3 s each) and no connection opened: children may share it if we do not."""
    store = open_store(location)
    if isinstance(store, View) and isinstance(store.ground, S3):
        _ = store.ground._client, store.ground._hasty_client
    return store.within(f"shops/{SHOP}")


def die_at(point: int, shop: Store) -> None:
    """SIGKILL this process at its n-th write point."""
    left = [point]

    def pass_by() -> None:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(event: str, args: tuple[object, ...]) -> None:
        writing = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)
        if writing or event in CHANGES:
            pass_by()

    assert isinstance(shop, View)
    if not isinstance(shop.ground, S3):
        sys.addaudithook(watch)
        return
    for client in (shop.ground._client, shop.ground._hasty_client):

        def send(request: Any, client: Any = client, **_: Any) -> Any:
            if request.method not in ("PUT", "DELETE"):
                return None
            pass_by()
            answer = client._endpoint.http_session.send(request)
            pass_by()
            return answer

        client.meta.events.register("before-send.s3", send)


def child(work: Callable[[], object]) -> int:
    """Run in a forked child; returns its id."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return pid


# ------------------------------------------------------------------------------------ who is at the shop meanwhile


def read_forever(shop: Store, told: Path) -> None:
    """A server that polls. Says in a file how often it read, what broke, and every change it saw."""
    seen, reads, wrong, changes = 0, 0, [], {}
    while True:
        before = releases.current(shop, shop=SHOP)
        try:
            opened = read_whole(shop, seen)
            wrong += [f"went back from {seen} to {opened.seq}"] if opened.seq < seen else []
            seen, reads = max(seen, opened.seq), reads + 1
            changes[opened.seq] = opened.manifest.release
        except (ReleaseError, FileNotFoundError) as error:
            now = releases.current(shop, shop=SHOP)
            if before and now and now.seq == before.seq:
                wrong.append(f"missing at change {now.seq}: {error}")
        except AssertionError as error:
            wrong.append(f"mixed: {error}")
        part = told.with_suffix(".part")
        part.write_text(json.dumps({"reads": reads, "wrong": wrong, "changes": changes}))
        part.replace(told)
        time.sleep(0.01)


def forever(shop: Store, verb: Callable[[Store], object], pause_s: float) -> None:
    """Somebody who goes on whatever happens to them."""
    chance = random.Random(os.getpid())
    while True:
        with suppress(ReleaseError, StoreError):
            verb(shop)
        time.sleep(chance.uniform(0, pause_s))


def publish_one(shop: Store) -> None:
    publish.publish(shop, shop=SHOP, release=build(shop, NEWER), why="kills")


def roll_back(shop: Store) -> None:
    publish.rollback(shop, shop=SHOP, why="kills")


def let_go(shop: Store) -> None:
    publish.unhold(shop, shop=SHOP, why="kills")


def hold(shop: Store) -> None:
    publish.hold(shop, shop=SHOP, why="kills")


def collect_all(shop: Store) -> None:
    publish.collect(shop, shop=SHOP, grace_s=AT_ONCE, keep=1)


def operate(shop: Store) -> None:
    """Roll back, and let go again."""
    roll_back(shop)
    let_go(shop)


VICTIMS: dict[str, Callable[[Store], None]] = {
    "publish": publish_one, "rollback": roll_back, "hold": hold, "unhold": let_go, "collect": collect_all
}  # fmt: skip


# ----------------------------------------------------------------------------------------------------------- the run


def prepare(shop: Store, verb: str) -> None:
    """What a victim needs so that it meets all of its points."""
    with suppress(ReleaseError, StoreError):
        let_go(shop)
    if verb in ("rollback", "collect"):
        with suppress(ReleaseError, StoreError):
            build(shop, NEWER)
            publish_one(shop)


def points_of(location: str, verb: str) -> int:
    """How many write points a verb has when nobody else is there."""
    shop, unused, n = open_shop(location), open_shop(location), 0
    while True:
        collect_all(shop)  # what the last victim left
        prepare(shop, verb)
        _, status = os.waitpid(child(lambda n=n: (die_at(n + 1, unused), VICTIMS[verb](unused))), 0)  # type: ignore[misc]
        if status == 0:
            return n
        n += 1


def kill_all(location: str, folder: str, runs: int, chosen: dict[str, list[int]] | None) -> None:
    """Kill each verb at each of its points (or at the chosen ones), `runs` times; the result is a JSON file."""
    here = Path(folder)
    shop, unused, quiet = open_shop(location), open_shop(location), f"{location}/quiet"
    for _ in range(3):
        publish_one(shop)
        if not chosen:
            publish_one(open_shop(quiet))
    points = chosen or {verb: list(range(1, points_of(quiet, verb) + 1)) for verb in VICTIMS}
    readers = [here / f"reader{n}.json" for n in range(2)]
    others = [child(lambda f=file: read_forever(unused, f)) for file in readers]  # type: ignore[misc]
    for verb, pause_s in ((publish_one, 0.1), (operate, 0.3), (collect_all, 0.1)):
        others.append(child(lambda v=verb, p=pause_s: forever(unused, v, p)))  # type: ignore[misc]
    kills, met = 0, set()
    try:
        for run in range(runs):
            for verb in points:
                for point in points[verb]:
                    if kill_once(shop, unused, verb, point):
                        kills, met = kills + 1, met | {(verb, point)}
            time.sleep(0.3)
            lost = [pid for pid in others if os.waitpid(pid, os.WNOHANG) != (0, 0)]
            result = {
                "runs": run + 1,
                "points": {verb: len(at) for verb, at in points.items()},
                "points met": len(met),
                "kills": kills,
                "changes": read_whole(shop).seq,
                "died": len(lost),
                **_told([json.loads(file.read_text()) for file in readers]),
            }
            (here / "result.json").write_text(json.dumps(result))
    finally:
        for pid in others:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _told(told: list[dict[str, Any]]) -> dict[str, Any]:
    """What the readers say: how often they read, all that was wrong, and whether they saw the same changes."""
    both = told[0]["changes"].keys() & told[1]["changes"].keys()
    forks = [f"change {seq} is two" for seq in both if told[0]["changes"][seq] != told[1]["changes"][seq]]
    return {"reads": sum(t["reads"] for t in told), "wrong": [w for t in told for w in t["wrong"]] + forks}


def kill_once(shop: Store, unused: Store, verb: str, point: int) -> bool:
    """Whether somebody died there; others may have left it less to do, so it is tried again."""
    for _ in range(20):
        prepare(shop, verb)

        def work() -> None:
            with suppress(ReleaseError, StoreError):
                die_at(point, unused)
                VICTIMS[verb](unused)

        _, status = os.waitpid(child(work), 0)
        if os.WIFSIGNALED(status):
            return True
    return False
