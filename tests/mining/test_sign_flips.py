import itertools

import numpy as np
import pytest

from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.mining.sign_flips import sign_flip_p_values


def by_definition(differences):
    flips = [np.array(signs) @ differences for signs in itertools.product((1, -1), repeat=len(differences))]
    lengths = np.sqrt((differences**2).sum(axis=0))
    seen = np.abs(differences.sum(axis=0)) / lengths
    highest = [max(np.abs(flip) / lengths) for flip in flips]
    return [np.mean([one >= s - 1e-9 for one in highest]) for s in seen]


def test_every_pattern_of_signs_is_counted_where_draws_are_few():
    differences = np.random.default_rng(5).normal(0.3, 1, (7, 4))

    assert sign_flip_p_values(differences).tolist() == pytest.approx(by_definition(differences))


def test_copies_of_a_column_cost_nothing_and_other_columns_do():
    rng = np.random.default_rng(2)
    column = rng.normal(0.7, 1, (12, 1))
    alone = sign_flip_p_values(column)[0]

    assert sign_flip_p_values(np.repeat(column, 5, axis=1)).tolist() == pytest.approx([alone] * 5)
    assert sign_flip_p_values(np.hstack([column, rng.normal(0, 1, (12, 20))]))[0] > alone


def test_ten_draws_that_all_agree_reach_two_of_a_thousand_whatever_the_columns():
    differences = np.full((10, 30), 0.1)

    assert sign_flip_p_values(differences).tolist() == [2 / 1024] * 30


def test_the_scale_of_a_column_and_the_order_of_the_draws_change_nothing():
    differences = np.random.default_rng(1).normal(0.2, 1, (9, 3))

    expected = sign_flip_p_values(differences).tolist()
    assert sign_flip_p_values(differences * [1, 100, 0.001]).tolist() == pytest.approx(expected)
    assert sign_flip_p_values(differences[::-1]).tolist() == pytest.approx(expected)


def test_random_patterns_are_near_all_of_them_and_the_same_each_time():
    differences = np.random.default_rng(3).normal(0.3, 1, (14, 3))  # one draw more than are counted out

    found = sign_flip_p_values(differences)

    np.testing.assert_allclose(found, by_definition(differences), atol=0.02)
    assert (
        found.tolist()
        == sign_flip_p_values(differences).tolist()
        != sign_flip_p_values(differences, random_seed=1).tolist()
    )


def test_among_random_patterns_the_one_that_turns_nothing_is_counted_once():
    p = sign_flip_p_values(np.full((40, 1), 0.1))[0]  # of 2^40 patterns two reach as far

    assert p == pytest.approx(1 / (20 * 512 + 1), rel=1e-12)


def test_what_cannot_be_tested_is_refused():
    for wrong in ([1.0, 2.0], np.empty((0, 2)), [[float("nan")]]):
        with pytest.raises(ContractError, match="expected finite draws by columns"):
            sign_flip_p_values(wrong)
