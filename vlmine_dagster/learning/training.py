"""Training, deterministic given a seed."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.learning.examples import Examples, class_weights
from vlmine_dagster.learning.networks import Probe
from vlmine_dagster.learning.prediction import best_device

PROBE_L2 = 0.01
"""Chosen on the seed of one draw of a long-tailed pool of 200 classes; see docs/log.md."""

_PROBE_STEPS = 40
_MOST_SHIFT = 4  # pixels at 64 a side
_SMOOTHING = 0.05


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
        epochs: Passes over the training images, at the most.
        learning_rate: The highest of the cycle.
        batch_size: Pictures a step.
        class_balance: How classes are weighed in the loss, see `class_weights`.
        patience: Epochs without a lower loss on the validation images after which training stops, and the best
            weights are taken; 0 trains all epochs and takes the last.
        is_half: Whether to multiply in bfloat16; weights, sums and the loss keep 32 bits. 3.5 times as fast for
            `SmallConvNet` at 32 pixels on one core with AMX.
    """

    epochs: int = 30
    learning_rate: float = 3e-3
    batch_size: int = 128
    class_balance: str = "none"
    patience: int = 0
    is_half: bool = False


class _UncompiledLBFGS(torch.optim.LBFGS):
    """L-BFGS that leaves torch's compiler where it is.

    A process's first optimizer loads the compiler, 800 modules in 1.6 s, to have it pass over this method.
    """

    add_param_group = torch.optim.Optimizer.add_param_group.__wrapped__  # type: ignore[attr-defined]


def fit_probe(
    features: npt.NDArray[Any],
    labels: npt.ArrayLike,
    *,
    class_count: int,
    l2: float = PROBE_L2,
    class_balance: str = "none",
    dropout: float = 0.0,
) -> Probe:
    """Fit multinomial logistic regression with an L2 penalty by full-batch L-BFGS.

    Minimizes mean cross-entropy + l2 / 2 * |W|^2 on features standardized by the given rows. Convex and without any
    randomness: the same rows always give the same probe. Nothing is dropped in training: for a linear model dropout is,
    to second order, an L2 penalty on standardized features, which is there already.

    Args:
        features: Shape (N, D), float.
        labels: Shape (N,), int in [0, class_count). Classes without a row are allowed.
        class_count: Classes.
        l2: Strength of the penalty, no unit.
        class_balance: How classes are weighed in the loss, see `class_weights`.
        dropout: Share of the features that each dropout pass through the probe leaves out.

    Raises:
        ConfigError: class_balance is unknown.
        ContractError: there are no rows, or lengths differ.

    References:
        Dropout as a penalty: Wager et al. 2013, arXiv 1307.1493.
    """
    inputs, targets = _checked(features, labels, "fit_probe")
    inputs = inputs.float()
    weights = class_weights(targets.numpy(), class_count, balance=class_balance)
    probe = Probe(inputs.shape[1], class_count, dropout=dropout)
    probe.mean.copy_(inputs.mean(0))
    probe.scale.copy_(inputs.std(0, unbiased=False).clamp_min(1e-6))
    scaled = (inputs - probe.mean) / probe.scale
    optimizer = _UncompiledLBFGS(
        list(probe.linear.parameters()), max_iter=_PROBE_STEPS, history_size=10, line_search_fn="strong_wolfe"
    )

    def loss() -> torch.Tensor:
        probe.zero_grad()
        penalty = 0.5 * l2 * probe.linear.weight.square().sum()
        value = nn.functional.cross_entropy(probe.linear(scaled), targets, weight=weights) + penalty
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return probe.eval()


def fit_network(
    build: Callable[[], nn.Module],
    pictures: npt.NDArray[np.uint8],
    labels: npt.ArrayLike,
    *,
    class_count: int,
    recipe: Recipe,
    random_seed: int = 0,
    validation: Examples | None = None,
) -> nn.Module:
    """Train a network on pictures: AdamW, one cycle of the learning rate, flips and shifts, smoothed labels.

    Runs on an accelerator where there is one, by its deterministic algorithms as far as it has them; on the CPU the
    same seed gives the same weights, to the last bit.

    Args:
        build: Makes the network; what it draws is drawn by the seed.
        pictures: Shape (N, H, W, 3), uint8, RGB.
        labels: Shape (N,), int in [0, class_count).
        class_count: Classes.
        recipe: How to train.
        random_seed: Of the initial weights, the order, the flips and dropout; networks of one seed start from the same
            weights, whatever they are trained on.
        validation: Images that tell when to stop; nothing is learned from them, and without them nothing stops early.

    Raises:
        ConfigError: the class_balance of the recipe is unknown.
        ContractError: there are no rows, or lengths differ.
    """
    inputs, targets = _checked(pictures, labels, "fit_network")
    weights = class_weights(targets.numpy(), class_count, balance=recipe.class_balance)
    device = best_device()
    weights = None if weights is None else weights.to(device)
    with seeded(random_seed):
        network = build()
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        draw = torch.Generator().manual_seed(random_seed)
        steps = -(-len(inputs) // recipe.batch_size) * recipe.epochs
        optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.05)  # the schedule sets the rate
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=recipe.learning_rate, total_steps=max(steps, 2)
        )
        watch = _Watch(network, recipe.patience, validation, weights)
        for _ in range(recipe.epochs):
            network.train()
            for pixels, wanted in _batches(inputs, targets, recipe.batch_size, draw):
                with torch.autocast(device.type, dtype=torch.bfloat16, enabled=recipe.is_half):
                    logits = network(pixels.to(device))
                loss = _loss(logits.float(), wanted.to(device), weights)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
            if watch.is_over():
                break
        watch.restore()
    return network.eval().cpu()


class _Watch:
    """Keeps the weights that do best on validation images, and says when there is no more to hope for."""

    def __init__(
        self, network: nn.Module, patience: int, validation: Examples | None, weights: torch.Tensor | None
    ) -> None:
        self._network, self._patience, self._weights = network, patience, weights
        is_watched = patience > 0 and validation is not None and len(validation.inputs) > 0
        self._validation = validation if is_watched else None
        self._lowest, self._waited = float("inf"), 0
        self._best: dict[str, torch.Tensor] | None = None

    def is_over(self) -> bool:
        """Judge the network after an epoch."""
        if self._validation is None:
            return False
        loss = self._judge(self._validation)
        if loss < self._lowest:
            self._lowest, self._waited = loss, 0
            self._best = {name: tensor.clone() for name, tensor in self._network.state_dict().items()}
        else:
            self._waited += 1
        return self._waited >= self._patience

    def restore(self) -> None:
        """Go back to the best weights."""
        if self._best is not None:
            self._network.load_state_dict(self._best)

    def _judge(self, validation: Examples) -> float:
        inputs, targets = _checked(validation.inputs, validation.labels, "validation")
        device = next(self._network.parameters()).device
        self._network.eval()
        total = 0.0
        with torch.inference_mode():
            for rows in torch.arange(len(inputs)).split(512):  # type: ignore[no-untyped-call]
                logits = self._network(inputs[rows].to(device))
                total += float(_loss(logits, targets[rows].to(device), self._weights)) * len(rows)
        return total / len(inputs)


@contextmanager
def seeded(random_seed: int) -> Iterator[None]:
    """Draw by the seed alone, by deterministic algorithms, and leave the state of everybody else's draws."""
    is_strict = torch.are_deterministic_algorithms_enabled()
    is_warning = torch.is_deterministic_algorithms_warn_only_enabled()
    devices = list(range(torch.cuda.device_count()))
    if devices:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic with it alone
        torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(random_seed)
            yield
    finally:
        torch.use_deterministic_algorithms(is_strict, warn_only=is_warning)


def _batches(
    inputs: torch.Tensor, targets: torch.Tensor, size: int, draw: torch.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    for rows in torch.randperm(len(inputs), generator=draw).split(size):  # type: ignore[no-untyped-call]
        if len(rows) > 1 or len(inputs) == 1:  # batch norm cannot learn from one picture
            yield _varied(inputs[rows], draw), targets[rows]


def _loss(logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
    return nn.functional.cross_entropy(logits, targets, weight=weights, label_smoothing=_SMOOTHING)


def _varied(pictures: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    """Flip each picture with probability 1/2, and shift the batch by up to a sixteenth of its side."""
    flipped = torch.rand(len(pictures), generator=draw) < 0.5
    varied = torch.where(flipped[:, None, None, None], pictures.flip(2), pictures)
    reach = max(1, _MOST_SHIFT * pictures.shape[1] // 64)
    down, right = torch.randint(-reach, reach + 1, (2,), generator=draw).tolist()
    return varied.roll((down, right), dims=(1, 2))


def _checked(inputs: npt.NDArray[Any], labels: npt.ArrayLike, where: str) -> tuple[torch.Tensor, torch.Tensor]:
    targets = np.asarray(labels, dtype=np.int64)
    if len(inputs) == 0 or len(inputs) != len(targets):
        raise ContractError(f"{where}: {len(inputs)} inputs and {len(targets)} labels, expected as many, at least one.")
    return torch.from_numpy(np.ascontiguousarray(inputs)), torch.from_numpy(targets)
