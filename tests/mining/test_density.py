import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmine_dagster.mining.density import embedding_density, keyword_density, seed_distance, semantic_density

word_lists = st.lists(st.lists(st.sampled_from("abcde"), unique=True, max_size=4), min_size=1, max_size=12)


def cosine(left, right):
    return len({*left} & {*right}) / np.sqrt(len(left) * len(right)) if left and right else 0.0


@given(word_lists, st.integers(1, 4))
def test_keyword_density_equals_a_naive_sum(words, neighbours):
    found = keyword_density(words, neighbours=neighbours)

    for k, mine in enumerate(words):
        others = sorted((cosine(mine, w) for j, w in enumerate(words) if j != k), reverse=True)
        expected = sum(others[:neighbours]) if mine else np.nan
        np.testing.assert_allclose(found[k], expected, atol=1e-9)


@given(word_lists)
def test_keywords_are_tags_of_equal_probability(words):
    named = [w for w in words if w]
    table = np.array([[(word in w) / len(w) for word in "abcde"] for w in named]).reshape(len(named), 5)

    np.testing.assert_allclose(
        keyword_density(named, neighbours=3), semantic_density(table, neighbours=3, search="exact"), atol=1e-5
    )


def test_embedding_density_does_not_depend_on_scale_and_equals_a_naive_sum():
    vectors = np.random.default_rng(0).normal(size=(30, 5))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    similar = unit @ unit.T
    np.fill_diagonal(similar, -np.inf)

    found = embedding_density(vectors * np.arange(1, 31)[:, None], neighbours=4)

    np.testing.assert_allclose(found, np.sort(similar, axis=1)[:, -4:].sum(axis=1), atol=1e-5)


def test_a_vector_of_zeros_is_like_nothing():
    assert embedding_density([[0.0, 0.0], [1.0, 0.0]], neighbours=1).tolist() == [0.0, 0.0]


def test_an_image_of_the_seed_is_at_distance_zero_and_without_a_seed_nobody_knows():
    vectors = np.random.default_rng(1).normal(size=(6, 4))

    near = seed_distance(vectors, lambda: [vectors[:2], vectors[4:5]])

    np.testing.assert_allclose(near[[0, 1, 4]], 0.0, atol=1e-6)
    assert (near[[2, 3, 5]] > 0).all()
    assert np.isnan(seed_distance(vectors, np.empty((0, 4)))).all()


@pytest.mark.parametrize(("count", "expected"), [(100, 99), (101, 100), (102, 100)])
def test_the_hundred_nearest_images_count_or_all_others_where_there_are_fewer(count, expected):
    same = np.ones((count, 1))

    assert semantic_density(same, search="exact").tolist() == [expected] * count
    assert embedding_density(same, search="exact").tolist() == [expected] * count
    assert keyword_density([["car"]] * count).tolist() == [expected] * count
