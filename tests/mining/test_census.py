"""Which classes are searched for, and how much of the unseen ones is believed."""

from dataclasses import replace

import numpy as np
import pytest

from vlmine_dagster.mining.census import Census
from vlmine_dagster.mining.class_sizes import unseen_class_count, unseen_share


def census(by_chance, *, known=None, is_named=None, is_announced=True):
    drawn = np.array(by_chance)
    named = np.ones(len(drawn), bool) if is_named is None else np.array(is_named)
    held = drawn if known is None else np.array(known)
    return Census(held, drawn, 0.2, named, is_announced, 50)


def test_classes_with_up_to_eight_labels_by_chance_are_searched_for():
    assert census([1, 8, 9, 30, 7]).listed.tolist() == [0, 1, 4]


def test_labels_that_were_mined_keep_no_class_from_being_searched_for():
    assert census([1, 8], known=[30, 45]).listed.tolist() == [0, 1]


def test_labels_tell_the_sizes_of_classes_unless_they_are_said_to_be_no_random_draw():
    drawn = census([2, 1], known=[6, 3])

    assert drawn.name_weights.tolist() == [6.0, 3.0]
    assert replace(drawn, is_drawn=False).name_weights.tolist() == [2.0, 1.0]


def test_a_class_without_a_label_weighs_three_tenths_of_one_label_where_all_of_them_may_be_there():
    assert census([2, 0, 5]).name_weights.tolist() == [2.0, 0.3, 5.0]


def test_a_class_without_a_label_weighs_less_where_few_of_them_may_be_there_and_nothing_without_a_name():
    weights = census([2] + [0] * 16, is_named=[True] * 16 + [False]).name_weights

    assert weights[1:16] == pytest.approx(0.3 * -np.log(0.2) / 16)
    assert weights[16] == 0.0


@pytest.mark.parametrize(("counts", "once"), [([1, 2, 2], 1), ([1, 1, 2], 2), ([2, 2], 1), ([], 1)])
def test_only_classes_with_a_single_label_tell_of_unseen_ones(counts, once):
    assert unseen_class_count(counts, seed_fraction=0.2) == pytest.approx(-np.log(0.2) * once)
    assert unseen_share(counts, 100, seed_fraction=0.2) == pytest.approx(-np.log(0.2) * once / 100)


def test_nameless_classes_have_one_list_more_where_there_may_be_any():
    named, _ = census([1, 0], is_named=[True, True]).list_terms
    nameless, counts = census([1, 0], is_named=[True, False]).list_terms

    assert (len(named), len(nameless)) == (2, 2)
    assert counts[-1] == pytest.approx(6.0)  # one class, of which 1.5 * 0.8 / 0.2 images should be left


def test_the_list_of_the_nameless_is_as_long_as_what_no_class_explains():
    known = census([1, 0], is_named=[True, False])

    assert replace(known, unexplained_count=40.0).list_terms[1][-1] == 40.0
    assert replace(known, unexplained_count=4.0).list_terms[1][-1] == known.list_terms[1][-1]
    assert len(replace(census([1, 4]), unexplained_count=40.0).list_terms[1]) == 2  # each class has labels


def test_classes_that_nobody_announced_are_as_many_as_those_seen_once_suggest_less_those_found_by_mining():
    assert census([1, 1], is_announced=False).nameless_count == pytest.approx(-2 * np.log(0.2))
    found = census([1, 1, 0], known=[1, 1, 4], is_announced=False)
    assert found.nameless_count == pytest.approx(-2 * np.log(0.2) - 1)


def test_every_announced_class_without_label_and_name_may_be_there():
    two = census([2, 0, 0, 0], is_named=[True, True, False, False])

    assert two.nameless_count == pytest.approx(2 * two.share_there)
    assert two.share_there > 0
