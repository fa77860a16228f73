import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.mining.diversity import candidate_count, coverage_picks, k_center_picks, picked_first
from vlmine_dagster.mining.selection import rank_images

points = st.integers(1, 3).flatmap(
    lambda d: st.lists(st.lists(st.integers(0, 6), min_size=d, max_size=d), min_size=1, max_size=8)
)
word_lists = st.lists(st.lists(st.sampled_from("abcde"), unique=True, max_size=3), min_size=1, max_size=7)
COUNTS = {"a": 1, "b": 2, "c": 3, "d": 7, "e": 20}


def radius(vectors, picks):
    return max(min(math.dist(v, vectors[k]) for k in picks) for v in vectors)


def covered(words, picks):
    return sum(math.sqrt(sum(w in words[k] for k in picks)) / count for w, count in COUNTS.items())


@given(points, st.integers(1, 4))
def test_the_farthest_image_is_at_most_twice_as_far_as_it_must_be(vectors, count):
    picks = k_center_picks(vectors, count=count)

    best = min(radius(vectors, some) for some in itertools.combinations(range(len(vectors)), len(picks)))

    assert radius(vectors, picks) <= 2 * best + 1e-5


@given(word_lists, st.integers(1, 4))
def test_the_greedy_choice_covers_63_percent_of_the_best(words, count):
    picks = coverage_picks(words, COUNTS, count=count)

    best = max(covered(words, some) for some in itertools.combinations(range(len(words)), len(picks)))

    assert covered(words, picks) >= (1 - 1 / math.e) * best - 1e-9


@given(word_lists)
def test_lazy_evaluation_picks_what_a_plain_greedy_choice_picks(words):
    picks, plain = coverage_picks(words, COUNTS, count=len(words)).tolist(), []
    while len(plain) < len(words):
        left = [k for k in range(len(words)) if k not in plain]
        gains = [covered(words, [*plain, k]) - covered(words, plain) for k in left]
        plain.append(next(k for k, gain in zip(left, gains, strict=True) if gain >= max(gains) - 1e-9))

    assert [round(covered(words, picks[:n]), 9) for n in range(len(words))] == [
        round(covered(words, plain[:n]), 9) for n in range(len(words))
    ]


@given(points, word_lists)
def test_any_number_of_picks_begins_with_the_smaller_number(vectors, words):
    for size, pick in (
        (len(vectors), lambda n: k_center_picks(vectors, count=n)),
        (len(words), lambda n: coverage_picks(words, COUNTS, count=n)),
    ):
        whole = pick(size).tolist()
        assert sorted(whole) == list(range(size))
        for n in range(size):
            assert pick(n).tolist() == whole[:n]


def test_what_the_seed_covers_is_picked_last_and_blocks_may_be_cut_anyhow():
    vectors = np.arange(12.0)[:, None]
    seed = np.array([[0.0], [11.0], [5.0]])

    at_once = k_center_picks(vectors, count=12, covered=[seed])
    in_blocks = k_center_picks(vectors, count=12, covered=[seed[:1], seed[1:]])

    assert at_once[0] == 8
    assert set(at_once[-3:].tolist()) == {0, 5, 11}
    np.testing.assert_array_equal(at_once, in_blocks)


def test_copies_are_picked_once_all_others_are():
    assert k_center_picks([[1.0], [1.0], [4.0], [4.0]], count=4).tolist() == [0, 2, 1, 3]


def test_images_without_keywords_come_last_by_rank():
    assert coverage_picks([[], ["e"], []], COUNTS, count=3).tolist() == [1, 0, 2]


def test_nothing_gives_no_picks():
    assert k_center_picks(np.empty((0, 3)), count=2).tolist() == []
    assert coverage_picks([], {}, count=2).tolist() == []
    assert candidate_count(0, 5, 3) == 0


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ContractError, match=r"got shape \(2,\)"):
        k_center_picks([1.0, 2.0], count=1)
    with pytest.raises(ContractError, match="keyword 'z' has no count"):
        coverage_picks([["z"]], COUNTS, count=1)


def test_a_ranking_keeps_its_images_and_their_ranks():
    ranking = rank_images({"s": [5.0, 4.0, 3.0, 2.0], "t": [1.0, 2.0, 3.0, 4.0]}, list("abcd"))

    moved = picked_first(ranking, [3, 1])

    assert moved.order.tolist() == [ranking.order[k] for k in (3, 1, 0, 2)]
    assert moved.rank_sum.tolist() == [ranking.rank_sum[k] for k in (3, 1, 0, 2)]
    assert moved.signal_ranks is ranking.signal_ranks
