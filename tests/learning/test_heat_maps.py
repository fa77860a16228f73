"""Maps of centres, counted by hand."""

import numpy as np
import pytest
import torch

from vlmine_dagster.learning.heat_maps import centre_loss, centre_target, peaks

PLACES = np.array([[0, 1, 2], [1, 0, 3], [0, 1, 3]])
"""Class, row and column of three centres on a map of 2 x 3 x 5."""


def target():
    spreads = np.array([[1.0, 0.5], [2, 1], [1, 0.5]])
    return centre_target(PLACES, np.arange(6.0).reshape(3, 2), spreads=spreads, size=(2, 3, 5))


def test_heat_is_one_at_a_centre_and_falls_by_its_spread_along_rows_and_columns():
    heat = target().heat

    assert [heat[tuple(place)].item() for place in PLACES.tolist()] == [1, 1, 1]
    assert heat[0, 0, 2] == pytest.approx(np.exp(-0.5))  # one row away, spread 1
    assert heat[0, 1, 1] == pytest.approx(np.exp(-2))  # one column away, spread 0.5; of two bells the higher
    assert heat[1, 0, 4] == pytest.approx(np.exp(-0.5))
    assert heat[1, 2, 3] == pytest.approx(np.exp(-0.5))  # two rows away, spread 2


def test_the_loss_is_nearly_nothing_for_what_is_wanted_and_counts_errors_of_shapes_per_object():
    wanted = target()
    logits = torch.where(wanted.heat == 1, 20.0, -20.0)[None]
    shapes = torch.zeros(1, 2, 3, 5)
    for place, shape in zip(PLACES.tolist(), wanted.shapes, strict=True):
        shapes[0, :, place[1], place[2]] = shape

    assert centre_loss(logits, shapes, [wanted], shape_weight=1) < 1e-6
    assert centre_loss(logits, shapes + 0.5, [wanted], shape_weight=3) == pytest.approx(3 * (3 * 2 * 0.5) / 3)
    assert centre_loss(-logits, shapes, [wanted], shape_weight=1) > 10


def test_the_loss_of_one_place_is_the_focal_loss_by_hand():
    one = centre_target(np.array([[0, 0, 0]]), np.zeros((1, 1)), spreads=np.full((1, 2), 1e-3), size=(1, 1, 2))
    logits = torch.tensor([[[[0.0, 1.0]]]])
    likely = 1 / (1 + np.exp(-1))

    found = centre_loss(logits, torch.zeros(1, 1, 1, 2), [one], shape_weight=1).item()

    assert found == pytest.approx(-(0.5**2) * np.log(0.5) - likely**2 * np.log(1 - likely))


def test_peaks_are_places_that_no_neighbour_of_their_class_exceeds():
    likely = torch.zeros(2, 3, 5)
    likely[0, 1, 1], likely[0, 1, 2], likely[1, 1, 2], likely[0, 2, 4] = 0.9, 0.8, 0.7, 0.3

    scores, places = peaks(likely, at_most=10)

    assert places.tolist() == [[0, 1, 1], [1, 1, 2], [0, 2, 4]]
    assert scores.tolist() == pytest.approx([0.9, 0.7, 0.3])
    assert peaks(likely, at_most=2)[1].tolist() == places[:2].tolist()
    assert peaks(likely, at_most=10, at_least=0.3)[1].tolist() == places[:2].tolist()


def test_places_near_a_centre_are_blamed_less_by_the_fourth_power_of_one_minus_their_heat():
    spread = np.full((1, 2), 1 / np.sqrt(2 * np.log(2)))  # at which the next place has a heat of 1/2
    near = centre_target(np.array([[0, 0, 0]]), np.zeros((1, 1)), spreads=spread, size=(1, 1, 2))
    logits = torch.tensor([[[[30.0, 0.0]]]])  # sure of the centre, and half sure of the place beside it

    found = centre_loss(logits, torch.zeros(1, 1, 1, 2), [near], shape_weight=1).item()

    assert found == pytest.approx(0.5**4 * 0.5**2 * np.log(2))  # alpha 2 and beta 4 of the paper


def test_the_loss_is_per_object_of_all_examples():
    one = centre_target(PLACES[:1], np.zeros((1, 2)), spreads=np.full((1, 2), 0.5), size=(2, 3, 5))
    none = centre_target(PLACES[:0], np.zeros((0, 2)), spreads=np.zeros((0, 2)), size=(2, 3, 5))
    targets = [target(), one, none]
    logits = torch.stack([torch.where(each.heat == 1, 20.0, -20.0) for each in targets])
    shapes = torch.zeros(3, 2, 3, 5)

    found = centre_loss(logits, shapes, targets, shape_weight=2).item()

    assert found == pytest.approx(2 * sum(range(6)) / 4, rel=1e-5)  # four objects; the shapes of three are 0 to 5
