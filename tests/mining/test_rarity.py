import numpy as np
import pytest
from scipy.stats import binom

from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.mining.class_names import name_shares, named_posterior, posterior_with_others
from vlmine_dagster.mining.class_sizes import expected_counts, few_shot_by_size, few_shot_probability, unseen_share
from vlmine_dagster.mining.density import semantic_density
from vlmine_dagster.mining.rarity import (
    chosen_signal,
    class_rank_rarity,
    class_scores,
    expected_rarity,
    keyword_worth,
    soft_novelty,
    unlabelled_rarity,
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


@pytest.mark.parametrize("fraction", [0.01, 0.2, 0.9])
def test_the_posterior_of_a_class_size_is_the_sum_over_sizes(fraction):
    seed, known = np.array([0, 0, 1, 3, 18, 18]), np.array([0, 7, 1, 12, 18, 19])
    sizes = np.arange(1, 30_000)
    weights = binom.pmf(seed[:, None], sizes, fraction) / sizes * (sizes >= known[:, None])

    few = few_shot_probability(seed, seed_fraction=fraction, known_counts=known)

    np.testing.assert_allclose(few, weights[:, sizes < 20].sum(axis=1) / weights.sum(axis=1), atol=1e-9)


def test_classes_of_any_size_cost_nothing():
    few = few_shot_probability(np.arange(100_000), seed_fraction=1e-6)

    assert few[0] == pytest.approx(1 - 10.2 / 13.8, abs=0.01)  # sum of 1 / N from 20 on, over -ln f
    assert (few[1:] < 1e-4).all()


@pytest.mark.parametrize(("counts", "fraction"), [([-1], 0.2), ([1], 0.0), ([1], 1.0)])
def test_impossible_seeds_are_refused(counts, fraction):
    with pytest.raises(ContractError, match="few_shot_probability"):
        few_shot_probability(counts, seed_fraction=fraction)


def test_expected_rarity_averages_models():
    assert expected_rarity([[[1.0, 0.0]], [[0.0, 1.0]]], [0.0, 0.5]).tolist() == [0.25]


def test_mined_images_bound_a_class_from_below_and_are_no_evidence_of_its_share():
    drawn = few_shot_probability([1, 1, 1], seed_fraction=0.2, known_counts=[1, 12, 20])

    assert drawn[0] == pytest.approx(few_shot_probability([1], seed_fraction=0.2)[0])
    assert drawn[0] > drawn[1] > 0.5
    assert drawn[2] == 0.0


def test_what_was_mined_is_no_longer_expected():
    assert expected_counts([2, 2, 2], seed_fraction=0.2, known_counts=[2, 7, 90]).tolist() == [14.0, 9.0, 1.0]


@pytest.mark.parametrize(("unseen", "share"), [(0, 0.0), (1, 1.0), (16, -2 * np.log(0.2) / 16)])
def test_as_many_unseen_classes_are_there_as_classes_seen_once_suggest(unseen, share):
    assert unseen_share([1, 1, 7], unseen, seed_fraction=0.2) == pytest.approx(share)


def test_names_agree_whatever_their_case_and_tags_of_one_name_add_up():
    tags = np.array([[0.25, 0.5, 0.125]], dtype=np.float16)

    shares, is_named = name_shares(["Sea  Lion", "crane (3)"], ["sea lion", "crane", "Sea Lion"], tags)

    assert shares.tolist() == [[0.375, 0.0]]
    assert is_named.tolist() == [True, False]


def test_keywords_name_classes_that_no_tag_names_and_never_lower_a_tag():
    said = [["yak", "tram"], []]

    shares, is_named = name_shares(["tram", "yak", "fern"], ["tram"], [[0.75], [0.25]], said)

    assert shares.tolist() == [[0.75, 0.5, 0.0], [0.25, 0.0, 0.0]]
    assert is_named.tolist() == [True, True, False]


def test_an_image_in_which_no_class_is_named_has_no_posterior_by_names():
    assert named_posterior([[0.0, 0.2], [0.3, 0.1]], [0.0, 2.0]).tolist() == [[0.0, 1.0], [0.0, 1.0]]
    assert named_posterior([[0.3, 0.0]], [0.0, 2.0]).tolist() == [[0.0, 0.0]]


def test_a_class_without_labels_is_scored_by_its_name_alone():
    posteriors = [[[0.9, 0.1], [0.1, 0.9]]]

    scores = class_scores(posteriors, [0, 50], [[0.2, 0.8], [0.4, 0.6]], np.array([True, True]))

    assert scores[:, 0] == pytest.approx(np.log([0.2, 0.4]))
    assert scores[1, 1] > scores[0, 1]


def test_classes_that_are_not_few_shot_add_nothing_and_nobody_tops_their_list():
    scores, likeliest = class_rank_rarity([[0.9, 0.1], [0.2, 0.8]], [0.0, 0.0], [3.0, 3.0])

    assert scores.tolist() == [0.0, 0.0]
    assert likeliest.tolist() == [-1, -1]


def test_the_first_of_a_rare_class_scores_highest_however_small_its_posterior():
    posterior = np.array([[0.001, 0.999], [0.0001, 0.9999], [0.00001, 0.99999]])

    scores, likeliest = class_rank_rarity(posterior, [0.9, 0.0], [10.0, 200.0])

    assert scores.argmax() == 0
    assert (np.diff(scores) < 0).all()
    assert (likeliest == 0).all()


def test_equal_scores_of_a_class_are_equally_near_to_it_in_any_order_of_rows():
    score, _ = class_rank_rarity([[0.5], [0.5], [0.1], [0.5]], [0.4], [1.0])

    assert score[0] == score[1] == score[3] == pytest.approx(-np.log(1 - 0.4 / 2**2))
    assert score[2] < score[0]


def test_keywords_that_the_seed_never_saw_go_by_their_rarity():
    worth = keyword_worth([["seen"]], [0.5], {"rare": 1, "common": 500, "seen": 20})

    assert worth["rare"] > worth["common"]


def test_without_any_seed_keyword_rarity_decides_alone():
    assert keyword_worth([], [], {"a": 20}) == {"a": 0.5}


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


def test_the_first_of_a_list_that_is_surely_rare_scores_high_and_a_list_of_nobody_scores_nothing():
    score, likeliest = class_rank_rarity([[0.9, 0.5], [0.1, 0.4]], [1.0, 0.0], [1.0, 1.0])

    # by hand: -log(1e-12) for a certain first place, -log(1 - 1 / 2^2) for the second of one that is expected
    np.testing.assert_allclose(score, [12 * np.log(10), -np.log(0.75)], rtol=1e-4)
    assert likeliest.tolist() == [0, 0]


def test_among_equal_chances_the_first_class_is_the_likeliest_and_without_any_there_is_none():
    _, likeliest = class_rank_rarity([[0.9, 0.9], [0.1, 0.1]], [0.5, 0.5], [1.0, 1.0])
    _, nobody = class_rank_rarity([[0.9], [0.1]], [0.0], [1.0])

    assert (likeliest.tolist(), nobody.tolist()) == ([0, 0], [-1, -1])


def test_what_goes_by_no_name_is_another_class_the_more_the_fewer_classes_have_names():
    half, nearly_all = (posterior_with_others([[0.2, 0.3]], coverage=share) for share in (0.5, 0.98))

    assert half == pytest.approx(np.array([[0.2, 0.3, 0.25]]) / 0.75)
    assert nearly_all[0, -1] == pytest.approx(0.01 / 0.51)
    assert posterior_with_others([[0.0, 0.0]], coverage=1.0).tolist() == [[0.0, 0.0, 0.0]]


def test_a_class_of_as_many_images_as_the_bound_is_as_likely_few_shot_as_not():
    assert few_shot_by_size([9.0], few_under=10) == pytest.approx([0.5])
    assert (np.diff(few_shot_by_size(np.arange(60))) < 0).all()


def test_names_count_by_the_square_of_the_share_of_classes_that_have_one():
    tags, names = [3.0, 2.0, 1.0], [1.0, 2.0, 3.0]
    nobody = np.zeros(3)

    mixed = unlabelled_rarity(nobody, [tags], weight=1.0, by_names=[names], coverage=0.5)

    alone = [unlabelled_rarity(nobody, [one], weight=1.0) for one in (tags, names)]
    assert mixed == pytest.approx(0.75 * alone[0] + 0.25 * alone[1])
    assert unlabelled_rarity(nobody, [tags], weight=0.0, by_names=[names], coverage=1.0) == pytest.approx(
        unlabelled_rarity(nobody, [tags], weight=0.0)
    )


def test_a_signal_is_chosen_where_it_ranks_rare_ones_no_lower_than_chance():
    signal = {"sparsity": [4.0, 3.0, 2.0, 1.0]}

    assert chosen_signal(signal, [1], [1.0]) == "sparsity"  # second of four: 1 - 1.5 / 4 = 0.625
    assert chosen_signal(signal, [0, 3], [1.0, 1.0]) == "sparsity"  # first and last: 0.5
    assert chosen_signal(signal, [2], [1.0]) is None  # 0.375
