"""Prediction in batches."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

_BATCH = 1024


def predict_probabilities(
    network: nn.Module, inputs: npt.NDArray[Any], *, batch_size: int = _BATCH
) -> npt.NDArray[np.float64]:
    """Return softmax probabilities.

    Args:
        network: A `Probe` or a `SmallConvNet`; it is put into evaluation mode.
        inputs: What the network reads, N rows.
        batch_size: Rows at a time.

    Returns:
        Shape (N, C), float64, rows sum to 1.
    """
    network.eval()
    with torch.inference_mode():
        parts = [
            network(torch.from_numpy(np.ascontiguousarray(inputs[start : start + batch_size]))).double().softmax(1)
            for start in range(0, len(inputs), batch_size)
        ]
    if not parts:
        linear = network.linear
        assert isinstance(linear, nn.Linear)  # noqa: S101 - both networks end in one
        return np.empty((0, linear.out_features))
    return np.asarray(torch.cat(parts).numpy())
