"""What a person does in the Dagster UI, through the GraphQL that its pages send, on real servers and a real daemon."""

import os
import re
import signal
import socket
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest
from browse_ui import CHROMIUM, Person, open_browser, play
from conftest import Made, Watched, small_pool
from web_uis import Page, until, web_uis

from vlmine_dagster.automation.history import open_instance
from vlmine_dagster.automation.jobs import MINING_JOB
from vlmine_dagster.automation.launched import Launched
from vlmine_dagster.automation.outcome import Outcome
from vlmine_dagster.automation.runner import Runner
from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.engine.dagster_internals import SERVER_TAG
from vlmine_dagster.engine.partitions import SHARDS

pytestmark = pytest.mark.slow

BACKFILL = """mutation($p:LaunchBackfillParams!){launchPartitionBackfill(backfillParams:$p){
  __typename ... on LaunchBackfillSuccess{backfillId} ... on PythonError{message}}}"""
BACKFILLED = """query($id:String!){partitionBackfillOrError(backfillId:$id){... on PartitionBackfill{
  status runs(limit:20){status runConfigYaml tags{key value}}}}}"""
LAUNCH = """mutation($p:ExecutionParams!){launchRun(executionParams:$p){
  __typename ... on LaunchRunSuccess{run{runId}} ... on RunConfigValidationInvalid{errors{message}}}}"""
RERUN = """mutation($p:ReexecutionParams!){launchRunReexecution(reexecutionParams:$p){
  __typename ... on LaunchRunSuccess{run{runId}} ... on PythonError{message}}}"""
RUNS = "query($f:RunsFilter){runsOrError(filter:$f){... on Runs{results{runId status tags{key value}}}}}"
ASSET = """query($key:AssetKeyInput!){assetNodeOrError(assetKey:$key){... on AssetNode{
  partitionStats{numMaterialized numFailed numPartitions}
  assetMaterializations(limit:20){partition metadataEntries{label
    ... on FloatMetadataEntry{floatValue} ... on IntMetadataEntry{intValue} ... on UrlMetadataEntry{url}}}}}}"""
CHECK = """query($key:AssetKeyInput!,$name:String!){assetCheckExecutions(assetKey:$key,checkName:$name,limit:9){
  evaluation{success description}}}"""


def first_failure(page: Page) -> dict[str, Any]:
    """Wait for a run that fails."""
    (failed,) = until(lambda: page.ask(RUNS, f={"statuses": ["FAILURE"]})["runsOrError"]["results"])
    return failed


def asset(page: Page, name: str) -> dict[str, Any]:
    return page.ask(ASSET, key={"path": [name]})["assetNodeOrError"]


@pytest.fixture
def page(finished: Made) -> Iterator[Page]:
    """The UI of a finished project, whose sensor saw a broken shard first."""
    (finished.folder / "data/pool/b.tar").write_bytes(b"no tar")
    with open_instance(finished.project) as instance:
        instance.add_dynamic_partitions(SHARDS, finished.bench.source.shards())
    with web_uis(finished.folder) as served:
        yield Page(served.dagster_port)


def test_what_a_person_does_in_the_ui(page: Page, finished: Made):
    with pytest.raises(ConnectionRefusedError):  # a server that listened on all addresses would take this one too
        socket.create_connection(("127.0.0.2", page.port), timeout=5)

    # The sensor, on by default, asked for the shard that changed; its failure shows with its reason.
    failed = first_failure(page)
    assert {"key": "dagster/partition", "value": "pool/b"} in failed["tags"]
    assert asset(page, "images")["partitionStats"]["numFailed"] == 1
    checks = page.ask(CHECK, key={"path": ["images"]}, name="contract")["assetCheckExecutions"]
    (told,) = [check["evaluation"] for check in checks if check["evaluation"]]
    assert not told["success"]
    assert "pool/b" in told["description"]

    # The shard is mended and re-run alone.
    finished.replace_shard("pool/b", small_pool()[0]["pool/b"])
    again = page.ask(RERUN, p={"parentRunId": failed["runId"], "strategy": "ALL_STEPS"})["launchRunReexecution"]
    assert page.end_of(again["run"]["runId"]) == "SUCCESS"
    assert asset(page, "images")["partitionStats"]["numFailed"] == 0

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
    facts = {
        made["partition"]: made["metadataEntries"] for made in asset(page, "descriptions")["assetMaterializations"]
    }
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
    made = asset(page, "pareto_set")["assetMaterializations"][0]
    (url,) = [entry["url"] for entry in made["metadataEntries"] if entry.get("url")]
    assert finished.bench.tracking.latest(experiment="pareto", asset="pareto_set") in url

    # `vlmine run --on dagster` hands the same plan to the same servers, and follows it; Ctrl-C ends their runs too.
    for shard in ("pool/a", "pool/c"):
        finished.bench.lake.remove("keywords", shard)
    watched = Watched()
    with open_instance(finished.project) as instance:

        def run() -> Outcome:
            executor = Launched(2, url=f"http://127.0.0.1:{page.port}/", instance=instance, watcher=watched)
            runner = Runner(str(finished.file), instance, executor=executor, watcher=watched)
            return runner.run(shards=["pool/a", "pool/c"])

        watched.act = lambda place, _step: os.kill(os.getpid(), signal.SIGINT) if place == 1 else None
        stopped = run()
        ended = [run.is_finished for run in instance.get_runs(limit=2)]
        watched.act = lambda _place, _step: None
        outcome = run()
        runs = [run for run in instance.get_runs(limit=4) if run.tags.get("dagster/partition") in ("pool/a", "pool/c")]
    assert stopped.is_interrupted and not stopped.failures and ended == [True, True]
    assert outcome.is_whole, (outcome.failures, outcome.waiting)
    made = [*stopped.materialized, *outcome.materialized]
    assert sorted(made) == [("keywords", "pool/a"), ("keywords", "pool/c")]
    assert sorted(watched.began[:2]) == [(0, "pool/a"), (1, "pool/c")]
    assert len(runs) == 2 + len(outcome.materialized)
    assert all(SERVER_TAG in run.tags for run in runs[:-2])  # the first two were ended before they had begun, or after


def test_without_a_web_server_a_run_by_the_launcher_says_which_it_asked(finished: Made):
    executor = Launched(2, url="http://127.0.0.1:9", instance=finished.instance, watcher=Watched())
    with pytest.raises(ConfigError, match=r"no Dagster web server answers at http://127.0.0.1:9 .* Start `vlmine ui`"):
        Runner(str(finished.file), finished.instance, executor=executor).run()


@pytest.mark.browser
@pytest.mark.skipif(
    not CHROMIUM.exists() or find_spec("playwright") is None,
    reason=f"needs {CHROMIUM} and playwright (pip install 'vlmine-dagster[browser]')",
)
def test_a_person_clicks_through_a_bad_day(page: Page, finished: Made):
    first_failure(page)
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
