"""Every family of signals through the real graph."""

import re

import numpy as np
import pytest
from conftest import Made

from vlmine_dagster.cli.status import table_states
from vlmine_dagster.domain.signals import SIGNALS
from vlmine_dagster.mining.reasons import selection_reason

DISAGREEMENT = ["dropout_variation_ratio", "dropout_bald", "ensemble_variation_ratio", "ensemble_bald", "vote_entropy"]


def test_disagreement_tail_first_and_oracle_are_mined_and_a_resnet_is_retrained(finished: Made):
    labels = finished.folder / "labels.csv"
    labels.write_text(labels.read_text().replace("-50,test,", "-50,val,"))
    finished.settings(
        task_model={"kind": "cnn", "image_size": 16, "epochs": 1, "members": 2, "dropout_passes": 3, "dropout": 0.5},
        retraining={
            "kind": "resnet18", "image_size": 16, "epochs": 1, "budgets": [0.2], "seeds": [0],
            "patience": 1, "validation_share": 0.25, "class_balance": "effective_number",
        },
        experiments={
            "disagree": {"signals": DISAGREEMENT, "fusion": "reciprocal_rank"},
            "tail": {"signals": ["tail_first"]},
            "ceiling": {"signals": ["oracle"]},
        },
    )  # fmt: skip

    outcome = finished.run()

    assert outcome.is_whole, outcome.failures
    scores = finished.frame("uncertainty_scores").set_index("image_id")
    assert scores[DISAGREEMENT].notna().all(axis=None)
    found = finished.frame("images").set_index("image_id")["split"]
    assert found.value_counts()[["val", "test"]].tolist() == [3, 6]
    assert not scores.index.isin(found.index[found.isin(["val", "test"])]).any()
    assert set(scores["dropout_variation_ratio"].round(4)) <= {0.0, 0.3333, 0.6667}
    assert set(scores["ensemble_variation_ratio"]) <= {0.0, 0.5}
    np.testing.assert_allclose(scores["vote_entropy"], scores["ensemble_variation_ratio"] * 2 * np.log(2))
    assert set(finished.frame("retrain_metrics", "tail")["seed"]) == {-1, 0}

    ceiling = finished.frame("pareto_set", "ceiling").sort_values("rank")
    truth = ceiling["image_id"].str.split("/").str[-1].str.split("-").str[0]
    assert ceiling["oracle"].is_monotonic_decreasing
    assert truth.tolist() == sorted(truth, key=["rocket", "chelsea", "coffee"].index)
    assert ceiling["reason"].iloc[0].startswith("true class has 4 images")
    assert "by Tail First Sampling" in finished.frame("pareto_set", "tail")["reason"].iloc[0]

    tags = {name: _tags(finished, name) for name in ("ceiling", "tail")}
    assert tags["ceiling"]["vlmine.oracle"] == "true"
    assert "vlmine.oracle" not in tags["tail"]


def _tags(made: Made, experiment: str) -> dict[str, str]:
    tracking = made.bench.tracking
    return dict(tracking.client.get_run(tracking.latest(experiment=experiment, asset="pareto_set")).data.tags)


def test_without_passes_and_members_their_columns_are_empty(finished: Made):
    assert finished.frame("uncertainty_scores")[DISAGREEMENT].isna().all(axis=None)


def test_a_checkpoint_with_dropout_layers_has_passes_and_one_without_is_refused(finished: Made):
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=16
    )
    folder = finished.folder / "checkpoint"
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    model = {"kind": "transformers", "path": "checkpoint", "dropout_passes": 2}
    finished.settings(experiments={"bald": {"signals": ["dropout_bald"]}}, task_model=model)

    (refused, *_) = finished.run().failures.values()

    assert "none of its dropout layers drops anything" in refused
    finished.settings(task_model={**model, "dropout": 0.3})
    outcome = finished.run()
    assert outcome.is_whole, outcome.failures
    assert (finished.frame("pareto_set", "bald")["dropout_bald"] > 0).any()


@pytest.mark.parametrize("name", [name for name in SIGNALS if name != "random"])
def test_every_signal_says_its_value_in_words(name):
    reason = selection_reason({name: (0.25, 2.0)}, keyword="comet", keyword_count=3)

    assert re.search("2nd |comet|25%|75%| 4 images|unlike any labelled class|pick -0", reason)


def test_diverse_lists_are_picks_from_the_top_of_the_ranking_and_then_the_ranking(finished: Made):
    plain = {"signals": ["novelty_min", "entropy"], "budget": 4}
    arms = {kind: {**plain, "diversity": {"kind": kind, "pool_factor": 2}} for kind in ("k_center", "coverage")}
    finished.settings(experiments={"plain": plain, **arms})

    outcome = finished.run()

    assert outcome.is_whole, outcome.failures
    ranked = finished.frame("pareto_set", "plain").sort_values("rank")["image_id"].tolist()
    for kind, said in (
        ("k_center", "unlike the labelled images and earlier picks"),
        ("coverage", "adds rare keywords"),
    ):
        found = finished.frame("pareto_set", kind).sort_values("rank")
        order = found["image_id"].tolist()
        assert set(order[:4]) <= set(ranked[:8])
        assert order[4:] == [name for name in ranked if name not in order[:4]]
        assert found["selected"].sum() == 4
        assert found["reason"].iloc[:4].str.contains(said).all()
    pages = {name: (finished.folder / ".vlmine" / "reports" / f"{name}.html").read_text() for name in ("plain", *arms)}
    assert [name for name, page in pages.items() if "is not always part of what a larger one" in page] == [*arms]
    assert finished.bench.project.settings.another_budget("plain") == ""
    assert finished.bench.project.settings.another_budget("k_center").startswith("The list is picked to differ, so")

    finished.settings(experiments={"k_center": {**arms["k_center"], "budget": 3}})
    finished.run()
    assert set(finished.frame("pareto_set", "k_center").sort_values("rank")["image_id"][:3]) <= set(ranked[:6])


def test_neighbour_signals_are_made_where_an_experiment_asks_for_them(finished: Made):
    assert finished.run().skipped == {}
    told = {
        row["table"]: row.get("skipped", "") for row in table_states(finished.bench, finished.bench.source.shards())
    }
    assert "no experiment of vlmine.yaml uses any of" in told["neighbour_scores"]
    finished.settings(experiments={"lonely": {"signals": ["embedding_sparsity", "seed_distance"], "fusion": "fisher"}})

    outcome = finished.run()

    assert outcome.is_whole, outcome.failures
    scores = finished.frame("neighbour_scores").set_index("image_id")
    found = finished.frame("images").set_index("image_id")
    assert scores.index.tolist() == sorted(found.index[(found["split"] == "pool") & (found["outcome"] == "ok")])
    assert scores["keyword_sparsity"].isna().all()
    vectors = finished.frame("embeddings").set_index("image_id")["embedding"]
    unit = {name: np.float32(v) / np.linalg.norm(np.float32(v)) for name, v in vectors.items()}
    seed = [unit[name] for name in found.index[found["split"] == "seed"]]
    expected = [1 - max(float(unit[name] @ one) for one in seed) for name in scores.index]
    np.testing.assert_allclose(scores["seed_distance"], expected, atol=1e-4)

    finished.settings(experiments={"words": {"signals": ["keyword_sparsity"]}})
    assert finished.run().is_whole
    scores = finished.frame("neighbour_scores")
    assert scores["keyword_sparsity"].notna().all()
    assert scores["seed_distance"].isna().all()
