"""Passes through a network with parts of it left out: what Monte Carlo dropout asks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from vlmine_dagster.domain.errors import ModelError

Floats = npt.NDArray[np.float64]


def dropout_layers(network: nn.Module) -> list[nn.Dropout]:
    """Return the layers that drop anything, in the order of the network."""
    return [layer for layer in network.modules() if isinstance(layer, nn.Dropout) and layer.p > 0]


@contextmanager
def dropout_pass(network: nn.Module, number: int, *, random_seed: int = 0) -> Iterator[None]:
    """Leave out, at every dropout layer, what pass `number` leaves out.

    A pass is one network: its masks follow from seed, pass and layer, and are the same for all images. So an answer
    does not depend on the batch that an image comes in, nor on the shard. Everything else stays in evaluation mode.

    Args:
        network: A network in evaluation mode.
        number: Pass, from 0.
        random_seed: Another seed draws other masks.

    References:
        Gal and Ghahramani 2016, arXiv 1506.02142; one mask for all images as Kirsch et al. 2019, arXiv 1906.08158.
    """
    handles = [
        layer.register_forward_hook(_mask(layer.p, [random_seed, number, place]))
        for place, layer in enumerate(dropout_layers(network))
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def dropout_passes(network: nn.Module, predict: Callable[[], Floats], count: int, *, random_seed: int = 0) -> Floats:
    """Predict once for each pass.

    Args:
        network: The network by which `predict` answers.
        predict: Returns class probabilities of shape (N, C).
        count: S, passes.
        random_seed: Of the masks.

    Returns:
        Shape (S, N, C), float64.

    Raises:
        ModelError: no dropout layer of the network drops anything.
    """
    if not dropout_layers(network):
        raise ModelError(
            "task model: none of its dropout layers drops anything, so all dropout_passes would give the same result. "
            "Set task_model.dropout to a share such as 0.2; a network without such layers has no passes."
        )
    answers = []
    for number in range(count):
        with dropout_pass(network, number, random_seed=random_seed):
            answers.append(predict())
    return np.stack(answers)


def _mask(share: float, key: list[int]) -> Any:
    random_seed = int(np.random.SeedSequence(key).generate_state(1)[0])

    def hook(_layer: nn.Module, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
        draw = torch.Generator().manual_seed(random_seed)
        kept = torch.rand(output.shape[1:], generator=draw) >= share
        return output * kept.to(output.device, output.dtype) / (1 - share)

    return hook
