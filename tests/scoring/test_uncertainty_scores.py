"""A shard's uncertainty to the last bit, whatever it is made beside."""

import numpy as np
import pyarrow as pa
import pytest
from memory import MemoryReader

from vlmine_dagster.domain.tables import Outcome, Split
from vlmine_dagster.learning.task_model import train_task_model
from vlmine_dagster.scoring.task_model import Workplace, keep, task_model_table
from vlmine_dagster.scoring.uncertainty import uncertainty_scores
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
