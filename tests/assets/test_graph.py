"""The whole graph on small real pools."""

import dataclasses
import json
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import dagster as dg
import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import FEW_ARMS, Made, jpeg, members, small_pool

from vlmine_dagster.assets import GRAPH
from vlmine_dagster.assets.images import images
from vlmine_dagster.cli.status import table_states
from vlmine_dagster.definitions import build_definitions
from vlmine_dagster.domain.tables import WHOLE_POOL
from vlmine_dagster.engine.asset_factory import build_asset, build_assets
from vlmine_dagster.engine.graph import Graph
from vlmine_dagster.engine.partitions import SHARDS, experiments
from vlmine_dagster.engine.stage import MiningConfig, ModelConfig, Product, StageConfig, Unit
from vlmine_dagster.resources import encoder
from vlmine_dagster.resources.lake import Lake
from vlmine_dagster.resources.progress import ALL_SHARDS, Step, listening
from vlmine_dagster.resources.sources import open_source
from vlmine_dagster.resources.stamps import Stamp
from vlmine_dagster.studies.jobs import StudyConfig


def same(left: pd.DataFrame, right: pd.DataFrame, columns: list[str] | None = None) -> bool:
    names = columns or list(left.columns)
    return left[names].reset_index(drop=True).equals(right[names].reset_index(drop=True))


def test_every_table_is_there_and_a_second_run_makes_nothing(finished: Made):
    assert {table for unit in GRAPH.applicable(finished.project) for table in unit.stage.tables} == {
        p.name for p in (finished.folder / ".vlmine/lake").iterdir()
    }

    outcome = finished.run()

    assert outcome.materialized == []
    assert outcome.is_whole
    assert outcome.fresh_count == 4 * 4 + 4 + 4 * 2 + 8 * 3


def test_a_run_that_makes_nothing_reads_each_stamp_once_and_leaves_the_views(finished: Made, monkeypatch):
    finished.run()
    views = finished.folder / ".vlmine/vlmine.duckdb"
    written = views.stat().st_mtime_ns
    asked: Counter[tuple[str, str]] = Counter()
    stamp = Lake.stamp

    def counted(lake: Lake, table: str, partition: str = WHOLE_POOL, **variant: str) -> Stamp | None:
        asked[table, partition] += 1
        return stamp(lake, table, partition, **variant)

    monkeypatch.setattr(Lake, "stamp", counted)
    finished.run()

    assert set(asked.values()) == {1}
    assert views.stat().st_mtime_ns == written


def test_the_views_follow_the_experiments(finished: Made):
    finished.run()
    finished.keep_experiments("pareto")

    finished.run()

    with duckdb.connect(str(finished.folder / ".vlmine/vlmine.duckdb"), read_only=True) as connection:
        assert connection.sql("SELECT DISTINCT experiment FROM pareto_set").fetchall() == [("pareto",)]


def test_one_shard_is_a_whole_pool(make_project):
    made = make_project(
        {"only": members({"coffee": 5, "rocket": 1}, start=0)}, experiments={"rare": {"signals": ["novelty_min"]}}
    )

    outcome = made.run()

    assert outcome.is_whole, outcome.failures
    assert encoder._session.cache_info().currsize == 0  # its memory is given back before the pool is mined
    assert "no labels" in outcome.skipped["task_model"]
    assert len(made.frame("pareto_set")) == 6
    assert made.frame("retrain_metrics").empty


def failed_check(made: Made, asset: str, check: str) -> str:
    """What the check said when it failed last."""
    key = dg.AssetCheckKey(dg.AssetKey(asset), check)
    history = made.instance.event_log_storage.get_asset_check_execution_history(key, limit=5)
    found = [record.event.dagster_event.asset_check_evaluation_data for record in history if record.event]
    return next(str(one.description) for one in found if not one.passed)


def last_check(made: Made, asset: str, name: str) -> dg.AssetCheckEvaluation:
    """What the UI shows of a check."""
    key = dg.AssetCheckKey(dg.AssetKey(asset), name)
    (record,) = made.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    return record.event.dagster_event.asset_check_evaluation_data


def told_failures(made: Made) -> dict[tuple[str, str], str]:
    """What `vlmine status` tells of failures."""
    rows = table_states(made.bench, made.bench.source.shards(), lambda: nullcontext(made.instance))
    return {(row["table"], partition): text for row in rows for partition, text in row.get("failures", {}).items()}


def test_a_failing_shard_stops_nobody_else(make_project):
    pool, labels = small_pool()
    made = make_project({**pool, "pool/b": {f"{k}.jpg": b"no image" for k in range(4)}}, labels=labels)
    made.keep_experiments("pareto")
    steps: list[Step] = []

    with listening(steps.append):
        outcome = made.run()

    assert [(step.done, step.total) for step in steps if step.work == ALL_SHARDS] == [(k, 4) for k in (0, 1, 2, 3, 4)]

    ((asset, partition), message), *rest = outcome.failures.items()
    assert rest == []
    assert (asset, partition) == ("images", "pool/b")
    assert "4 of 4 images failed, more than max_failure_share 0.5. Commonest: 4 x no image: it begins with" in message
    assert len(made.frame("keywords", "pool/a")) > 0
    assert len(made.frame("keywords", "pool/c")) > 0
    assert outcome.waiting["vocab_counts"] == "waits for keywords of pool/b; images of pool/b"
    assert failed_check(made, "images", "quality").startswith("images[pool/b]: 4 of 4 images failed")
    assert told_failures(made) == {("images", "pool/b"): message}
    standing = last_check(made, "images", "contract")  # pool/c and test/t were made after pool/b failed
    assert not standing.passed
    assert standing.description.endswith(f"; [pool/b] still fails: {message}")

    partial = made.run(allow_missing_shards=True)

    assert ("vocab_counts", "pool") in partial.materialized
    assert set(partial.failures) == {("images", "pool/b")}


def test_a_check_that_never_ran_is_not_recorded_as_failed(finished: Made):
    (finished.folder / "data/pool/b.tar").write_bytes(b"no tar")
    assert not finished.run(shards=["pool/b"]).is_whole

    contract = last_check(finished, "images", "contract")
    key = dg.AssetCheckKey(dg.AssetKey("images"), "quality")
    (record,) = finished.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)

    assert (contract.passed, contract.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert record.status.value == "PLANNED"  # the UI shows it as not executed


def test_novelty_equals_a_recount_of_the_keywords(finished: Made):
    words = finished.frame("keywords")
    counts = words.groupby("keyword")["image_id"].nunique()
    pooled = words.assign(n=words["keyword"].map(counts)).groupby("image_id")["n"].agg(["min", "mean"])

    scores = finished.frame("novelty_scores").set_index("image_id").sort_index()

    assert finished.frame("vocab_counts").set_index("keyword")["image_count"].to_dict() == counts.to_dict()
    np.testing.assert_array_equal(scores["min_count"], pooled["min"])
    np.testing.assert_allclose(scores["novelty_mean"], 1 / pooled["mean"])
    rarest = (
        words.assign(n=words["keyword"].map(counts))
        .sort_values(["n", "keyword"])
        .groupby("image_id")["keyword"]
        .first()
    )
    assert scores["rarest_keyword"].to_dict() == rarest.to_dict()


def test_test_images_and_seed_are_never_mined_and_labels_of_the_pool_stay_hidden(finished: Made):
    found = finished.frame("images").set_index("image_id")
    mined = finished.frame("pareto_set", "pareto")["image_id"]

    assert set(found.loc[mined, "split"]) == {"pool"}
    assert found.loc[found["split"] == "pool", "label"].isna().all()
    assert not finished.frame("keywords")["image_id"].str.startswith("test/").any()
    assert not finished.frame("uncertainty_scores")["image_id"].str.startswith("test/").any()


def test_arrival_order_replacement_and_removal_leave_no_trace(finished: Made, make_project):
    pool, labels = small_pool()
    changed = members({"coffee": 4, "astronaut": 2}, start=30)
    labels += "\n" + "\n".join(f"{name.removesuffix('.jpg')},pool,{name.split('-')[0]}" for name in changed)
    finished.replace_shard("pool/b", changed)
    (finished.folder / "data/pool/a.tar").unlink()
    (finished.folder / "labels.csv").write_text(labels)
    finished.keep_experiments(*FEW_ARMS)
    assert finished.run().is_whole

    clean = make_project({"pool/c": pool["pool/c"], "pool/b": changed, "test/t": pool["test/t"]}, labels=labels)
    clean.keep_experiments(*FEW_ARMS)
    assert clean.run().is_whole

    assert finished.instance.get_dynamic_partitions(SHARDS) != []
    for table in ("vocab_counts", "pareto_set"):
        for partition in clean.bench.lake.partitions(table):
            assert same(clean.frame(table, partition), finished.frame(table, partition)), (table, partition)
    for shard in ("pool/b", "pool/c"):
        assert same(clean.frame("novelty_scores", shard), finished.frame("novelty_scores", shard))
        assert same(clean.frame("uncertainty_scores", shard), finished.frame("uncertainty_scores", shard))


def test_a_touched_shard_with_the_same_content_is_fresh(finished: Made):
    finished.replace_shard("pool/a", small_pool()[0]["pool/a"])

    assert finished.run(shards=["pool/a"]).materialized == []


def test_a_renamed_root_keeps_ids_and_freshness(finished: Made):
    (finished.folder / "data").rename(finished.folder / "moved")
    dataset = finished.project.settings.dataset.model_dump(mode="json", exclude_defaults=True)
    finished.settings(dataset={"kind": "webdataset", **dataset, "root": "moved"})

    assert finished.run().materialized == []


def test_another_threshold_touches_only_what_depends_on_it(finished: Made):
    finished.settings(describer={"kind": "tagger", "top": 2})

    outcome = finished.run()

    made = {asset for asset, _ in outcome.materialized}
    assert "images" not in made
    assert "embeddings" not in made
    assert {"descriptions", "keywords", "vocab_counts", "novelty_scores"} <= made
    again = {partition for asset, partition in outcome.materialized if asset == "pareto_set"}
    assert again == {"novelty_min", "novelty_mean", "pareto", "rank_sum", "fused"}


def test_mixed_variants_are_refused_and_the_shards_are_named(finished: Made):
    finished.settings(describer={"kind": "tagger", "top": 2})
    assert finished.run(shards=["pool/b"]).is_whole

    result = finished.job("global_job")

    (event,) = [e for e in result.all_events if e.is_step_failure and e.step_key == "vocab_counts"]
    text = event.step_failure_data.user_failure_data.description
    assert "2 ways to describe or keyword are mixed" in text
    assert "for 1 shard: pool/b" in text
    assert failed_check(finished, "vocab_counts", "one_variant") == text
    assert told_failures(finished) == {("vocab_counts", "pool"): text}

    assert finished.run().is_whole
    assert told_failures(finished) == {}
    (last,) = finished.instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(dg.AssetKey("vocab_counts"), "one_variant"), limit=1
    )
    assert last.event.dagster_event.asset_check_evaluation_data.passed


def test_a_broken_expectation_leaves_the_old_table_and_names_rule_count_and_examples(finished: Made):
    def doubled(run) -> Product:
        """Every row twice."""
        rows = run.previous().read()
        return Product(pa.concat_tables([rows, rows.slice(0, 2)]))

    path = finished.bench.lake.path("images", "pool/a")
    before = path.read_bytes()
    stage = dataclasses.replace(images, compute=doubled)
    broken = build_asset(Unit(stage), Graph([stage]), finished.project, experiments=experiments([]), code_version="x")

    result = dg.materialize(
        [broken],
        partition_key="pool/a",
        instance=finished.instance,
        resources={"workbench": finished.bench},
        raise_on_error=False,
    )

    assert not result.success
    (event,) = [e for e in result.all_events if e.is_step_failure]
    text = event.step_failure_data.user_failure_data.description
    assert "images[pool/a] was not published, the old file stays" in text
    assert "unique on image_id: broken by 4 of 14 rows, such as 'pool/a/" in text
    assert path.read_bytes() == before


def test_checks_pass_on_good_tables_and_quality_warns_on_bad_images(make_project):
    made = make_project({"a": {**members({"coffee": 4}, start=0), "bad.jpg": b"", "cut.jpg": jpeg("coffee", 1)[:500]}})
    made.settings(experiments={"rare": {"signals": ["novelty_min"]}})

    result = made.job("shard_job", "a")

    assert result.success
    checks = {(c.asset_key.path[-1], c.check_name): c for c in result.get_asset_check_evaluations()}
    assert checks["images", "contract"].passed
    assert not checks["images", "quality"].passed
    assert checks["images", "quality"].severity == dg.AssetCheckSeverity.WARN
    assert checks["descriptions", "quality"].passed
    outcomes = made.frame("images").set_index("image_id")["outcome"].to_dict()
    assert outcomes["a/bad"] == "empty"
    assert outcomes["a/cut"] == "corrupt"
    assert len(made.frame("embeddings")) == 4


def test_materializations_carry_facts_for_the_ui(make_project):
    made = make_project({"a": members({"coffee": 4}, start=0)})

    result = made.job("shard_job", "a")

    facts = {
        m.asset_key.path[-1]: m.metadata for m in (e.materialization for e in result.get_asset_materialization_events())
    }
    assert facts["images"]["dagster/row_count"].value == 4
    assert facts["images"]["outcomes"].value == {"ok": 4}
    assert facts["embeddings"]["images/s"].value > 0
    assert "espresso" in str(facts["descriptions"]["preview"].records)


def test_a_partial_pool_is_refused_unless_asked_for(finished: Made):
    finished.bench.lake.remove("keywords", "pool/c")

    refused = finished.job("global_job")
    config = {"config": {"allow_missing_shards": True}}
    allowed = finished.job("global_job", run_config={"ops": {"vocab_counts": config, "rarity_scores": config}})

    (event,) = [e for e in refused.all_events if e.is_step_failure and e.step_key == "vocab_counts"]
    assert "1 of 4 partitions are not there yet: pool/c" in event.step_failure_data.user_failure_data.description
    assert allowed.success
    assert finished.frame("vocab_counts")["image_count"].max() < 22


def test_the_budget_can_be_changed_in_the_launchpad(finished: Made):
    config = {"ops": {"pareto_set": {"config": {"budget": 3}}}}

    result = finished.job("mining_job", "pareto", run_config=config)

    assert result.success
    assert finished.frame("pareto_set", "pareto")["selected"].sum() == 3


def test_any_budget_is_a_prefix_of_the_next(finished: Made):
    ranked = finished.frame("pareto_set", "pareto").sort_values("rank")

    assert ranked["rank"].tolist() == list(range(1, len(ranked) + 1))
    assert ranked["front"].is_monotonic_increasing
    assert ranked["selected"].tolist() == sorted(ranked["selected"], reverse=True)
    assert ranked.loc[~ranked["selected"], "reason"].eq("beyond the budget").all()
    assert ranked.loc[ranked["selected"], "reason"].str.contains('keyword "').all()


def test_a_small_network_is_a_task_model_too(finished: Made):
    finished.settings(
        task_model={"kind": "cnn", "image_size": 32, "epochs": 2},
        retraining={"kind": "cnn", "budgets": [0.2], "seeds": [0, 1]},
        experiments={"pareto": {"signals": ["novelty_min", "margin"]}},
    )

    outcome = finished.run()

    assert outcome.is_whole, outcome.failures
    assert finished.frame("task_model")["kind"].item() == "cnn"
    metrics = finished.frame("retrain_metrics", "pareto")
    assert set(metrics["seed"]) == {-1, 0, 1}
    assert (finished.frame("pareto_set", "pareto")["margin"] <= 0).all()


def test_other_dropout_passes_are_asked_anew(finished: Made):
    task_model = {"kind": "probe", "dropout_passes": 4}
    finished.settings(task_model=task_model, experiments={"bald": {"signals": ["dropout_bald"]}})
    finished.run()
    few = finished.frame("uncertainty_scores")
    finished.settings(task_model={**task_model, "dropout_passes": 40})

    outcome = finished.run()

    many = finished.frame("uncertainty_scores")
    assert outcome.is_whole, outcome.failures
    assert (many["entropy"] == few["entropy"]).all()
    assert (many["dropout_bald"] != few["dropout_bald"]).mean() > 0.9


def test_predictions_of_a_user_are_a_task_model(finished: Made):
    names = finished.frame("images")["image_id"].tolist()[:-3]
    sure = np.linspace(0.5, 1.0, len(names))
    pq.write_table(pa.table({"image_id": names, "cat": sure, "dog": 1 - sure}), finished.folder / "p.parquet")
    finished.settings(
        task_model={"kind": "predictions", "path": "p.parquet"}, experiments={"entropy": {"signals": ["entropy"]}}
    )

    outcome = finished.run()

    assert outcome.is_whole, outcome.failures
    scores = finished.frame("uncertainty_scores").set_index("image_id")
    assert set(scores.index) <= set(names)
    assert scores["variation_ratio"].to_dict() == pytest.approx(
        {n: 1 - p for n, p in zip(names, sure, strict=True) if n in scores.index}
    )


def test_a_checkpoint_of_a_user_is_a_task_model(finished: Made):
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    folder = finished.folder / "checkpoint"
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=16
    )
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    finished.settings(
        task_model={"kind": "transformers", "path": "checkpoint"}, experiments={"margin": {"signals": ["margin"]}}
    )

    outcome = finished.run()

    assert outcome.is_whole, outcome.failures
    scores = finished.frame("uncertainty_scores", "pool/a")
    assert scores["image_id"].is_monotonic_increasing
    assert set(scores["predicted_label"]) <= {"LABEL_0", "LABEL_1"}


def test_a_missing_user_model_says_which_setting_to_correct(finished: Made):
    finished.settings(task_model={"kind": "predictions", "path": "gone.parquet"})

    result = finished.job("global_job")

    (event,) = [e for e in result.all_events if e.is_step_failure]
    assert "task_model.path: there is no" in event.step_failure_data.user_failure_data.description


def test_every_experiment_is_one_mlflow_run_with_its_retraining_as_child(finished: Made):
    tracking = finished.bench.tracking
    finished.bench.lake.remove("pareto_set", "pareto")
    finished.bench.lake.remove("retrain_metrics", "pareto")
    finished.bench.lake.remove("mining_report", "pareto")

    assert finished.run(experiments=["pareto"]).is_whole

    parent = tracking.client.get_run(tracking.latest(experiment="pareto", asset="pareto_set"))
    child = tracking.client.get_run(tracking.latest(experiment="pareto", asset="retrain_metrics"))
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert parent.data.params["experiment"] == "pareto"
    assert parent.data.tags["vlmine.signals"] == "novelty_min, entropy"
    assert parent.data.tags["dagster.run_id"]
    recalls = tracking.history(parent.info.run_id, ["few_recall"])["few_recall"]
    assert len(recalls) == 2
    assert parent.inputs.dataset_inputs[0].dataset.name == "small"
    artifacts = {found.path for found in tracking.client.list_artifacts(parent.info.run_id)}
    assert artifacts == {"mined.csv", "recall.png", "contact_sheet.html", "signals.png"}


def test_metrics_hold_every_budget_with_the_same_counts_for_every_experiment(finished: Made):
    tables = {name: finished.frame("retrain_metrics", name) for name in finished.project.settings.experiments}

    counts = {name: sorted(set(table["mined_count"])) for name, table in tables.items()}
    assert len({tuple(found) for found in counts.values()}) == 1
    few = tables["pareto"].query("metric == 'few_recall'").set_index("budget")["value"]
    assert few.between(0, 1).all()
    assert {"all_accuracy", "few_accuracy"} <= set(tables["pareto"].query("seed == 0")["metric"])


def test_the_report_shows_the_first_images(finished: Made):
    page = Path(finished.frame("mining_report", "pareto")["path"].item()).read_text()

    first = finished.frame("pareto_set", "pareto").sort_values("rank")["image_id"].iloc[0]
    assert first in page
    assert "data:image/jpeg;base64" in page


def test_the_asset_graph_is_as_drawn(finished: Made):
    definitions = build_definitions(finished.project)
    graph = definitions.resolve_asset_graph()
    drawn = {
        node.key.to_user_string(): (node.group_name, sorted(k.to_user_string() for k in node.parent_keys))
        for node in graph.asset_nodes
    }

    assert drawn == {
        "dataset": ("ingest", []),
        "whole_dataset": ("ingest", []),
        "experiments": ("mine", []),
        "images": ("ingest", ["dataset"]),
        "embeddings": ("describe", ["dataset", "images"]),
        "descriptions": ("describe", ["dataset", "embeddings", "images"]),
        "keywords": ("describe", ["dataset", "descriptions"]),
        "vocab_counts": ("score", ["images", "keywords", "whole_dataset"]),
        "novelty_scores": ("score", ["keywords", "vocab_counts", "whole_dataset"]),
        "junk": ("score", ["images", "whole_dataset"]),
        "rarity_scores": ("score", ["embeddings", "images", "keywords", "vocab_counts", "whole_dataset"]),
        "task_model": ("score", ["embeddings", "images", "whole_dataset"]),
        "uncertainty_scores": ("score", ["embeddings", "images", "task_model", "whole_dataset"]),
        "pareto_set": (
            "mine",
            [
                "descriptions", "experiments", "images", "junk", "keywords", "novelty_scores", "rarity_scores",
                "uncertainty_scores", "vocab_counts", "whole_dataset",
            ],
        ),
        "retrain_metrics": ("evaluate", ["embeddings", "experiments", "images", "pareto_set", "whole_dataset"]),
        "mining_report": (
            "evaluate",
            [
                "descriptions", "experiments", "images", "keywords", "novelty_scores", "pareto_set",
                "retrain_metrics", "vocab_counts", "whole_dataset",
            ],
        ),
    }  # fmt: skip
    assert {job.name for job in definitions.resolve_all_job_defs() if not job.name.startswith(("__", "study_"))} == {
        "shard_job", "score_job", "global_job", "mining_job"
    }  # fmt: skip


def test_every_asset_reads_well_in_the_ui(finished: Made):
    for definition in build_assets(GRAPH, finished.project):
        if isinstance(definition, dg.SourceAsset):
            assert len(definition.description) > 80
            continue
        spec = next(iter(definition.specs))
        assert len(spec.description) > 80
        assert spec.kinds
        assert spec.owners == []
        assert spec.code_version
        assert spec.metadata["dagster/column_schema"].columns
        (reference,) = spec.metadata["dagster/code_references"].code_references
        linked = Path(reference.file_path).read_text(encoding="utf-8").splitlines()[reference.line_number - 1 :]
        assert linked[0].startswith("@stage(")
        assert next(line for line in linked if line.startswith("def ")).startswith(f"def {spec.key.path[-1]}(")


@pytest.mark.parametrize("config", [StageConfig, ModelConfig, MiningConfig, StudyConfig])
def test_every_setting_of_the_launchpad_says_what_it_does(config: type[dg.Config]):
    fields = config.to_config_schema().as_field().config_type.fields

    assert fields
    assert all(field.description for field in fields.values())


def test_variants_stand_beside_the_default(finished: Made):
    finished.settings(
        variants={"words": {"keyworder": {"kind": "rules"}}},
        experiments={"a": {"signals": ["novelty_min"]}, "b": {"signals": ["novelty_min"], "variant": "words"}},
    )

    outcome = finished.run()

    assert outcome.is_whole, (outcome.failures, outcome.waiting)
    assert ("words/vocab_counts", "pool") in outcome.materialized
    lake = finished.bench.lake
    tags = set(lake.read("vocab_counts").column("keyword").to_pylist())
    words = set(lake.read("vocab_counts", variant="words").column("keyword").to_pylist())
    assert "egyptian cat" in tags - words
    assert "egyptian" in words


def test_sources_of_a_folder_run_too(make_project, tmp_path):
    made = make_project({}, experiments={"rare": {"signals": ["novelty_mean"]}})
    for name, data in members({"coffee": 4, "rocket": 1}, start=0).items():
        (made.folder / "data/deep").mkdir(parents=True, exist_ok=True)
        (made.folder / "data/deep" / name).write_bytes(data)
    made.settings(dataset={"kind": "folder", "root": "data", "shard_count": 2})

    outcome = made.run()

    assert outcome.is_whole, outcome.failures
    assert len(open_source(made.project).shards()) == 2
    assert len(made.frame("pareto_set")) == 5
    json.dumps(vars(outcome)["materialized"])


def test_the_fused_list_knows_why(finished: Made):
    ranked = finished.frame("pareto_set", "fused").sort_values("rank")

    assert list(ranked.columns[-3:]) == ["class_rank_rarity", "chosen_sparsity", "chosen_isolation"]
    said = ranked["reason"][ranked["selected"]]
    assert said.iloc[0].startswith("unlike any labelled class")  # none has a name here
    assert any(reason.startswith('perhaps rare class "') for reason in said)
    assert said.str.contains("most isolated in appearance").all()
    assert set(finished.frame("rarity_scores")["image_id"]) == set(finished.frame("pareto_set", "random")["image_id"])


def test_without_labels_rarity_is_told_by_tags_alone(make_project):
    experiments = {"fused": {"signals": ["novelty_min", "sparsity", "soft_novelty"], "fusion": "fisher"}}
    made = make_project({"only": members({"coffee": 6, "rocket": 1}, start=0)}, experiments=experiments)

    outcome = made.run()

    assert outcome.is_whole, (outcome.failures, outcome.waiting)
    assert made.frame("rarity_scores")["expected_rarity"].isna().all()
    assert made.frame("pareto_set").sort_values("rank")["image_id"].iloc[0] == "only/rocket-0"
