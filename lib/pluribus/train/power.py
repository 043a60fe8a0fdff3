"""Power of the GPUs while they train, where the driver tells it."""

import os
import shutil
import subprocess
import threading
import time
from typing import Self

from pluribus import costs

EVERY_S = 2.0


class Meter:
    """Reads the GPUs' power while its block runs; `watts` is the mean of all of them together, None where unknown."""

    def __init__(self) -> None:
        self.samples: list[tuple[float, float]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        if shutil.which("nvidia-smi"):
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread.ident:
            self._thread.join()

    @property
    def watts(self) -> float | None:
        return costs.mean_watts(self.samples)

    def _read(self) -> None:
        while True:
            watts = _draw()
            if watts is None:
                return
            self.samples.append((time.monotonic(), watts))
            if self._over.wait(EVERY_S):
                return


def _draw() -> float | None:
    """What the GPUs of this process draw now."""
    command = ["nvidia-smi", "--query-gpu=power.draw", "--format=csv,noheader,nounits"]
    if os.environ.get("CUDA_VISIBLE_DEVICES"):
        command += ["-i", os.environ["CUDA_VISIBLE_DEVICES"]]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout  # noqa: S603
        return sum(float(line) for line in said.split())
    except (OSError, subprocess.SubprocessError, ValueError):  # "[N/A]" on some boards
        return None
