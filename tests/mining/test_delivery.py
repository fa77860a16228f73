"""Budgets that count images and boxes: checked against a walk along the list."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmine_dagster.mining.delivery import count_within, first_of_each

LISTS = st.lists(st.integers(0, 5), max_size=30)


def walked(parents, boxes, *, budget, counted):
    spent, seen = 0, set()
    for place, parent in enumerate(parents):
        cost = 1 if counted == "objects" else 0 if parent in seen else boxes[place] if counted == "boxes" else 1
        if spent + cost > budget:
            return place
        spent += cost
        seen.add(parent)
    return len(parents)


@given(LISTS, st.integers(1, 40), st.sampled_from(["images", "objects", "boxes"]))
def test_a_budget_reaches_what_a_walk_along_the_list_pays_for(parents, budget, counted):
    boxes = [3 * parent + 1 for parent in parents]

    assert count_within(parents, boxes, budget=budget, counted=counted) == walked(
        parents, boxes, budget=budget, counted=counted
    )


@given(LISTS, st.integers(1, 40), st.integers(0, 40))
def test_a_smaller_budget_is_a_prefix_of_a_larger_one(parents, budget, more):
    boxes = [2 * parent + 1 for parent in parents]

    small = count_within(parents, boxes, budget=budget, counted="boxes")
    assert small <= count_within(parents, boxes, budget=budget + more, counted="boxes")


def test_an_image_with_forty_cars_costs_forty():
    assert [count_within(["a", "b"], [40, 1], budget=n, counted="boxes") for n in (39, 40, 41)] == [0, 1, 2]


@pytest.mark.parametrize("parents", [[], ["a"], ["a", "a", "b", "a", "c"]])
def test_the_first_object_of_each_image_is_listed_once(parents):
    places = first_of_each(np.array(parents, dtype=str)).tolist()

    assert [parents[place] for place in places] == list(dict.fromkeys(parents))
    assert places == sorted(places)
