"""A training as a folder and a process of its own: started, killed and started again, alone or by torchrun.

errand.json        the start model, how to train, and of each source its share
squares-0.npy …    its pictures, mapped into memory, never read whole
captions-0.json …
checkpoint.pt      where it stands
log.jsonl          every step: loss, what chance would have lost, seconds; one `session` a start
weights.safetensors, result.json      what came of it

python -m pluribus.train.errands FOLDER          torchrun --nproc-per-node 4 -m pluribus.train.errands FOLDER
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pluribus.errors import ModelError, PluribusError
from pluribus.models import towers_torch
from pluribus.records import Model
from pluribus.train import Pairs, Progress, fit
from pluribus.train.power import Meter

ERRAND, LOG, WEIGHTS, RESULT = "errand.json", "log.jsonl", "weights.safetensors", "result.json"


@contextmanager
def place(rows: pa.Table, fingerprint: str, how: Mapping[str, Any]) -> Iterator[Path]:
    """The folder of a training on this machine, named by all it is a function of: a second start finds the first.

    It is one process's at a time: the same training, started twice, waits for itself. It is deleted after a training
    that came to its end.
    """
    digest = hashlib.sha256(json.dumps([fingerprint, how], sort_keys=True).encode())
    for row in rows.to_pylist():
        digest.update(json.dumps(row, sort_keys=True).encode())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pluribus"
    folder, mine = (cache / kind / digest.hexdigest()[:16] for kind in ("trainings", "locks"))
    for there in (folder, mine):
        there.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with mine.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder.mkdir(exist_ok=True, mode=0o700)
        yield folder
        shutil.rmtree(folder)


def write(folder: Path, model: Model, sources: Sequence[Pairs], *, tokenizer: Path | None = None, **how: Any) -> None:
    """Lay out a training in `folder`; `how` are the arguments of `fit`. What was begun there goes on."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for i, pairs in enumerate(sources):
        np.save(folder / f"squares-{i}.npy", pairs.squares)
        (folder / f"captions-{i}.json").write_text(json.dumps([list(said) for said in pairs.captions]))
        lines.append({"share": pairs.share, "vary": pairs.vary, "recolour": pairs.recolour,
                      "generated": pairs.generated})  # fmt: skip
    text = {"model": asdict(model), "sources": lines, "how": how, "tokenizer": str(tokenizer or "")}
    part = folder / f"{ERRAND}.part"
    part.write_text(json.dumps(text))
    part.replace(folder / ERRAND)  # last, and whole: where it is, the rest is


def run(folder: Path, processes: int = 1) -> dict[str, Any]:
    """Train what lies in `folder` in processes of their own, one a GPU; returns result.json. Raises ModelError."""
    command = [sys.executable, "-m"]
    if processes > 1:
        command += ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m"]
    command += ["pluribus.train.errands", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own module
    said = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    if done.returncode:
        tail = " ".join(done.stderr.split())[-300:]
        raise ModelError(said[0].removeprefix("error: ") if said else f"the training died: {tail}")
    result: dict[str, Any] = json.loads((folder / RESULT).read_text())
    return result


def work(folder: Path) -> None:
    """What each process does."""
    import torch

    errand = json.loads((folder / ERRAND).read_text())
    model = Model(**errand["model"])
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"
    if world > 1:
        torch.distributed.init_process_group("nccl" if device != "cpu" else "gloo")
    encoder = towers_torch.read(model, device, tokenizer=Path(errand["tokenizer"]) if errand["tokenizer"] else None)
    sources = [_pairs(folder, i, line) for i, line in enumerate(errand["sources"])]
    told = folder / LOG if rank == 0 else Path(os.devnull)
    with told.open("a", buffering=1) as log, Meter() as meter:
        started, session = time.monotonic(), uuid.uuid4().hex

        def note(progress: Progress) -> None:
            line = asdict(progress) | {"seconds": time.monotonic() - started, "session": session}
            log.write(json.dumps(line) + "\n")

        steps = fit(encoder, sources, checkpoint=folder / "checkpoint.pt", report=note, **errand["how"])
    if rank == 0:
        digest = towers_torch.save(encoder, folder / WEIGHTS, recipe=json.dumps(errand["how"]))
        facts = {"steps": steps, "sha256": digest, "watts": meter.watts, "processes": world, "device": device}
        (folder / RESULT).write_text(json.dumps(_summed_up(folder) | facts))
    if world > 1:
        torch.distributed.destroy_process_group()


def _pairs(folder: Path, i: int, line: Mapping[str, Any]) -> Pairs:
    squares = np.load(folder / f"squares-{i}.npy", mmap_mode="r")
    return Pairs(squares, json.loads((folder / f"captions-{i}.json").read_text()), **line)


def _summed_up(folder: Path) -> dict[str, Any]:
    """Minutes of all sessions, steps repeated after a kill included; loss over the last tenth of the steps."""
    lines = list(_readable((folder / LOG).read_text().splitlines()))
    seconds = {line["session"]: line["seconds"] for line in lines}
    last = {line["step"]: line for line in lines}
    tail = [last[step] for step in sorted(last)][-max(1, len(last) // 10) :]
    mean = {name: float(np.mean([line[name] for line in tail])) for name in ("loss", "chance")}
    return mean | {"minutes": sum(seconds.values()) / 60}


def _readable(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """A kill may tear a line."""
    for line in lines:
        with suppress(ValueError):
            yield json.loads(line)


if __name__ == "__main__":
    try:
        work(Path(sys.argv[1]))
    except PluribusError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(1)
