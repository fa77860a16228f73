from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmine_dagster.domain.errors import ConfigError, ContractError
from vlmine_dagster.mining import neighbours as module
from vlmine_dagster.mining.neighbours import nearest_neighbours

random = np.random.default_rng(4)


def blocks_of(vectors, *sizes):
    cuts = np.cumsum(sizes)
    return lambda: iter(np.split(vectors, cuts))


def found(*args, **kwargs):
    parts = list(nearest_neighbours(*args, **kwargs))
    return np.vstack([places for places, _ in parts]), np.vstack([similar for _, similar in parts])


def naive(vectors, count):
    similar = vectors @ vectors.T
    np.fill_diagonal(similar, -np.inf)
    places = np.argsort(-similar, axis=1, kind="stable")[:, :count]
    return places, np.take_along_axis(similar, places, axis=1)


@given(st.lists(st.integers(0, 9), max_size=4), st.integers(1, 45))
def test_all_pairs_equal_a_naive_search_however_the_rows_are_cut(sizes, count):
    vectors = np.random.default_rng(1).normal(size=(40, 3))

    places, similarities = found(blocks_of(vectors, *sizes), count=count, search="exact")

    expected_places, expected = naive(vectors, min(count, 39))
    np.testing.assert_array_equal(places, expected_places)
    np.testing.assert_allclose(similarities, expected, rtol=1e-4, atol=1e-6)


def test_queries_and_blocks_longer_than_fit_at_once_change_nothing(monkeypatch):
    vectors = random.normal(size=(50, 6)).astype(np.float16)
    whole = found(blocks_of(vectors), count=4, search="exact")

    monkeypatch.setattr(module, "_QUERY_ROWS", 7)
    cut = found(blocks_of(vectors, 20, 5), count=4, search="exact")

    np.testing.assert_array_equal(cut[0], whole[0])
    np.testing.assert_allclose(cut[1], whole[1], rtol=1e-5)


@pytest.mark.parametrize("search", ["exact", "index"])
def test_queries_may_be_others(search):
    vectors = np.eye(5)[:, :4]

    places, similarities = found(
        blocks_of(vectors, 2), count=2, queries=blocks_of(np.array([[0.0, 0.1, 0.2, 0.9]])), search=search
    )

    assert places.tolist() == [[3, 2]]
    np.testing.assert_allclose(similarities, [[0.9, 0.2]], atol=0.01)


@pytest.mark.parametrize("search", ["exact", "index"])
def test_none_is_its_own_neighbour_even_among_equals(search):
    places, similarities = found(blocks_of(np.ones((60, 2))), count=3, search=search)

    assert not (places == np.arange(60)[:, None]).any()
    assert all(len(set(row)) == 3 for row in places.tolist())
    np.testing.assert_allclose(similarities, 2.0, rtol=1e-5)


def clustered(size, width):
    centres = random.normal(size=(30, width))
    vectors = centres[random.integers(0, 30, size)] + 0.5 * random.normal(size=(size, width))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_the_index_finds_most_of_the_nearest():
    vectors = clustered(4000, 20)

    places, similarities = found(blocks_of(vectors, 900, 900), count=10, search="index")

    exact, expected = found(blocks_of(vectors), count=10, search="exact")
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(places.tolist(), exact.tolist(), strict=True)])
    assert recall > 0.95
    np.testing.assert_allclose(similarities, expected, atol=0.03)


def test_wide_vectors_are_found_on_few_axes_and_compared_on_all():
    draw = np.random.default_rng(6)
    centres = draw.normal(size=(60, 1000))
    vectors = draw.normal(size=(3000, 1000)) + centres[draw.integers(0, 60, 3000)]
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    places, similarities = found(blocks_of(vectors, 1000), count=10, search="index", probed=1000)

    exact, expected = found(blocks_of(vectors), count=10, search="exact")
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(places.tolist(), exact.tolist(), strict=True)])
    assert recall > 0.8
    np.testing.assert_allclose(similarities, (vectors[places] * vectors[:, None]).sum(-1), atol=0.01)
    np.testing.assert_allclose(similarities.mean(axis=1), expected.mean(axis=1), atol=0.01)


def test_too_many_vectors_to_be_kept_whole_are_searched_on_the_main_axes_alone(monkeypatch):
    monkeypatch.setattr(module, "WHOLE_UP_TO", 799)
    vectors = clustered(800, 300)

    _, similarities = found(blocks_of(vectors), count=10, search="index")

    assert type(module._trained(module._checked(blocks_of(vectors)))).__name__ == "IndexPreTransform"
    np.testing.assert_allclose(similarities, found(blocks_of(vectors), count=10, search="exact")[1], atol=0.05)


@pytest.mark.parametrize("most_whole", [10**6, 100])
@pytest.mark.parametrize("every", [1, 3])
def test_vectors_of_zeros_have_neighbours_of_no_similarity(monkeypatch, every, most_whole):
    monkeypatch.setattr(module, "WHOLE_UP_TO", most_whole)
    vectors = clustered(800, 300)
    vectors[::every] = 0

    places, similarities = found(blocks_of(vectors), count=5, search="index")

    assert (places >= 0).all()
    assert (places < 800).all()
    assert not (places == np.arange(800)[:, None]).any()
    np.testing.assert_allclose(similarities[::every], 0, atol=1e-6)
    np.testing.assert_allclose(similarities, (vectors[places] * vectors[:, None]).sum(-1), atol=0.05)


@pytest.mark.parametrize("width", [6, 300])
def test_a_query_whose_lists_are_short_looks_further(width):
    places, _ = found(blocks_of(clustered(800, width)), count=700, search="index", probed=1)

    assert (places >= 0).all()
    assert places.shape == (800, 700)


def test_a_sample_is_thinned_evenly(monkeypatch):
    monkeypatch.setattr(module, "_SAMPLE_ROWS", 6)
    rows = np.arange(29.0)[:, None]

    sample, total = module._sample(blocks_of(rows, 3, 11)())

    assert (sample.ravel().tolist(), total) == ([0.0, 8.0, 16.0, 24.0], 29)


@pytest.mark.parametrize(
    ("most", "kept"), [(10, range(10)), (9, range(0, 10, 2)), (5, range(0, 10, 2)), (4, [0, 4, 8])]
)
def test_a_sample_is_thinned_only_as_far_as_it_must_be(monkeypatch, most, kept):
    monkeypatch.setattr(module, "_SAMPLE_ROWS", most)

    sample, total = module._sample(blocks_of(np.arange(10.0)[:, None], 10)())

    assert (sample.ravel().tolist(), total) == (list(kept), 10)


@pytest.mark.parametrize(("rows", "total", "lists"), [(15, 15, 1), (160, 10**6, 10), (800, 25, 20), (800, 400, 50)])
def test_a_list_is_learned_from_sixteen_rows_at_least_and_there_are_up_to_four_times_the_root_of_all(
    rows, total, lists
):
    sample = random.normal(size=(rows, 4)).astype(np.float32)

    assert module._trained_lists(sample, total).nlist == lists


def test_many_vectors_take_the_index(monkeypatch):
    vectors = blocks_of(clustered(300, 4))
    by_index = found(vectors, count=2, search="index")
    monkeypatch.setattr(module, "EXACT_UP_TO", 299)

    np.testing.assert_array_equal(found(vectors, count=2)[1], by_index[1])

    monkeypatch.setattr(module, "EXACT_UP_TO", 300)
    np.testing.assert_array_equal(found(vectors, count=2)[1], found(vectors, count=2, search="exact")[1])


def test_the_pages_say_up_to_how_many_vectors_all_pairs_are_compared():
    docs = Path(__file__).parents[2] / "docs"

    for page in ("scale", "benchmarks", "duplicates"):
        assert f"{module.EXACT_UP_TO:,}" in (docs / f"{page}.md").read_text(encoding="utf-8")


def test_one_vector_has_no_neighbour():
    assert [part.shape for part in found(blocks_of(np.ones((1, 2))), count=5)] == [(1, 0), (1, 0)]


class Lists:
    """Stands for an index: three places for each query, and a record of which queries looked into how many lists."""

    ntotal = 100

    def __init__(self, places):
        self.places, self.asked = np.array(places), []

    def search(self, asked, count, params):
        self.asked.append((asked[:, 0].tolist(), params))
        found = self.places[: len(asked)] if params == 8 else np.tile(np.arange(count), (len(asked), 1))
        return found * 0.0 + params, found.copy()


def test_only_queries_whose_lists_held_too_few_look_into_all_lists(monkeypatch):
    monkeypatch.setattr(module, "_looking_into", lambda _index, lists: lists)
    lists = Lists([[3, 9, 0], [4, 7, -1], [5, 6, 1]])

    places, similarities = module._probed(lists, np.array([[1.0], [2.0], [3.0]], np.float32), 3, 8)

    assert lists.asked == [([1.0, 2.0, 3.0], 8), ([2.0], 100)]
    assert places.tolist() == [[3, 9, 0], [0, 1, 2], [5, 6, 1]]
    assert similarities[:, 0].tolist() == [8.0, 100.0, 8.0]


def test_no_vectors_have_no_answers():
    assert list(nearest_neighbours(lambda: iter(()), count=5)) == []
    assert list(nearest_neighbours(lambda: iter(()), count=5, search="index")) == []


def test_an_unknown_search_is_refused():
    with pytest.raises(ConfigError, match="unknown search 'tree', expected auto, exact, index"):
        nearest_neighbours(blocks_of(np.ones((2, 2))), count=1, search="tree")


def test_no_neighbours_are_refused():
    with pytest.raises(ContractError, match="count 0, expected at least 1"):
        nearest_neighbours(blocks_of(np.ones((2, 2))), count=0)


@pytest.mark.parametrize(
    ("given_blocks", "message"),
    [
        ([np.ones(3)], r"a block of shape \(3,\), expected \(vectors, dimensions\)"),
        ([np.full((2, 2), np.nan)], r"a block of shape \(2, 2\)"),
        ([np.ones((2, 2)), np.ones((2, 3))], r"a block of shape \(2, 3\), expected \(vectors, 2\)"),
    ],
)
def test_blocks_that_are_no_table_are_named(given_blocks, message):
    with pytest.raises(ContractError, match=message):
        found(lambda: given_blocks, count=1)
