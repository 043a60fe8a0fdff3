"""What a definition holds, in each engine's words: read back from the text that Metaflow wrote."""

import ast
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pluribus.errors import RunError

Engine = Literal["argo", "step-functions", "airflow"]


@dataclass(frozen=True)
class Definition:
    """What Metaflow wrote for an engine."""

    engine: Engine
    text: str


@dataclass(frozen=True)
class Step:
    """What a definition asks for one step of the flow."""

    gpu: int
    memory_mb: int
    retries: int


@dataclass(frozen=True)
class Content:
    """What a definition would have its engine do."""

    steps: dict[str, Step]
    parameters: frozenset[str]
    schedule: str | None  # cron; blank: none; None: it stands beside the definition


def content(found: Definition) -> Content:
    """What is in a definition. Raises RunError when it is not what Metaflow writes for its engine."""
    try:
        return {"argo": _argo, "step-functions": _step_functions, "airflow": _airflow}[found.engine](found.text)
    except (ValueError, SyntaxError, LookupError, TypeError, AttributeError, StopIteration) as error:
        why = f"{type(error).__name__}: {error}"
        raise RunError(f"this is no definition for {found.engine}: {why}", do="compile it again") from None


def _argo(text: str) -> Content:
    """A workflow template."""
    template = json.loads(text)
    steps = {}
    for part in template["spec"]["templates"]:
        if "container" not in part or not part.get("metadata", {}).get("annotations"):
            continue
        asked = part["container"]["resources"]
        name = part["metadata"]["annotations"].get("metaflow/step_name", part["name"])
        steps[name] = _pod(asked["limits"] | asked["requests"], int(part.get("retryStrategy", {}).get("limit", 0)))
    cron = json.loads(template["metadata"]["annotations"].get("metaflow/cron", "{}"))
    parameters = frozenset(parameter["name"] for parameter in template["spec"]["arguments"]["parameters"])
    return Content(steps, parameters, cron.get("schedule") or "")


def _airflow(text: str) -> Content:
    """A Python file: what it runs is a literal in it, named CONFIG."""
    graph = next(
        ast.literal_eval(line.value)
        for line in ast.parse(text).body
        if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "CONFIG"
    )
    steps = {}
    for name, state in graph["states"].items():
        asked = state["operator_args"]
        steps[name] = _pod(asked["resources"]["limits"] | asked["resources"]["requests"], asked["retries"])
    parameters = frozenset(parameter["name"] for parameter in graph["metaflow_params"])
    return Content(steps, parameters, graph["dag_instantiation_params"]["schedule_interval"] or "")


def _pod(asked: Mapping[str, str], retries: int) -> Step:
    return Step(int(asked.get("nvidia.com/gpu", 0)), int(float(asked["memory"].removesuffix("M"))), retries)


def _step_functions(text: str) -> Content:
    """A state machine; its schedule is a rule beside it, which Metaflow makes with it."""
    machine = json.loads(text)
    steps, parameters = {}, frozenset[str]()
    for name, state in _states(machine):
        asked = state["Parameters"]["ContainerOverrides"]
        needs = {need["Type"]: int(need["Value"]) for need in asked["ResourceRequirements"]}
        attempts = state["Parameters"].get("RetryStrategy", {}).get("Attempts", 1)
        steps[name] = Step(needs.get("GPU", 0), needs["MEMORY"], attempts - 1)
        told = {variable["Name"]: variable.get("Value", "") for variable in asked["Environment"]}
        parameters |= frozenset(json.loads(told.get("METAFLOW_DEFAULT_PARAMETERS", "{}")))
    return Content(steps, parameters, None)


def _states(machine: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every batch job of a state machine, those inside of maps too."""
    for name, state in machine["States"].items():
        if state["Type"] == "Map":
            yield from _states(state.get("Iterator") or state["ItemProcessor"])
        elif "batch" in str(state.get("Resource", "")):
            yield name, state
