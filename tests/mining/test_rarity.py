import numpy as np
import pytest
from scipy.special import comb
from scipy.stats import binom, chi2, norm

from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.mining.class_names import name_shares, named_posterior, posterior_with_others
from vlmine_dagster.mining.class_sizes import (
    _weight_from,
    draw_p_value,
    expected_counts,
    few_shot_by_size,
    few_shot_probability,
    shifted_shares,
    unseen_share,
)
from vlmine_dagster.mining.density import semantic_density
from vlmine_dagster.mining.rarity import (
    chosen_signal,
    class_rank_rarity,
    class_scores,
    expected_precision,
    expected_rarity,
    height_of_rare,
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


@pytest.mark.parametrize(("drawn", "known", "predicted"), [(1, 1, 12.0), (0, 0, 3.0), (2, 2, 7.5), (1, 2, 2.0)])
def test_with_a_predicted_size_the_sum_is_over_sizes_up_to_eight_times_the_bound(drawn, known, predicted):
    sizes = np.arange(max(known, 1), 24 + 1)
    weights = binom.pmf(drawn, sizes, 0.2) / sizes * norm.pdf(np.log(predicted + 1), np.log(sizes + 1), 0.3)

    few = few_shot_probability(
        [drawn], seed_fraction=0.2, few_under=3, known_counts=[known], predicted_sizes=[predicted]
    )

    assert few == pytest.approx(weights[sizes < 3].sum() / weights.sum(), rel=1e-9)


@pytest.mark.parametrize(("known", "predicted"), [(1, 12.1), (3, 1.0), (25, 1.0), (25, 13.0)])
def test_no_class_is_few_shot_that_is_predicted_or_known_to_be_too_large(known, predicted):
    few = few_shot_probability([1], seed_fraction=0.2, few_under=3, known_counts=[known], predicted_sizes=[predicted])

    assert few.tolist() == [0.0]  # from half of the farthest size on, 8 * 3 / 2, and from 3 known images


def test_seeds_of_next_to_nothing_and_of_next_to_everything_are_no_trouble_to_predicted_sizes():
    sizes = np.arange(19, 160 + 1)
    weights = comb(sizes, 19) / sizes * norm.pdf(np.log(31), np.log(sizes + 1), 0.3)  # (1 - f)^(N - m) is 1

    nothing = few_shot_probability([19], seed_fraction=1e-20, predicted_sizes=[30])
    everything = few_shot_probability([0], seed_fraction=1 - 1e-6, predicted_sizes=[5])

    assert nothing == pytest.approx(weights[0] / weights.sum())
    assert everything == pytest.approx([1.0])


def test_the_weight_of_large_sizes_is_the_sum_over_them():
    sizes, drawn = np.arange(4, 2000), np.array([0, 1, 3])

    expected = (binom.pmf(drawn[:, None], sizes, 0.2) / sizes).sum(axis=1)

    assert _weight_from(4, drawn, 0.2) == pytest.approx(expected)


def test_shares_are_shifted_by_five_rounds_from_what_the_model_learned():
    given, prior = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]]), np.array([1.0, 3.0])
    shares = prior / 4
    for _ in range(5):
        weighed = given * shares / prior
        shares = (weighed / weighed.sum(axis=1, keepdims=True)).mean(axis=0)

    assert shifted_shares(given, prior) == pytest.approx(shares)
    assert shifted_shares(given, prior, rounds=0).tolist() == [0.25, 0.75]


def test_a_class_of_which_nothing_is_seen_keeps_a_share_of_one_in_a_billion():
    shares = shifted_shares([[1.0, 0.0], [1.0, 0.0]], [1.0, 1.0])

    assert shares == pytest.approx([1.0, 1e-9])
    assert shifted_shares([[0.0, 0.0]], [1.0, 3.0]) == pytest.approx([0.5, 0.5])


def test_classes_of_which_a_draw_should_hold_less_than_one_count_as_one():
    above, below = draw_p_value([10, 2], [9, 1]), draw_p_value([10, 2], [19, 1])

    assert above == pytest.approx(chi2.sf(0.8**2 / 10.8 + 0.8**2 / 1.2, 1))
    assert below == pytest.approx(chi2.sf(1.4**2 / 11.4 + 1.4**2 / 1.0, 1))  # 0.6 expected


def test_classes_of_any_size_cost_nothing():
    few = few_shot_probability(np.arange(100_000), seed_fraction=1e-6)

    assert few[0] == pytest.approx(1 - 10.2 / 13.8, abs=0.01)  # sum of 1 / N from 20 on, over -ln f
    assert (few[1:] < 1e-4).all()


@pytest.mark.parametrize(("counts", "fraction"), [([-1], 0.2), ([-1, 2], 0.2), ([1], 0.0), ([1], 1.0)])
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


def test_models_count_by_the_geometric_mean_of_what_they_say():
    is_named = np.array([False])

    both = class_scores([[[0.2]], [[0.8]]], [3], [[0.0]], is_named)
    one_of_four = class_scores([[[0.2]]], [3], [[0.0]], is_named, model_count=4)

    assert both == pytest.approx(np.log([[0.4]]))  # the root of 0.2 * 0.8
    assert one_of_four == pytest.approx(np.log([[0.2]]) / 4)


def test_no_model_and_no_name_says_less_than_one_in_ten_million():
    learned = class_scores([[[0.0, 2e-7]]], [3, 3], [[0.0, 0.0]], np.array([False, False]))
    named = class_scores([[[1.0, 1.0]]], [3, 3], [[0.0, 2e-7]], np.array([True, True]))

    assert learned == pytest.approx(np.log([[1e-7, 2e-7]]))
    assert named == pytest.approx(np.log([[1e-7, 2e-7]]))


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


def test_the_worth_of_keywords_by_hand():
    counts = {"a": 20, "b": 60, "c": 180}  # 20 / (20 + c): 1/2, 1/4 and 1/10

    worth = keyword_worth([["a", "b"], ["a"]], [1.0, 0.5], counts)

    scale = 0.75 / ((2 * 0.5 + 0.25) / 3)  # the mean P(few) of the seed over the mean rarity of its keywords
    assert scale == pytest.approx(1.8)
    assert worth == pytest.approx({"a": (1.5 + 3 * 0.9) / 5, "b": (1.0 + 3 * 0.45) / 4, "c": 0.18})


def test_a_seed_without_keywords_tells_how_rare_its_images_are_at_least():
    assert keyword_worth([[]], [0.5], {"a": 20}) == {"a": 0.25}


def test_where_rarity_is_worth_nothing_the_seed_decides_alone():
    assert keyword_worth([["a"]], [1.0], {"a": 5}, common_count=0) == {"a": 0.25}  # 1 / (1 + 3)


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


def test_soft_novelty_is_the_same_of_blocks_and_of_the_whole():
    whole = np.array([[0.9, 0.1, 0.0], [0.6, 0.4, 0.0], [0.1, 0.9, 0.0]])

    found = soft_novelty(lambda: [whole[:1], whole[1:]])

    assert found == pytest.approx(-whole[:, :2] @ np.log([1.6, 1.4]), rel=1e-6)
    assert soft_novelty(whole) == pytest.approx(found)


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


def test_several_signals_by_tags_share_their_weight_equally_and_names_need_a_coverage_to_count():
    isolation, tags, others = [1.0, 2.0, 3.0], [3.0, 1.0, 2.0], [2.0, 3.0, 1.0]

    shared = unlabelled_rarity(isolation, [tags, others], weight=0.6)
    one, other = (unlabelled_rarity(isolation, [signal], weight=0.6) for signal in (tags, others))

    assert shared == pytest.approx((one + other) / 2)
    assert unlabelled_rarity(isolation, [tags], weight=0.6, by_names=[others]) == pytest.approx(one)


def test_a_signal_that_is_known_for_no_labelled_image_of_a_rare_class_ranks_them_as_chance_would():
    assert height_of_rare([np.nan, 2.0], [0], [1.0]) == 0.5
    assert height_of_rare([1.0, 2.0], [0, 1], [0.0, 0.0]) == 0.5
    assert height_of_rare([np.nan, np.nan], [0, 1], [1.0, 1.0]) == 0.5
    assert height_of_rare([1.0, np.nan], [0, 1], [1.0, 1.0]) == 0.5  # first and last of one


def test_the_height_of_rare_ones_is_a_mean_weighted_by_how_rare_they_are():
    # Places 1, 2 and 4 of the four that are known: 7/8, 5/8 and 1/8.
    found = height_of_rare([9.0, 8.0, 7.0, 6.0, np.nan], [0, 1, 3, 4], [0.9, 0.6, 0.3, 1.0])

    assert found == pytest.approx((0.9 * 7 + 0.6 * 5 + 0.3) / 8 / 1.8)


@pytest.mark.parametrize(("trust", "chosen"), [(0.3, "second"), (0.4, "first")])
def test_a_signal_without_a_trust_of_its_own_is_trusted_in_full(trust, chosen):
    signals = {"first": [4.0, 3.0, 2.0, 1.0], "second": [3.0, 4.0, 2.0, 1.0]}

    # The labelled image is at 0.875 by the one and at 0.625 by the other, 0.375 and 0.125 above chance.
    assert chosen_signal(signals, [0], [1.0], trust={"first": trust}) == chosen


@pytest.mark.parametrize(
    ("chances", "precision"),
    [([0.5, 0.9, 0.8, 0.1], 0.85), ([0.2, 0.1], 0.2), ([0.0, 0.0], 0.0), ([0.9, 0.3, 0.4], 0.65)],
)
def test_the_expected_precision_is_the_mean_chance_of_as_many_of_the_likeliest_as_are_expected(chances, precision):
    assert expected_precision(chances) == pytest.approx(precision)


def test_a_signal_is_chosen_where_it_ranks_rare_ones_no_lower_than_chance():
    signal = {"sparsity": [4.0, 3.0, 2.0, 1.0]}

    assert chosen_signal(signal, [1], [1.0]) == "sparsity"  # second of four: 1 - 1.5 / 4 = 0.625
    assert chosen_signal(signal, [0, 3], [1.0, 1.0]) == "sparsity"  # first and last: 0.5
    assert chosen_signal(signal, [2], [1.0]) is None  # 0.375
