"""A user's own predictions: those of other images are refused, odd ones are told, and the page's example works."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Made

from vlmine_dagster.cli.doctor import advice_on_models
from vlmine_dagster.domain.errors import ModelError
from vlmine_dagster.scoring.predictions import match_predictions

PAGE = Path(__file__).parent.parent.parent / "docs/models.md"


def write(made: Made, image_ids: list[str], classes: tuple[str, ...] = ("coffee", "rocket")) -> str:
    share = np.full(len(image_ids), 1 / len(classes))
    path = made.folder / "predictions.parquet"
    pq.write_table(pa.table({"image_id": image_ids, **dict.fromkeys(classes, share)}), path)
    made.settings(
        task_model={"kind": "predictions", "path": path.name}, experiments={"entropy": {"signals": ["entropy"]}}
    )
    return str(path)


def matched(made: Made, path: str):
    lake = made.bench.lake
    return match_predictions(path, lake.connect(items=lake.require("items", lake.partitions("items"))))


def test_predictions_of_other_images_are_refused_with_an_id_of_each_side(finished: Made):
    path = write(finished, ["coffee-1", "coffee-2"])
    pool = finished.frame("images").query("split == 'pool'")["image_id"]

    outcome = finished.run()

    sentence = f"none of the {len(pool)} images of the pool is in it. An image_id in it is 'coffee-1', one of the pool"
    assert sentence in outcome.failures["task_model", "pool"]
    assert repr(pool.min()) in outcome.failures["task_model", "pool"]
    assert matched(finished, path).warnings([]) != []


def test_an_empty_file_is_refused_too(finished: Made):
    path = write(finished, [])

    with pytest.raises(ModelError, match="An image_id in it is None"):
        matched(finished, path).refuse_foreign()


def test_images_that_are_missing_and_classes_that_nobody_labels_are_told(finished: Made):
    pool = sorted(finished.frame("images").query("split == 'pool'")["image_id"])
    partly = matched(finished, write(finished, pool[1:], ("c0", "c1")))
    whole = matched(finished, write(finished, pool, ("rocket", "martian")))

    assert (partly.pool_count, partly.known_count, partly.unknown) == (len(pool), len(pool) - 1, pool[0])
    assert partly.warnings(["coffee", "rocket"]) == [
        f"task_model.path {partly.path} lacks 1 of {len(pool)} images of the pool, such as {pool[0]!r}; "
        "they get no uncertainty",
        f"task_model.path {partly.path} has the classes c0, c1, ...; none is a class of the labels: "
        "coffee, rocket, ...",
    ]
    assert whole.warnings(["coffee", "rocket"]) == []
    whole.refuse_foreign()


def test_doctor_says_how_much_of_the_pool_is_in_the_file(finished: Made):
    pool = sorted(finished.frame("images").query("split == 'pool'")["image_id"])
    write(finished, pool)
    (whole,) = advice_on_models(finished.bench)
    write(finished, pool[1:])
    (partly,) = advice_on_models(finished.bench)
    write(finished, ["x"])
    (foreign,) = advice_on_models(finished.bench)

    assert (whole.subject, whole.state) == ("task_model.path", "ok")
    assert whole.found == f"2 classes, {len(pool)} of {len(pool)} images of the pool"
    assert (partly.state, foreign.state) == ("warn", "fail")


def test_the_example_of_the_page_writes_predictions_that_are_mined(finished: Made, monkeypatch: pytest.MonkeyPatch):
    import torch

    monkeypatch.chdir(finished.folder)
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    classes = ["chelsea", "coffee", "rocket"]
    yours = {"model": torch.nn.Linear(4, 3), "pixels": lambda uri: torch.ones(4) * len(uri), "classes": classes}

    exec(compile(example, str(PAGE), "exec"), yours)  # noqa: S102 - our own page
    finished.settings(
        task_model={"kind": "predictions", "path": "predictions.parquet"},
        experiments={
            "unsure": {"signals": ["entropy", "variation_ratio", "margin"]},
            "tail": {"signals": ["tail_first"]},
        },
    )
    outcome = finished.run()

    assert outcome.is_whole, (outcome.failures, outcome.waiting)
    (made,) = finished.frame("task_model").to_dict("records")
    assert (made["kind"], made["class_count"]) == ("predictions", 3)
    assert set(finished.frame("uncertainty_scores")["predicted_label"]) <= set(classes)
