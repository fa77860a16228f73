"""How much of a pool no labelled class explains."""

import numpy as np
import pytest

from vlmine_dagster.mining.unexplained import held_out_shares, least_unexplained_share


def mixture(counts, seed):
    """Images of some classes around centres that are the same for every seed."""
    centres = np.random.default_rng(99).normal(size=(len(counts), 12)) * 3
    classes = np.repeat(np.arange(len(counts)), counts)
    return centres[classes] + np.random.default_rng(seed).normal(size=(len(classes), 12)), classes


def shares(labelled_counts, pool_counts, *, seed=0, is_asked=None):
    features, numbers = mixture(labelled_counts, seed)
    pool, _ = mixture(pool_counts, seed + 1000)
    asked = np.ones(len(numbers), dtype=bool) if is_asked is None else is_asked
    return held_out_shares(features, numbers, asked, pool)


def test_labels_that_chance_drew_from_all_classes_leave_nothing_unexplained():
    found = [least_unexplained_share(shares([80, 60, 40, 20], [320, 240, 160, 80], seed=seed)) for seed in range(20)]

    assert sum(share > 0 for share in found) <= 2  # of 40, one is beyond two standard errors


def test_a_class_without_labels_is_noticed_and_not_thought_larger_than_it_is():
    found = [least_unexplained_share(shares([160, 120, 80], [320, 240, 160, 80], seed=seed)) for seed in range(10)]

    assert min(found) > 0.01
    assert max(found) <= 0.1  # a tenth of the pool


def test_held_out_images_are_as_explained_as_those_of_the_pool():
    uniform = np.concatenate([shares([40, 30, 8], [200, 150, 40], seed=seed) for seed in range(30)])

    assert uniform.mean() == pytest.approx(0.5, abs=0.03)
    assert [(uniform <= share).mean() for share in (0.1, 0.25, 0.75)] == pytest.approx([0.1, 0.25, 0.75], abs=0.04)


def test_chance_decides_among_equal_images():
    features = np.repeat([[0.0, 1.0], [4.0, 0.0]], [200, 100], axis=0)

    found = held_out_shares(
        features, np.repeat([0, 1], [200, 100]), np.ones(300, dtype=bool), np.tile(features, (3, 1))
    )

    assert np.log(found).mean() == pytest.approx(-1, abs=0.15)
    assert least_unexplained_share(found) == 0.0


def test_images_that_were_mined_teach_and_are_not_held_out():
    is_asked = np.arange(140) % 2 == 0

    assert shares([80, 60], [320, 240], is_asked=is_asked).shape == (70,)


def test_labels_of_which_nothing_can_be_held_out_tell_nothing():
    assert shares([1, 1], [20, 20]).shape == (0,)
    assert least_unexplained_share([]) == 0.0


def test_the_share_is_the_largest_lower_end_over_the_thresholds():
    above = np.repeat([0.15, 0.95], [100, 300])  # a quarter between .14 and .16, the rest beyond all thresholds

    at = [(t - 0.25 - 2 * np.sqrt(t * (1 - t) / 400)) / 0.75 for t in np.linspace(0.16, 0.6, 23)]
    assert least_unexplained_share(above) == pytest.approx(max(at))


def test_labelled_images_that_are_missing_by_less_than_two_standard_errors_are_none():
    level = (np.arange(100) + 0.5) / 100

    assert least_unexplained_share(0.03 + 0.97 * level) == 0.0
    assert least_unexplained_share(0.1 + 0.9 * level) > 0.02
