"""The main axes of vectors, whichever of rows and columns are fewer."""

from typing import Any

import numpy as np
import numpy.typing as npt

from vlmine_dagster.mining.one_thread import on_one_thread


@on_one_thread
def main_axes(centred: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the variances of centred vectors on their main axes, and the axes.

    Args:
        centred: Shape (N, D), N >= 1, of mean 0.

    Returns:
        Variances, falling, shape (R,), and axes, shape (D, R), R = min(N, D): by the eigenvectors of the covariance, or
        by singular vectors where there are fewer vectors than dimensions, which takes N^2 D in place of D^3 operations.

    Examples:
        >>> variances, axes = main_axes(np.array([[3.0, 0.0, 0.0], [-3.0, 0.0, 0.0]]))
        >>> variances.round(2) + 0, abs(axes[:, 0]).round(2)
        (array([9., 0.]), array([1., 0., 0.]))
    """
    count, width = centred.shape
    if count < width:
        _, lengths, axes = np.linalg.svd(centred, full_matrices=False)
        return lengths**2 / count, axes.T
    variances, columns = np.linalg.eigh(centred.T @ centred / count)
    return variances[::-1], columns[:, ::-1]
