"""BADGE: gradients that are large and unlike each other."""

import numpy as np

from vlmine_dagster.mining.selectors.state import Places, PoolState


def badge(state: PoolState, count: int) -> Places:
    """Pick images by k-means++ over the gradients that they would cause if the model's answer were right.

    The gradient of the cross-entropy with respect to the last layer, for the likeliest class y, is the outer product
    g_i = (p_i - e_y) x_i^T. The image with the largest |g_i| comes first; each further one is drawn with a probability
    proportional to the squared distance of its gradient to the nearest that was picked. Products are never formed:
    g_i . g_j = (a_i . a_j)(x_i . x_j) with a_i = p_i - e_y. O(count N (C + D)) time.

    Args:
        state: The pool. A copy of a pick has distance 0 and is drawn only when nothing else is left.
        count: Images to pick; all that are unlabelled where there are fewer.

    Returns:
        Places in the order in which they were picked.

    References:
        Ash et al. 2020, arXiv 1906.03671; that the largest gradient comes first is from their code.
    """
    places, draw = state.unlabelled, state.generator()
    features = state.features[places].astype(np.float32)
    errors = state.probabilities[places].astype(np.float32)
    errors[np.arange(len(errors)), errors.argmax(axis=1)] -= 1
    sizes = (errors**2).sum(axis=1) * (features**2).sum(axis=1)
    distances = np.full(len(places), np.inf)
    picks: list[int] = []
    for _ in range(min(count, len(places))):
        if not picks:
            picked = int(sizes.argmax())
        else:
            weights = np.maximum(distances, 0.0)
            weights[picks] = 0.0
            picked = (
                int(draw.choice(len(weights), p=weights / weights.sum()))
                if weights.any()
                else _rest(picks, len(places))
            )
        picks.append(picked)
        products = (errors @ errors[picked]) * (features @ features[picked])
        distances = np.minimum(distances, np.maximum(sizes + sizes[picked] - 2 * products, 0.0))
        distances[distances < 1e-6 * (sizes.max() or 1.0)] = 0.0
    return places[np.array(picks, dtype=np.int64)]


def _rest(picks: list[int], count: int) -> int:
    """Return the lowest place that is not picked."""
    return int(np.setdiff1d(np.arange(count), picks)[0])
