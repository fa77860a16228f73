"""The first images of a mining order, against the order of the whole pool."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmine_dagster.domain.errors import ConfigError, ContractError
from vlmine_dagster.mining import shortlist as module
from vlmine_dagster.mining.pareto import non_dominated_fronts
from vlmine_dagster.mining.selection import FUSIONS, id_hashes, rank_images
from vlmine_dagster.mining.shortlist import shortlist

KINDS = ("independent", "agreeing", "opposed", "tied", "constant")


def _signals(kind: str, count: int, width: int, *, seed: int) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    points = draw.normal(size=(count, width))
    if kind == "agreeing":
        points += 3 * draw.normal(size=(count, 1))
    if kind == "opposed":
        points -= points.mean(axis=1, keepdims=True)
    if kind == "tied":
        points = points.round(1)
    if kind == "constant":
        points[:, 0] = 1.0
    return {f"s{column}": points[:, column] for column in range(width)}


def _check(signals: dict[str, np.ndarray], count: int, *, fusion: str = "pareto", sample: int = 50) -> None:
    """Compare the beginning of the order of a whole pool with the order of its shortlist."""
    hashes = id_hashes(f"shard/{place}" for place in range(len(next(iter(signals.values())))))
    whole = rank_images(signals, hashes, fusion=fusion)
    found = shortlist(signals, count, fusion=fusion, sample=sample)
    few = {name: values[found.places] for name, values in signals.items()}
    ranking = found.ranking(few, hashes[found.places], fusion=fusion)

    length = len(ranking.order)
    assert length >= min(count, len(whole.order))
    assert found.ranked_count == len(whole.order)
    np.testing.assert_array_equal(found.places[ranking.order], whole.order[:length])
    np.testing.assert_array_equal(ranking.front, whole.front[:length])
    np.testing.assert_allclose(ranking.rank_sum, whole.rank_sum[:length])
    for name, ranks in ranking.signal_ranks.items():
        np.testing.assert_array_equal(ranks, whole.signal_ranks[name][found.places])


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("width", [1, 2, 3])
def test_a_shortlist_is_the_beginning_of_the_whole_order(width: int, fusion: str) -> None:
    for kind in KINDS:
        for count in (1, 20, 400, 1499, 1500, 5000):
            _check(_signals(kind, 1500, width, seed=count), count, fusion=fusion)


@pytest.mark.parametrize("seed", range(8))
def test_images_that_lack_a_signal_are_never_on_a_shortlist(seed: int) -> None:
    signals = _signals("agreeing", 3000, 2, seed=seed)
    draw = np.random.default_rng(seed)
    for values in signals.values():
        values[draw.random(3000) < 0.2] = np.nan
    _check(signals, 100)


@pytest.mark.parametrize("sample", [2, 3, 10, 5000])
def test_a_sample_of_any_size_finds_the_same_images(sample: int) -> None:
    for kind in KINDS:
        _check(_signals(kind, 1500, 2, seed=sample), 60, sample=sample)


def test_an_image_that_the_samples_fronts_left_out_is_found() -> None:
    """The sample sees every second image; the others form a chain far below them that is not dominated."""
    a = np.arange(400, dtype=np.float64)
    first = np.where(a % 2 == 0, a, 1000 + a)
    second = np.where(a % 2 == 0, a, -1000 - a)
    for count in (1, 5, 50, 150):
        _check({"a": first, "b": second}, count, sample=200)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=120),
    st.integers(1, 60),
    st.integers(1, 30),
)
def test_fronts_of_any_points_are_found(points: list[tuple[int, int]], count: int, sample: int) -> None:
    values = np.array(points, dtype=np.float64)
    _check({"a": values[:, 0], "b": values[:, 1]}, count, sample=sample)


def test_small_pools_of_any_make_have_the_fronts_of_the_whole() -> None:
    draw = np.random.default_rng(0)
    for _ in range(600):
        count = int(draw.integers(4, 60))
        opposed = -draw.integers(0, 30, count) * int(draw.integers(0, 2))
        values = draw.integers(0, int(draw.integers(2, 30)), (2, count)) + np.array([-opposed, opposed])
        wanted = int(draw.integers(1, count))
        fronts = non_dominated_fronts(values.T)

        found = shortlist({"a": values[0], "b": values[1]}, wanted, sample=int(draw.integers(1, count + 1)))

        np.testing.assert_array_equal(found.places, np.flatnonzero(fronts <= np.sort(fronts)[wanted - 1]))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Among how many images fronts are counted, each time."""
    sizes: list[int] = []
    fronts = module._fronts

    def counting(first: np.ndarray, second: np.ndarray, places: np.ndarray) -> np.ndarray:
        sizes.append(len(places))
        return fronts(first, second, places)

    monkeypatch.setattr(module, "_fronts", counting)
    return sizes


def test_fronts_are_counted_among_few_images_of_a_large_pool(counted: list[int]) -> None:
    found = shortlist(_signals("agreeing", 20_000, 2, seed=1), 100, sample=1000)

    assert counted[0] == 1000
    assert max(counted[1:]) < 1000
    assert 100 <= len(found.places) <= max(counted[1:])


@pytest.mark.parametrize(("count", "sample", "looked_at"), [(9, 400, 400), (9, 200, 200), (9, 199, 200), (200, 9, 400)])
def test_as_many_images_are_looked_at_first_as_asked_for_and_all_where_half_of_them_are_wanted(
    count: int, sample: int, looked_at: int, counted: list[int]
) -> None:
    shortlist(_signals("agreeing", 400, 2, seed=0), count, sample=sample)

    assert counted[0] == looked_at
    assert (len(counted) == 1) is (count == 200)


def test_inputs_stay_as_they_are() -> None:
    signals = _signals("tied", 500, 2, seed=0)
    before = {name: values.copy() for name, values in signals.items()}
    shortlist(signals, 10)
    for name, values in signals.items():
        np.testing.assert_array_equal(values, before[name])


def test_a_pool_in_which_nothing_can_be_ranked_has_an_empty_shortlist() -> None:
    found = shortlist({"a": [np.nan, np.nan], "b": [1.0, 2.0]}, 1)
    assert (len(found.places), found.ranked_count) == (0, 0)


def test_a_shortlist_refuses_what_a_ranking_refuses() -> None:
    with pytest.raises(ConfigError, match="unknown fusion 'vote'"):
        shortlist({"a": [1.0]}, 1, fusion="vote")
    with pytest.raises(ContractError, match=r"signal 'b' has shape \(1,\), expected \(2,\)"):
        shortlist({"a": [1.0, 2.0], "b": [1.0]}, 1)
    with pytest.raises(ContractError, match="infinite"):
        shortlist({"a": [1.0, np.inf]}, 1)
    with pytest.raises(ContractError, match="no signals"):
        shortlist({}, 1)
