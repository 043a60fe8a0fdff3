"""Small fleets of demo shops to run pluribus on, as users run it: real processes, a folder store or an S3 server."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pluribus import demo, releases
from pluribus.store import open_store

ROOT = Path(__file__).parents[1]


@dataclass
class Fleet:
    """A configuration of small demo shops, and what running pluribus on it printed."""

    folder: Path
    store: str
    first: dict[str, dict[str, Any]] = field(default_factory=dict)
    last_run: str = ""
    runs: list[str] = field(default_factory=list)

    def run(self, *arguments: str, ok: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            "-c",
            "from pluribus.cli import main; main()",
            "--config",
            str(self.folder / "config"),
        ]
        metaflow = {"METAFLOW_DATASTORE_SYSROOT_LOCAL": str(self.folder)}
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, env=os.environ | metaflow | env)
        assert done.returncode == ok, done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr
        return done

    def refresh(self, *arguments: str, ok: int = 0, **env: str) -> dict[str, dict[str, Any]]:
        report = json.loads(self.run("refresh", "--json", *arguments, ok=ok, **env).stdout)
        self.last_run = report["run"]
        for job in report["jobs"]:
            if "accepted" in job["counts"]:
                assert job["counts"]["rows"] == job["counts"]["accepted"] + job["counts"]["quarantined"]
        return {job["shop"]: job for job in report["jobs"]}

    def live(self, shop: str) -> str:
        current = releases.current(open_store(self.store).within(f"shops/{shop}"), shop=shop)
        return current.release if current else ""


def fleet(folder: Path, store: str, shops: tuple[str, ...] = tuple(demo.DEMOS)) -> Fleet:
    """A configuration of demo shops of 40 products each."""
    demo.write_shops(folder / "data", n_products=40)
    config = folder / "config"
    (config / "shops").mkdir(parents=True)
    for file in [ROOT / "config" / "shops" / f"{shop}.toml" for shop in shops]:
        (config / "shops" / file.name).write_text(file.read_text() + "\n[limits]\nquarantine = 0.5\n")
    (config / "pluribus.toml").write_text(
        f'store = "{store}"\ndata_root = "../data"\n'
        f'models = "{ROOT}/config/models"\nexpectations = "{ROOT}/expectations"\n'
    )
    return Fleet(folder, store)
