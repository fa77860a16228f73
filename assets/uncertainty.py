"""Stage `uncertainty_scores`: how unsure the task model is about each image."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vlmine_dagster.assets import task_model
from vlmine_dagster.domain.tables import JUDGES, UNCERTAINTY_SCORES
from vlmine_dagster.engine.stages import Product, StageRun
from vlmine_dagster.mining.uncertainty import (
    bald,
    margin,
    predictive_entropy,
    variation_ratio,
    variation_ratio_of_votes,
    vote_entropy,
)
from vlmine_dagster.resources.intake import load_pictures

if TYPE_CHECKING:
    from vlmine_dagster.learning.task_model import TaskModel

_BATCH = 1024
_CHECKPOINT_BATCH = 64

Floats = npt.NDArray[np.float64]


def compute(run: StageRun) -> Product:
    """Judge a shard's images of seed and pool by the task model, some at a time."""
    images = run.read("images", ["image_id", "split", "outcome"])
    is_judge = pc.is_in(images.column("split"), value_set=pa.array([split.value for split in JUDGES]))
    is_asked = pc.and_(pc.equal(images.column("outcome"), "ok"), pc.invert(is_judge))
    names = images.filter(is_asked).column("image_id").to_pylist()
    model = run.read("task_model").to_pylist()[0]
    parts = [UNCERTAINTY_SCORES.schema.empty_table()]
    progress = run.progress(len(names))
    for answers in _ask(run, model, names):
        parts.append(pa.table(scores(answers), schema=UNCERTAINTY_SCORES.schema))
        progress.add(len(answers.image_ids))
    rows = pa.concat_tables(parts).sort_by("image_id")
    return Product(rows, {"judged": rows.num_rows})


@dataclass(frozen=True, eq=False)
class Answers:
    """What the task model says about N images.

    Attributes:
        image_ids: N ids.
        classes: The C class names.
        probabilities: Shape (N, C).
        passes: Shape (S, N, C), by Monte Carlo dropout; None without.
        members: Shape (K, N, C), by the members of an ensemble; None without.
    """

    image_ids: Sequence[str]
    classes: tuple[str, ...]
    probabilities: Floats
    passes: Floats | None = None
    members: Floats | None = None


def scores(answers: Answers) -> dict[str, Sequence[Any] | Floats]:
    """Return the columns of `uncertainty_scores`, N values each."""
    found = answers.probabilities
    unknown = [None] * len(answers.image_ids)
    passes, members = answers.passes, answers.members
    return {
        "image_id": answers.image_ids,
        "entropy": predictive_entropy(found),
        "variation_ratio": variation_ratio(found),
        "margin": margin(found),
        "predicted_label": [answers.classes[place] for place in found.argmax(axis=1)],
        "dropout_variation_ratio": unknown if passes is None else variation_ratio_of_votes(_votes(passes)),
        "dropout_bald": unknown if passes is None else bald(passes),
        "ensemble_variation_ratio": unknown if members is None else variation_ratio_of_votes(_votes(members)),
        "ensemble_bald": unknown if members is None else bald(members),
        "vote_entropy": unknown if members is None else vote_entropy(_votes(members)),
    }


def _votes(probabilities: Floats) -> npt.NDArray[np.int64]:
    """Return the class that each of S passes or members chose, shape (N, S), for probabilities of shape (S, N, C)."""
    return np.asarray(probabilities.argmax(axis=2).T, dtype=np.int64)


def _ask(run: StageRun, model: dict[str, Any], names: Sequence[str]) -> Iterator[Answers]:
    """Yield what the task model says, some images at a time: passes and members of all at once would not fit."""
    if not names:
        return
    if model["kind"] == "predictions":
        yield from _read(model["path"], names)
    elif model["kind"] == "transformers":
        yield from _ask_checkpoint(run, model["path"], names)
    else:
        yield from _ask_trained(run, model, names)


def _read(path: str, names: Sequence[str]) -> Iterator[Answers]:
    from vlmine_dagster.learning.user_model import prediction_classes, read_predictions

    classes = prediction_classes(path)
    for image_ids, probabilities in read_predictions(path, names):
        yield Answers(image_ids, classes, probabilities)


def _ask_trained(run: StageRun, model: dict[str, Any], names: Sequence[str]) -> Iterator[Answers]:
    from vlmine_dagster.learning.task_model import load

    settings = run.project.settings.task_model
    inputs = task_model.model_inputs(run, model["kind"], names, side=settings.image_size)
    yield from answers_of(load(Path(model["path"])), inputs, names, passes=settings.dropout_passes)


def answers_of(
    model: "TaskModel", inputs: npt.NDArray[Any], image_ids: Sequence[str], *, passes: int = 0
) -> Iterator[Answers]:
    """Yield what a task model says about images, some at a time.

    Args:
        model: A probe, a cnn, or an ensemble.
        inputs: What it reads, N rows.
        image_ids: N ids.
        passes: Monte Carlo dropout passes; 0 for none.
    """
    for start in range(0, len(image_ids), _BATCH):
        rows = inputs[start : start + _BATCH]
        members = model.members(rows)
        yield Answers(
            image_ids[start : start + _BATCH],
            model.classes,
            members.mean(axis=0),
            passes=model.passes(rows, passes) if passes else None,
            members=members if len(members) > 1 else None,
        )


def _ask_checkpoint(run: StageRun, path: str, names: Sequence[str]) -> Iterator[Answers]:
    from vlmine_dagster.learning.user_model import load_checkpoint
    from vlmine_dagster.resources.ordered import batches

    settings = run.project.settings.task_model
    checkpoint = load_checkpoint(path, dropout=settings.dropout)
    max_pixels = run.project.settings.dataset.max_pixels
    for batch in batches(load_pictures(run.bench.source, names, max_pixels=max_pixels), _CHECKPOINT_BATCH):
        pictures = [picture for _, picture in batch]
        passes = checkpoint.passes(pictures, settings.dropout_passes) if settings.dropout_passes else None
        yield Answers([name for name, _ in batch], checkpoint.classes, checkpoint.predict(pictures), passes=passes)
