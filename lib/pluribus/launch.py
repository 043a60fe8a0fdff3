"""Launch: start a flow as Metaflow wants it, and show people only what the steps say.

Metaflow prefixes each line with time, task and process; with `debug` all of it is shown.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pluribus.errors import ConfigError, RunError
from pluribus.jobs import SAID
from pluribus.store import Store

LINE = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ \[(?P<task>\d+/(?P<step>\w+)/\S+) \(pid \d+\)\] (?P<said>.*)$")
REPORT = re.compile(r"report \w+/\S+\.json")
RAISED = re.compile(r"[\w.]*(Error|Exception|Interrupt|Exit)\b")  # the last line of a traceback


def run(
    flow: Path,
    arguments: Mapping[str, str],
    *,
    workers: int,
    store: Store,
    resume: str = "",
    debug: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Run (or resume) the flow in a child process and return its report. Raises RunError when there is none.

    The child runs in the folder of Metaflow's local datastore: cards go to the nearest .metaflow upwards of there.
    """
    if not flow.is_file():
        raise ConfigError(f"no flow at {flow}", expected="pluribus installed from a checkout (make install)")
    if resume and not _begun(flow, resume):
        raise ConfigError(
            f"no run {resume!r} in {datastore(flow) / '.metaflow'}", expected="a run's id, said as it starts"
        )
    command = [sys.executable, "-u", str(flow), "--no-pylint"]
    if resume:
        command += ["resume", "--origin-run-id", resume]
    else:
        command += ["run", *(part for name, value in arguments.items() for part in (f"--{name}", value))]
    command += ["--max-workers", str(workers)]
    root = datastore(flow)
    root.mkdir(parents=True, exist_ok=True)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    usual = {"PYTHONWARNINGS": "ignore", "OPENBLAS_NUM_THREADS": str(max(1, cores // workers))}
    env = usual | os.environ | {"METAFLOW_DATASTORE_SYSROOT_LOCAL": str(root)}
    errors: list[str] = []
    key = raised = ""
    with subprocess.Popen(  # noqa: S603 - our own flow
        command, env=env, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            match = LINE.match(line)
            said = match["said"].rstrip() if match else ""
            if said.startswith("error: "):
                errors.append(said.removeprefix("error: "))
            elif REPORT.fullmatch(said):
                key = said.removeprefix("report ")
            elif RAISED.match(said):
                raised = said
            if debug:
                print(line.rstrip(), flush=True)  # noqa: T201 - the run's log
            elif said.startswith(SAID) and not quiet:
                print(said.removeprefix(SAID), flush=True)  # noqa: T201 - the run's progress
    if key:
        report: dict[str, Any] = json.loads(store.get(key))
        return report
    raise RunError(
        errors[-1] if errors else f"the flow ended with exit code {child.returncode}: {raised or 'it said nothing'}",
        do="" if errors else "run it again with --debug",
    )


def datastore(flow: Path) -> Path:
    """The folder that holds Metaflow's local datastore: beside the flow's folder, unless Metaflow was told."""
    return Path(os.environ.get("METAFLOW_DATASTORE_SYSROOT_LOCAL", str(flow.parents[1]))).absolute()


def _begun(flow: Path, run: str) -> bool:
    """Whether there is such a run; of those that Metaflow keeps elsewhere Metaflow itself will say."""
    from metaflow.metaflow_config import DEFAULT_DATASTORE

    return DEFAULT_DATASTORE != "local" or (datastore(flow) / ".metaflow" / FLOWS[flow.stem] / run).is_dir()


#: What Metaflow calls the flow in each file of flows/.
FLOWS = {"refresh": "RefreshFlow", "finetune": "FineTuneFlow", "benchmark": "BenchmarkFlow"}


def cards(root: Path, run: str, flow: str = "RefreshFlow") -> list[tuple[str, Path]]:
    """The cards of a run in Metaflow's local datastore: (step, HTML file)."""
    steps = root / ".metaflow" / "mf.cards" / flow / "runs" / run / "steps"
    return [
        (file.parts[-5], file) for file in sorted(steps.glob("*/tasks/*/cards/*.html"), key=lambda f: f.stat().st_mtime)
    ]
