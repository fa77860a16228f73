# ruff: noqa: S310 - the address is of our own server
"""What a person does in the Dagster UI, through the GraphQL that its pages send, on real servers and a real daemon."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import pytest
from browse_ui import CHROMIUM, Person, open_browser, play
from conftest import Made, small_pool

from vlmine_dagster.automation import MINING_JOB
from vlmine_dagster.partitions import SHARDS
from vlmine_dagster.runner import open_instance

pytestmark = pytest.mark.slow
PATIENCE_S = 300

REPOSITORY = "{repositoriesOrError{... on RepositoryConnection{nodes{name location{name}}}}}"
BACKFILL = """mutation($p:LaunchBackfillParams!){launchPartitionBackfill(backfillParams:$p){
  __typename ... on LaunchBackfillSuccess{backfillId} ... on PythonError{message}}}"""
BACKFILLED = """query($id:String!){partitionBackfillOrError(backfillId:$id){... on PartitionBackfill{
  status runs(limit:20){status runConfigYaml tags{key value}}}}}"""
LAUNCH = """mutation($p:ExecutionParams!){launchRun(executionParams:$p){
  __typename ... on LaunchRunSuccess{run{runId}} ... on RunConfigValidationInvalid{errors{message}}}}"""
RERUN = """mutation($p:ReexecutionParams!){launchRunReexecution(reexecutionParams:$p){
  __typename ... on LaunchRunSuccess{run{runId}} ... on PythonError{message}}}"""
RUN = "query($id:ID!){runOrError(runId:$id){... on Run{status}}}"
RUNS = "query($f:RunsFilter){runsOrError(filter:$f){... on Runs{results{runId status tags{key value}}}}}"
ASSET = """query($key:AssetKeyInput!){assetNodeOrError(assetKey:$key){... on AssetNode{
  partitionStats{numMaterialized numFailed numPartitions}
  assetMaterializations(limit:20){partition metadataEntries{label
    ... on FloatMetadataEntry{floatValue} ... on IntMetadataEntry{intValue} ... on UrlMetadataEntry{url}}}}}}"""
CHECK = """query($key:AssetKeyInput!,$name:String!){assetCheckExecutions(assetKey:$key,checkName:$name,limit:9){
  evaluation{success description}}}"""


class Page:
    """What a page of the UI asks for."""

    def __init__(self, port: int):
        self.port = port
        self._url = f"http://127.0.0.1:{port}/graphql"
        found = self.ask(REPOSITORY)["repositoriesOrError"]["nodes"][0]
        self.repository = {
            "repositoryName": found["name"],
            "repositoryLocationName": found["location"]["name"],
        }

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(self._url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            content = json.load(answer)
        assert "errors" not in content, content["errors"]
        return content["data"]

    def asset(self, name: str) -> dict[str, Any]:
        return self.ask(ASSET, key={"path": [name]})["assetNodeOrError"]

    def end_of(self, run_id: str) -> str:
        return until(lambda: ended(self.ask(RUN, id=run_id)["runOrError"]["status"]))


def ended(status: str) -> str | None:
    return status if status in ("SUCCESS", "FAILURE", "CANCELED") else None


def until(look: Callable[[], Any]) -> Any:
    """Return what `look` gives as soon as it gives something."""
    end = time.monotonic() + PATIENCE_S
    while not (found := look()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(1)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def page(finished: Made) -> Iterator[Page]:
    """The UI of a finished project, whose sensor saw a broken shard first."""
    (finished.folder / "data/pool/b.tar").write_bytes(b"no tar")
    with open_instance(finished.project) as instance:
        instance.add_dynamic_partitions(SHARDS, finished.bench.source.shards())
    ports = [free_port(), free_port()]
    command = [sys.executable, "-m", "vlmine_dagster", "ui", "--port", str(ports[0]), "--mlflow-port", str(ports[1])]
    with subprocess.Popen(command, cwd=finished.folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("Dagster")
            yield Page(ports[0])
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)


def test_what_a_person_does_in_the_ui(page: Page, finished: Made):
    with pytest.raises(ConnectionRefusedError):  # a server that listened on all addresses would take this one too
        socket.create_connection(("127.0.0.2", page.port), timeout=5)

    # The sensor, on by default, asked for the shard that changed; its failure shows with its reason.
    (failed,) = until(lambda: page.ask(RUNS, f={"statuses": ["FAILURE"]})["runsOrError"]["results"])
    assert {"key": "dagster/partition", "value": "pool/b"} in failed["tags"]
    assert page.asset("images")["partitionStats"]["numFailed"] == 1
    checks = page.ask(CHECK, key={"path": ["images"]}, name="contract")["assetCheckExecutions"]
    (told,) = [check["evaluation"] for check in checks if check["evaluation"]]
    assert not told["success"]
    assert "pool/b" in told["description"]

    # The shard is mended and re-run alone.
    finished.replace_shard("pool/b", small_pool()[0]["pool/b"])
    again = page.ask(RERUN, p={"parentRunId": failed["runId"], "strategy": "ALL_STEPS"})["launchRunReexecution"]
    assert page.end_of(again["run"]["runId"]) == "SUCCESS"
    assert page.asset("images")["partitionStats"]["numFailed"] == 0

    # Chosen shards are backfilled with settings of the launchpad.
    config = {"ops": {name: {"config": {"retry_failed": True}} for name in ("descriptions", "keywords")}}
    chosen = {
        "assetSelection": [{"path": ["descriptions"]}, {"path": ["keywords"]}],
        "partitionNames": ["pool/a", "pool/c"],
        "runConfigData": config,
    }
    backfill = page.ask(BACKFILL, p=chosen)["launchPartitionBackfill"]
    assert backfill["__typename"] == "LaunchBackfillSuccess", backfill

    def done() -> Any:
        found = page.ask(BACKFILLED, id=backfill["backfillId"])["partitionBackfillOrError"]
        return found if found["status"].startswith("COMPLETED") else None

    runs = until(done)["runs"]
    told = [next(tag["value"] for tag in run["tags"] if tag["key"] == "dagster/partition") for run in runs]
    assert sorted(told) == ["pool/a", "pool/c"]
    assert all(run["status"] == "SUCCESS" and "retry_failed: true" in run["runConfigYaml"] for run in runs)
    facts = {made["partition"]: made["metadataEntries"] for made in page.asset("descriptions")["assetMaterializations"]}
    assert all({"outcomes", "images/s"} <= {entry["label"] for entry in facts[shard]} for shard in told)

    # A chosen experiment is mined with another budget; its MLflow run is a click away.
    launched = page.ask(
        LAUNCH,
        p={
            "selector": {**page.repository, "jobName": MINING_JOB},
            "runConfigData": {"ops": {"pareto_set": {"config": {"budget": 3}}}},
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": "pareto"}]},
        },
    )["launchRun"]
    assert page.end_of(launched["run"]["runId"]) == "SUCCESS"
    assert finished.frame("pareto_set", "pareto")["selected"].sum() == 3
    made = page.asset("pareto_set")["assetMaterializations"][0]
    (url,) = [entry["url"] for entry in made["metadataEntries"] if entry.get("url")]
    assert finished.bench.tracking.latest(experiment="pareto", asset="pareto_set") in url


@pytest.mark.browser
@pytest.mark.skipif(
    not CHROMIUM.exists() or find_spec("playwright") is None,
    reason=f"needs {CHROMIUM} and playwright (pip install 'vlmine-dagster[browser]')",
)
def test_a_person_clicks_through_a_bad_day(page: Page, finished: Made):
    with open_browser() as tab:
        shard, run = play(
            Person(tab, f"http://127.0.0.1:{page.port}"),
            broken="pool/b",
            mend=lambda: finished.replace_shard("pool/b", small_pool()[0]["pool/b"]),
            chosen=["pool/a", "pool/c"],
            experiment="pareto",
            budget=3,
        )

    assert re.search(r"outcomes\s+{\s+\"ok\": 12\s+}", shard)
    assert re.search(r"cost_usd\s+0", shard)
    assert re.search(r"budget\s+3", run)
    assert finished.frame("pareto_set", "pareto")["selected"].sum() == 3
