"""Who waits for whom: pools of steps, and how many runs there may be at once."""

import sys
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Made

from vlmine_dagster.automation.history import open_instance
from vlmine_dagster.automation.jobs import GLOBAL_JOB, SHARD_JOB
from vlmine_dagster.definitions import build_definitions

ROOT = Path(__file__).parent.parent
ENDPOINT = {"kind": "openai", "model": "m", "base_url": "http://127.0.0.1:1"}
LEARNERS = dict.fromkeys(("rarity_scores", "task_model", "uncertainty_scores", "retrain_metrics"), "accelerator")
ALWAYS = {"embeddings": "cores", "neighbour_scores": "cores", **LEARNERS}


def pools(made: Made) -> dict[str, str]:
    """The pool of each asset that has one, and of the studies."""
    definitions = build_definitions(made.project, settings_file=str(made.file))
    keys = definitions.resolve_all_asset_keys()
    ops = {key.to_user_string(): definitions.resolve_assets_def(key).op for key in keys}
    return {name: op.pool for name, op in ops.items() if op.pool is not None}


@pytest.mark.parametrize(
    ("settings", "asked"),
    [
        ({}, {}),
        ({"describer": {"kind": "transformers", "model": "llava"}}, {"descriptions": "accelerator"}),
        ({"describer": ENDPOINT}, {"descriptions": "api"}),
        ({"describer": ENDPOINT, "keyworder": ENDPOINT}, {"descriptions": "api", "keywords": "api"}),
    ],
    ids=["tagger", "local model", "endpoint", "two endpoints"],
)
def test_what_takes_a_gpu_waits_for_what_takes_a_gpu_and_calls_for_calls(
    make_project, settings: Mapping[str, Any], asked: Mapping[str, str]
):
    rules = {"keyworder": {"kind": "rules"}, **settings}
    experiments = {"all": {"signals": ["class_rank_rarity", "entropy", "embedding_sparsity"], "fusion": "fisher"}}
    made = make_project({"pool/a": {}}, labels="key,split,class_id\n", experiments=experiments, **rules)

    assert pools(made) == {**ALWAYS, **asked}


def test_each_extraction_variant_waits_where_its_own_describer_runs(make_project):
    variants = {"local": {"describer": {"kind": "transformers", "model": "llava"}, "keyworder": {"kind": "rules"}}}
    experiments = {"a": {"signals": ["novelty_min"]}, "b": {"signals": ["novelty_min"], "variant": "local"}}

    found = pools(make_project({"pool/a": {}}, variants=variants, experiments=experiments))

    assert found["local/descriptions"] == "accelerator"
    assert "descriptions" not in found


def test_a_study_of_the_ui_waits_for_the_accelerator_too(make_project):
    made = make_project({"pool/a": {}})
    definitions = build_definitions(made.project, settings_file=str(made.file))
    studies = [job for job in definitions.resolve_all_job_defs() if job.name.startswith("study_")]

    assert {node.definition.pool for job in studies for node in job.nodes} == {"accelerator"}


def test_under_the_dagster_yaml_that_comes_along_one_step_has_the_accelerator(make_project):
    made = make_project({"pool/a": {}})
    definitions = build_definitions(made.project, settings_file=str(made.file))
    with open_instance(made.project) as instance:
        describing = instance.create_run_for_job(definitions.resolve_job_def(SHARD_JOB)).run_id
        training = instance.create_run_for_job(definitions.resolve_job_def(GLOBAL_JOB)).run_id
        history = instance.event_log_storage
        for pool in ("accelerator", "cores"):
            history.initialize_concurrency_limit_to_default(pool)

        assert history.claim_concurrency_slot("accelerator", describing, "descriptions").is_claimed
        assert not history.claim_concurrency_slot("accelerator", training, "task_model").is_claimed
        assert history.claim_concurrency_slot("cores", training, "embeddings").is_claimed
        history.free_concurrency_slot_for_step(describing, "descriptions")
        assert history.claim_concurrency_slot("accelerator", training, "task_model").is_claimed


def test_a_pool_gets_more_slots_by_the_command_of_the_operators_page(make_project, monkeypatch):
    made = make_project({"pool/a": {}})
    with open_instance(made.project) as instance:
        monkeypatch.setenv("DAGSTER_HOME", instance.root_directory)

        monkeypatch.setattr(sys, "argv", ["dagster", "instance", "concurrency", "set", "accelerator", "2"])
        (command,) = entry_points(group="console_scripts", name="dagster")

        with pytest.raises(SystemExit) as ended:
            command.load()()

        assert ended.value.code == 0
        assert instance.event_log_storage.get_concurrency_info("accelerator").slot_count == 2


def test_runs_are_capped_and_slots_of_dead_runs_come_back(make_project):
    with open_instance(make_project({"pool/a": {}}).project) as instance:
        assert type(instance.run_coordinator).__name__ == "QueuedRunCoordinator"
        assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == 4
        assert instance.run_monitoring_enabled
        assert instance.run_monitoring_settings["free_slots_after_run_end_seconds"] == 30


def test_on_postgres_the_limits_are_the_same_but_for_more_runs():
    ours, postgres = (
        yaml.safe_load((ROOT / name).read_text(encoding="utf-8")) for name in ("dagster.yaml", "dagster-postgres.yaml")
    )

    assert postgres.pop("storage") == {"postgres": {"postgres_url": {"env": "DAGSTER_PG_URL"}}}
    assert (ours["concurrency"]["runs"], postgres["concurrency"]["runs"]) == (
        {"max_concurrent_runs": 4},
        {"max_concurrent_runs": 16},
    )
    ours["concurrency"].pop("runs")
    postgres["concurrency"].pop("runs")
    assert ours == postgres
