"""Training, deterministic given a seed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from vlmine_dagster.errors import ContractError
from vlmine_dagster.learning.networks import Probe, SmallConvNet

PROBE_L2 = 0.01
"""Chosen on the seed of one draw of a long-tailed pool of 200 classes; see docs/benchmarks.md."""

_PROBE_STEPS = 40
_MOST_SHIFT = 4  # pixels at 64 a side


def fit_probe(features: npt.NDArray[Any], labels: npt.ArrayLike, *, class_count: int, l2: float = PROBE_L2) -> Probe:
    """Fit multinomial logistic regression with an L2 penalty by full-batch L-BFGS.

    Minimises mean cross-entropy + l2 / 2 * |W|^2 on features standardised by the given rows. Convex and without any
    randomness: the same rows always give the same probe.

    Args:
        features: Shape (N, D), float.
        labels: Shape (N,), int in [0, class_count). Classes without a row are allowed.
        class_count: Classes.
        l2: Strength of the penalty, no unit.

    Raises:
        ContractError: there are no rows, or lengths differ.
    """
    inputs, targets = _checked(features, labels, "fit_probe")
    inputs = inputs.float()
    probe = Probe(inputs.shape[1], class_count)
    probe.mean.copy_(inputs.mean(0))
    probe.scale.copy_(inputs.std(0, unbiased=False).clamp_min(1e-6))
    scaled = (inputs - probe.mean) / probe.scale
    weights = list(probe.linear.parameters())
    optimizer = torch.optim.LBFGS(weights, max_iter=_PROBE_STEPS, history_size=10, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        penalty = 0.5 * l2 * probe.linear.weight.square().sum()
        value = nn.functional.cross_entropy(probe.linear(scaled), targets) + penalty
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return probe.eval()


def fit_cnn(
    pictures: npt.NDArray[np.uint8],
    labels: npt.ArrayLike,
    *,
    class_count: int,
    epochs: int = 30,
    seed: int = 0,
    batch_size: int = 128,
    is_class_balanced: bool = False,
) -> SmallConvNet:
    """Train a small convolutional network from scratch: AdamW, one cycle of the learning rate, flips and shifts.

    Args:
        pictures: Shape (N, H, W, 3), uint8, RGB.
        labels: Shape (N,), int in [0, class_count).
        class_count: Classes.
        epochs: Passes over the pictures.
        seed: Of the initial weights, the order and the flips; networks of one seed start from the same weights.
        batch_size: Pictures a step.
        is_class_balanced: Weigh each class by the inverse of its number of rows.

    Raises:
        ContractError: there are no rows, or lengths differ.
    """
    inputs, targets = _checked(pictures, labels, "fit_cnn")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = SmallConvNet(class_count)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    draw = torch.Generator().manual_seed(seed)
    steps = -(-len(inputs) // batch_size) * epochs
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=max(steps, 2))
    weights = _class_weights(targets, class_count) if is_class_balanced else None
    network.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(inputs), generator=draw).split(batch_size):  # type: ignore[no-untyped-call]
            if len(rows) == 1 and len(inputs) > 1:
                continue  # batch norm cannot learn from one picture
            logits = network(_varied(inputs[rows], draw))
            loss = nn.functional.cross_entropy(logits, targets[rows], weight=weights, label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    network.eval()
    return network


def class_numbers(labels: Sequence[str], classes: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return the place of each label among the classes.

    Raises:
        ContractError: a label is no class.
    """
    places = {name: place for place, name in enumerate(classes)}
    unknown = sorted(set(labels) - places.keys())
    if unknown:
        raise ContractError(f"training: label {unknown[0]!r} is none of the {len(places)} classes.")
    return np.array([places[label] for label in labels], dtype=np.int64)


def _varied(pictures: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    """Flip each picture with probability 1/2, and shift the batch by up to a sixteenth of its side."""
    flipped = torch.rand(len(pictures), generator=draw) < 0.5
    varied = torch.where(flipped[:, None, None, None], pictures.flip(2), pictures)
    reach = max(1, _MOST_SHIFT * pictures.shape[1] // 64)
    down, right = torch.randint(-reach, reach + 1, (2,), generator=draw).tolist()
    return varied.roll((down, right), dims=(1, 2))


def _class_weights(targets: torch.Tensor, class_count: int) -> torch.Tensor:
    counts = torch.bincount(targets, minlength=class_count).float()
    weights = torch.where(counts > 0, 1.0 / counts.clamp_min(1), torch.zeros(()))
    return weights * (counts > 0).sum() / weights.sum()


def _checked(inputs: npt.NDArray[Any], labels: npt.ArrayLike, where: str) -> tuple[torch.Tensor, torch.Tensor]:
    targets = np.asarray(labels, dtype=np.int64)
    if len(inputs) == 0 or len(inputs) != len(targets):
        raise ContractError(f"{where}: {len(inputs)} inputs and {len(targets)} labels, expected as many, at least one.")
    return torch.from_numpy(np.ascontiguousarray(inputs)), torch.from_numpy(targets)
