"""Prediction in batches."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

_BATCH = 1024


def best_device() -> torch.device:
    """Return an accelerator where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def predict_probabilities(
    network: nn.Module, inputs: npt.NDArray[Any], *, batch_size: int = _BATCH
) -> npt.NDArray[np.float64]:
    """Return softmax probabilities.

    Args:
        network: A network of `learning.networks`; it is put into evaluation mode and moved to the best device.
        inputs: What the network reads, N rows.
        batch_size: Rows at a time.

    Returns:
        Shape (N, C), float64, rows sum to 1.
    """
    device = best_device()
    network.eval().to(device)
    with torch.inference_mode():
        parts = [
            network(_tensor(inputs[start : start + batch_size], device)).double().softmax(1).cpu()
            for start in range(0, len(inputs), batch_size)
        ]
        if not parts:  # only the network knows how many classes there are
            return np.empty((0, network(_tensor(np.zeros((1, *inputs.shape[1:]), inputs.dtype), device)).shape[1]))
    return np.asarray(torch.cat(parts).numpy())


def _tensor(rows: npt.NDArray[Any], device: torch.device) -> torch.Tensor:
    """Return rows in memory of torch's own: the last bit of a product can depend on where its factors begin."""
    return torch.tensor(np.require(rows, requirements=["C", "W"]), device=device)  # Arrow's arrays are not writable
