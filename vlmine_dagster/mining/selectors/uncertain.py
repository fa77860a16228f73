"""Selectors by a score of each image alone: chance, uncertainty, Tail First Sampling; and k-center."""

from vlmine_dagster.mining.diversity import k_center_picks
from vlmine_dagster.mining.selectors.state import Places, PoolState, highest
from vlmine_dagster.mining.tail_first import tail_first as tail_first_scores
from vlmine_dagster.mining.uncertainty import margin as margin_scores
from vlmine_dagster.mining.uncertainty import predictive_entropy


def at_random(state: PoolState, count: int) -> Places:
    """Pick at random, without replacement."""
    return state.generator().permutation(state.unlabelled)[:count]


def entropy(state: PoolState, count: int) -> Places:
    """Pick the images with the highest `predictive_entropy`."""
    return highest(predictive_entropy(state.probabilities[state.unlabelled]), state.unlabelled, count)


def margin(state: PoolState, count: int) -> Places:
    """Pick the images with the smallest difference between the two likeliest classes (`mining.uncertainty.margin`)."""
    return highest(-margin_scores(state.probabilities[state.unlabelled]), state.unlabelled, count)


def tail_first(state: PoolState, count: int) -> Places:
    """Pick by Tail First Sampling (`mining.tail_first`): the predicted class with the fewest labels comes first."""
    rows = state.probabilities[state.unlabelled]
    counts = {str(number): int(labels) for number, labels in enumerate(state.label_counts)}
    scores = tail_first_scores(rows.argmax(axis=1).astype(str).tolist(), predictive_entropy(rows), counts)
    return highest(scores, state.unlabelled, count)


def core_set(state: PoolState, count: int) -> Places:
    """Pick the images farthest from all that are labelled or picked (`mining.diversity.k_center_picks`)."""
    covered = [state.features[state.labelled]] if len(state.labelled) else []
    return state.unlabelled[k_center_picks(state.features[state.unlabelled], count=count, covered=covered)]
