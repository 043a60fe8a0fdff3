"""Neighbours among 100,000 trained vectors: our index beside the one autofaiss makes with all its defaults.

The vectors are mini's, of drawn products: 25,000 of them, each as four pictures (as drawn, mirrored, darker, nearer)
under four wordings, fused as `build` fuses them. Asked are pictures and titles of products that are not among them.

autofaiss wants older libraries than ours and is never installed into our environment: `PEER` is a Python that has it.
"""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np

if __name__ != "__main__":  # in the peer's Python there is neither a use for it nor its surroundings
    from beside import Benchmark, Goal

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / ".bench"
PEER = Path(os.environ.get("PLURIBUS_AUTOFAISS", KEPT / "autofaiss" / "bin" / "python"))
ITEMS, ASKED, K, SIDE = 25_000, 1_000, 10, 64
PACKAGES = ("autofaiss==2.18.0", "pyarrow<22", "numpy<2", "setuptools<81")


def write(folder: Path) -> None:
    """Vectors and queries, computed once for all runs, and the peer's environment."""
    if not PEER.exists():
        uv = ROOT / ".venv" / "bin" / "uv"
        subprocess.run([uv, "venv", "--quiet", PEER.parents[1]], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", PEER, *PACKAGES], check=True)
    kept = KEPT / f"drawn-{4 * ITEMS}.npz"
    if not kept.exists():
        KEPT.mkdir(exist_ok=True)
        np.savez(kept, **_drawn())
    made = np.load(kept)
    (folder / "embeddings").mkdir()
    np.save(folder / "embeddings" / "0.npy", made["vectors"].astype(np.float32))
    for name in ("picture", "text"):
        np.save(folder / f"{name}.npy", made[name].astype(np.float32))


def _drawn() -> dict[str, np.ndarray]:
    """Products' fused vectors [100,000, 192] fp16; pictures and titles of others [1,000, 192]."""
    from pluribus import build, models, render, settings
    from pluribus.records import Fusion
    from pluribus.store import open_store

    store = open_store(str(KEPT / "store"))
    encoder = models.load(store, models.register(store, settings._models(str(ROOT / "config/models"))["mini"]), "cpu")
    verticals = list(render.VERTICALS)
    of = lambda first, n: [render.sample(verticals[seed % 3], seed) for seed in range(first, first + n)]
    seen = lambda items: encoder.images(view for item in items for view in _views(np.asarray(render.draw(item, SIDE))))
    items, others = of(0, ITEMS), of(10**6, ASKED)
    said = [f"{render.caption(item, 'title', 4 * i + n)}. {render.caption(item, 'made of', 4 * i + n)}"
            for i, item in enumerate(items) for n in range(4)]  # fmt: skip
    both = np.ones(len(said), bool)
    return {
        "vectors": build.fuse(seen(items), both, encoder.texts(said), both, Fusion()),
        "picture": encoder.images(np.asarray(render.draw(item, SIDE)) for item in others),
        "text": encoder.texts([render.caption(item, "title", i) for i, item in enumerate(others)]),
    }


def _views(picture: np.ndarray) -> list[np.ndarray]:
    rim = SIDE // 12
    return [picture, picture[:, ::-1], (picture * 0.7).astype(np.uint8), picture[rim:-rim, rim:-rim]]


def ours(folder: Path) -> dict[str, Any]:
    """Build with the recall promised, write, open as a search opens it, ask one query after the other."""
    from pluribus import indexes
    from pluribus.records import Index

    vectors = np.load(folder / "embeddings" / "0.npy").astype(np.float16)
    asked = {name: np.load(folder / f"{name}.npy") for name in ("picture", "text")}
    began = time.process_time()
    made = indexes.build(Index(), vectors, queries={name: rows[:500] for name, rows in asked.items()})
    (folder / "ours.faiss").write_bytes(made.data)
    build_s = time.process_time() - began
    index = indexes.load(folder / "ours.faiss", width=vectors.shape[1], n=len(vectors))
    one = lambda query: indexes.search(index, query, K)[1]
    return _asked(folder / "ours.faiss", one, vectors, asked, build_s) | {"kind": made.kind, "settings": made.settings}


def theirs(folder: Path) -> dict[str, Any]:
    """In the peer's Python: `build_index` with its defaults, the same queries."""
    done = subprocess.run([PEER, __file__, str(folder)], stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _theirs(folder: Path) -> dict[str, Any]:
    import faiss
    from autofaiss import build_index

    faiss.omp_set_num_threads(1)
    vectors = np.load(folder / "embeddings" / "0.npy")
    asked = {name: np.load(folder / f"{name}.npy") for name in ("picture", "text")}
    began, path = time.process_time(), folder / "theirs.index"
    index, told = build_index(str(folder / "embeddings"), str(path), str(folder / "told.json"), nb_cores=1, verbose=40)
    build_s = time.process_time() - began
    found = _asked(path, lambda query: index.search(query, K)[1], vectors, asked, build_s)
    return found | {"kind": told["index_key"], "settings": told["index_param"]}


def _asked(path: Path, one: Any, vectors: np.ndarray, asked: dict[str, np.ndarray], build_s: float) -> dict[str, Any]:
    """Recall@10 of both kinds of queries (equal scores are equally right), CPU-ms a query, bytes a vector."""
    exact, found, times = vectors.astype(np.float32), {}, []
    for name, queries in asked.items():
        began = time.process_time()
        places = np.concatenate([one(query[None]) for query in queries])
        times.append((time.process_time() - began) / len(queries) * 1000)
        least = np.sort(queries @ exact.T, axis=1)[:, -K]
        scores = np.einsum("mkd,md->mk", exact[places], queries)
        found[f"recall@10, {name}"] = round(float(np.mean((scores >= least[:, None] - 1e-4) & (places >= 0))), 4)
    found |= {"CPU-ms a query": sum(times) / len(times), "bytes a vector": path.stat().st_size / len(exact)}
    return {"CPU-s": build_s, **found}


AUTOFAISS = "autofaiss' defaults"
BENCHMARKS = {} if __name__ == "__main__" else {
    "neighbours": Benchmark(
        "100,000 vectors of drawn products under mini: the index", write, ours, {AUTOFAISS: theirs},
        (Goal("recall@10, picture", least=0.95), Goal("recall@10, text", least=0.95),
         Goal("CPU-ms a query", AUTOFAISS, most=1 / 20), Goal("CPU-s", AUTOFAISS, most=0.5),
         Goal("bytes a vector", AUTOFAISS, most=0.55)),
    )
}  # fmt: skip


if __name__ == "__main__":
    import sys

    print(json.dumps(_theirs(Path(sys.argv[1]))))
