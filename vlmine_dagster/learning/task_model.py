"""The task model: one classifier, or an ensemble of them, trained on the labelled seed."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import ConfigError, ContractError, ModelError
from vlmine_dagster.domain.files import replacing
from vlmine_dagster.learning.dropout import dropout_layers, dropout_passes
from vlmine_dagster.learning.examples import class_numbers
from vlmine_dagster.learning.networks import Probe, SmallConvNet
from vlmine_dagster.learning.prediction import predict_probabilities
from vlmine_dagster.learning.training import Recipe, fit_network, fit_probe

KINDS = ("probe", "cnn")
_FACTS = "model"
_FOLDS = 3
_FEWEST_TO_JUDGE = 10

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TaskModel:
    """A classifier, or an ensemble of them.

    Attributes:
        kind: probe or cnn.
        classes: The C class names, in the order of the probabilities.
        networks: The K >= 1 members.
    """

    kind: str
    classes: tuple[str, ...]
    networks: tuple[nn.Module, ...]

    def predict(self, inputs: npt.NDArray[Any]) -> Floats:
        """Return class probabilities of shape (N, C), float64: the mean of the members."""
        return np.asarray(self.members(inputs).mean(axis=0))

    def members(self, inputs: npt.NDArray[Any]) -> Floats:
        """Return class probabilities of shape (K, N, C), float64."""
        return np.stack([predict_probabilities(network, inputs) for network in self.networks])

    def passes(self, inputs: npt.NDArray[Any], count: int) -> Floats:
        """Return class probabilities of shape (count, N, C), float64, of the first member by Monte Carlo dropout.

        Raises:
            ModelError: it has no dropout layers.
        """
        network = self.networks[0]
        return dropout_passes(network, partial(predict_probabilities, network, inputs), count)


def train_task_model(
    kind: str,
    inputs: npt.NDArray[Any],
    labels: Sequence[str],
    *,
    classes: Sequence[str] | None = None,
    epochs: int = 30,
    random_seed: int = 0,
    members: int = 1,
    dropout: float = 0.0,
) -> TaskModel:
    """Train a task model on labelled images.

    An ensemble of probes is bagged: each member is fitted on as many rows, drawn with replacement. Members of a network
    see all rows and differ by their seed, thus by initial weights, order and flips.

    Args:
        kind: "probe" (inputs are features of shape (N, D)) or "cnn" (pixels of shape (N, H, W, 3), uint8).
        inputs: N images.
        labels: N class names.
        classes: All classes; without them those among the labels, sorted.
        epochs: Passes of the cnn.
        random_seed: Of the networks and of the draws; a single probe has no randomness.
        members: K, classifiers in the ensemble.
        dropout: Share of the features that a dropout pass leaves out; of the cnn, in training too.

    Raises:
        ConfigError: the kind is unknown.
        ContractError: fewer than two classes.

    References:
        Bagging: Breiman 1996. Ensembles of networks: Lakshminarayanan et al. 2017, arXiv 1612.01474.
    """
    if kind not in KINDS:
        raise ConfigError(f"task model: unknown kind {kind!r}, expected {' or '.join(KINDS)}.")
    names = tuple(classes) if classes is not None else tuple(sorted(set(labels)))
    if len(names) < 2:
        images, found = counted(len(labels), "labelled image"), counted(len(names), "class", "classes")
        raise ContractError(f"task model: {images} of {found}, expected at least 2 classes. Label more.")
    targets = class_numbers(labels, names)
    if kind == "probe":
        rows = _bags(len(targets), members, random_seed=random_seed)
        probes = [
            fit_probe(inputs[chosen], targets[chosen], class_count=len(names), dropout=dropout) for chosen in rows
        ]
        return TaskModel(kind, names, tuple(probes))
    build = partial(SmallConvNet, len(names), dropout=dropout)
    recipe = Recipe(epochs=epochs)
    networks = [
        fit_network(build, inputs, targets, class_count=len(names), recipe=recipe, random_seed=random_seed + number)
        for number in range(members)
    ]
    return TaskModel(kind, names, tuple(networks))


def _bags(count: int, members: int, *, random_seed: int) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the rows of each member: all of them for one, draws with replacement for several."""
    if members == 1:
        yield np.arange(count)
        return
    for number in range(members):
        yield np.random.default_rng([random_seed, number]).integers(0, count, count)


def held_out_accuracy(
    kind: str,
    inputs: npt.NDArray[Any],
    labels: Sequence[str],
    *,
    scenes: Sequence[str] | None = None,
    epochs: int = 30,
    random_seed: int = 0,
    dropout: float = 0.0,
) -> float | None:
    """Return the share of images that models trained on the other folds get right, of three folds.

    Images of classes with one image count as wrong: nothing could have learned them. None with fewer than 10 images.
    The models are single ones: an ensemble is judged by one member. Images of one scene, such as the frames of a
    sequence, are in one fold: a model that saw one of them has all but seen the others.

    Args:
        kind: `probe` or a network.
        inputs: N rows, as the model reads them.
        labels: N class names.
        scenes: The scene of each image; left out, each is one of its own.
        epochs: Passes over the images.
        random_seed: Of the folds and the models.
        dropout: Share of features that is dropped.
    """
    if len(labels) < _FEWEST_TO_JUDGE or len(set(labels)) < 2:
        return None
    fold = _folds(labels, scenes or [str(place) for place in range(len(labels))], random_seed=random_seed)
    truth = np.asarray(labels)
    right = 0
    for held in range(_FOLDS):
        train, test = np.flatnonzero(fold != held), np.flatnonzero(fold == held)
        if not len(test) or len(set(truth[train])) < 2:
            continue
        model = train_task_model(
            kind, inputs[train], truth[train].tolist(), epochs=epochs, random_seed=random_seed, dropout=dropout
        )
        predicted = np.asarray(model.classes)[model.predict(inputs[test]).argmax(axis=1)]
        right += int((predicted == truth[test]).sum())
    return right / len(labels)


def _folds(labels: Sequence[str], scenes: Sequence[str], *, random_seed: int) -> npt.NDArray[np.int64]:
    """Deal scenes onto the folds in random order, each to the fold with the fewest images of its first image's class.

    Examples:
        >>> _folds(["car"] * 6, ["a", "a", "b", "c", "d", "d"], random_seed=0).tolist()
        [0, 0, 1, 0, 2, 2]
    """
    fold = np.zeros(len(labels), dtype=np.int64)
    members: dict[str, list[int]] = {}
    for place in np.random.default_rng(random_seed).permutation(len(labels)).tolist():
        members.setdefault(scenes[place], []).append(place)
    counts: dict[str, list[int]] = {label: [0] * _FOLDS for label in labels}
    for places in members.values():
        dealt = counts[labels[places[0]]]
        into = dealt.index(min(dealt))
        for place in places:
            fold[place] = into
            counts[labels[place]][into] += 1
    return fold


def save(model: TaskModel, path: Path) -> None:
    """Write a model as safetensors, beside its place first and then into it; the same model is the same bytes."""
    from safetensors.torch import save_file

    rates = {layer.p for layer in dropout_layers(model.networks[0])}
    known = {
        "kind": model.kind,
        "classes": model.classes,
        "members": len(model.networks),
        "dropout": max(rates, default=0),
    }
    facts = json.dumps(known)  # one entry: several come in any order
    state = {name: tensor.contiguous() for name, tensor in nn.ModuleList(model.networks).state_dict().items()}
    with replacing(path) as beside:
        save_file(state, str(beside), metadata={_FACTS: facts})


def load(path: Path) -> TaskModel:
    """Read a model that `save` wrote; nothing in the file can run code.

    Raises:
        ModelError: the file is missing, damaged, or not one of ours.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            facts = json.loads((file.metadata() or {})[_FACTS])
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is not a mapping
        classes = tuple(facts["classes"])
        networks = nn.ModuleList(_empty(facts, state) for _ in range(facts["members"]))
        networks.load_state_dict(state)
    except (SafetensorError, OSError, KeyError, RuntimeError, ValueError) as error:
        raise ModelError(f"task model {path} cannot be read: {error}. Materialize task_model again.") from error
    return TaskModel(facts["kind"], classes, tuple(networks.eval()))


def _empty(facts: dict[str, Any], state: dict[str, Any]) -> nn.Module:
    class_count = len(facts["classes"])
    if facts["kind"] == "probe":
        return Probe(len(state["0.mean"]), class_count, dropout=facts["dropout"])
    return SmallConvNet(class_count, dropout=facts["dropout"])
