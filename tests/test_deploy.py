"""The flow on a cluster: definitions compile offline and hold what is configured; steps need the code package alone.

No cluster is asked. An S3 server takes the code package; a moto job queue answers Step Functions' one question.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from fleets import ROOT, fleet

from pluribus import deploy, releases
from pluribus.errors import ConfigError, RunError
from pluribus.fleet import Asked, Deploy, Machine
from pluribus.store import open_store

FLOWS = ROOT / "flows"
ROLE = "arn:aws:iam::123456789012:role/r"
HOW = Deploy(
    schedule="5 * * * *", image="registry.example/pluribus:1", machines={"embed": Asked(gpu=2, memory_mb=32_000)}
)


@pytest.fixture(scope="module")
def cluster(s3_client: Any, s3_endpoint: str) -> Iterator[dict[str, str]]:
    """What an operator has set: a bucket for Metaflow, and the names of what would be on the cluster."""
    import boto3

    bucket = f"cluster-{uuid4().hex}"
    s3_client.create_bucket(Bucket=bucket)
    session = boto3.session.Session(region_name="us-east-1")
    iam, batch, ec2 = (session.client(name) for name in ("iam", "batch", "ec2"))
    role = iam.create_role(RoleName=uuid4().hex, AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    profile = iam.create_instance_profile(InstanceProfileName=uuid4().hex)["InstanceProfile"]["Arn"]
    machines = {
        "type": "EC2", "minvCpus": 0, "maxvCpus": 4, "instanceTypes": ["g5.xlarge"], "instanceRole": profile,
        "subnets": [ec2.describe_subnets()["Subnets"][0]["SubnetId"]],
        "securityGroupIds": [ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]],
    }  # fmt: skip
    made = batch.create_compute_environment(
        computeEnvironmentName="machines", type="MANAGED", state="ENABLED", serviceRole=role, computeResources=machines
    )
    order = [{"order": 1, "computeEnvironment": made["computeEnvironmentArn"]}]
    batch.create_job_queue(jobQueueName="queue", state="ENABLED", priority=1, computeEnvironmentOrder=order)
    for client in (iam, batch, ec2):
        client.close()
    yield {
        "bucket": bucket,
        "METAFLOW_DATASTORE_SYSROOT_S3": f"s3://{bucket}/metaflow",
        "METAFLOW_S3_ENDPOINT_URL": s3_endpoint,
        "METAFLOW_S3_WORKER_COUNT": "4",
        "AWS_DEFAULT_REGION": "us-east-1",
        "USERNAME": "pluribus",
        "METAFLOW_ARGO_EVENTS_EVENT": "metaflow-event",
        "METAFLOW_ARGO_EVENTS_EVENT_SOURCE": "source",
        "METAFLOW_ARGO_EVENTS_SERVICE_ACCOUNT": "operator",
        "METAFLOW_ARGO_EVENTS_WEBHOOK_URL": "http://argo-events:12000",
        "METAFLOW_BATCH_JOB_QUEUE": "queue",
        "METAFLOW_ECS_S3_ACCESS_IAM_ROLE": ROLE,
        "METAFLOW_SFN_IAM_ROLE": ROLE,
        "METAFLOW_SFN_DYNAMO_DB_TABLE": "table",
        "METAFLOW_EVENTS_SFN_ACCESS_IAM_ROLE": ROLE,
    }


@pytest.fixture(scope="module", params=deploy.TARGETS)
def definition(request: pytest.FixtureRequest, cluster: dict[str, str]) -> deploy.Definition:
    env = (
        os.environ
        | {name: value for name, value in cluster.items() if name != "bucket"}
        | {"PLURIBUS_WEBHOOK": "AKIAABCDEFGHIJKLMNOP"}
    )
    places = {"config": f"s3://{cluster['bucket']}/config", "store": f"s3://{cluster['bucket']}/store"}
    return deploy.Compiler(flows=FLOWS, deploy=HOW, env=env, **places).definition(request.param)


def test_a_definition_holds_every_step_with_its_machine_and_no_secret(definition: deploy.Definition) -> None:
    assert deploy.problems(definition, HOW) == []
    if definition.engine != "step-functions":  # its image is in its job definition, beside the text
        assert "registry.example/pluribus:1" in definition.text
    assert str(ROOT) not in definition.text
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        assert definition.text.count(name) >= len(deploy.TARGETS[definition.engine].steps), "threads for its own cores"


def test_the_check_sees_what_is_wrong(definition: deploy.Definition) -> None:
    """A check that cannot fail proves nothing."""
    engine = definition.engine
    last = list(deploy.TARGETS[engine].steps)[-3]  # publish, or what holds it
    small = dict.fromkeys(("build", "evaluate", "publish"), Asked(memory_mb=999))
    wrong = deploy.problems(definition, Deploy(schedule="6 * * * *", machines={"embed": Asked(gpu=1), **small}))
    assert "step embed asks for 2 GPUs, 1 are configured" in wrong
    assert f"step {last} asks for {deploy.machine(HOW, engine, last).memory_mb} MB, 999 are configured" in wrong
    assert ("the schedule '6 * * * *' is not in it" in wrong) == (engine != "step-functions")

    def after(old: str, new: str, most: int = -1) -> list[str]:
        return deploy.problems(deploy.Definition(engine, definition.text.replace(old, new, most)), HOW)

    assert f"step {last} is missing" in after(last, "another")
    assert "step another is none of the flow" in after(last, "another")
    assert "it holds a secret: AKIAAB…" in after("mflog", "AKIAABCDEFGHIJKLMNOP", 1)
    assert "parameter shops is not in it" in after("shops", "shop-s")


@pytest.mark.parametrize("engine", deploy.TARGETS)
def test_what_is_no_definition_is_one_clear_line(engine: deploy.Engine) -> None:
    for text in ("", "{}", "[]", "CONFIG = {'states': 1}", "CONFIG = open"):
        with pytest.raises(RunError, match=f"no definition for {engine}: .*compile it again"):
            deploy.problems(deploy.Definition(engine, text), HOW)


@pytest.mark.parametrize("engine", deploy.TARGETS)
def test_only_embed_asks_for_a_gpu(engine: deploy.Engine) -> None:
    steps = deploy.TARGETS[engine].steps
    assert [step for step in steps if deploy.machine(Deploy(), engine, step).gpu] == ["embed"]


def test_a_step_of_several_stages_has_the_largest_machine_and_the_time_of_all() -> None:
    machines = {"ingest": Asked(cpu=8, hours=2), "validate": Asked(memory_mb=9_000, hours=1)}
    assert deploy.machine(Deploy(machines=machines), "airflow", "prepare") == Machine(cpu=8, memory_mb=9_000, hours=3)


def test_a_machine_that_is_told_in_part_keeps_the_rest() -> None:
    told = Deploy(machines={"embed": Asked(memory_mb=32_000), "build": Asked(hours=12)})
    assert told.machine("embed") == Machine(cpu=4, memory_mb=32_000, gpu=1)
    assert told.machine("build") == Machine(cpu=4, memory_mb=16_000, hours=12)


def test_step_functions_are_scheduled_in_the_words_of_aws(cluster: dict[str, str]) -> None:
    """The verb's `--create`: the state machine, and the rule that starts it, are there."""
    import boto3

    places = {"config": f"s3://{cluster['bucket']}/config", "store": f"s3://{cluster['bucket']}/store"}
    deploy.Compiler(flows=FLOWS, deploy=HOW, env=os.environ | cluster, **places).create("step-functions")
    session = boto3.session.Session(region_name="us-east-1")
    machines = session.client("stepfunctions").list_state_machines()["stateMachines"]
    rules = session.client("events").list_rules()["Rules"]
    assert [machine["name"] for machine in machines] == ["RefreshFlow"]
    assert [(rule["ScheduleExpression"], rule["State"]) for rule in rules] == [("cron(5 * * * ? *)", "ENABLED")]


def test_a_schedule_that_aws_cannot_say_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'0 0 1 \* 1'.*not both"):
        deploy.decorations(Deploy(schedule="0 0 1 * 1"), "step-functions")


def test_a_machine_for_a_step_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match=r"machines of the steps start, .*'embedd' came"):
        Deploy(machines={"embedd": Asked(gpu=1)})


def test_a_configuration_on_this_machine_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"expected both at s3://.*aws s3 sync"):
        deploy.Compiler(flows=FLOWS, deploy=HOW, config="config", store="s3://b/s")


def test_shops_are_no_part_of_a_definition(cluster: dict[str, str], s3_client: Any, tmp_path: Path) -> None:
    """The verb, on a configuration in a bucket: it checks every file and bakes in none. `make deploy-check`: 5,000."""
    bucket = cluster["bucket"]
    store = open_store(f"s3://{bucket}/many")
    head = f'store = "s3://{bucket}/store"\nmodels = "{ROOT}/config/models"\nexpectations = "{ROOT}/expectations"\n'
    store.create("pluribus.toml", head.encode())
    from concurrent.futures import ThreadPoolExecutor

    files = {
        f"shops/shop-{n:04}.toml": b'[[feeds]]\nsource = "s3://feeds/x.csv"\n'
        for n in range(int(os.environ.get("PLURIBUS_DEPLOY_SHOPS", "200")))
    }
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda item: s3_client.put_object(Bucket=bucket, Key=f"many/{item[0]}", Body=item[1]), files.items()
            )
        )
    for engine, target in deploy.TARGETS.items():
        command = [sys.executable, "-W", "ignore", "-c", "from pluribus.cli import main; main()"]
        command += ["--config", f"s3://{bucket}/many", "deploy", engine, "--json"]
        done = subprocess.run(command, env=os.environ | cluster, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        told = json.loads(done.stdout)
        assert told["problems"] == []
        assert told["bytes"] < 400_000
        assert "shop-0000" not in (tmp_path / f"deployment{target.suffix}").read_text()


def in_bucket(folder: Path, location: str, shops: tuple[str, ...]) -> None:
    """All that a small fleet needs, at an s3://… location: configuration, feeds, expectations, models."""
    fleet(folder, f"{location}/store", shops=shops)
    there = open_store(location)
    head = f'store = "{location}/store"\ndata_root = "../data"\nmodels = "models"\nexpectations = "../expectations"\n'
    there.create("config/pluribus.toml", f"{head}[run]\nbatch_products = 40\n".encode())  # each shop a task
    lies = {"config/shops": folder / "config" / "shops", "config/models": ROOT / "config" / "models"}
    for place, local in (lies | {"data": folder / "data", "expectations": ROOT / "expectations"}).items():
        for file in local.rglob("mini.*" if "models" in place else "*"):
            if file.is_file():
                there.create(f"{place}/{file.relative_to(local)}", file)


def products(location: str, shop: str) -> int:
    """How many products the shop's live release has."""
    own = open_store(f"{location}/store").within(f"shops/{shop}")
    return int(releases.open_release(own, shop=shop).manifest.facts["products"])


@pytest.mark.parametrize(("flow", "n_steps"), [("refresh.py", 9), ("refresh_airflow.py", 10)])
def test_every_step_runs_in_an_empty_folder_from_the_code_package_alone(
    flow: str, n_steps: int, cluster: dict[str, str], tmp_path: Path
) -> None:
    """Metaflow's S3 datastore for real; configuration, feeds, expectations, models and store lie in the bucket."""
    location = f"s3://{cluster['bucket']}/{flow.removesuffix('.py')}"
    in_bucket(tmp_path, location, ("outpost",))
    pods, package = tmp_path / "pods", str(tmp_path / "code.tgz")
    pods.mkdir()
    env = os.environ | cluster | {"PODS": str(pods), "REAL_PYTHON": sys.executable, "CODE_PACKAGE": package}
    env |= {"METAFLOW_DATASTORE_SYSROOT_LOCAL": str(tmp_path), "METAFLOW_DEFAULT_METADATA": "local"}
    metaflow = [str(FLOWS / flow), "--no-pylint", "--datastore", "s3"]
    packed = subprocess.run(
        [sys.executable, *metaflow, "package", "save", package], env=env, capture_output=True, text=True
    )
    assert packed.returncode == 0, packed.stdout + packed.stderr
    pod = str(ROOT / "tests" / "pod.sh")
    as_pods = f"import runpy, sys; sys.executable, sys.argv = {pod!r}, sys.argv[1:]"
    as_pods += f"; sys.path.insert(0, {str(FLOWS)!r}); runpy.run_path({str(FLOWS / flow)!r}, run_name='__main__')"
    command = [sys.executable, "-W", "ignore", "-c", as_pods, *metaflow, "run", "--config", f"{location}/config"]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "outpost" in done.stdout
    assert len(list(pods.iterdir())) == n_steps, "each step in a folder of its own"
    assert all(
        (pod / flow).exists() and (pod / ".mf_code" / "pluribus" / "embed.py").exists() for pod in pods.iterdir()
    )
    assert products(location, "outpost") > 30


@pytest.mark.skipif(
    not os.environ.get("PLURIBUS_AIRFLOW"), reason="PLURIBUS_AIRFLOW names no Python with Airflow in it"
)
def test_airflow_itself_runs_the_definition(cluster: dict[str, str], tmp_path: Path) -> None:
    """Two tasks side by side in each of three splits; only Kubernetes' part is played by processes."""
    location = f"s3://{cluster['bucket']}/airflow"
    in_bucket(tmp_path, location, ("outpost", "hearth"))
    to, pods, airflow = tmp_path / "dag.py", tmp_path / "pods", Path(os.environ["PLURIBUS_AIRFLOW"])
    pods.mkdir()
    places = {"config": f"{location}/config", "store": f"{location}/store"}
    compiler = deploy.Compiler(flows=FLOWS, deploy=HOW, env=os.environ | cluster, **places)
    to.write_text(compiler.definition("airflow").text)
    env = os.environ | cluster | {"AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    prepared = subprocess.run([str(airflow.with_name("airflow")), "db", "migrate"], env=env, capture_output=True)
    assert prepared.returncode == 0, prepared.stderr.decode()
    command = [
        str(airflow),
        str(ROOT / "tests" / "airflow_pods.py"),
        str(to),
        str(pods),
        str(Path(sys.executable).parent),
    ]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    ran = [pod.name.rpartition("-")[0] for pod in pods.iterdir()]
    assert {step: ran.count(step) for step in ran} == {
        step: 2 if step in ("prepare", "embed", "release") else 1 for step in deploy.TARGETS["airflow"].steps
    }
    assert products(location, "outpost") > 30
    assert products(location, "hearth") > 30


def test_a_model_that_is_missing_on_the_cluster_is_one_clear_line(cluster: dict[str, str], tmp_path: Path) -> None:
    """The configuration names weights that were never copied to where the steps read them."""
    bucket = cluster["bucket"]
    there = open_store(f"s3://{bucket}/lost")
    head = f'store = "s3://{bucket}/lost/store"\nmodels = "models"\nexpectations = "{ROOT}/expectations"\n'
    there.create("pluribus.toml", head.encode())
    there.create("shops/a.toml", b'[[feeds]]\nsource = "a.csv"\n')
    there.create("models/mini.toml", ROOT / "config" / "models" / "mini.toml")
    env = os.environ | cluster | {"METAFLOW_DATASTORE_SYSROOT_LOCAL": str(tmp_path)}
    command = [sys.executable, "-W", "ignore", "-c", "from pluribus.cli import main; main()"]
    done = subprocess.run(
        [*command, "--config", f"s3://{bucket}/lost", "refresh"], env=env, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert f"s3://{bucket}/lost/models/mini.safetensors" in done.stderr
