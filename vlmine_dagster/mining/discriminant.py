"""Class posteriors that need no name and few labels: classes as clouds of one shape around centres that are shrunk."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.mining.main_axes import main_axes
from vlmine_dagster.mining.one_thread import on_one_thread

_LEAST_SPREAD = 1e-3

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Discriminant:
    """A fitted linear discriminant of C classes on D features.

    Attributes:
        mean: Shape (D,), of the features of all images.
        axes: Shape (D, A), onto which features are projected; within a class they have variance 1 there.
        centres: Shape (C, A), where the images of a class are expected.
        variances: Shape (C, A), of an image around its class's centre, that of the centre itself included.
        log_priors: Shape (C,), logarithms of the classes' shares among the labels.
        between: Shape (A,), how much the centres of classes vary.
    """

    mean: Floats
    axes: Floats
    centres: Floats
    variances: Floats
    log_priors: Floats
    between: Floats

    def posterior(self, features: npt.ArrayLike) -> Floats:
        """Return class probabilities of B images, shape (B, C), float64; rows sum to 1."""
        likelihood = self._log_densities(self._projected(features))
        likelihood -= likelihood.max(axis=1, keepdims=True)
        chances = np.exp(likelihood)
        return np.asarray(chances / chances.sum(axis=1, keepdims=True))

    def newness(self, features: npt.ArrayLike) -> Floats:
        """Return how much likelier B images are of a class without a label than of those that have some.

        The logarithm of the ratio of both densities; of a class without a label the centre is in the middle, and its
        images vary by 1 + psi.

        Args:
            features: Shape (B, D).

        Returns:
            Shape (B,), float64, in nats, higher is less explained.

        Examples:
            >>> labelled = [[0.0, 1.0], [0.0, -1.0], [8.0, 1.0], [8.0, -1.0]]
            >>> fitted = fit_discriminant(labelled, [0, 0, 1, 1], class_count=2, everything=labelled)
            >>> fitted.newness([[0.0, 0.0], [4.0, 0.0]]).round(1)
            array([-2.1, 50.7])
        """
        rows = self._projected(features)
        log_densities = self._log_densities(rows)
        most = log_densities.max(axis=1)
        of_new = -0.5 * (rows**2 / (1 + self.between) + np.log(1 + self.between)).sum(axis=1)
        return np.asarray(of_new - most - np.log(np.exp(log_densities - most[:, None]).sum(axis=1)))

    def _projected(self, features: npt.ArrayLike) -> Floats:
        return np.asarray((np.asarray(features, dtype=np.float64) - self.mean) @ self.axes)

    def _log_densities(self, rows: Floats) -> Floats:
        """Return the logarithm of share times density, shape (B, C), but for what is the same for all classes."""
        inverse = 1 / self.variances
        likelihood = rows @ (self.centres * inverse).T - 0.5 * rows**2 @ inverse.T
        likelihood += self.log_priors - 0.5 * (self.centres**2 * inverse + np.log(self.variances)).sum(axis=1)
        return np.asarray(likelihood)


def fit_discriminant(
    features: npt.ArrayLike,
    numbers: npt.ArrayLike,
    *,
    class_count: int,
    everything: npt.ArrayLike,
    axis_count: int = 300,
    shrinkage: float = 0.1,
) -> Discriminant:
    """Fit probabilistic linear discriminant analysis with one covariance within classes.

    Features are projected on the main axes of all images. W is the covariance within classes, (1 - s) W + s tr(W) / A I
    for the shrinkage s; T that of all images. On the axes where W is I and T is diagonal, the centres of classes vary
    by psi = max(T - 1, 0.001). A class with m labels of mean x has its centre at m psi / (1 + m psi) x, and an image of
    it varies by 1 + psi / (1 + m psi): a class with few labels is drawn to the middle and is wide. A class without a
    label has probability 0.

    Args:
        features: Shape (M, D), of the labelled images.
        numbers: Shape (M,), int in [0, class_count), their classes; at least two, and one with two images.
        class_count: Classes.
        everything: Shape (N, D), a sample of all images, labelled or not.
        axis_count: Main axes that are kept, at most half of N.
        shrinkage: In (0, 1).

    Raises:
        ContractError: lengths differ, or no class has two images.

    Examples:
        >>> labelled = [[0.0, 1.0], [0.0, -1.0], [8.0, 1.0], [8.0, -1.0]]
        >>> fitted = fit_discriminant(labelled, [0, 0, 1, 1], class_count=3, everything=labelled)
        >>> fitted.posterior([[1.0, 0.0], [4.0, 0.0], [7.0, 9.0]]).round(3)
        array([[1. , 0. , 0. ],
               [0.5, 0.5, 0. ],
               [0. , 1. , 0. ]])

    References:
        Ioffe 2006; the shared covariance as in Prince and Elder 2007.
    """
    rows, classes = np.asarray(features, dtype=np.float64), np.asarray(numbers, dtype=np.int64)
    counts = np.bincount(classes, minlength=class_count).astype(np.float64)
    if len(rows) != len(classes) or counts.max(initial=0) < 2:
        raise ContractError(
            f"fit_discriminant: {counted(len(rows), 'row')} and {counted(len(classes), 'label')}, expected as many, "
            f"and two of one class."
        )
    sample = np.asarray(everything, dtype=np.float64)
    mean = sample.mean(axis=0)
    variances, axes = main_axes(sample - mean)
    kept = np.flatnonzero(variances > 1e-9 * variances[0])[: max(min(axis_count, len(sample) // 2), 1)]
    main, spread = axes[:, kept], variances[kept]
    projected = (rows - mean) @ main
    centres = np.zeros((class_count, len(kept)))
    np.add.at(centres, classes, projected)
    centres /= np.maximum(counts, 1)[:, None]
    own, between = _common_axes(projected - centres[classes], spread, len(rows) - int((counts > 0).sum()), shrinkage)
    weight = counts[:, None] * between
    with np.errstate(divide="ignore"):
        log_priors = np.log(counts / counts.sum())
    return Discriminant(
        mean=mean,
        axes=main @ own,
        centres=(centres @ own) * weight / (1 + weight),
        variances=1 + between / (1 + weight),
        log_priors=log_priors,
        between=between,
    )


@on_one_thread
def _common_axes(residuals: Floats, spread: Floats, freedom: int, shrinkage: float) -> tuple[Floats, Floats]:
    """Return axes, shape (A, A), on which residuals have variance 1, and by how much centres vary on them."""
    within = residuals.T @ residuals / max(freedom, 1)
    size = len(spread)
    within = (1 - shrinkage) * within + shrinkage * max(np.trace(within) / size, 1e-12) * np.eye(size)
    inverse = np.linalg.inv(np.linalg.cholesky(within))
    total, turned = np.linalg.eigh(inverse @ np.diag(spread) @ inverse.T)
    return inverse.T @ turned, np.maximum(total - 1, _LEAST_SPREAD)
