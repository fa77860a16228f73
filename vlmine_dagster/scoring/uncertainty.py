"""The columns of `uncertainty_scores`: how unsure the task model is about each image."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.domain.tables import JUDGES, UNCERTAINTY_SCORES, Outcome
from vlmine_dagster.mining.uncertainty import (
    bald,
    margin,
    predictive_entropy,
    variation_ratio,
    variation_ratio_of_votes,
    vote_entropy,
)
from vlmine_dagster.resources.sources import ImageSource
from vlmine_dagster.scoring.reading import Reader
from vlmine_dagster.scoring.task_model import Answers, task_model_of

if TYPE_CHECKING:
    pass

Floats = npt.NDArray[np.float64]


def uncertainty_scores(reader: Reader, source: ImageSource, *, models_folder: Path) -> pa.Table:
    """Return `uncertainty_scores` of the images of the labelled set and the pool, asking the task model some at a time.

    Args:
        reader: Reads `images` (image_id, split, outcome), `task_model` (kind, sha256) and, for a probe, `embeddings`.
        source: The pictures, which a network or a checkpoint looks at.
        models_folder: Where trained task models are.
    """
    names = asked_images(reader)
    parts = [UNCERTAINTY_SCORES.schema.empty_table()]
    progress = reader.progress(len(names))
    for answers in _ask(reader, source, names, models_folder=models_folder):
        parts.append(pa.table(uncertainty_columns(answers), schema=UNCERTAINTY_SCORES.schema))
        progress.add(len(answers.image_ids))
    return pa.concat_tables(parts).sort_by("image_id")


def asked_images(reader: Reader) -> list[str]:
    """Return the readable images that do not judge models."""
    images = reader.read(ITEMS, ["image_id", "split", "outcome"])
    is_judge = pa.compute.is_in(images.column("split"), value_set=pa.array([split.value for split in JUDGES]))
    is_readable = pa.compute.equal(images.column("outcome"), Outcome.OK.value)
    asked = images.filter(pa.compute.and_(is_readable, pa.compute.invert(is_judge)))
    names: list[str] = asked.column("image_id").to_pylist()
    return names


def uncertainty_columns(answers: Answers) -> dict[str, Sequence[Any] | Floats]:
    """Return the columns of `uncertainty_scores`, N values each."""
    probabilities = answers.probabilities
    unknown = [None] * len(answers.image_ids)
    passes, members = answers.passes, answers.members
    return {
        "image_id": answers.image_ids,
        "entropy": predictive_entropy(probabilities),
        "variation_ratio": variation_ratio(probabilities),
        "margin": margin(probabilities),
        "predicted_label": [answers.classes[place] for place in probabilities.argmax(axis=1)],
        "dropout_variation_ratio": unknown if passes is None else variation_ratio_of_votes(_votes(passes)),
        "dropout_bald": unknown if passes is None else bald(passes),
        "ensemble_variation_ratio": unknown if members is None else variation_ratio_of_votes(_votes(members)),
        "ensemble_bald": unknown if members is None else bald(members),
        "vote_entropy": unknown if members is None else vote_entropy(_votes(members)),
    }


def _votes(probabilities: Floats) -> npt.NDArray[np.int64]:
    """Return the class that each of S passes or members chose, shape (N, S), for probabilities of shape (S, N, C)."""
    return np.asarray(probabilities.argmax(axis=2).T, dtype=np.int64)


def _ask(reader: Reader, source: ImageSource, names: Sequence[str], *, models_folder: Path) -> Iterator[Answers]:
    """Yield what the task model says, some images at a time: passes and members of all at once would not fit."""
    if not names:
        return
    digest = reader.read("task_model", ["sha256"]).column("sha256")[0].as_py()
    model = task_model_of(reader.project.settings.task_model)
    yield from model.ask(reader, source, names, models_folder=models_folder, digest=digest)
