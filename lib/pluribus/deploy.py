"""Deploy: the flow as Argo Workflows or Step Functions will run it, and a check of what Metaflow wrote.

Nothing home-made runs on a cluster: Metaflow compiles the same flow. `deployed` lays the machines, the schedule and
the event of the configuration over it, at compile time; on a laptop it does nothing. Shops are no part of a
definition: it stays the same size for three shops and for five thousand, and is deployed once, not for each shop.
Airflow is not among the engines: Metaflow 2.19 compiles a foreach for it only where one step stands between split and
join ("needs to have an immediate join step"), and ours has six.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pluribus.errors import ConfigError, RunError
from pluribus.fleet import Deploy

Engine = Literal["argo", "step-functions"]
ENGINES: tuple[Engine, ...] = ("argo", "step-functions")
STEPS = ("start", "ingest", "validate", "embed", "build", "evaluate", "publish", "join", "end")
MOST_BYTES = {"argo": 1_500_000, "step-functions": 1_048_576}  # an object in etcd, a state machine's definition
SECRET = re.compile(r"AKIA[0-9A-Z]{16}|aws_secret_access_key|AWS_SESSION_TOKEN|-----BEGIN", re.IGNORECASE)
RETRIES = 2  # of @retry on every step that takes shops


@dataclass(frozen=True)
class Definition:
    """What Metaflow wrote for an engine."""

    engine: Engine
    text: str


def decorations(deploy: Deploy, engine: Engine) -> dict[str, Any]:
    """What `deployed` lays over the flow: plain values, which travel inside the code package."""
    steps = {name: asdict(deploy.machine(name)) for name in STEPS}
    event = deploy.event if engine == "argo" else ""  # only Argo has event sensors that Metaflow can write
    told = {"engine": engine, "schedule": deploy.schedule, "event": event, "steps": steps}
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
    if told["engine"] == "step-functions":
        yield "batch", {"image": told["image"]} if told["image"] else {}
    else:
        yield "kubernetes", {"image": told["image"] or None, "secrets": told["secrets"] or None}


def compiled(
    flow: Path, deploy: Deploy, *, engine: Engine, config: str, store: str, to: Path, env: Mapping[str, str] = {}
) -> Definition:
    """The definition of the flow for an engine, written to `to`. Raises ConfigError and RunError.

    Metaflow puts the code package into its S3 datastore (METAFLOW_DATASTORE_SYSROOT_S3) while it compiles.
    """
    if not config.startswith("s3://") or not store.startswith("s3://"):
        raise ConfigError(
            f"configuration {config}, store {store}", expected="both at s3://…, where every step can read them",
            do="copy the folder (aws s3 sync config s3://bucket/config), pass --config s3://…",
        )  # fmt: skip
    told = os.environ | env
    if not told.get("METAFLOW_DATASTORE_SYSROOT_S3"):
        raise ConfigError("METAFLOW_DATASTORE_SYSROOT_S3 is not set", expected="s3://bucket/metaflow", do="set it")
    verbs = {"argo": "argo-workflows", "step-functions": "step-functions"}
    command = [sys.executable, "-W", "ignore", str(flow), "--no-pylint", "--quiet", "--datastore", "s3"]
    command += [
        "--config-value",
        "deployment",
        json.dumps(decorations(deploy, engine)),
        verbs[engine],
        "create",
        "--only-json",
    ]
    baked = {
        "PLURIBUS_SHOPS": "due",
        "PLURIBUS_CONFIG": config,
        "PLURIBUS_STORE": store,
        "METAFLOW_DEFAULT_METADATA": "local",
    }
    done = subprocess.run(command, capture_output=True, text=True, env={**told, **baked}, check=False)  # noqa: S603 - our flow
    if done.returncode:
        why = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise RunError(f"Metaflow cannot compile for {engine}: {' '.join(why[-3:])[-600:]}")
    text = done.stdout[done.stdout.index("{") :]
    to.write_text(text)
    return Definition(engine, text)


def problems(found: Definition, deploy: Deploy) -> list[str]:
    """What is wrong with a definition, one sentence each: steps, GPUs, retries, schedule, parameters, secrets, size."""
    size_bytes = len(found.text.encode())
    steps = {"argo": _argo, "step-functions": _step_functions}[found.engine](found.text)
    wrong = [f"step {name} is missing" for name in STEPS if name not in steps]
    for name, step in steps.items():
        wanted = deploy.machine(name)
        if step["gpu"] != wanted.gpu:
            wrong.append(f"step {name} asks for {step['gpu']} GPUs, {wanted.gpu} are configured")
        if step["memory_mb"] != wanted.memory_mb:
            wrong.append(f"step {name} asks for {step['memory_mb']} MB, {wanted.memory_mb} are configured")
        retries = 0 if name in ("start", "join", "end") else RETRIES
        if step["retries"] != retries:
            wrong.append(f"step {name} is retried {step['retries']} times, not {retries}")
    if deploy.schedule and not _scheduled(found, deploy.schedule):
        wrong.append(f"the schedule {deploy.schedule!r} is not in it")
    if found.engine == "argo" and deploy.event and deploy.event not in found.text:
        wrong.append(f"the event {deploy.event!r} is not in it")
    named: Callable[[str], Any] = lambda name: re.search(
        rf'"{name}\\*"', found.text
    )  # state machines hold JSON inside of JSON
    wrong += [f"parameter {name} is not in it" for name in ("shops", "config", "model", "store") if not named(name)]
    wrong += [f"it holds a secret: {match[:6]}…" for match in SECRET.findall(found.text)]
    if size_bytes > MOST_BYTES[found.engine]:
        wrong.append(f"it is {size_bytes:,} bytes, {found.engine} takes {MOST_BYTES[found.engine]:,}")
    return wrong


def _scheduled(found: Definition, cron: str) -> bool:
    """Whether the schedule is in a definition; a state machine's is a rule beside it, which Metaflow makes with it."""
    if found.engine == "step-functions":
        return True
    told: str = json.loads(found.text)["metadata"]["annotations"].get("metaflow/cron", "")
    return bool(told) and json.loads(told)["schedule"] == cron


def _argo(text: str) -> dict[str, dict[str, int]]:
    steps = {}
    for template in json.loads(text)["spec"]["templates"]:
        if "container" not in template or not template.get("metadata", {}).get("annotations"):
            continue
        name = template["metadata"]["annotations"].get("metaflow/step_name", template["name"])
        limits = template["container"]["resources"]["limits"] | template["container"]["resources"]["requests"]
        steps[name] = {
            "gpu": int(limits.get("nvidia.com/gpu", 0)),
            "memory_mb": int(float(limits["memory"].removesuffix("M"))),
            "retries": int(template.get("retryStrategy", {}).get("limit", 0)),
        }
    return steps


def _step_functions(text: str) -> dict[str, dict[str, int]]:
    steps = {}
    for name, state in _states(json.loads(text)):
        asked = state["Parameters"]["ContainerOverrides"]
        needs = {need["Type"]: int(need["Value"]) for need in asked["ResourceRequirements"]}
        attempts = state["Parameters"].get("RetryStrategy", {}).get("Attempts", 1)
        steps[name] = {"gpu": needs.get("GPU", 0), "memory_mb": needs["MEMORY"], "retries": attempts - 1}
    return steps


def _states(machine: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every batch job of a state machine, those inside of maps too."""
    for name, state in machine["States"].items():
        if state["Type"] == "Map":
            yield from _states(state.get("Iterator") or state["ItemProcessor"])
        elif "batch" in str(state.get("Resource", "")):
            yield name, state
