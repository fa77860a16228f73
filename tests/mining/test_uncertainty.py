import numpy as np
import pytest

from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.mining import uncertainty as u


def test_a_sure_answer_has_no_uncertainty_and_an_even_one_has_all():
    sure_and_even = [[1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]]

    np.testing.assert_allclose(u.predictive_entropy(sure_and_even), [0.0, np.log(3)], atol=1e-12)
    np.testing.assert_allclose(u.variation_ratio(sure_and_even), [0.0, 2 / 3])
    np.testing.assert_allclose(u.margin(sure_and_even), [1.0, 0.0])


def test_a_probability_that_rounding_left_above_one_is_one():
    assert u.predictive_entropy([[1 + 5e-7, 0.0]]).tolist() == [0.0]


def test_no_images_give_no_scores():
    nothing = np.empty((0, 4))

    assert u.predictive_entropy(nothing).shape == (0,)
    assert u.variation_ratio(nothing).shape == (0,)
    assert u.margin(nothing).shape == (0,)


@pytest.mark.parametrize(
    ("bad", "sum_text"),
    [([[0.5, 0.5], [2.0, 1.0]], "3"), ([[0.5, 0.5], [np.nan, 1.0]], "nan"), ([[1, 0], [1.5, -0.5]], "1")],
)
def test_rows_that_are_no_probabilities_are_counted_and_shown(bad, sum_text):
    with pytest.raises(
        ContractError, match=rf"row 1 is not a probability distribution \(1 of 2 rows; this one sums to {sum_text}\)"
    ):
        u.predictive_entropy(bad)


def test_one_class_is_no_distribution():
    with pytest.raises(ContractError, match=r"got shape \(1, 1\)"):
        u.margin([[1.0]])


def test_bald_is_zero_where_members_agree_however_unsure_they_are():
    agree = np.tile([[0.5, 0.5], [0.9, 0.1]], (3, 1, 1))

    np.testing.assert_allclose(u.bald(agree), 0.0, atol=1e-12)


def test_bald_wants_passes():
    with pytest.raises(ContractError, match="expected \\(passes, images, classes\\)"):
        u.bald([[0.5, 0.5]])


def test_votes_are_counted():
    votes = [[0, 0, 1, 2], [5, 5, 5, 5]]

    np.testing.assert_allclose(u.variation_ratio_of_votes(votes), [0.5, 0.0])
    np.testing.assert_allclose(u.vote_entropy(votes), [1.5 * np.log(2), 0.0], atol=1e-12)


def test_negative_votes_are_refused():
    with pytest.raises(ContractError, match="classes >= 0"):
        u.vote_entropy([[-1, 0]])


def test_margin_is_the_gap_between_the_two_likeliest_of_many_classes():
    odds = np.random.default_rng(0).gamma(0.5, size=(200, 9)) + 1e-9
    probabilities = odds / odds.sum(axis=1, keepdims=True)

    ordered = np.sort(probabilities, axis=1)
    np.testing.assert_allclose(u.margin(probabilities), ordered[:, -1] - ordered[:, -2])
