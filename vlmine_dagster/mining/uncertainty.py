"""How unsure a model is, from its class probabilities."""

import numpy as np
import numpy.typing as npt

from vlmine_dagster.domain.errors import ContractError

Floats = npt.NDArray[np.float64]

_SUM_TOLERANCE = 1e-3
_ROUNDING = 1e-6
"""What a mean of float32 probabilities may stick out of [0, 1]; it is cut off."""


def predictive_entropy(probabilities: npt.ArrayLike) -> Floats:
    """Return H_i = -sum_c p_ic ln p_ic, with 0 ln 0 = 0.

    Args:
        probabilities: Shape (N, C), rows sum to 1.

    Returns:
        Shape (N,), float64, in nats, from 0 (sure) to ln C (no idea); higher is less sure.

    Raises:
        ContractError: rows are not probabilities.

    Examples:
        >>> predictive_entropy([[1.0, 0.0], [0.5, 0.5]]).round(4)
        array([0.    , 0.6931])

    References:
        Shannon 1948.
    """
    return _entropy(_checked(probabilities, "predictive_entropy"))


def variation_ratio(probabilities: npt.ArrayLike) -> Floats:
    """Return 1 - max_c p_ic.

    Args:
        probabilities: Shape (N, C), rows sum to 1.

    Returns:
        Shape (N,), float64, from 0 (sure) to 1 - 1/C; higher is less sure.

    Raises:
        ContractError: rows are not probabilities.

    Examples:
        >>> variation_ratio([[0.75, 0.25], [0.5, 0.5]])
        array([0.25, 0.5 ])

    References:
        Freeman 1965, for the softmax instead of votes.
    """
    checked = _checked(probabilities, "variation_ratio")
    return 1.0 - checked.max(axis=1, initial=0.0) if len(checked) else np.empty(0)


def margin(probabilities: npt.ArrayLike) -> Floats:
    """Return the largest minus the second largest probability. Lower is less sure: negate it to mine.

    Args:
        probabilities: Shape (N, C), rows sum to 1.

    Returns:
        Shape (N,), float64, in [0, 1].

    Raises:
        ContractError: rows are not probabilities.

    Examples:
        >>> margin([[0.75, 0.25, 0.0], [0.5, 0.25, 0.25]])
        array([0.5 , 0.25])

    References:
        Scheffer et al. 2001.
    """
    checked = _checked(probabilities, "margin")
    two = -np.partition(-checked, 1, axis=1)[:, :2]
    return two[:, 0] - two[:, 1]


def bald(probabilities: npt.ArrayLike) -> Floats:
    """Return the mutual information of prediction and model: H(mean_s p_s) - mean_s H(p_s).

    Args:
        probabilities: Shape (S, N, C), S passes or ensemble members, rows sum to 1.

    Returns:
        Shape (N,), float64, in nats, from 0 to ln min(S, C); higher means that the members disagree more.

    Raises:
        ContractError: rows are not probabilities.

    Examples:
        >>> bald([[[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.5, 0.5]]]).round(4)
        array([0.6931, 0.    ])

    References:
        Houlsby et al. 2011, arXiv 1112.5745.
    """
    passes = np.asarray(probabilities, dtype=np.float64)
    if passes.ndim != 3 or passes.shape[0] == 0:
        raise ContractError(f"bald: got shape {passes.shape}, expected (passes, images, classes).")
    flat = _checked(passes.reshape(-1, passes.shape[2]), "bald").reshape(passes.shape)
    mean_entropy = np.mean([_entropy(one) for one in flat], axis=0)
    return np.asarray(np.maximum(_entropy(flat.mean(axis=0)) - mean_entropy, 0.0))  # rounding alone makes it negative


def variation_ratio_of_votes(votes: npt.ArrayLike) -> Floats:
    """Return 1 - (votes for the commonest class) / S.

    Args:
        votes: Shape (N, S), int, the class that each of S passes or members chose.

    Returns:
        Shape (N,), float64, from 0 (all agree) to 1 - 1/S; higher means that they disagree more.

    Raises:
        ContractError: votes are no (N, S) table of integers >= 0.

    Examples:
        >>> variation_ratio_of_votes([[3, 3, 3, 3], [0, 1, 1, 2]])
        array([0. , 0.5])

    References:
        Freeman 1965.
    """
    return np.asarray(1.0 - _vote_shares(votes).max(axis=1, initial=0.0)) if len(np.asarray(votes)) else np.empty(0)


def vote_entropy(votes: npt.ArrayLike) -> Floats:
    """Return H_i = -sum_c v_ic ln v_ic with v_ic the share of the members that chose class c.

    Args:
        votes: Shape (N, S), int, the class that each of S members chose.

    Returns:
        Shape (N,), float64, in nats, from 0 to ln min(S, C); higher means that the members disagree more.

    Raises:
        ContractError: votes are no (N, S) table of integers >= 0.

    Examples:
        >>> vote_entropy([[3, 3], [0, 1]]).round(4)
        array([0.    , 0.6931])

    References:
        Dagan and Engelson 1995.
    """
    return _entropy(_vote_shares(votes))


def _vote_shares(votes: npt.ArrayLike) -> Floats:
    """Return shape (N, D) over the D classes that anybody chose; the entropy needs no others."""
    cast = np.asarray(votes)
    if cast.ndim != 2 or cast.shape[1] == 0 or (cast.size and (cast.dtype.kind not in "iu" or cast.min() < 0)):
        raise ContractError(
            f"votes: got shape {cast.shape} of {cast.dtype}, expected (images, members) with classes >= 0 as integers."
        )
    chosen, columns = np.unique(cast, return_inverse=True)
    cells = np.arange(len(cast))[:, None] * len(chosen) + columns.reshape(cast.shape)
    counts = np.bincount(cells.ravel(), minlength=len(cast) * len(chosen)).reshape(len(cast), len(chosen))
    return np.asarray(counts / cast.shape[1], dtype=np.float64)


def _entropy(probabilities: Floats) -> Floats:
    logs = np.log(probabilities, out=np.zeros_like(probabilities), where=probabilities > 0)
    return np.asarray(0.0 - (probabilities * logs).sum(axis=1))  # not a minus sign, which would make -0.0


def _checked(probabilities: npt.ArrayLike, where: str) -> Floats:
    given = np.asarray(probabilities, dtype=np.float64)
    if given.ndim != 2 or given.shape[1] < 2:
        raise ContractError(f"{where}: got shape {given.shape}, expected (images, classes) with at least 2 classes.")
    outside = ((given < -_ROUNDING) | (given > 1 + _ROUNDING)).any(axis=1)
    bad = ~np.isfinite(given).all(axis=1) | outside | (np.abs(given.sum(axis=1) - 1) > _SUM_TOLERANCE)
    if bad.any():
        place = int(bad.argmax())
        raise ContractError(
            f"{where}: row {place} is not a probability distribution ({bad.sum()} of {len(given)} rows; this one sums "
            f"to {given[place].sum():g}). Pass softmax outputs, not logits."
        )
    return np.clip(given, 0.0, 1.0)
