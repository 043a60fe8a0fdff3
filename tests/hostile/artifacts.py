"""Configuration, weights, indexes and manifests: what would be trusted if its bytes were not looked at first."""

import hashlib
import json
import pickle
import struct
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hostile.case import Case, outcome_of
from pluribus import indexes, manifests, models, releases, settings
from pluribus.manifests import Current, Manifest
from pluribus.records import Index, Model
from pluribus.store import Store, open_store

NOW = datetime(2026, 1, 1, tzinfo=UTC).isoformat()

# ----------------------------------------------------------------------------------------------------- configuration


def configured(folder: Path, *, text: str = "", name: str = "shop.toml", main: str = "") -> str:
    """What a configuration with this shop file comes to."""
    for part in ("models", "shops", "expectations"):
        (folder / part).mkdir()
    (folder / "pluribus.toml").write_text(f'store = "store"\nmodels = "models"\nshops = "shops"\n{main}')
    (folder / "models" / "mini.toml").write_text(
        'weights = "w"\nsha256 = ""\nwidth = 8\nlicence = "x"\narchitecture = "x"\n'
    )
    (folder / "shops" / name).write_text(text)
    return outcome_of(lambda: ",".join(settings.load(str(folder), env={}).shops))


def config(name: str, outcome: str, **how: str) -> Case:
    return Case(f"config: {name}", partial(configured, **how), f"rejected ConfigError: .*(?:{outcome}).*")


CONFIG = [
    config("YAML object tag", "valid TOML", text="!!python/object/apply:os.system ['id']"),
    config("a NUL in a title", "valid TOML", text="title = '\0'"),
    config("shop name with a slash", "shop name 'A/b'", text='name = "A/b"'),
    config("shop name that climbs", "shop name '../x'", text='name = "../x"'),
    config("shop name with a line break", "shop name", text='name = "a\\nb"'),
    config("shop name of 64 letters", "shop name", text=f'name = "{"a" * 64}"'),
    config("shop name that is no text", "shop name", text="name = [1]"),
    config("limits below 0", "limits.quarantine = -1", text="[limits]\nquarantine = -1"),
    config("rows below 1", "limits.rows = -1", text="[limits]\nrows = -1"),
    config("a share of NaN", "limits.shrink = nan", text="[limits]\nshrink = nan"),
    config("a number of infinity", "every_hours = inf", text="every_hours = inf"),
    config("an unknown key", "unknown key 'limit'", text="[limit]\nrows = 1"),
    config("a table where a text belongs", "title", text="[title]\nx = 1"),
    config("a text where a table belongs", "limits", text='limits = "x"'),
    config("10,000 tables deep", "valid TOML", text="limits = " + "{a=" * 10_000 + "1" + "}" * 10_000),
    config("a variable that is not set", "SECRET is not set", main='data_root = "$SECRET/x"'),
]  # fmt: skip

# ----------------------------------------------------------------------------------------------------------- weights


class Trap:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def weighed(make: Callable[[Path], bytes], folder: Path) -> str:
    """What `models.register` makes of a weight file."""
    (folder / "w.safetensors").write_bytes(make(folder))
    mini = {"embed_dim": 8, "vision_cfg": {}, "text_cfg": {}}
    model = Model(name="m", weights=str(folder / "w.safetensors"), sha256="", width=8, licence="", architecture=mini)
    outcome = outcome_of(lambda: models.register(open_store(str(folder / "store")), model))
    return outcome + (" and it ran" if (folder / "mark").exists() else "")


WEIGHTS = [
    Case(f"weights: {name}", partial(weighed, make), "rejected ModelError: .*no safetensors file.*convert it.*it")
    for name, make in {
        "a pickle named .safetensors": lambda folder: pickle.dumps(Trap(folder / "mark")),
        "a header of 2^63 bytes": lambda _: struct.pack("<Q", 2**63) + b"{}",
        "a header of 100 MB and nothing": lambda _: struct.pack("<Q", 10**8),
        "offsets beyond the end": lambda _: _tensors(
            {"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}
        ),
        "overlapping tensors": lambda _: _tensors(
            {n: {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]} for n in "ab"}
        ),
        "a header nested 10,000 deep": lambda _: struct.pack("<Q", 20_000) + b"[" * 20_000,
        "nothing": lambda _: b"",
    }.items()
]


def _tensors(header: dict[str, Any]) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"abcd"


# ---------------------------------------------------------------------------------------------------------- releases


def published(folder: Path) -> tuple[Store, Manifest, Current]:
    """A small release with an index, live."""
    store = open_store(str(folder / "store")).within("shops/ours")
    vectors = np.eye(8, dtype=np.float32)
    built = indexes.build(Index(kind="exact"), vectors, queries={})
    files = {"index.faiss": releases.add(store, release="r1", name="index.faiss", data=built.data)}
    manifest = Manifest(shop="ours", release="r1", asof=NOW, input_key="0" * 64, created=NOW, files=files, facts={})
    data = manifests.encode(manifest)
    current = Current(
        shop="ours", seq=7, nonce="0" * 32, release="r1", manifest_sha256=hashlib.sha256(data).hexdigest(),
        asof=NOW, input_key="0" * 64, why="test", at=NOW, hold=False,
    )  # fmt: skip
    store.create("releases/r1/_MANIFEST.json", data)
    store.create("CURRENT", manifests.encode(current))
    return store, manifest, current


def opened(spoil: Callable[[Path, Manifest, Current], None], folder: Path, *, least_seq: int = 0) -> str:
    """What a reader makes of a release of which something was changed behind its back."""
    store, manifest, current = published(folder)
    spoil(folder / "store" / "shops" / "ours", manifest, current)

    def read() -> str:
        release = releases.open_release(store, shop="ours", least_seq=least_seq)
        index = indexes.load(release.path("index.faiss"), width=8, n=8)
        return f"{index.ntotal} vectors"

    return outcome_of(read)


def _change(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path, Manifest, Current], None]:
    def spoil(root: Path, *_: object) -> None:
        path = root / name
        path.chmod(0o600)
        path.write_bytes(change(path.read_bytes()))

    return spoil


def _manifest(root: Path, manifest: Manifest, current: Current, **other: Any) -> None:
    """Another manifest, to which CURRENT points with a right digest."""
    raw = json.loads(manifests.encode(manifest)) | other
    data = json.dumps(raw).encode()
    _change("releases/r1/_MANIFEST.json", lambda _: data)(root)  # type: ignore[call-arg]
    digest = hashlib.sha256(data).hexdigest()
    _change("CURRENT", lambda _: manifests.encode(replace(current, manifest_sha256=digest)))(root)  # type: ignore[call-arg]


def _current(root: Path, manifest: Manifest, current: Current) -> None:
    _change("CURRENT", lambda _: manifests.encode(replace(current, shop="else")))(root)  # type: ignore[call-arg]


def _flip(data: bytes) -> bytes:
    return data[:100] + bytes([data[100] ^ 1]) + data[101:]


def release(name: str, spoil: Callable[..., None], says: str, **how: Any) -> Case:
    return Case(f"release: {name}", partial(opened, spoil, **how), f"rejected ReleaseError: .*(?:{says}).*")


ELSEWHERE = {"../../other/releases/x": {"sha256": "0" * 64, "size_bytes": 1}}
INDEX, CURRENT, MANIFEST = "releases/r1/index.faiss", "CURRENT", "releases/r1/_MANIFEST.json"
RELEASES = [
    Case("release: a sound one", partial(opened, lambda *_: None), "accepted 8 vectors"),
    release("index with a bit flipped", _change(INDEX, _flip), "index.faiss .* is damaged"),
    release("index cut", _change(INDEX, lambda data: data[:-1]), "is damaged"),
    release("index gone", lambda root, *_: (root / INDEX).unlink(), "has lost its index.faiss"),
    release("manifest of another shop", partial(_manifest, shop="other"), "is of shop 'other'"),
    release("manifest of another release", partial(_manifest, release="r2"), "is of release 'r2'"),
    release("manifest whose files lie elsewhere", partial(_manifest, files=ELSEWHERE), "is damaged"),
    release("manifest of another format", partial(_manifest, format=2), "is damaged"),
    release("manifest with a member too many", partial(_manifest, more=1), "is damaged"),
    release("manifest with a bit flipped", _change(MANIFEST, _flip), "is damaged|is of manifest sha256"),
    release("manifest of 100,000 lists", _change(MANIFEST, lambda _: b"[" * 100_000), "is damaged"),
    release("manifest of 5 MB", _change(MANIFEST, lambda data: data + b" " * 5_000_000), "more than 4,194,304"),
    release("CURRENT cut", _change(CURRENT, lambda data: data[:-20]), "CURRENT is damaged"),
    release("CURRENT empty", _change(CURRENT, lambda _: b""), "CURRENT is damaged"),
    release("CURRENT of another shop", _current, "is of shop 'else'"),
    release("CURRENT whose release climbs", _change(CURRENT, lambda data: data.replace(b'"r1"', b'"../r1"')),
            "CURRENT is damaged"),
    release("CURRENT whose seq is NaN", _change(CURRENT, lambda data: data.replace(b'"seq": 7', b'"seq": NaN')),
            "CURRENT is damaged"),
    release("CURRENT whose seq is true", _change(CURRENT, lambda data: data.replace(b'"seq": 7', b'"seq": true')),
            "CURRENT is damaged"),
    release("CURRENT of 70 kB", _change(CURRENT, lambda data: data + b" " * 70_000), "CURRENT is damaged"),
    release("seq going back", lambda *_: None, "went back to change 7", least_seq=8),
]  # fmt: skip


def huge(folder: Path) -> str:
    """An index that says to hold 2^40 vectors, past the digest: the last wall."""
    built = indexes.build(Index(kind="exact"), np.eye(8, dtype=np.float32), queries={})
    path = folder / "index.faiss"
    path.write_bytes(built.data.replace(struct.pack("<q", 8), struct.pack("<q", 2**40)))
    return outcome_of(lambda: str(indexes.load(path, width=8, n=8)))


INDEXES = [Case("index: 2^40 vectors", huge, "rejected ReleaseError: .*(not a faiss index|vectors of).*")]
CASES = [*CONFIG, *WEIGHTS, *RELEASES, *INDEXES]
