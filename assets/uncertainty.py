"""Stage `uncertainty_scores`: how unsure the task model is about each image."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from assets import task_model
from assets.stages import Product, StageRun
from resources.intake import load_pictures
from vlmine_dagster.mining.uncertainty import margin, predictive_entropy, variation_ratio
from vlmine_dagster.tables import UNCERTAINTY_SCORES

_CHECKPOINT_BATCH = 64

Floats = npt.NDArray[np.float64]


def compute(run: StageRun) -> Product:
    """Judge a shard's readable images by the task model; those of the test split are left out."""
    images = run.read("images", ["image_id", "split", "outcome"]).to_pylist()
    names = [row["image_id"] for row in images if row["outcome"] == "ok" and row["split"] != "test"]
    model = run.read("task_model").to_pylist()[0]
    names, classes, probabilities = _predict(run, model, names)
    likeliest = probabilities.argmax(axis=1) if names else np.empty(0, np.int64)
    columns = {
        "image_id": names,
        "entropy": predictive_entropy(probabilities),
        "variation_ratio": variation_ratio(probabilities),
        "margin": margin(probabilities),
        "predicted_label": [classes[place] for place in likeliest],
    }
    return Product(pa.table(columns, schema=UNCERTAINTY_SCORES.schema), {"judged": len(names)})


def _predict(run: StageRun, model: dict[str, Any], names: list[str]) -> tuple[list[str], tuple[str, ...], Floats]:
    """Return the images that got an answer, the classes, and probabilities of shape (N, C)."""
    from vlmine_dagster.learning.task_model import load, load_checkpoint, read_predictions

    if model["kind"] == "predictions":
        classes, probabilities = read_predictions(model["path"], names)
        answered = np.asarray(~np.isnan(probabilities).any(axis=1))
        return (
            [name for name, is_there in zip(names, answered, strict=True) if is_there],
            classes,
            probabilities[answered],
        )
    if model["kind"] == "transformers":
        return _predict_by_checkpoint(run, load_checkpoint(model["path"]), names)
    from pathlib import Path

    network = load(Path(model["path"]))
    side = run.project.settings.task_model.image_size
    return names, network.classes, network.predict(task_model.model_inputs(run, model["kind"], names, side=side))


def _predict_by_checkpoint(
    run: StageRun, checkpoint: Any, names: list[str]
) -> tuple[list[str], tuple[str, ...], Floats]:
    from resources.ordered import batches

    found: list[str] = []
    parts: list[Floats] = [np.empty((0, len(checkpoint.classes)))]
    progress = run.progress(len(names))
    max_pixels = run.project.settings.dataset.max_pixels
    for batch in batches(load_pictures(run.bench.source, names, max_pixels=max_pixels), _CHECKPOINT_BATCH):
        found += [name for name, _ in batch]
        parts.append(checkpoint.predict([picture for _, picture in batch]))
        progress.add(len(batch))
    order = sorted(range(len(found)), key=found.__getitem__)
    return [found[place] for place in order], checkpoint.classes, np.concatenate(parts)[order]
