"""More like these: nearness to examples, distance from what is known, words of a text."""

import numpy as np

from vlmine_dagster.mining.likeness import likeness, target_of, text_matches
from vlmine_dagster.mining.verdict_rule import unit_rows


def test_what_is_as_near_to_a_known_class_comes_after_what_is_not():
    known = {"road": np.array([0.0, 1.0, 0.0]), "own": np.array([1.0, 0.0, 0.1])}
    target = target_of(np.eye(3)[[0, 0]], known)
    beside_road, beside_nothing = unit_rows(np.array([[1.0, 1.0, 0.0], [1.0, 0.0, -1.0]]))

    nearness = target.nearness(np.stack([beside_road, beside_nothing]))
    lead = target.lead(np.stack([beside_road, beside_nothing]))

    np.testing.assert_allclose(nearness, [2**-0.5, 2**-0.5], rtol=1e-6)
    np.testing.assert_allclose(lead, [0.0, 2**-0.5], atol=1e-6)


def test_the_class_that_the_examples_resemble_most_is_not_held_against_their_likes():
    one, other = np.eye(2)
    target = target_of(one[None], {"own": one * 7, "other": other})

    np.testing.assert_allclose(target.known, other[None])
    np.testing.assert_allclose(target.lead(one[None]), [1.0])


def test_with_nothing_labelled_nearness_alone_counts():
    vectors = unit_rows(np.random.default_rng(0).normal(size=(7, 5)))
    target = target_of(vectors[:2], {})

    np.testing.assert_array_equal(target.lead(vectors), target.nearness(vectors))


def test_each_part_weighs_the_same_whatever_its_scale_and_unknown_stays_unknown():
    part = np.array([1.0, 2.0, 4.0, np.nan])

    alone, scaled = likeness([part]), likeness([part * 1000 + 5])

    np.testing.assert_allclose(alone, scaled)
    np.testing.assert_allclose(likeness([part, part]), 2 * alone)
    assert np.isnan(alone).tolist() == [False, False, False, True]


def test_a_rare_whole_name_tells_more_of_a_text_than_half_a_name_or_a_common_word():
    found = text_matches(
        ["fire", "engine", "fire engine"], {"fire engine": 2, "engine": 8, "fire": 32, "road": 1}, image_count=32
    )

    assert found == {"fire engine": np.log(16), "engine": np.log(4)}  # all 32 have fire: it tells nothing
