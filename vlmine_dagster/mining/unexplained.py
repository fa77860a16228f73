"""How much of a pool no labelled class explains, by labelled images that were held out."""

import numpy as np
import numpy.typing as npt

from vlmine_dagster.mining.discriminant import fit_discriminant
from vlmine_dagster.mining.main_axes import main_axes

_FOLDS = 10
_AXES = 300
_ERRORS = 2.0
_DECIMALS = 6  # so that copies of an image are equal, however their numbers were rounded
_SHARES = np.linspace(0.02, 0.6, 30)

Floats = npt.NDArray[np.float64]


def least_unexplained_share(above: npt.ArrayLike) -> float:
    """Return which share of a pool is of classes without a label, at least.

    u_j is the share of the pool that is less explained than the held-out labelled image j. Where chance drew the
    labels from all of the pool's classes, u is uniform, and -ln u has mean 1 and deviation 1. Where its mean over M
    images is below 1 by more than 2 / sqrt(M), labelled images are missing among the least explained. A share s of the
    pool that is of other classes lies above most labelled images: with o(t) the share of u_j <= t,
    t <= (1 - s) o(t) + s, so that s >= (t - o(t)) / (1 - o(t)).

    Args:
        above: Shape (M,), u, from 0 to 1; 0 counts as half of the least that M images can tell.

    Returns:
        The largest (t - o(t) - 2 e(t)) / (1 - o(t)) over t = .02, .04 ... .6, e(t) = sqrt(t (1 - t) / M) being the
        standard error of o(t). 0 where labelled images are not missing, or M is 0.

    Examples:
        >>> least_unexplained_share((np.arange(1000) + 0.5) / 1000)
        0.0
        >>> round(least_unexplained_share(0.1 + 0.9 * (np.arange(1000) + 0.5) / 1000), 3)  # nothing of the first tenth
        0.081
    """
    given = np.asarray(above, dtype=np.float64)
    count = len(given)
    if not count or 1 + np.log(np.maximum(given, 0.5 / count)).mean() <= _ERRORS / np.sqrt(count):
        return 0.0
    found = (given[:, None] <= _SHARES).mean(axis=0)
    error = np.sqrt(_SHARES * (1 - _SHARES) / count)
    least = (_SHARES - found - _ERRORS * error) / np.maximum(1 - found, 1e-12)
    return max(float(least.max()), 0.0)


def held_out_shares(
    features: npt.ArrayLike, numbers: npt.ArrayLike, is_asked: npt.NDArray[np.bool_], pool: npt.ArrayLike
) -> Floats:
    """Return which share of the pool is less explained than each labelled image, by models that have not learned it.

    Labelled images are held out in ten folds, drawn by chance. The `newness` of a fold and of the pool is that of the
    linear discriminant of the other nine: to it a held-out image is like one of the pool. Among equal ones chance
    decides.

    Args:
        features: Shape (M, D), of the labelled images.
        numbers: Shape (M,), int, their classes.
        is_asked: Shape (M,), which are held out; the others teach every fold.
        pool: Shape (N, D), a sample of the pool, N >= 1.

    Returns:
        Shape (number of `is_asked`,), float64, from 0 to 1, a fold after the other; without those of folds whose rest
        has no two images of one class.
    """
    labelled, others = (np.asarray(rows, dtype=np.float32).astype(np.float64) for rows in (features, pool))
    everything = np.concatenate([labelled, others])
    mean = everything.mean(axis=0)
    axes = main_axes(everything - mean)[1][:, :_AXES]
    labelled, others, everything = ((rows - mean) @ axes for rows in (labelled, others, everything))
    draw = np.random.default_rng(len(labelled))
    folds = draw.permutation(len(labelled)) % _FOLDS
    shares = []
    for fold in range(_FOLDS):
        is_held = (folds == fold) & is_asked
        classes, taught = np.unique(np.asarray(numbers)[~is_held], return_inverse=True)
        if not is_held.any() or len(taught) == len(classes):
            continue
        fitted = fit_discriminant(labelled[~is_held], taught, class_count=len(classes), everything=everything)
        known, asked = (fitted.newness(rows).round(_DECIMALS) for rows in (others, labelled[is_held]))
        known.sort()
        first, last = (np.searchsorted(known, asked, side=side) for side in ("left", "right"))
        shares.append(1 - (first + draw.random(len(asked)) * (last - first)) / len(known))
    return np.concatenate([np.empty(0), *shares])
