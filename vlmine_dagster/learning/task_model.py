"""The task model: trained here, or a user's own by its predictions or its checkpoint."""

import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from torch import nn

from vlmine_dagster.errors import ConfigError, ContractError, ModelError
from vlmine_dagster.learning.networks import Probe, SmallConvNet
from vlmine_dagster.learning.prediction import predict_probabilities
from vlmine_dagster.learning.training import class_numbers, fit_cnn, fit_probe

KINDS = ("probe", "cnn")
_FACTS = "model"
_FOLDS = 3
_FEWEST_TO_JUDGE = 10
_SUM_TOLERANCE = 1e-3

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TaskModel:
    """A classifier.

    Attributes:
        kind: probe or cnn.
        classes: The C class names, in the order of the probabilities.
        network: The network.
    """

    kind: str
    classes: tuple[str, ...]
    network: nn.Module

    def predict(self, inputs: npt.NDArray[Any]) -> Floats:
        """Return class probabilities of shape (N, C), float64."""
        return predict_probabilities(self.network, inputs)


def train_task_model(
    kind: str,
    inputs: npt.NDArray[Any],
    labels: Sequence[str],
    *,
    classes: Sequence[str] | None = None,
    epochs: int = 30,
    seed: int = 0,
) -> TaskModel:
    """Train a task model on labelled images.

    Args:
        kind: "probe" (inputs are features of shape (N, D)) or "cnn" (pixels of shape (N, H, W, 3), uint8).
        inputs: N images.
        labels: N class names.
        classes: All classes; without them those among the labels, sorted.
        epochs: Passes of the cnn.
        seed: Of the cnn; the probe has no randomness.

    Raises:
        ConfigError: the kind is unknown.
        ContractError: fewer than two classes.
    """
    names = tuple(classes) if classes is not None else tuple(sorted(set(labels)))
    if len(names) < 2:
        raise ContractError(
            f"task model: the {len(labels)} labelled images have {len(names)} classes, expected at least 2. Label more."
        )
    targets = class_numbers(labels, names)
    if kind == "probe":
        return TaskModel(kind, names, fit_probe(inputs, targets, class_count=len(names)))
    if kind == "cnn":
        return TaskModel(kind, names, fit_cnn(inputs, targets, class_count=len(names), epochs=epochs, seed=seed))
    raise ConfigError(f"task model: unknown kind {kind!r}, expected {' or '.join(KINDS)}.")


def held_out_accuracy(
    kind: str, inputs: npt.NDArray[Any], labels: Sequence[str], *, epochs: int = 30, seed: int = 0
) -> float | None:
    """Return the share of images that models trained on the other folds get right, of three folds.

    Images of classes with one image count as wrong: nothing could have learnt them. None with fewer than 10 images.
    """
    if len(labels) < _FEWEST_TO_JUDGE or len(set(labels)) < 2:
        return None
    fold = _folds(labels, seed=seed)
    truth = np.asarray(labels)
    right = 0
    for held in range(_FOLDS):
        train, test = np.flatnonzero(fold != held), np.flatnonzero(fold == held)
        if not len(test) or len(set(truth[train])) < 2:
            continue
        model = train_task_model(kind, inputs[train], truth[train].tolist(), epochs=epochs, seed=seed)
        said = np.asarray(model.classes)[model.predict(inputs[test]).argmax(axis=1)]
        right += int((said == truth[test]).sum())
    return right / len(labels)


def _folds(labels: Sequence[str], *, seed: int) -> npt.NDArray[np.int64]:
    """Deal the images of each class onto the folds, in random order."""
    fold = np.zeros(len(labels), dtype=np.int64)
    seen: Counter[str] = Counter()
    for place in np.random.default_rng(seed).permutation(len(labels)):
        fold[place] = seen[labels[place]] % _FOLDS
        seen[labels[place]] += 1
    return fold


def save(model: TaskModel, path: Path) -> None:
    """Write a model as safetensors, beside its place first and then into it; the same model is the same bytes."""
    from safetensors.torch import save_file

    facts = json.dumps({"kind": model.kind, "classes": model.classes})  # one entry: several come in any order
    state = {name: tensor.contiguous() for name, tensor in model.network.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        beside = Path(folder) / path.name
        save_file(state, str(beside), metadata={_FACTS: facts})
        beside.replace(path)


def load(path: Path) -> TaskModel:
    """Read a model that `save` wrote; nothing in the file can run code.

    Raises:
        ModelError: the file is missing, damaged, or not one of ours.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            facts = json.loads((file.metadata() or {})[_FACTS])
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
        classes = tuple(facts["classes"])
        network = _empty(facts["kind"], state, len(classes))
        network.load_state_dict(state)
    except (SafetensorError, OSError, KeyError, RuntimeError, ValueError) as error:
        raise ModelError(f"task model {path} cannot be read: {error}. Materialize task_model again.") from error
    return TaskModel(facts["kind"], classes, network.eval())


def _empty(kind: str, state: dict[str, Any], class_count: int) -> nn.Module:
    return Probe(len(state["mean"]), class_count) if kind == "probe" else SmallConvNet(class_count)


class Checkpoint:
    """A local transformers image-classification checkpoint.

    Args:
        processor: Its image processor.
        network: Its network.
    """

    def __init__(self, processor: Any, network: Any):
        self._processor = processor
        self._network = network.eval()

    @property
    def classes(self) -> tuple[str, ...]:
        """The C class names, in the order of the probabilities."""
        names = self._network.config.id2label
        return tuple(str(names[number]) for number in sorted(names))

    def predict(self, pictures: Sequence[Image.Image]) -> Floats:
        """Return class probabilities of shape (N, C), float64."""
        import torch

        if not pictures:
            return np.empty((0, len(self.classes)))
        with torch.inference_mode():
            logits = self._network(**self._processor(images=list(pictures), return_tensors="pt")).logits
        return np.asarray(logits.double().softmax(1).numpy())


def load_checkpoint(folder: str) -> Checkpoint:
    """Open a checkpoint folder by its own image processor; nothing is downloaded and no remote code is run.

    Raises:
        ModelError: it is no image-classification checkpoint.
    """
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    try:
        processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        network = AutoModelForImageClassification.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_safetensors=True
        )
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"task_model.path {folder} is no local image-classification checkpoint with safetensors weights: {error}"
        ) from error
    return Checkpoint(processor, network)


def read_predictions(path: str, image_ids: Sequence[str]) -> tuple[tuple[str, ...], Floats]:
    """Read a user's own class probabilities.

    Args:
        path: Parquet file with the column image_id and one column a class.
        image_ids: The N images that are wanted.

    Returns:
        The C class names, and probabilities of shape (N, C), float64; a row of NaN where the file has no such image.

    Raises:
        ModelError: the file cannot be read, has no image_id or fewer than two classes, or a row is no probability.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        classes = tuple(name for name in table.column_names if name != "image_id")
        names = table.column("image_id").to_pylist()
        given = np.column_stack([table.column(name).to_numpy().astype(np.float64) for name in classes])
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise ModelError(
            f"task_model.path {path} cannot be read as Parquet with image_id and a column a class: {error}"
        ) from error
    if len(classes) < 2:
        raise ModelError(f"task_model.path {path}: {len(classes)} class columns, expected at least 2.")
    bad = ~np.isfinite(given).all(axis=1) | (given < 0).any(axis=1) | (abs(given.sum(axis=1) - 1) > _SUM_TOLERANCE)
    if bad.any():
        place = int(bad.argmax())
        raise ModelError(
            f"task_model.path {path}: the row of {names[place]!r} is no probability distribution (it sums to "
            f"{given[place].sum():g}; {bad.sum()} of {len(bad)} rows). Write softmax outputs."
        )
    places = {name: place for place, name in enumerate(names)}
    answer = np.full((len(image_ids), len(classes)), np.nan)
    known = [(row, places[name]) for row, name in enumerate(image_ids) if name in places]
    if known:
        rows, found = np.array(known).T
        answer[rows] = given[found]
    return classes, answer
