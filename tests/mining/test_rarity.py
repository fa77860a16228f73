import numpy as np
import pytest

from vlmine_dagster.errors import ContractError
from vlmine_dagster.mining.density import semantic_density
from vlmine_dagster.mining.rarity import (
    class_rank_rarity,
    expected_rarity,
    few_shot_probability,
    keyword_value,
    soft_novelty,
)


def test_more_labels_make_a_class_less_likely_few_shot():
    few = few_shot_probability(np.arange(12), seed_fraction=0.2)

    assert (np.diff(few) < 0).all()
    assert few[0] > 0.99
    assert few[11] < 0.05


def test_the_posterior_of_a_class_size_by_hand():
    # m = 1, f = 1/2: weights Binomial(1 | N, 1/2) / N = 2^-N for N = 1, 2, 3, ..., which sum to 1.
    few = few_shot_probability([1], seed_fraction=0.5, few_under=3)

    assert few[0] == pytest.approx(0.75)


@pytest.mark.parametrize(("counts", "fraction"), [([-1], 0.2), ([1], 0.0), ([1], 1.0)])
def test_impossible_seeds_are_refused(counts, fraction):
    with pytest.raises(ContractError, match="few_shot_probability"):
        few_shot_probability(counts, seed_fraction=fraction)


def test_expected_rarity_averages_models():
    assert expected_rarity([[[1.0, 0.0]], [[0.0, 1.0]]], [0.0, 0.5]).tolist() == [0.25]


def test_common_classes_have_no_list():
    scores = class_rank_rarity([[[0.9, 0.1], [0.2, 0.8]]], [0.9, 0.9], [9, 100], seed_fraction=0.2)

    assert scores.tolist() == [0.0, 0.0]


def test_the_first_of_a_rare_class_scores_highest_however_small_its_posterior():
    posterior = np.array([[0.001, 0.999], [0.0001, 0.9999], [0.00001, 0.99999]])

    scores = class_rank_rarity([posterior], [0.9, 0.0], [1, 50], seed_fraction=0.2)

    assert scores.argmax() == 0
    assert (np.diff(scores) < 0).all()


def test_keywords_that_the_seed_never_saw_go_by_their_rarity():
    values = keyword_value([["rare"], ["common"]], [["seen"]], [0.5], {"rare": 1, "common": 500, "seen": 20})

    assert values[0] > values[1]


def test_without_any_seed_keyword_rarity_decides_alone():
    assert keyword_value([["a"]], [], [], {"a": 20}).tolist() == [0.5]


def test_density_equals_a_naive_sum():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(6) * 0.3, 40)
    roots = np.sqrt(probabilities)
    similar = roots @ roots.T
    np.fill_diagonal(similar, -np.inf)
    expected = np.sort(similar, axis=1)[:, -5:].sum(axis=1)

    np.testing.assert_allclose(semantic_density(probabilities, neighbours=5), expected, rtol=1e-5)


def test_a_lonely_image_has_no_density():
    assert semantic_density([[1.0, 0.0]]).tolist() == [0.0]


def test_density_refuses_what_is_no_probability():
    with pytest.raises(ContractError, match="finite numbers >= 0"):
        semantic_density([[np.nan, 1.0]])


def test_soft_novelty_prefers_rare_tags():
    scores = soft_novelty([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9]])

    assert scores.argmax() == 2
