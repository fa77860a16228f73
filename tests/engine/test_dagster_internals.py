"""Each fact about Dagster on which `engine/dagster_internals.py` relies, asked of the Dagster that is installed."""

import ast
import os
import signal
from pathlib import Path

import dagster as dg
import pytest

from vlmine_dagster.engine.dagster_internals import (
    DATA_VERSION_TAG,
    SERVER_TAG,
    StepFailure,
    free_slots_of_ended_runs,
    is_history_local,
    is_interrupted,
    step_failures,
    version_tags,
)
from vlmine_dagster.settings.plain_paths import plain_path

ROOT = Path(__file__).parents[2]


def result_of(failure):
    """The result of a run of one asset that fails."""

    @dg.asset
    def fails() -> None:
        failure()

    return (
        dg.Definitions(assets=[fails]).resolve_implicit_global_asset_job_def().execute_in_process(raise_on_error=False)
    )


def raising(error):
    def fail():
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("no such shard"), StepFailure("fails", "ValueError: no such shard", "ValueError")),
        (dg.Failure("the money is spent"), StepFailure("fails", "the money is spent", "")),
    ],
    ids=["any error", "one for people"],
)
def test_a_failed_step_says_why_and_by_which_error(error, expected):
    result = result_of(raising(error))

    assert list(step_failures(result.all_events)) == [expected]
    assert not is_interrupted(result.all_events)


def test_a_step_that_a_signal_ends_is_an_interruption_and_no_failure():
    result = result_of(lambda: os.kill(os.getpid(), signal.SIGINT))

    assert is_interrupted(result.all_events)
    assert list(step_failures(result.all_events)) == []


def test_a_materialization_carries_the_tags_that_dagster_writes_itself():
    @dg.asset(code_version="one")
    def above() -> dg.MaterializeResult:
        return dg.MaterializeResult(data_version=dg.DataVersion("rows 1"))

    @dg.asset(code_version="two", deps=[above])
    def below() -> dg.MaterializeResult:
        return dg.MaterializeResult(data_version=dg.DataVersion("rows 2"))

    with dg.DagsterInstance.ephemeral() as instance:
        assert dg.materialize([above, below], instance=instance).success
        (read,), (made,) = (
            instance.fetch_materializations(dg.AssetKey(name), limit=1).records for name in ("above", "below")
        )

    tags = made.asset_materialization.tags
    inputs = [(dg.AssetKey("above"), "rows 1", read.storage_id)]
    assert tags == version_tags(data_version="rows 2", code_version="two", inputs=inputs)
    assert read.asset_materialization.tags[DATA_VERSION_TAG] == "rows 1"


def test_an_input_that_nobody_made_is_pointed_to_as_nothing():
    @dg.asset(deps=[dg.AssetSpec("outside")], code_version="one")
    def below() -> dg.MaterializeResult:
        return dg.MaterializeResult(data_version=dg.DataVersion("rows"))

    with dg.DagsterInstance.ephemeral() as instance:
        assert dg.materialize([below], instance=instance).success
        (made,) = instance.fetch_materializations(dg.AssetKey("below"), limit=1).records

    inputs = [(dg.AssetKey("outside"), "INITIAL", None)]
    assert made.asset_materialization.tags == version_tags(data_version="rows", code_version="one", inputs=inputs)


def test_history_in_files_is_told_from_history_elsewhere(tmp_path):
    with dg.DagsterInstance.ephemeral() as instance:
        assert not is_history_local(instance)
    with dg.DagsterInstance.local_temp(str(plain_path(tmp_path))) as instance:
        assert is_history_local(instance)


def test_slots_are_given_back_by_runs_that_ended_or_that_nobody_knows_and_by_no_others(tmp_path):
    @dg.op
    def nothing() -> None: ...

    @dg.job
    def job() -> None:
        nothing()

    with dg.DagsterInstance.local_temp(str(plain_path(tmp_path))) as instance:
        history = instance.event_log_storage
        at_work, ended = (instance.create_run_for_job(job).run_id for _ in range(2))
        history.set_concurrency_slots("cores", 3)
        for run_id in (at_work, ended, "nobody knows"):
            assert history.claim_concurrency_slot("cores", run_id, "nothing").is_claimed
        instance.report_run_failed(instance.get_run_by_id(ended))

        free_slots_of_ended_runs(instance)

        assert history.get_concurrency_run_ids() == {at_work}


def test_the_launcher_names_the_code_server_of_a_run_by_the_tag_that_is_looked_for():
    from dagster._core.storage import tags

    assert tags.GRPC_INFO_TAG == SERVER_TAG


def private_imports(file: Path) -> set[str]:
    """Modules of Dagster's own that a file imports."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return {name for name in names if name.startswith("dagster._")}


def test_no_code_and_no_other_test_imports_private_modules_of_dagster():
    files = [
        file
        for part in ("vlmine_dagster", "assets", "resources", "benchmarks", "tests")
        for file in (ROOT / part).rglob("*.py")
    ]

    assert {file.name for file in files if private_imports(file)} == {Path(__file__).name}
