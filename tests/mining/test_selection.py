import itertools

import moocore
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.ranking import KINDS
from vlmine_dagster.domain.errors import ConfigError, ContractError
from vlmine_dagster.mining import front_tree
from vlmine_dagster.mining.front_tree import tree_fronts
from vlmine_dagster.mining.pareto import non_dominated_fronts
from vlmine_dagster.mining.selection import FUSIONS, budget_count, id_hashes, mid_ranks, random_signal, rank_images

values = st.one_of(st.integers(0, 4).map(float), st.just(float("nan")))
tables = st.integers(1, 3).flatmap(
    lambda m: st.lists(st.lists(values, min_size=m, max_size=m), min_size=1, max_size=25)
)
fusions = st.sampled_from(FUSIONS)
PARETO_RANK = moocore.pareto_rank


def peel(points):
    """Fronts by the definition: take what nobody dominates, again and again."""
    fronts, left, front = [0] * len(points), set(range(len(points))), 1
    while left:
        best = {i for i in left if not any(all(points[j] >= points[i]) and any(points[j] > points[i]) for j in left)}
        for i in best:
            fronts[i] = front
        left -= best
        front += 1
    return fronts


def named(rows):
    array = np.array(rows, dtype=float)
    return {f"s{k}": array[:, k] for k in range(array.shape[1])}, [f"i{k}" for k in range(len(rows))]


def order_of(signals, ids, fusion):
    return [ids[place] for place in rank_images(signals, ids, fusion=fusion).order]


@given(
    st.integers(1, 4).flatmap(
        lambda m: st.lists(st.lists(st.integers(0, 5), min_size=m, max_size=m), min_size=1, max_size=30)
    )
)
def test_fronts_equal_naive_peeling(rows):
    points = np.array(rows, dtype=float)

    assert non_dominated_fronts(points).tolist() == peel(points)
    if points.shape[1] > 1:
        assert tree_fronts(-points).tolist() == peel(points)


@pytest.mark.parametrize("width", [3, 4, 6])
@pytest.mark.parametrize("values", [5, 30, 10**6])
def test_fronts_of_many_signals_are_those_of_a_library(width, values):
    draw = np.random.default_rng(width)
    points = draw.integers(0, values, (1500, 1)) + draw.integers(0, values, (1500, width))

    fronts = tree_fronts(-points.astype(float))

    assert fronts.tolist() == (moocore.pareto_rank(points.astype(float), maximise=True) + 1).tolist()
    assert fronts.max() > 5


@pytest.mark.parametrize("count", [5_000, 50_000])
def test_fronts_of_signals_that_nearly_agree_are_one_an_image(count):
    signal = np.random.default_rng(0).permutation(count)

    fronts = non_dominated_fronts(np.column_stack([signal, signal + 0.5, 2 * signal]))

    assert (fronts == count - signal).all()


@pytest.mark.parametrize(
    ("kind", "count", "width", "is_by_tree"),
    [
        ("anticorrelated", 20_000, 3, False),
        ("independent", 20_000, 3, False),
        ("agreeing", 20_000, 3, False),
        ("agreeing", 300_000, 3, True),
        ("agreeing", 9_000, 6, False),
        ("agreeing", 11_000, 4, True),
        ("agreeing", 300_000, 2, False),
    ],
)
def test_the_quicker_of_two_ways_finds_the_fronts(kind, count, width, is_by_tree, monkeypatch):
    asked = []
    monkeypatch.setattr(front_tree, "tree_fronts", lambda points: asked.append("tree") or np.ones(len(points)))
    monkeypatch.setattr(moocore, "pareto_rank", lambda points, maximise: _few(points, count, asked))

    non_dominated_fronts(KINDS[kind](count, width, 1.0))

    assert asked == ["tree" if is_by_tree else "moocore"]


def _few(points, count, asked):
    if len(points) < count:  # the sample that tells
        return PARETO_RANK(points, maximise=True)
    asked.append("moocore")
    return np.zeros(len(points))


@given(tables, fusions)
def test_images_that_lack_a_signal_never_enter(rows, fusion):
    signals, ids = named(rows)

    ranking = rank_images(signals, ids, fusion=fusion)

    whole = {k for k, row in enumerate(rows) if not np.isnan(row).any()}
    assert set(ranking.order.tolist()) == whole
    assert ranking.excluded_count == len(rows) - len(whole)


@given(tables, fusions, st.randoms())
def test_the_order_of_rows_does_not_matter(rows, fusion, random):
    signals, ids = named(rows)
    places = list(range(len(rows)))
    random.shuffle(places)

    shuffled = {name: column[places] for name, column in signals.items()}

    assert order_of(shuffled, [ids[k] for k in places], fusion) == order_of(signals, ids, fusion)


@given(tables, fusions)
def test_monotone_rescaling_of_a_signal_changes_nothing(rows, fusion):
    signals, ids = named(rows)

    rescaled = {name: np.exp(3 * column) - 7 for name, column in signals.items()}

    assert order_of(rescaled, ids, fusion) == order_of(signals, ids, fusion)


@given(tables)
def test_fronts_rise_along_the_order_and_rank_sums_rise_within_a_front(rows):
    signals, ids = named(rows)

    ranking = rank_images(signals, ids)

    keys = list(zip(ranking.front.tolist(), ranking.rank_sum.tolist(), strict=True))
    assert keys == sorted(keys)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30))
def test_one_signal_is_a_plain_ranking(column):
    signals, ids = named([[value] for value in column])

    for fusion in FUSIONS:
        order = rank_images(signals, ids, fusion=fusion).order
        assert [column[place] for place in order] == sorted(column, reverse=True)


def test_a_tie_does_not_prefer_names_early_in_the_alphabet():
    ids = [f"a/{k}" for k in range(50)] + [f"b/{k}" for k in range(50)]

    order = rank_images({"s": np.ones(100)}, ids).order

    assert 10 < sum(place < 50 for place in order[:50]) < 40


@given(tables, fusions, st.integers(0, 3))
def test_copies_of_an_image_stand_together_but_for_the_hash(rows, fusion, which):
    signals, ids = named([*rows, rows[which % len(rows)]])

    ranking = rank_images(signals, ids, fusion=fusion)

    keys = dict(zip(ranking.order.tolist(), zip(ranking.front, ranking.rank_sum, strict=True), strict=True))
    assert keys.get(which % len(rows)) == keys.get(len(rows))


@given(tables, fusions)
def test_any_budget_is_a_prefix_of_the_next(rows, fusion):
    signals, ids = named(rows)

    ranking = rank_images(signals, ids, fusion=fusion)

    sets = [set(ranking.order[: budget_count(n + 1, len(rows))].tolist()) for n in range(1, len(ranking.order))]
    assert all(small < large or small == large for small, large in itertools.pairwise(sets))
    assert len(set(ranking.order.tolist())) == len(ranking.order)


def test_reciprocal_rank_by_hand():
    # a: 1/61 + 1/63, b: 1/62 + 1/61, c: 1/63 + 1/62
    ranking = rank_images({"novelty": [3, 2, 1], "entropy": [1, 3, 2]}, ["a", "b", "c"], fusion="reciprocal_rank")

    assert ranking.order.tolist() == [1, 0, 2]
    assert ranking.front.tolist() == [1, 2, 3]


def test_the_hash_that_decides_ties_is_the_same_everywhere_and_for_good():
    ids = ["pool/a/17", "pool/b/18", "é", ""]

    assert [f"{number:016x}" for number in id_hashes(iter(ids)).tolist()] == [
        "cadd7ce17548ff0a",
        "09d9ca247295603e",
        "cb1abf8beff3192f",
        "e4a6a0577479b2b4",
    ]
    assert rank_images({"s": np.ones(4)}, ids).order.tolist() == [1, 0, 2, 3]


def test_hashes_in_place_of_ids_give_the_same_order():
    ids, signals = [f"i{k}" for k in range(200)], {"s": np.arange(200) % 7, "t": np.arange(200) % 5}

    by_hash = rank_images(signals, id_hashes(ids))

    np.testing.assert_array_equal(by_hash.order, rank_images(signals, ids).order)


def test_a_small_case_by_hand():
    # c dominates b; a and c do not dominate each other; a has ranks 1 and 3, c has 2 and 1.
    ranking = rank_images({"novelty": [9, 1, 5], "entropy": [1, 2, 3]}, ["a", "b", "c"])

    assert ranking.order.tolist() == [2, 0, 1]
    assert ranking.front.tolist() == [1, 1, 2]
    assert ranking.rank_sum.tolist() == [3.0, 4.0, 5.0]
    assert ranking.signal_ranks["entropy"].tolist() == [3.0, 2.0, 1.0]


def test_inputs_stay_as_they_are():
    column = np.array([1.0, np.nan, 2.0])

    rank_images({"s": column}, ["a", "b", "c"])

    np.testing.assert_array_equal(column, [1.0, np.nan, 2.0])


@pytest.mark.parametrize(
    ("signals", "ids", "message"),
    [
        ({}, ["a"], "no signals"),
        ({"s": [1.0]}, ["a", "b"], r"'s' has shape \(1,\), expected \(2,\)"),
        ({"s": [1.0, np.inf]}, ["a", "b"], "'s' is infinite for 'b'"),
        ({"s": [1.0, 2.0]}, ["a", "a"], "1 of 2 image ids repeat"),
    ],
)
def test_bad_input_is_named(signals, ids, message):
    with pytest.raises(ContractError, match=message):
        rank_images(signals, ids)


def test_an_unknown_fusion_is_refused():
    with pytest.raises(
        ConfigError, match="unknown fusion 'vote', expected pareto, rank_sum, reciprocal_rank or fisher"
    ):
        rank_images({"s": [1.0]}, ["a"], fusion="vote")


def test_an_empty_pool_has_an_empty_ranking():
    assert len(rank_images({"s": [], "t": []}, []).order) == 0


@pytest.mark.parametrize("bad", [[[np.nan, 1.0]], [[np.inf, 1.0]]])
def test_fronts_refuse_what_cannot_be_compared(bad):
    with pytest.raises(ContractError, match="1 of 1 rows contain NaN or infinity"):
        non_dominated_fronts(bad)


def test_fronts_want_a_table():
    with pytest.raises(ContractError, match=r"got shape \(2,\)"):
        non_dominated_fronts([1.0, 2.0])


def test_no_points_have_no_fronts():
    assert non_dominated_fronts(np.empty((0, 2))).tolist() == []


def test_mid_ranks_sum_to_the_same_with_ties():
    assert mid_ranks([3, 3, 3]).tolist() == [2.0, 2.0, 2.0]


def test_another_seed_draws_other_numbers():
    ids = [str(k) for k in range(1000)]
    first, second = random_signal(ids), random_signal(ids, random_seed=1)

    assert abs(first.mean() - 0.5) < 0.05
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.1
    assert (first >= 0).all() and (first < 1).all()


@pytest.mark.parametrize(
    ("budget", "size", "expected"), [(0.001, 100, 1), (0.5, 5, 3), (7, 5, 5), (2, 5, 2), (0.5, 0, 0)]
)
def test_budgets(budget, size, expected):
    assert budget_count(budget, size) == expected


@pytest.mark.parametrize("budget", [0, -1, 1.5, float("nan")])
def test_a_budget_that_means_nothing_is_refused(budget):
    with pytest.raises(ConfigError, match="expected a share of the pool"):
        budget_count(budget, 10)


def test_a_weight_of_two_counts_a_signal_twice():
    rng = np.random.default_rng(5)
    signals = {"a": rng.random(40), "b": rng.random(40)}
    ids = [f"i{k}" for k in range(40)]
    for fusion in ("rank_sum", "fisher"):
        twice = rank_images({**signals, "again": signals["a"]}, ids, fusion=fusion)
        assert rank_images(signals, ids, fusion=fusion, weights={"a": 2.0}).order.tolist() == twice.order.tolist()


@pytest.mark.parametrize("weights", [{"a": 0.0}, {"a": float("inf")}, {"c": 1.0}])
def test_a_weight_that_means_nothing_is_refused(weights):
    with pytest.raises(ConfigError, match=r"rank_images: weight .* expected above 0, for a, b"):
        rank_images({"a": [1.0, 2.0], "b": [1.0, 0.0]}, ["x", "y"], fusion="fisher", weights=weights)


def placed(count, **ranks):
    """Two signals of `count` images in which the named images have the ranks that are given, others any."""
    names = [*ranks, *(f"other {k}" for k in range(count - len(ranks)))]
    columns = []
    for signal in range(2):
        fixed = {name: pair[signal] for name, pair in ranks.items()}
        free = iter(sorted(set(range(1, count + 1)) - set(fixed.values())))
        columns.append(np.array([-float(fixed[name] if name in fixed else next(free)) for name in names]))
    return dict(zip("ab", columns, strict=True)), names


@pytest.mark.parametrize(
    ("last", "is_before"),
    [(7, True), (9, False)],  # 0.5 * 6.5 < 1.5 * 2.5 < 0.5 * 8.5, but 1 * 7 > 2 * 3
)
def test_fisher_takes_half_a_rank_off_so_that_a_first_place_outweighs_two_fair_ones(last, is_before):
    signals, names = placed(10, first=(1, last), fair=(2, 3))

    ranking = rank_images(signals, names, fusion="fisher")

    order = [names[place] for place in ranking.order]
    assert (order.index("first") < order.index("fair")) == is_before


def test_fisher_weighs_ranks_by_how_many_images_are_ranked_and_the_fronts_follow_the_sum():
    signals, names = placed(6, x=(1, 6), y=(6, 1), z=(2, 2))

    ranking = rank_images(signals, names, fusion="fisher", weights={"a": 2})

    by_hand = {"x": 0.5**2 * 5.5, "y": 5.5**2 * 0.5, "z": 1.5**3}
    order = [names[place] for place in ranking.order if names[place] in by_hand]
    assert order == sorted(by_hand, key=by_hand.get)


def test_reciprocal_rank_adds_sixty_to_each_rank():
    # 1/61 + 1/10060 is worth two ranks of 61.26: with 59 it would be behind 61, with 61 before 62
    signals, names = placed(10_000, one=(1, 10_000), before=(61, 61), behind=(62, 62))

    ranking = rank_images(signals, names, fusion="reciprocal_rank")

    places = {names[place]: at for at, place in enumerate(ranking.order)}
    assert places["before"] < places["one"] < places["behind"]
