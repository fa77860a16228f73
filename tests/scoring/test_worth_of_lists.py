"""What the first images of a list are worth: the order in which they count, luck, slices, and tables for people."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from memory import MemoryReader
from plain_tables import plain_rows

from vlmine_dagster.domain.tables import EMBEDDINGS, IMAGES, RETRAIN_METRICS, UNRANKED
from vlmine_dagster.scoring.retraining import (
    UNTRAINED,
    Truth,
    luck,
    means,
    metrics_table,
    mined_rows,
    ranked_truth,
    retrained_rows,
    summary,
)
from vlmine_dagster.settings.project import Project, parse_settings

BINS = {"car": "many", "bus": "medium", "yak": "few", "gnu": "few"}


def truth_of(*labels, unranked_count=0):
    return Truth([f"a/{place}" for place in range(len(labels))], labels, BINS, unranked_count)


class Labels:
    """Knows the class of every image but one."""

    def truth(self, name, key):
        return None if key == "x#0" else "yak" if name.startswith("a/y") else "car"

    def class_counts(self):
        return {"car": 150, "bus": 50, "yak": 3}


def of_objects(folder, ranked, *, deliver):
    """The truth of a list of objects in the images w, x, y and z."""
    names = [f"a/{image}#{number}" for image in "wxyz" for number in range(2)]
    settings = parse_settings(
        {
            "name": "p",
            "unit": "object",
            "objects": {"boxes": "boxes.json"},
            "dataset": {"kind": "folder", "root": ".", "labels": {"file": "labels.csv", "oracle": True}},
            "experiments": {"mine": {"signals": ["entropy"], **({"deliver": deliver} if deliver else {})}},
        }
    )
    tables = {
        "images": {"a": plain_rows(IMAGES, image_id=names, split=["pool"] * len(names))},
        "pareto_set": {"mine": pa.table({"image_id": ranked[::-1], "rank": range(len(ranked), 0, -1)})},
    }
    columns = {"images": ("image_id", "split", "outcome"), "pareto_set": ("image_id", "rank")}
    project = Project(settings, folder, str(folder / "home"))
    reader = MemoryReader(tables, columns, project=project, partition="mine")
    reader.tables["pareto_set"]["mine"] = tables["pareto_set"]["mine"]
    return ranked_truth(reader, Labels())


def test_a_list_counts_in_its_order_without_images_of_unknown_class_and_unranked_ones_come_last(tmp_path):
    ranked = ["a/y#1", "a/x#0", "a/w#0", "a/y#0"]

    truth = of_objects(tmp_path, ranked, deliver=None)

    assert truth.image_ids[:3] == ["a/y#1", "a/w#0", "a/y#0"]
    assert sorted(truth.image_ids[3:]) == ["a/w#1", "a/x#1", "a/z#0", "a/z#1"]
    assert truth.unranked_count == 4
    assert truth.labels[:3] == ["yak", "car", "yak"]
    assert truth.bins == {"car": "many", "bus": "medium", "yak": "few"}


def test_where_whole_images_are_labelled_all_objects_of_one_count_where_its_first_ranks(tmp_path):
    truth = of_objects(tmp_path, ["a/y#1", "a/w#0", "a/z#1", "a/y#0", "a/w#1"], deliver="image")

    assert truth.image_ids[:5] == ["a/y#1", "a/y#0", "a/w#0", "a/w#1", "a/z#1"]


def test_a_row_is_made_per_budget_and_metric_and_says_how_many_are_not_ranked():
    truth = truth_of("yak", "car", "gnu", "car", "bus", unranked_count=2)

    rows = list(mined_rows(truth, {0.2: 1, 0.6: 3}))

    found = {(row["mined_count"], row["metric"]): row["value"] for row in rows}
    assert (found[1, "few_recall"], found[3, "few_recall"]) == (0.5, 1.0)
    assert found[3, "few_precision"] == pytest.approx(2 / 3)
    assert found[1, UNRANKED] == found[3, UNRANKED] == 2.0
    assert {(row["budget"], row["mined_count"], row["seed"]) for row in rows} == {
        (0.2, 1, UNTRAINED),
        (0.6, 3, UNTRAINED),
    }
    assert metrics_table(rows).schema.equals(RETRAIN_METRICS.schema)


def test_recall_within_slices_is_of_few_shot_images_alone():
    truth = truth_of(*["yak"] * 12, *["car"] * 12)
    slices = {f"a/{place}": "night" if place < 10 or place >= 12 else "day" for place in range(24)}

    rows = {row["metric"]: row["value"] for row in mined_rows(truth, {0.25: 6}, slices=slices)}

    assert rows["slice_recall: night"] == 0.6  # 6 of 10; of the day there are 2, too few to tell
    assert "slice_recall: day" not in rows
    assert rows["worst_slice_recall"] == 0.6
    assert "worst_slice_recall" not in {row["metric"] for row in mined_rows(truth, {0.25: 6})}


def lucky(truth, *, signals, budget=None, usual=0.1):
    experiment = SimpleNamespace(signals=signals, budget=budget)
    settings = SimpleNamespace(experiments={"mine": experiment}, budget=usual)
    return luck(SimpleNamespace(project=SimpleNamespace(settings=settings), partition="mine"), truth)


def test_luck_is_judged_at_the_budget_of_the_experiment_and_chance_itself_is_not():
    truth = truth_of(*["yak"] * 20, *["car"] * 20, *["gnu"] * 20, *["car"] * 140)

    found = lucky(truth, signals=["entropy"], budget=0.2)
    assert found.is_met
    assert (found.facts["found"], found.facts["by chance"]) == (20, 8.0)
    usual = lucky(truth, signals=["entropy", "random"], budget={"images": 3}, usual=0.15)
    assert (usual.facts["found"], usual.facts["by chance"]) == (20, 6.0)
    assert not lucky(truth_of(*truth.labels[::-1]), signals=["entropy"], budget=0.2).is_met
    assert lucky(truth, signals=["random"]).text == "this experiment is the random baseline"


ROWS = [
    {"metric": "few_recall", "budget": 0.1, "seed": -1, "value": 0.25},
    {"metric": "all_accuracy", "budget": 0.1, "seed": 0, "value": 0.5},
    {"metric": "all_accuracy", "budget": 0.1, "seed": 1, "value": 0.75},
    {"metric": "all_accuracy", "budget": 0.0, "seed": 0, "value": 0.5},
    {"metric": "few_accuracy", "budget": 0.1, "seed": 0, "value": None},
    {"metric": "many_accuracy", "budget": 0.1, "seed": 0, "value": 1.0},
]


def test_means_are_over_seeds_and_leave_out_what_is_unknown():
    assert means(ROWS) == {
        ("few_recall", 0.1): (0.25, 0.0),
        ("all_accuracy", 0.1): (0.625, 0.125),
        ("all_accuracy", 0.0): (0.5, 0.0),
        ("many_accuracy", 0.1): (1.0, 0.0),
    }


def test_a_summary_has_the_metrics_that_people_ask_for_by_budget():
    assert summary(ROWS).splitlines() == [
        "| metric | 0% | 10% |",
        "| --- | ---: | ---: |",
        "| few_recall |  | 0.250 |",
        "| all_accuracy | 0.500 | 0.625 |",
    ]


def retrained(folder, splits, *, slices=None):
    """Rows of a probe retrained on images whose features tell their class; cars are 0, yaks are 1."""
    names = [f"a/{place:02}" for place in range(len(splits))]
    classes = [place % 2 for place in range(len(splits))]
    noise = np.random.default_rng(0).normal(0, 0.1, (len(names), 1280))
    features = (np.where(classes, 1, -1)[:, None] + noise).astype(np.float16)
    labels = ["yak" if one else "car" for one in classes]
    images = plain_rows(IMAGES, image_id=names, label=labels, split=splits)
    tables = {
        "images": {"a": images},
        "embeddings": {
            "a": plain_rows(
                EMBEDDINGS,
                image_id=names,
                embedding=list(features),
                tag_probabilities=[np.zeros(1000, np.float16)] * len(names),
            )
        },
    }
    columns = {"images": ("image_id", "label", "split", "outcome"), "embeddings": ("image_id", "embedding")}
    settings = parse_settings(
        {
            "name": "p",
            "dataset": {"kind": "folder", "root": "."},
            "retraining": {"kind": "probe", "budgets": [0.5], "seeds": [0]},
        }
    )
    reader = MemoryReader(tables, columns, project=Project(settings, folder, str(folder / "home")))
    pool = [place for place, split in enumerate(splits) if split == "pool"]
    truth = Truth([names[place] for place in pool], [labels[place] for place in pool], BINS, 0)
    found = retrained_rows(reader, None, truth, {0.5: len(pool) // 2}, slices=slices and slices(names))
    return {(row["budget"], row["mined_count"], row["seed"], row["metric"]): row["value"] for row in found}


def test_models_are_judged_on_test_images_without_and_with_the_mined_ones(tmp_path):
    splits = [*["seed"] * 8, *["pool"] * 12, *["test"] * 20]

    found = retrained(tmp_path, splits, slices=lambda names: dict.fromkeys(names, "day"))

    assert {key[:3] for key in found} == {(0.0, 0, 0), (0.5, 6, 0)}
    assert found[0.5, 6, 0, "all_accuracy"] == found[0.0, 0, 0, "few_accuracy"] == 1.0
    assert found[0.5, 6, 0, "medium_accuracy"] is None  # no bus is in the test split
    assert found[0.5, 6, 0, "slice_accuracy: day"] == 1.0
    assert not [metric for *_, metric in retrained(tmp_path, splits) if "slice" in metric]


@pytest.mark.parametrize("split", ["seed", "test"])
def test_without_labels_to_learn_from_or_to_judge_by_nothing_is_retrained(tmp_path, caplog, split):
    splits = [split] * 4 + ["pool"] * 4

    assert retrained(tmp_path, splits) == {}
    counts = {"seed": 0, "test": 0, split: 4}
    assert f"nothing retrained; labelled: {counts['seed']} seed images and {counts['test']} test images" in caplog.text
