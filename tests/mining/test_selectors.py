"""Selectors of the field: each against a case that can be checked by hand, and all against the same contract."""

from collections.abc import Sequence

import numpy as np
import pytest

from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.mining.selectors.badge import badge
from vlmine_dagster.mining.selectors.class_balance import class_balance
from vlmine_dagster.mining.selectors.clusters import aloe, cluster_wise, typiclust
from vlmine_dagster.mining.selectors.direct import direct
from vlmine_dagster.mining.selectors.galaxy import galaxy
from vlmine_dagster.mining.selectors.mutual_information import flqmi_picks, graph_cut, similar
from vlmine_dagster.mining.selectors.state import UNLABELLED, Ask, PoolState
from vlmine_dagster.mining.selectors.table import SELECTORS
from vlmine_dagster.mining.selectors.uncertain import core_set, entropy, margin, tail_first


def state_of(truth: list[int], labelled: list[int], first: list[float], features: object = None) -> PoolState:
    """Two classes; `first` is the probability of class 0, and the only feature unless others are given."""
    labels = np.full(len(truth), UNLABELLED, dtype=np.int64)
    labels[labelled] = np.array(truth)[labelled]
    own = np.array(first)
    rows = own[:, None] if features is None else np.asarray(features)
    return PoolState(rows.astype(np.float32), labels, np.column_stack([own, 1 - own]))


def oracle(truth: Sequence[int], log: list[int] | None = None) -> Ask:
    """An oracle that notes what it was asked."""

    def ask(place: int) -> int:
        if log is not None:
            log.append(place)
        return int(truth[place])

    return ask


@pytest.fixture(scope="module")
def blobs() -> tuple[PoolState, np.ndarray]:
    """Five classes of 160, 80, 40, 20 and 10 images in seven dimensions, 40 labels, and a fairly good model."""
    draw = np.random.default_rng(0)
    truth = np.repeat(np.arange(5), [160, 80, 40, 20, 10])
    features = (np.eye(5, 7)[truth] * 2.5 + draw.normal(size=(len(truth), 7))).astype(np.float32)
    features[7] = features[6]  # a copy
    logits = features[:, :5].astype(np.float64)
    likely = np.exp(logits - logits.max(axis=1, keepdims=True))
    labels = np.full(len(truth), UNLABELLED, dtype=np.int64)
    first = np.concatenate([draw.permutation(len(truth))[:38], [290, 305]])
    labels[first] = truth[first]
    return PoolState(features, labels, likely / likely.sum(axis=1, keepdims=True), random_seed=3), truth


@pytest.mark.parametrize("name", SELECTORS)
def test_every_selector_picks_unlabelled_images_once_and_the_same_again_and_leaves_its_inputs_alone(name, blobs):
    state, truth = blobs
    before = [part.copy() for part in (state.features, state.labels, state.probabilities)]
    selector, log = SELECTORS[name], []

    for count in (0, 1, 30, 10_000):
        log.clear()
        picks = selector.pick(state, count, oracle(truth, log))
        again = PoolState(*before, random_seed=3)

        assert len(picks) == min(count, len(state.unlabelled)) == len(set(picks.tolist()))
        assert (state.labels[picks] == UNLABELLED).all()
        np.testing.assert_array_equal(selector.pick(again, count, oracle(truth)), picks)
        if selector.labels_one_by_one:
            assert set(log) <= set(picks.tolist())
        else:
            assert not log
    for part, old in zip((state.features, state.labels, state.probabilities), before, strict=True):
        np.testing.assert_array_equal(part, old)


@pytest.mark.parametrize("name", [name for name, one in SELECTORS.items() if not one.needs_labels])
def test_selectors_that_need_no_labels_begin_with_none(name, blobs):
    state, truth = blobs
    nothing = PoolState(state.features, np.full(len(truth), UNLABELLED), np.full((len(truth), 5), 0.2))

    picks = SELECTORS[name].pick(nothing, 12, oracle(truth))

    assert len(set(picks.tolist())) == 12


def test_galaxy_bisects_between_opposite_labels_until_they_are_neighbours():
    truth = [0, 0, 0, 0, 1, 1, 1, 1, 1]
    first = [0.95, 0.9, 0.85, 0.8, 0.4, 0.3, 0.2, 0.1, 0.05]
    state = state_of(truth, [0, 8], first)

    picks = galaxy(state, 3, oracle(truth))

    # 1 to 7 lie between the labels of both lines, so 4 is asked first; it is of class 1: 1 to 3 remain, then 3.
    assert picks.tolist() == [4, 2, 3]


def test_direct_labels_around_the_threshold_that_gets_most_labels_right_and_a_wrong_label_does_not_move_it():
    truth = [0] * 6 + [1] * 6
    first = np.linspace(0.95, 0.05, 12).tolist()
    labelled = [0, 1, 3, 8, 9, 10, 11]
    state = state_of(truth, labelled, first)
    wrong = state.labels.copy()
    wrong[11] = 0  # far below the threshold, as a mistake would be
    noisy = PoolState(state.features, wrong, state.probabilities)

    picks = direct(state, 4, oracle(truth), fewest_per_class=100)
    despite = direct(noisy, 4, oracle(truth), fewest_per_class=100)

    # Class 0: the first best threshold is after place 3; above it 2 is nearest, below it 4. Class 1, whose list begins
    # with 11: the first best one is after 8; above it all are labelled, below it are 7 and 6.
    assert set(picks.tolist()) == {2, 4, 6, 7}
    assert set(despite.tolist()) == {2, 4, 6, 7}


def test_direct_searches_for_the_threshold_in_the_region_where_it_must_be():
    truth = [0] * 20 + [1] * 20
    state = state_of(truth, [0, 39], np.linspace(0.99, 0.01, 40).tolist())

    picks = direct(state, 24, oracle(truth), fewest_per_class=6)

    near = [place for place in picks.tolist() if 14 <= place <= 25]
    assert len(near) >= 11  # of these 12 places; 24 random ones of 38 would hold 7 or 8


def test_badge_takes_the_largest_gradient_first_and_a_copy_of_a_pick_only_when_nothing_else_is_left():
    features = [[3.0, 0.0], [3.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    state = state_of([0, 0, 1, 1], [], [0.6, 0.6, 0.7, 0.9], features)

    picks = badge(state, 4).tolist()

    # |g|^2 = |p - e_y|^2 |x|^2: 2 x 0.16 x 9 = 2.88 twice, 2 x 0.09 x 1 = 0.18, 2 x 0.01 x 2 = 0.04
    assert picks[0] == 0
    assert picks[-1] == 1


def test_typiclust_takes_the_middle_of_the_largest_cluster_without_a_label():
    features = [[0.0], [1.0], [2.0], [3.0], [4.0], [100.0], [101.0], [102.0], [103.0], [104.0], [105.0], [106.0]]
    state = state_of([0] * 12, [6], [0.5] * 12, features)

    picks = typiclust(state, 1)

    # Two clusters; that of seven images has a label, so the other one asks, about its middle.
    assert picks.tolist() == [2]


def test_aloe_takes_the_least_known_image_of_each_cluster_and_cluster_wise_any_one():
    features = [[-5.0], [-5.1], [5.0], [5.1], [5.2]]
    state = state_of([0, 0, 1, 1, 1], [], [0.99, 0.6, 0.02, 0.4, 0.1], features)

    assert aloe(state, 2).tolist() == [3, 1]  # the larger cluster first
    assert sorted(place > 1 for place in cluster_wise(state, 2)) == [False, True]


def test_similar_covers_all_examples_and_graph_cut_repeats_the_one_that_most_examples_are_like():
    angles = np.deg2rad([0, 110, 2, 4, 114, 55])
    features = np.column_stack([np.cos(angles), np.sin(angles)])
    labels = np.array([0, 0, -1, -1, -1, -1])
    state = PoolState(features.astype(np.float32), labels, np.full((6, 2), 0.5))

    assert set(similar(state, 2).tolist()) == {2, 4}  # at 2 and 114 degrees: one near each example
    assert graph_cut(state, 1).tolist() == [5]  # at 55 degrees: 0.57 to both; at 2 it is 1.00 and 0


def test_lazy_greedy_picks_what_plain_greedy_picks():
    given = np.random.default_rng(1).random((40, 7)).astype(np.float32)

    def value(chosen: list[int]) -> float:
        return float(given[chosen].max(axis=0).sum() + given[chosen].max(axis=1).sum())

    plain: list[int] = []
    for _ in range(8):
        plain.append(max((k for k in range(40) if k not in plain), key=lambda k: value([*plain, k])))

    assert flqmi_picks(given, count=8).tolist() == plain


def test_uncertain_ones_and_the_rare_class_come_first_and_the_farthest_image():
    state = state_of([0, 0, 0, 1, 0, 0], [0, 1, 3], [0.9, 0.9, 0.55, 0.1, 0.7, 0.2])

    assert entropy(state, 3).tolist() == margin(state, 3).tolist() == [2, 4, 5]
    assert tail_first(state, 1).tolist() == [5]  # predicted of class 1, which has one label
    assert core_set(state, 1).tolist() == [2]  # 0.35 from the nearest label, as 5 is 0.1 and 4 is 0.2


def test_class_balance_asks_for_the_class_with_the_fewest_labels_and_gives_up_on_one_that_is_not_found():
    truth = [0] * 12 + [1] + [0] * 7
    first = [0.9] * 11 + [0.1] + np.linspace(0.2, 0.9, 8).tolist()
    state = state_of(truth, [*range(11), 11], first)
    labels = state.labels.copy()
    labels[11] = 1  # one image of class 1 is labelled
    state = PoolState(state.features, labels, state.probabilities)

    picks = class_balance(state, 4, oracle(truth)).tolist()

    assert picks == [12, 13, 14, 15]  # by rising probability of class 0, though only 12 is of class 1
    level = [11 + 3, 1 + 1 + 3 * 0.25]
    assert level[1] < level[0]  # so class 1 went on asking


def test_classes_that_go_by_a_name_are_asked_for_before_they_have_a_label_by_how_much_goes_by_it():
    truth = [0, 0, 1, 0, 2, 1, 0, 0]
    labels = np.array([0, 0, *[-1] * 6])
    shares = np.zeros((8, 3), np.float32)  # nothing goes by the name of class 0
    shares[:, 1] = [0, 0, 0.9, 0.1, 0, 0.5, 0, 0]
    shares[:, 2] = [0, 0, 0, 0.8, 0.7, 0, 0.2, 0]
    state = PoolState(np.zeros((8, 1), np.float32), labels, np.full((8, 3), 1 / 3))

    picks = class_balance(state, 5, oracle(truth), shares=shares).tolist()

    assert picks == [2, 3, 4, 5, 6]  # 1 found; 2 missed, and found; then 1 by its lower level, and 2
    assert class_balance(state, 1, oracle(truth)).tolist() == [2]  # without names class 0 asks


def test_named_classes_of_ten_labels_ask_for_their_boundary_by_what_was_learned():
    truth = [0] * 11 + [1] * 11 + [1, 0, 1]
    labels = np.array([0] * 11 + [1] * 10 + [-1] * 4)
    likely = np.array([0.9] * 11 + [0.1] * 10 + [0.2, 0.3, 0.55, 0.4])
    shares = np.zeros((25, 2), np.float32)
    shares[21, 1] = 0.9
    state = PoolState(np.zeros((25, 1), np.float32), labels, np.stack([likely, 1 - likely], axis=1))

    assert class_balance(state, 1, oracle(truth), shares=shares).tolist() == [23]


def test_a_state_of_unequal_parts_is_refused():
    with pytest.raises(ContractError, match="3 features, 2 labels and 3 rows of probabilities"):
        PoolState(np.zeros((3, 1), np.float32), np.zeros(2, np.int64), np.full((3, 2), 0.5))
