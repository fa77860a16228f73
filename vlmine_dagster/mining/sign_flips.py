"""One test for a whole table of paired differences: arms at several budgets over the same draws."""

import itertools

import numpy as np
import numpy.typing as npt

from vlmine_dagster.domain.errors import ContractError

_MOST_EXACT_DRAWS = 13  # 8,192 sign patterns
_RESAMPLES = 10_000
_BLOCK = 512

Floats = npt.NDArray[np.float64]


def sign_flip_p_values(differences: npt.ArrayLike, *, random_seed: int = 0) -> Floats:
    """Return the p-value of each column of paired differences, adjusted for all columns together.

    Where an arm is no better than its reference, its differences of a draw are as likely with the other sign. A flip
    turns the signs of whole draws, so that columns keep their dependence: budgets of one curve say nearly the same, and
    adjusting for them costs little. With the statistic s_k = |sum_d x_dk| / sqrt(sum_d x_dk^2), which no flip changes
    in its denominator, p_k is the share of flips whose largest s over all columns reaches s_k. All 2^D flips are taken
    up to 13 draws, 10,000 random ones beyond.

    Args:
        differences: Shape (D, K), arm minus reference; a row per draw, a column per arm and budget.
        random_seed: Random seed of the flips.

    Returns:
        Shape (K,), in (0, 1], two-sided; 1 where all differences of a column are zero.

    Raises:
        ContractError: the shape is another, or a value is not finite.

    Examples:
        >>> sign_flip_p_values([[1.0, 0.0, 2.0], [2.0, 0.0, -2.0], [1.5, 0.0, 1.0]])
        array([0.25, 1.  , 1.  ])

    References:
        Westfall and Young 1993, single-step maxT.
    """
    given = np.asarray(differences, dtype=np.float64)
    if given.ndim != 2 or not given.shape[0] or not np.isfinite(given).all():
        raise ContractError(f"sign_flip_p_values: expected finite draws by columns, got shape {given.shape}.")
    lengths = np.sqrt((given**2).sum(axis=0))
    scaled = given / np.where(lengths > 0, lengths, 1.0)
    seen = np.abs(scaled.sum(axis=0)) - 1e-9
    reached, count = np.zeros(given.shape[1], dtype=np.int64), 0
    for flips in _flips(len(given), random_seed=random_seed):
        highest = np.abs(flips @ scaled).max(axis=1, initial=0.0)
        reached += (highest[:, None] >= seen).sum(axis=0)
        count += len(flips)
    return reached / count


def _flips(draws: int, *, random_seed: int) -> "itertools.chain[Floats]":
    """Return blocks of sign patterns, shape (at most 512, D); the pattern that turns nothing is among them."""
    if draws <= _MOST_EXACT_DRAWS:
        every = np.array(list(itertools.product((1.0, -1.0), repeat=draws)))
        return itertools.chain(np.array_split(every, -(-len(every) // _BLOCK)))
    rng = np.random.default_rng(random_seed)
    blocks = (rng.choice((1.0, -1.0), (_BLOCK, draws)) for _ in range(-(-_RESAMPLES // _BLOCK)))
    return itertools.chain([np.ones((1, draws))], blocks)
