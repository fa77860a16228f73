"""Rare lifts what resembles it, junk sinks what resembles it, and nothing follows from two verdicts."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize

from vlmine_dagster.domain.verdicts import Verdict
from vlmine_dagster.mining.judging import agreements, cohens_kappa, consensus, precision_at, share_interval
from vlmine_dagster.mining.review_cost import Prices, cost_per_rare
from vlmine_dagster.mining.verdict_rule import (
    Judged,
    Labelled,
    _logistic,
    learn_rule,
    next_order,
    resemblance,
    unit_rows,
)

NONE = np.array([], dtype=np.int64)
RNG = np.random.default_rng(3)


def cloud(centre: int, count: int, width: int = 8) -> np.ndarray:
    return unit_rows(np.eye(width)[centre] + 0.2 * RNG.normal(size=(count, width)))


KINDS = np.repeat([0, 1, 2], [20, 20, 60])  # rare, junk, the rest
VECTORS = np.concatenate([cloud(0, 20), cloud(1, 20), cloud(2, 60)])


def listed(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(100)


def judged_first(order: np.ndarray, count: int) -> tuple[Judged, np.ndarray, np.ndarray]:
    top = order[:count]
    is_rare = KINDS[top] == 0
    judged = Judged(np.arange(1, count + 1), is_rare, (VECTORS[top],), (VECTORS[order[count:]],))
    return judged, top[is_rare], top[~is_rare]


def evidence(order: np.ndarray, judged: Judged) -> list[np.ndarray]:
    return [judged.resemblance_of(VECTORS[order], 0)]


def test_the_views_are_weighed_by_the_penalized_logistic_regression_that_an_optimizer_finds():
    rng = np.random.default_rng(6)
    columns = rng.normal(3.0, 1.0, (200, 2))
    wanted = (columns @ [1.5, -0.4] + rng.normal(size=200) > 3.2).astype(float)

    def loss(weights: np.ndarray) -> float:
        logits = (columns - columns.mean(axis=0)) @ weights[:2] + weights[2]
        return float(np.logaddexp(0, logits).sum() - wanted @ logits + 0.5 * (weights[:2] ** 2).sum())

    found = minimize(loss, np.zeros(3), method="BFGS", options={"gtol": 1e-7}).x

    assert _logistic(columns, wanted) == pytest.approx(found[:2], abs=1e-4)
    assert found[0] > 1
    assert found[1] < 0


@pytest.mark.parametrize("prices", [Prices(hourly_usd=30.0), Prices(usd_per_label=0.2)])
def test_one_price_is_enough_to_know_what_people_cost(prices):
    assert prices.are_set


def test_without_a_price_of_people_their_cost_is_unknown_whatever_was_paid_before():
    assert not Prices(fixed_usd=12.0).are_set


@pytest.mark.parametrize("seed", range(5))
def test_what_resembles_the_rare_comes_before_what_resembles_junk(seed):
    order = listed(seed)
    judged, first, last = judged_first(order, 30)
    before = [array.copy() for array in (order, first, last, *judged.views)]
    found, lift = next_order(order, judged, evidence(order, judged), first=first, last=last)

    assert sorted(found.tolist()) == list(range(100))
    assert set(found[: len(first)].tolist()) == set(first.tolist())
    assert set(found[-len(last) :].tolist()) == set(last.tolist())
    middle = found[len(first) : -len(last)]
    places = np.arange(len(middle))
    assert places[KINDS[middle] == 0].mean() < places[KINDS[middle] == 2].mean()
    assert np.isnan(lift[: len(first)]).all()
    assert all((a == b).all() for a, b in zip(before, (order, first, last, *judged.views), strict=True))


def test_labelled_items_of_a_rare_class_lift_what_resembles_them_though_no_judged_item_does():
    vectors = np.concatenate([VECTORS, cloud(6, 10), cloud(5, 10)])  # two kinds of which nothing was judged
    judging = np.concatenate([np.arange(4), np.arange(40, 50)])
    order, is_rare = np.concatenate([judging, np.arange(100, 120)]), KINDS[judging] == 0
    labelled = Labelled(np.repeat([0.9, 0.1], 6), (np.concatenate([cloud(5, 6), cloud(6, 6)]),))
    found = {}
    for voters in (None, labelled):
        judged = Judged(np.arange(1, 15), is_rare, (vectors[judging],), (vectors[100:],), voters)
        alike = [judged.resemblance_of(vectors[order], 0)]
        made, _ = next_order(order, judged, alike, first=judging[is_rare], last=judging[~is_rare])
        found[voters is None] = set(made[4:14].tolist())

    assert found[False] == set(range(110, 120))
    assert found[True] != found[False]


def test_labelled_items_do_not_vote_where_too_few_were_judged():
    labelled = Labelled(np.ones(6), (cloud(2, 6),))
    few = (np.arange(1, 4), np.array([True, True, False]), (VECTORS[:3],), (VECTORS[3:],))

    assert (Judged(*few, labelled).resemblance_of(VECTORS, 0) == Judged(*few).resemblance_of(VECTORS, 0)).all()


@pytest.mark.parametrize("count", [2, 3])
def test_verdicts_of_a_kind_are_compared_with_from_the_third_on(count):
    rejected, others = VECTORS[20 : 20 + count], VECTORS[40:]
    is_rare = np.repeat([True, False], [4, count])
    judged = Judged(np.arange(4 + count) + 1, is_rare, (np.concatenate([VECTORS[:4], rejected]),), (others,))

    expected = resemblance(VECTORS, VECTORS[:4], rejected if count == 3 else others)

    np.testing.assert_allclose(judged.resemblance_of(VECTORS, 0), expected)


def test_from_two_verdicts_of_a_kind_nothing_follows_for_others():
    order = np.arange(100)
    judged = Judged(np.arange(1, 5), np.array([True, True, False, False]), (VECTORS[:4],), (VECTORS[4:],))
    found, lift = next_order(order, judged, [np.full(100, 9.0)], first=np.arange(2), last=np.arange(2, 4))

    assert found.tolist() == [0, 1, *range(4, 100), 2, 3]
    assert set(lift[2:-2].tolist()) == {0.0}


def test_junk_sinks_what_resembles_it_before_anything_was_confirmed():
    order = np.concatenate([np.arange(20, 40), np.arange(20), np.arange(40, 100)])  # junk comes first
    judged = Judged(np.arange(1, 6), np.zeros(5, dtype=bool), (VECTORS[order[:5]],), (VECTORS[order[5:]],))
    found, _ = next_order(order, judged, evidence(order, judged), first=NONE, last=order[:5])

    assert set(KINDS[found[:60]].tolist()) == {0, 2}


def test_no_verdict_changes_nothing():
    judged = Judged(NONE, np.array([], dtype=bool), (np.empty((0, 8)),), (VECTORS,))

    assert next_order(listed(0), judged, [np.zeros(100)], first=NONE, last=NONE)[0].tolist() == listed(0).tolist()


def test_resemblance_is_the_ratio_of_two_mean_densities_by_hand():
    asked = np.array([[0.8, 0.6]])
    rare, rejected = np.array([[1.0, 0.0], [0.6, 0.8]]), np.array([[0.0, 1.0]])  # cosines 0.8, 0.96 and 0.6

    found = resemblance(asked, rare, rejected)

    assert found == pytest.approx([np.log((np.exp(8) + np.exp(9.6)) / 2) - 6])
    assert resemblance(asked, rare[[0, 1, 0, 1]], rejected[[0, 0, 0]]) == pytest.approx(found)  # copies add nothing


def test_resemblance_that_tells_nothing_gets_no_weight():
    noise = unit_rows(RNG.normal(size=(60, 8)))
    is_rare = np.arange(60) % 2 == 0
    telling = unit_rows(np.where(is_rare[:, None], 1.0, -1.0))
    told = learn_rule(Judged(np.arange(1, 61), is_rare, (noise, telling), (noise, telling)))

    assert told.rank_weight >= 1
    assert told.view_weights[0] < 0.3 < told.view_weights[1]


def test_the_word_that_stands_is_that_of_most():
    rare, junk, unsure = Verdict.RARE, Verdict.JUNK, Verdict.UNSURE

    assert consensus([rare, unsure]) is rare
    assert consensus([rare, junk]) is None
    assert consensus([unsure]) is consensus([]) is None
    assert consensus([rare, junk, junk]) is junk


def test_precision_is_the_share_of_the_confirmed_among_the_judged_of_the_first():
    ranks = {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}
    standing = {"a": Verdict.RARE, "c": Verdict.RARE, "d": Verdict.JUNK, "e": Verdict.RARE}

    found = precision_at(ranks, standing, 4)

    assert (found.judged, found.share.mean, found.share.n) == (3, 2 / 3, 3)
    assert precision_at(ranks, {"e": Verdict.RARE}, 4).share is None


def test_kappa_is_that_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    words = [verdict.value for verdict in Verdict]
    one, other = (RNG.choice(words, 80).tolist() for _ in range(2))
    other[:40] = one[:40]

    assert cohens_kappa(one, other) == pytest.approx(metrics.cohen_kappa_score(one, other))
    assert math.isnan(cohens_kappa(["rare"], ["rare"]))
    assert agreements([("a", "ana", Verdict.RARE), ("b", "ben", Verdict.RARE)]) == []


def test_the_interval_of_a_share_holds_it_in_95_of_100_reviews():
    rng, held = np.random.default_rng(0), []
    for truth in rng.uniform(0.02, 0.6, 2000):  # of a single share it is now more, now less: hits are whole
        found = share_interval(int(rng.binomial(40, truth)), 40)
        held.append(found.low <= truth <= found.high)

    assert 0.935 <= np.mean(held) <= 0.965


def test_dollars_per_rare_image_hold_the_truth_in_most_reviews():
    rng, truth = np.random.default_rng(1), 30 * 3.0 / 3600 / 0.25
    held = []
    for _ in range(60):
        is_rare = rng.random(200) < 0.25
        found = cost_per_rare(rng.exponential(3.0, 200), is_rare, Prices(hourly_usd=30))
        held.append(found.low <= truth <= found.high)

    assert np.mean(held) >= 0.85
    assert cost_per_rare([], [], Prices()) is None
    assert cost_per_rare([1.0] * 9, [True] + [False] * 8, Prices(hourly_usd=1)).high == math.inf
