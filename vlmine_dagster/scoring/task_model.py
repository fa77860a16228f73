"""The task model: trained on the labelled set alone, kept as a file, and what it reads of an image."""

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import MissingInputError
from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.domain.tables import TASK_MODEL
from vlmine_dagster.resources.cuts import by_shard
from vlmine_dagster.resources.digests import path_digest
from vlmine_dagster.resources.intake import load_pixels
from vlmine_dagster.resources.label_match import match_labels
from vlmine_dagster.resources.labels import Labels
from vlmine_dagster.resources.sources import ImageSource, shard_of
from vlmine_dagster.scoring.labelled import labelled_images
from vlmine_dagster.scoring.reading import Reader
from vlmine_dagster.scoring.sequences import sequences_of
from vlmine_dagster.scoring.vectors import matrix
from vlmine_dagster.settings import TaskModelSettings

if TYPE_CHECKING:
    from vlmine_dagster.learning.task_model import TaskModel

_TRAINED = "task_model*.safetensors"
_BATCH = 1024

Floats = npt.NDArray[np.float64]


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
        reader: Reads `images` (image_id, label, split, outcome, and sequence_id where there are sequences) and, for a
            probe, `embeddings`.
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
            "dataset.labels.file in vlmine.yaml, or mine only by novelty."
        )
    names, known = list(classes), list(classes.values())
    inputs = model_inputs(reader, source, settings.capabilities.reads == "features", names, side=settings.image_size)
    model = fit(settings, inputs, known)
    part_of = reader.project.settings.items.part_of
    scenes = [frames or part_of(name) for frames, name in zip(sequences_of(reader, names), names, strict=True)]
    accuracy = held_out_accuracy(
        settings.kind, inputs, known, scenes=scenes, epochs=settings.epochs, dropout=settings.dropout_share
    )
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
    reader: Reader, source: ImageSource, reads_features: bool, image_ids: Sequence[str], *, side: int
) -> npt.NDArray[Any]:
    """Return what a model reads, in the order of `image_ids`.

    Returns:
        Features of shape (N, D), float32, or pixels of shape (N, side, side, 3), uint8.
    """
    if not reads_features:
        return load_pixels(source, image_ids, max_pixels=reader.project.settings.dataset.max_pixels, side=side)
    rows = reader.read("embeddings", ["image_id", "embedding"])
    places = {name: place for place, name in enumerate(rows.column("image_id").to_pylist())}
    missing = [name for name in image_ids if name not in places]
    if missing:
        raise MissingInputError(
            f"embeddings: {counted(len(missing), 'image has', 'images have')} no embedding, such as {missing[0]}. "
            f"Materialize embeddings for their shards again."
        )
    wanted = np.array([places[name] for name in image_ids], dtype=np.int64)
    return matrix(rows.take(pa.array(wanted)), "embedding")


def _refuse_foreign_labels(reader: Reader, labels: Labels | None) -> None:
    if labels is None:
        return
    names = reader.read(ITEMS, ["image_id"]).column("image_id").to_pylist()
    shards = frozenset(reader.shards)
    images = ((shard, name[len(shard) + 1 :]) for name in names for shard in (shard_of(name, shards),))
    match = match_labels(labels, images)
    if match.is_none:
        raise MissingInputError(f"task_model: dataset.labels.file: {match.problem} {match.advice}")


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


@dataclass(frozen=True)
class Workplace:
    """What a task model works with.

    Attributes:
        reader: Reads what the model needs by its capabilities.
        source: The pictures.
        models_folder: Where trained models are kept.
        labels: The labels, None where there are none.
    """

    reader: Reader
    source: ImageSource
    models_folder: Path
    labels: Labels | None = None


class AskedModel(Protocol):
    """A task model, as a kind of `vlmine.task_models` makes it."""

    def prepare(self, place: Workplace, /, *, published: str | None = None) -> tuple[pa.Table, dict[str, Any]]:
        """Train the model, or look at the one that the user has.

        Args:
            place: What it works with.
            published: File of the published model; older ones may be deleted.

        Returns:
            The one row of `task_model` (see `task_model_table`), and facts for people.
        """

    def ask(self, place: Workplace, names: Sequence[str], /, *, digest: str) -> Iterator[Answers]:
        """Yield what the model says about images, some at a time; `digest` is that of the published row."""


def task_model_of(settings: TaskModelSettings) -> AskedModel:
    """Return the task model of some settings."""
    made: AskedModel = settings.plugins.get(settings.kind).make(None, settings)
    return made


def task_model_table(
    kind: str, path: str, *, class_count: int, labelled_count: int = 0, accuracy: float | None = None
) -> pa.Table:
    """Return the table `task_model`: one row."""
    row = {
        "kind": kind,
        "path": path,
        "sha256": path_digest(path),
        "class_count": class_count,
        "seed_count": labelled_count,
        "seed_accuracy": accuracy,
    }
    return pa.Table.from_pylist([row], schema=TASK_MODEL.schema)


class TrainedTaskModel:
    """A model that learns from the project's labelled set: a probe or a small network, alone or as an ensemble.

    Args:
        settings: Which, and how.
    """

    def __init__(self, settings: TaskModelSettings):
        self._settings = settings

    def prepare(self, place: Workplace, /, *, published: str | None = None) -> tuple[pa.Table, dict[str, Any]]:
        """Train it, keep it, and delete those from before the published one."""
        trained = train(place.reader, place.source, place.labels)
        path = keep(trained.model, place.models_folder)
        if published is not None:
            forget_older(place.models_folder, Path(published))
        count = len(trained.model.classes)
        how_well = {"labelled_count": trained.labelled_count, "accuracy": trained.accuracy}
        table = task_model_table(self._settings.kind, str(path), class_count=count, **how_well)  # type: ignore[arg-type]
        facts = {
            "classes": count,
            "labelled seed images": trained.labelled_count,
            "members": len(trained.model.networks),
        }
        judged = {} if trained.accuracy is None else {"held-out accuracy on the seed": trained.accuracy}
        return table, {**facts, **judged}

    def ask(self, place: Workplace, names: Sequence[str], /, *, digest: str) -> Iterator[Answers]:
        """Yield what it says about images, some at a time."""
        from vlmine_dagster.learning.task_model import load

        model, settings = load(trained_file(place.models_folder, digest)), self._settings
        reads_features = settings.capabilities.reads == "features"
        inputs = model_inputs(place.reader, place.source, reads_features, names, side=settings.image_size)
        for places in places_by_shard(names, place.reader.shards):
            asked = [names[one] for one in places]
            yield from answers_of(model, inputs[places], asked, passes=settings.dropout_passes)


def places_by_shard(image_ids: Sequence[str], shards: Sequence[str]) -> list[list[int]]:
    """Return the places of images by shard, in the order of their ids.

    A model is asked about one shard at a time, because the last bits of an answer depend on what else is in the batch:
    so a shard gets the same scores whether it is made alone or beside others.
    """
    names, places = pa.array(image_ids, pa.string()), pa.array(range(len(image_ids)), pa.int64())
    parts = by_shard(pa.table({"image_id": names, "place": places}), shards)
    return [part.column("place").to_pylist() for part in parts.values() if part.num_rows]


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
