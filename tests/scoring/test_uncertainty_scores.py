"""A shard's uncertainty to the last bit, whatever it is made beside."""

import numpy as np
import pyarrow as pa
import pytest
from memory import MemoryReader

from vlmine_dagster.domain.tables import Outcome, Split
from vlmine_dagster.learning.task_model import train_task_model
from vlmine_dagster.scoring import task_model as of_models
from vlmine_dagster.scoring.task_model import Answers, Workplace, answers_of, keep, task_model_table
from vlmine_dagster.scoring.uncertainty import uncertainty_columns, uncertainty_scores
from vlmine_dagster.settings.project import Project, parse_settings

SHARDS = {"a": 37, "a/inner": 3, "b": 21, "c": 5}
COLUMNS = {
    "images": ("image_id", "sha256", "split", "outcome"),
    "task_model": ("kind", "sha256"),
    "embeddings": ("image_id", "embedding"),
}
DRAW = np.random.default_rng(0)
FEATURES = {shard: DRAW.normal(size=(count, 1280)).astype(np.float32) for shard, count in SHARDS.items()}


def of_shards(chosen, row, folder):
    names = {shard: [f"{shard}/{k:02}" for k in range(SHARDS[shard])] for shard in chosen}
    tables = {
        "images": {
            shard: pa.table(
                {
                    "image_id": ids,
                    "sha256": ids,
                    "split": [Split.POOL.value] * len(ids),
                    "outcome": [Outcome.OK.value] * len(ids),
                }
            )
            for shard, ids in names.items()
        },
        "embeddings": {
            shard: pa.table(
                {
                    "image_id": ids,
                    "embedding": pa.FixedSizeListArray.from_arrays(FEATURES[shard].ravel(), FEATURES[shard].shape[1]),
                }
            )
            for shard, ids in names.items()
        },
        "task_model": {"pool": row},
    }
    settings = {"name": "p", "dataset": {"kind": "folder", "root": "x"}, "task_model": {"kind": "probe", "members": 2}}
    return MemoryReader(tables, COLUMNS, project=Project(parse_settings(settings), folder))


@pytest.mark.parametrize("shard", SHARDS)
def test_a_shard_scores_the_same_bits_alone_and_beside_others(tmp_path, shard):
    labelled = DRAW.normal(size=(60, 1280)).astype(np.float32)
    model = train_task_model("probe", labelled, [f"class {k % 7}" for k in range(60)], members=2)
    row = task_model_table("probe", str(keep(model, tmp_path)), class_count=7)

    alone, together = (
        uncertainty_scores(Workplace(of_shards(chosen, row, tmp_path), None, tmp_path)) for chosen in ([shard], SHARDS)
    )

    of_shard = together.filter(
        pa.compute.is_in(together.column("image_id"), value_set=alone["image_id"].combine_chunks())
    )
    assert alone.num_rows == SHARDS[shard]
    assert of_shard.combine_chunks().equals(alone.combine_chunks())


def test_a_single_model_answers_by_batches_and_has_no_members_to_disagree(tmp_path, monkeypatch):
    monkeypatch.setattr(of_models, "_BATCH", 3)
    labelled = DRAW.normal(size=(60, 1280)).astype(np.float32)
    model, two = (
        train_task_model("probe", labelled, [f"class {k % 7}" for k in range(60)], members=count, dropout=0.2)
        for count in (1, 2)
    )
    inputs, names = FEATURES["c"], [f"c/{k}" for k in range(5)]

    alone, passed, joint = (
        list(answers_of(one, inputs, names, **asked)) for one, asked in ((model, {}), (model, {"passes": 4}), (two, {}))
    )

    assert [part.image_ids for part in alone] == [names[:3], names[3:]]
    assert all(part.members is None and part.passes is None for part in alone)
    assert [part.passes.shape for part in passed] == [(4, 3, 7), (4, 2, 7)]
    assert [part.members.shape for part in joint] == [(2, 3, 7), (2, 2, 7)]
    for part, start in ((alone[0], 0), (alone[1], 3)):
        np.testing.assert_allclose(part.probabilities, model.predict(inputs[start : start + 3]), atol=1e-6)


def test_columns_are_those_of_their_formulas_and_empty_where_nothing_was_measured():
    probabilities = np.array([[0.5, 0.25, 0.25], [0.0, 0.0, 1.0]])
    votes = np.stack([np.eye(3)[[0, 2]], np.eye(3)[[1, 2]]])  # two members, who differ about the first image
    answers = Answers(["a/0", "a/1"], ("bus", "car", "yak"), probabilities, members=votes)

    found = uncertainty_columns(answers)

    assert found["image_id"] == ["a/0", "a/1"]
    assert found["predicted_label"] == ["bus", "yak"]
    np.testing.assert_allclose(found["entropy"], [1.5 * np.log(2), 0], atol=1e-12)
    np.testing.assert_allclose(found["ensemble_bald"], [np.log(2), 0], atol=1e-12)  # each is sure, of another class
    np.testing.assert_allclose(found["ensemble_variation_ratio"], [0.5, 0])
    np.testing.assert_allclose(found["variation_ratio"], [0.5, 0])
    assert found["dropout_bald"] == found["dropout_variation_ratio"] == [None, None]
