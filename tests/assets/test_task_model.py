"""The file of the trained task model and the row that tells of it."""

import os
from contextlib import suppress
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
from conftest import Made, plain_rows

from vlmine_dagster.automation.jobs import GLOBAL_JOB
from vlmine_dagster.domain.tables import EMBEDDINGS, IMAGES
from vlmine_dagster.resources.digests import path_digest


@pytest.fixture
def made(make_project) -> Made:
    """Eight labelled images of two classes whose features are put into the lake by hand."""
    ids = [f"s/{k}" for k in range(8)]
    rows = "".join(f"{name},seed,{'cat' if k % 2 else 'dog'}\n" for k, name in enumerate(ids))
    project = make_project({"s": {}}, labels=f"key,split,class_id\n{rows}x,pool,cat\n")
    labels = ["cat" if k % 2 else "dog" for k in range(8)]
    images = plain_rows(IMAGES, image_id=ids, outcome=["ok"] * 8, split=["seed"] * 8, label=labels)
    project.bench.lake.publish("images", "s", images, inputs="by hand")
    draw = np.random.default_rng(0)
    features = {
        name: list(draw.uniform(0, 1, (8, EMBEDDINGS.schema.field(name).type.list_size)).astype(np.float16))
        for name in ("embedding", "tag_probabilities")
    }
    project.bench.lake.publish("embeddings", "s", plain_rows(EMBEDDINGS, image_id=ids, **features), inputs="by hand")
    return project


def train(made: Made, members: int) -> bool:
    made.settings(task_model={"kind": "probe", "members": members})
    return made.job(GLOBAL_JOB, asset_selection=[dg.AssetKey("task_model")]).success


def row_of(made: Made) -> dict:
    return made.frame("task_model")[["path", "sha256"]].iloc[0].to_dict()


def test_a_run_killed_before_its_row_was_published_leaves_the_model_of_the_row_as_it_was(made, monkeypatch):
    class Gone(BaseException):
        """The process is gone."""

    def dies(*_: object) -> None:
        raise Gone

    assert train(made, 1)
    before = row_of(made)
    with monkeypatch.context() as killed, suppress(Gone):
        killed.setattr("vlmine_dagster.engine.making._publish", dies)
        assert not train(made, 3)

    assert row_of(made) == before
    assert path_digest(before["path"]) == before["sha256"]


def test_models_from_before_the_published_one_are_deleted(made):
    for age, members in enumerate((1, 2, 3, 4)):
        assert train(made, members)
        row = row_of(made)
        os.utime(row["path"], (age, age))

    left = sorted(Path(row["path"]).parent.glob("task_model*"), key=lambda file: file.stat().st_mtime)
    assert len(left) == 2
    assert str(left[-1]) == row["path"]
    assert path_digest(row["path"]) == row["sha256"]
