"""The columns of `uncertainty_scores`: how unsure the task model is about each image."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.domain.signals import SIGNALS, signals_of
from vlmine_dagster.domain.tables import JUDGES, UNCERTAINTY_SCORES, Outcome
from vlmine_dagster.scoring.reading import Reader
from vlmine_dagster.scoring.task_model import Answers, Workplace, task_model_of

Floats = npt.NDArray[np.float64]


def uncertainty_scores(place: Workplace) -> pa.Table:
    """Return `uncertainty_scores` of the images of the labelled set and the pool, asking the task model some at a time.

    Args:
        place: Its reader reads `images` (image_id, split, outcome), `task_model` (kind, sha256) and, for a probe,
            `embeddings`; its source has the pictures, which a network or a checkpoint looks at.
    """
    reader = place.reader
    names = asked_images(reader)
    parts = [UNCERTAINTY_SCORES.schema.empty_table()]
    progress = reader.progress(len(names))
    for answers in _ask(place, names):
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
    """Return the columns of `uncertainty_scores`, N values each: of each signal the function that it names."""
    measured = {
        "probabilities": answers.probabilities,
        "passes": answers.passes,
        "pass_votes": _votes(answers.passes),
        "members": answers.members,
        "member_votes": _votes(answers.members),
    }
    columns: dict[str, Sequence[Any] | Floats] = {
        "image_id": answers.image_ids,
        "predicted_label": [answers.classes[place] for place in answers.probabilities.argmax(axis=1)],
    }
    for signal in map(SIGNALS.__getitem__, signals_of(SIGNALS, UNCERTAINTY_SCORES.name)):
        if signal.measures is not None:
            given = measured[signal.measures]
            columns[signal.name] = [None] * len(answers.image_ids) if given is None else signal.formula(given)
    return columns


def _votes(probabilities: Floats | None) -> npt.NDArray[np.int64] | None:
    """Return the class that each of S passes or members chose, shape (N, S), for probabilities of shape (S, N, C)."""
    return None if probabilities is None else np.asarray(probabilities.argmax(axis=2).T, dtype=np.int64)


def _ask(place: Workplace, names: Sequence[str]) -> Iterator[Answers]:
    """Yield what the task model says, some images at a time: passes and members of all at once would not fit."""
    if not names:
        return
    reader = place.reader
    digest = reader.read("task_model", ["sha256"]).column("sha256")[0].as_py()
    model = task_model_of(reader.project.settings.task_model)
    yield from model.ask(place, names, digest=digest)
