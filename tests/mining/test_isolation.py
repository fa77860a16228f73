import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.mining.isolation import (
    half_whitened,
    isolation,
    local_outlier_factor,
    neighbour_lists,
    tag_information,
    tag_weight,
)


def points(seed, count=60, width=6):
    return np.random.default_rng(seed).normal(size=(count, width)) + 2


def naive_factor(vectors, neighbours):
    """Breunig's definition, image by image."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    distance = np.linalg.norm(unit[:, None] - unit[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    near = np.argsort(distance, axis=1)[:, :neighbours]
    last = np.sort(distance, axis=1)[:, neighbours - 1]
    density = np.array([1 / np.mean([max(distance[i, j], last[j]) for j in near[i]]) for i in range(len(unit))])
    return np.array([np.mean(density[near[i]]) / density[i] for i in range(len(unit))])


@given(st.integers(0, 50), st.integers(1, 12))
def test_the_local_outlier_factor_is_that_of_its_definition(seed, neighbours):
    vectors = points(seed)
    lists = neighbour_lists(lambda: [vectors[:25], vectors[25:]], count=neighbours)

    found = local_outlier_factor(lists, neighbours=neighbours)

    np.testing.assert_allclose(found, naive_factor(vectors, neighbours), rtol=2e-3)


def test_neither_scale_nor_order_changes_how_isolated_an_image_is():
    vectors, order = points(1), np.random.default_rng(0).permutation(60)
    lists = neighbour_lists(lambda: [vectors], count=5)

    other = neighbour_lists(lambda: [(vectors * np.arange(1, 61)[:, None])[order]], count=5)

    np.testing.assert_allclose(isolation(other, neighbours=3), isolation(lists, neighbours=3)[order], atol=1e-5)
    np.testing.assert_allclose(
        local_outlier_factor(other, neighbours=5), local_outlier_factor(lists, neighbours=5)[order], rtol=1e-3
    )


def test_a_small_group_beside_a_crowd_stands_out_at_a_scale_above_its_size():
    draw = np.random.default_rng(0)
    crowd, group = draw.normal([10, 0, 0], 0.3, (80, 3)), draw.normal([10, 8, 0], 0.02, (4, 3))
    lists = neighbour_lists(lambda: [np.concatenate([crowd, group])], count=10)

    wide, narrow = (local_outlier_factor(lists, neighbours=count) for count in (10, 3))

    assert np.argsort(-wide)[:4].min() >= 80
    assert narrow[80:].max() < wide[80:].min()


def test_what_lies_beside_copies_of_one_image_is_not_made_infinitely_lonely():
    vectors = points(2)
    vectors[:20] = vectors[0]

    found = local_outlier_factor(neighbour_lists(lambda: [vectors], count=5), neighbours=5)

    assert found.max() < 15
    assert np.isfinite(found).all()


def test_an_only_image_has_no_neighbours_to_be_compared_with():
    lists = neighbour_lists(lambda: [np.ones((1, 3))], count=5)

    assert np.isnan(local_outlier_factor(lists)).all()
    assert np.isnan(isolation(lists)).all()
    assert len(neighbour_lists(list, count=5)) == 0


@pytest.mark.parametrize("score", [isolation, local_outlier_factor])
def test_no_neighbours_cannot_be_asked_for(score):
    lists = neighbour_lists(lambda: [points(0)], count=5)

    with pytest.raises(ContractError, match=f"{score.__name__}: neighbours 0, expected at least 1"):
        score(lists, neighbours=0)


def test_half_whitening_takes_half_of_the_spread_from_each_axis_and_leaves_out_flat_ones():
    draw = np.random.default_rng(3)
    vectors = draw.normal(size=(500, 3)) * [81.0, 16.0, 0.0] + 5

    (found,) = half_whitened(lambda: [vectors])()

    assert found.shape == (500, 2)
    np.testing.assert_allclose(found.std(axis=0), [9.0, 4.0], rtol=0.1)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-3)


def test_tags_that_are_the_same_for_all_tell_nothing_and_sharp_ones_all():
    same, sharp = np.tile([0.7, 0.2, 0.1], (40, 1)), np.eye(4)[np.arange(40) % 4]

    assert tag_information(lambda: [same]) == pytest.approx(0, abs=1e-6)
    assert np.exp(tag_information(lambda: [sharp[:10], sharp[10:]])) == pytest.approx(4)
    assert tag_information(list) == 0.0
    assert [tag_weight(np.log(kinds)) for kinds in (1, 2, 20, 50)] == [0, 0, 1, 1]
    assert 0 < tag_weight(np.log(6)) < tag_weight(np.log(12)) < 1


def test_no_vectors_have_empty_lists_of_neighbours():
    found = neighbour_lists(lambda: [], count=3)

    assert (len(found), found.places.shape, found.cosines.shape) == (0, (0, 0), (0, 0))


def test_twenty_neighbours_count_where_nothing_else_is_asked_for():
    vectors = points(4)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -np.inf)
    lists = neighbour_lists(lambda: [vectors], count=30)

    np.testing.assert_allclose(isolation(lists), -np.sort(cosines, axis=1)[:, -20:].mean(axis=1), atol=1e-6)
    np.testing.assert_allclose(local_outlier_factor(lists), naive_factor(vectors, 20), rtol=2e-3)
