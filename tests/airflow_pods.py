"""Airflow itself runs a compiled definition: `PYTHON_OF_AIRFLOW tests/airflow_pods.py DAG.py FOLDER BIN`.

All is Airflow's own (scheduling, mapped tasks, what they hand on) but the pods: each is a process in an empty folder of
FOLDER, with the environment that the pod would have and the `python` of BIN. Airflow has an environment to itself,
since it pins what we pin otherwise; so nothing of pluribus is imported here.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from airflow.providers.cncf.kubernetes.operators.kubernetes_pod import KubernetesPodOperator

HANDED_ON = Path("/airflow/xcom/return.json")  # where Metaflow's step leaves it, for the pod's sidecar


def in_a_folder(operator: Any, context: dict[str, Any]) -> Any:
    """The pod's command, in a folder of its own; what it hands on."""
    named = [variable if isinstance(variable, dict) else variable.to_dict() for variable in operator.env_vars]
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    env |= {variable["name"]: variable["value"] for variable in named if variable["value"] is not None}
    env |= {"PATH": f"{bin_folder}:/usr/bin:/bin", "METAFLOW_SKIP_INSTALL_DEPENDENCIES": "1"}
    shutil.rmtree(HANDED_ON.parent, ignore_errors=True)
    pod = tempfile.mkdtemp(prefix=f"{operator.task_id}-", dir=folder)
    done = subprocess.run(operator.cmds, cwd=pod, env=env, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{operator.task_id}: {done.stdout[-1000:]}{done.stderr[-1000:]}")
    return json.loads(HANDED_ON.read_text())


if __name__ == "__main__":
    dag_file, folder, bin_folder = sys.argv[1:]
    KubernetesPodOperator.execute = in_a_folder
    spec = importlib.util.spec_from_file_location("definition", dag_file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    state = module.dag.test().state
    print(state)
    sys.exit(state != "success")
