"""Deploy: the flow as Argo Workflows, Step Functions or Airflow will run it, and a check of what Metaflow wrote.

Nothing home-made runs on a cluster: Metaflow compiles the same flow. `decorations` lays the machines, the schedule and
the event of the configuration over it, at compile time; on a laptop it does nothing. Shops are no part of a
definition: it stays the same size for three shops and for five thousand, and is deployed once, not for each shop.
Airflow has a flow of its own, with the same stages in fewer steps: Metaflow lets one step alone stand there between a
split and its join.

    definitions   what a definition holds, in each engine's words
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pluribus.deploy.definitions import Definition, Engine, content
from pluribus.errors import ConfigError, RunError
from pluribus.fleet import STEPS, Deploy, Machine
from pluribus.schedules import eventbridge

SECRET = re.compile(r"AKIA[0-9A-Z]{16}|aws_secret_access_key|AWS_SESSION_TOKEN|-----BEGIN", re.IGNORECASE)
PARAMETERS = ("shops", "config", "model", "store")
RETRIES = 2  # of @retry on every step that takes shops
ALONE = ("start", "join", "end")  # steps that take none


@dataclass(frozen=True)
class Target:
    """How Metaflow compiles for an engine."""

    flow: str  # its file
    verb: str
    suffix: str
    most_bytes: int  # of a definition
    steps: Mapping[str, tuple[str, ...]]  # of that flow, with the steps of the configuration that each stands for


_EACH = {step: (step,) for step in STEPS}
_TOGETHER = {
    "start": ("start",), "prepare": ("ingest", "validate"), "prepared": ("join",), "to_embed": ("join",),
    "embed": ("embed",), "embedded": ("join",), "to_release": ("join",),
    "release": ("build", "evaluate", "publish"), "join": ("join",), "end": ("end",),
}  # fmt: skip
TARGETS: dict[Engine, Target] = {
    "argo": Target("refresh.py", "argo-workflows", ".json", 1_500_000, _EACH),  # an object in etcd
    "step-functions": Target("refresh.py", "step-functions", ".json", 1_048_576, _EACH),  # a state machine
    "airflow": Target("refresh_airflow.py", "airflow", ".py", 1_048_576, _TOGETHER),  # ours: parsed every 30 s
}


def machine(deploy: Deploy, engine: Engine, step: str) -> Machine:
    """What a step asks of an engine: the most of what its stages ask for, and the time of all."""
    asked = [deploy.machine(stage) for stage in TARGETS[engine].steps[step]]
    most = {name: max(getattr(one, name) for one in asked) for name in ("cpu", "memory_mb", "gpu", "disk_mb")}
    return Machine(**most, hours=sum(one.hours for one in asked))


def decorations(deploy: Deploy, engine: Engine) -> dict[str, Any]:
    """What is laid over the flow: plain values, which travel inside the code package. Raises ConfigError."""
    schedule = deploy.schedule
    if schedule and engine == "step-functions":
        try:
            schedule = eventbridge(schedule)
        except ValueError as error:
            raise ConfigError(f"deploy.schedule = {schedule!r}", expected=str(error)) from None
    steps = {name: asdict(machine(deploy, engine, name)) for name in TARGETS[engine].steps}
    event = deploy.event if engine == "argo" else ""  # only Argo has event sensors that Metaflow can write
    told = {"engine": engine, "schedule": schedule, "event": event, "steps": steps}
    return told | {"image": deploy.image, "secrets": list(deploy.secrets)}


def flow_decorators(told: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The decorators of the flow that a deployment asks for."""
    if told and told["schedule"]:
        yield "schedule", {"cron": told["schedule"]}
    if told and told["event"]:
        yield "trigger", {"event": {"name": told["event"], "parameters": {"shops": "shop"}}}


def step_decorators(told: Mapping[str, Any], step: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The decorators of a step that a deployment asks for; the engine turns @resources into its own words."""
    if not told:
        return
    asked = told["steps"][step]
    yield (
        "resources",
        {"cpu": asked["cpu"], "memory": asked["memory_mb"], "disk": asked["disk_mb"], "gpu": asked["gpu"]},
    )
    yield "timeout", {"seconds": int(3600 * asked["hours"])}
    threads = {name: str(asked["cpu"]) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    yield "environment", {"vars": threads}  # a container sees the cores of its node, and may use its own share alone
    if told["engine"] == "step-functions":
        yield "batch", {"image": told["image"]} if told["image"] else {}
    else:
        yield "kubernetes", {"image": told["image"] or None, "secrets": told["secrets"] or None}


@dataclass(frozen=True, kw_only=True)
class Compiler:
    """Metaflow, told of a configuration. Raises ConfigError where a cluster's steps could not read that.

    It puts the code package into its S3 datastore (METAFLOW_DATASTORE_SYSROOT_S3).
    """

    flows: Path
    deploy: Deploy
    config: str
    store: str
    env: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def __post_init__(self) -> None:
        if not self.config.startswith("s3://") or not self.store.startswith("s3://"):
            raise ConfigError(
                f"configuration {self.config}, store {self.store}",
                expected="both at s3://…, where every step can read them",
                do="copy the folder (aws s3 sync config s3://bucket/config), pass --config s3://…",
            )
        if not self.env.get("METAFLOW_DATASTORE_SYSROOT_S3"):
            raise ConfigError("METAFLOW_DATASTORE_SYSROOT_S3 is not set", expected="s3://bucket/metaflow", do="set it")

    def definition(self, engine: Engine) -> Definition:
        """The flow as the engine will run it; the engine is not asked. Raises RunError."""
        with tempfile.TemporaryDirectory(prefix="pluribus-") as folder:
            if engine == "airflow":
                self._metaflow(engine, "dag.py", cwd=folder)
                return Definition(engine, (Path(folder) / "dag.py").read_text())
            said = self._metaflow(engine, "--only-json", cwd=folder)
            return Definition(engine, said[said.index("{") :])

    def create(self, engine: Engine) -> None:
        """Hand the flow, its schedule and its event to the engine. Raises ConfigError and RunError."""
        if engine == "airflow":
            raise ConfigError("Airflow is handed nothing", do="copy the file into the folder of its DAGs")
        with tempfile.TemporaryDirectory(prefix="pluribus-") as folder:
            self._metaflow(engine, cwd=folder)

    def _metaflow(self, engine: Engine, *arguments: str, cwd: str) -> str:
        target, laid_over = TARGETS[engine], json.dumps(decorations(self.deploy, engine))
        command = [sys.executable, "-W", "ignore", str(self.flows / target.flow), "--no-pylint", "--quiet"]
        command += ["--datastore", "s3", "--config-value", "deployment", laid_over, target.verb, "create", *arguments]
        baked = {
            "PLURIBUS_SHOPS": "due",
            "PLURIBUS_CONFIG": self.config,
            "PLURIBUS_STORE": self.store,
            "METAFLOW_DEFAULT_METADATA": self.env.get("METAFLOW_DEFAULT_METADATA", "local"),
        }
        env = {**self.env, **baked}
        done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=cwd, check=False)  # noqa: S603 - ours
        if done.returncode:
            why = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
            raise RunError(f"Metaflow cannot compile for {engine}: {' '.join(why[-3:])[-600:]}")
        return done.stdout


def problems(found: Definition, deploy: Deploy) -> list[str]:
    """What is wrong with a definition, one sentence each: steps, GPUs, retries, schedule, parameters, secrets, size."""
    target, held = TARGETS[found.engine], content(found)
    wrong = [f"step {name} is missing" for name in target.steps if name not in held.steps]
    wrong += [f"step {name} is none of the flow" for name in held.steps if name not in target.steps]
    for name in set(target.steps) & set(held.steps):
        step, wanted = held.steps[name], machine(deploy, found.engine, name)
        if step.gpu != wanted.gpu:
            wrong.append(f"step {name} asks for {step.gpu} GPUs, {wanted.gpu} are configured")
        if step.memory_mb != wanted.memory_mb:
            wrong.append(f"step {name} asks for {step.memory_mb} MB, {wanted.memory_mb} are configured")
        retries = 0 if set(target.steps[name]) <= set(ALONE) else RETRIES
        if step.retries != retries:
            wrong.append(f"step {name} is retried {step.retries} times, not {retries}")
    if held.schedule is not None and held.schedule != deploy.schedule:
        wrong.append(f"the schedule {deploy.schedule!r} is not in it")
    if found.engine == "argo" and deploy.event and deploy.event not in found.text:
        wrong.append(f"the event {deploy.event!r} is not in it")
    wrong += [f"parameter {name} is not in it" for name in PARAMETERS if name not in held.parameters]
    wrong += [f"it holds a secret: {match[:6]}…" for match in SECRET.findall(found.text)]
    size_bytes = len(found.text.encode())
    if size_bytes > target.most_bytes:
        wrong.append(f"it is {size_bytes:,} bytes, {found.engine} takes {target.most_bytes:,}")
    return wrong
