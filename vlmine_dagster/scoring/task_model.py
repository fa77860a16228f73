"""The task model: trained on the labelled set alone, kept as a file, and what it reads of an image."""

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vlmine_dagster.domain.errors import MissingInputError
from vlmine_dagster.resources.digests import path_digest
from vlmine_dagster.resources.intake import load_pixels
from vlmine_dagster.resources.label_match import match_labels
from vlmine_dagster.resources.labels import Labels
from vlmine_dagster.resources.sources import ImageSource, shard_of
from vlmine_dagster.scoring.labelled import labelled_images
from vlmine_dagster.scoring.reading import Reader
from vlmine_dagster.scoring.vectors import matrix
from vlmine_dagster.settings import TaskModelSettings

if TYPE_CHECKING:
    from vlmine_dagster.learning.task_model import TaskModel

_TRAINED = "task_model*.safetensors"


@dataclass(frozen=True)
class Trained:
    """A task model that was trained, and how.

    Attributes:
        model: The model.
        labelled_count: Images that it learned from.
        accuracy: Share of them that models trained on the others get right; None where there are too few to tell.
    """

    model: "TaskModel"
    labelled_count: int
    accuracy: float | None


def train(reader: Reader, source: ImageSource, labels: Labels | None) -> Trained:
    """Train the project's task model on its labelled set.

    Args:
        reader: Reads `images` (image_id, label, split, outcome) and, for a probe, `embeddings`.
        source: The pictures, which a network looks at.
        labels: The labels, to say why no image has any.

    Raises:
        MissingInputError: there is no labelled image, or the label file is about other images.
    """
    from vlmine_dagster.learning.task_model import held_out_accuracy

    settings = reader.project.settings.task_model
    classes = labelled_images(reader)
    if not classes:
        _refuse_foreign_labels(reader, labels)
        raise MissingInputError(
            "task_model: no image is labelled as seed. Name a file with columns key, split, class_id as "
            "dataset.labels.file in vlmine.yaml, or mine by novelty alone."
        )
    names, known = list(classes), list(classes.values())
    inputs = model_inputs(reader, source, settings.kind, names, side=settings.image_size)
    model = fit(settings, inputs, known)
    accuracy = held_out_accuracy(settings.kind, inputs, known, epochs=settings.epochs, dropout=settings.dropout_share)
    return Trained(model, len(names), accuracy)


def fit(settings: TaskModelSettings, inputs: npt.NDArray[Any], labels: Sequence[str]) -> "TaskModel":
    """Train a task model as settings ask for, on inputs and their classes."""
    from vlmine_dagster.learning.task_model import train_task_model

    return train_task_model(
        settings.kind,
        inputs,
        labels,
        members=settings.members,
        epochs=settings.epochs,
        dropout=settings.dropout_share,
    )


def keep(model: "TaskModel", folder: Path) -> Path:
    """Write a model under the name of its content: the published row's file stays what it was until the next row."""
    from vlmine_dagster.learning.task_model import save

    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        beside = Path(scratch) / "model.safetensors"
        save(model, beside)
        digest = hashlib.sha256(beside.read_bytes()).hexdigest()
        path = folder / f"task_model-{digest[:16]}.safetensors"
        beside.replace(path)
    return path


def forget_older(folder: Path, published: Path) -> None:
    """Delete models from before the published one; newer ones may be about to be published."""
    if published.parent == folder and published.exists():
        for file in folder.glob(_TRAINED):
            if file != published and file.stat().st_mtime_ns < published.stat().st_mtime_ns:
                file.unlink(missing_ok=True)


def trained_file(folder: Path, digest: str) -> Path:
    """Return the file of a trained model by the digest in its row: a home that was moved keeps its models.

    Raises:
        MissingInputError: it is gone.
    """
    for file in folder.glob(_TRAINED):
        if path_digest(str(file)) == digest:
            return file
    raise MissingInputError(f"task model: no file in {folder} is the published one. Materialize task_model again.")


def model_inputs(
    reader: Reader, source: ImageSource, kind: str, image_ids: Sequence[str], *, side: int
) -> npt.NDArray[Any]:
    """Return what a model of a kind reads, in the order of `image_ids`.

    Returns:
        For `probe` features of shape (N, 1280), float32; for networks pixels of shape (N, side, side, 3), uint8.
    """
    if kind != "probe":
        return load_pixels(source, image_ids, max_pixels=reader.project.settings.dataset.max_pixels, side=side)
    rows = reader.read("embeddings", ["image_id", "embedding"])
    places = {name: place for place, name in enumerate(rows.column("image_id").to_pylist())}
    missing = [name for name in image_ids if name not in places]
    if missing:
        raise MissingInputError(
            f"embeddings: {len(missing)} images have no embedding, such as {missing[0]}. "
            f"Materialize embeddings for their shards again."
        )
    wanted = np.array([places[name] for name in image_ids], dtype=np.int64)
    return matrix(rows.take(pa.array(wanted)), "embedding")


def _refuse_foreign_labels(reader: Reader, labels: Labels | None) -> None:
    if labels is None:
        return
    names = reader.read("images", ["image_id"]).column("image_id").to_pylist()
    shards = frozenset(reader.shards)
    images = ((shard, name[len(shard) + 1 :]) for name in names for shard in (shard_of(name, shards),))
    match = match_labels(labels, images)
    if match.is_none:
        raise MissingInputError(f"task_model: dataset.labels.file: {match.problem} Correct its keys.")
