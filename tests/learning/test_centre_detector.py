"""The compact detector learns where objects are, and COCO's evaluation judges it as by hand."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.learning.average_precision import FoundBox, TrueBox, average_precision
from vlmine_dagster.learning.centre_detector import (
    CentreDetector,
    DetectorRecipe,
    Scene,
    _best,
    _target,
    detect,
    fit_detector,
)
from vlmine_dagster.learning.heat_maps import centre_loss

STRIDE = 16


@dataclass(frozen=True)
class Map:
    """Features in which a class is a channel, on 10 x 14 places."""

    fine: npt.NDArray[np.float16]
    coarse: npt.NDArray[np.float16]
    scale: float = 0.5


def scene(number: int) -> Scene:
    """Two objects at places of their own; the map shows a class in the channel of its number."""
    draw = np.random.default_rng(number)
    fine = draw.normal(0, 0.1, (4, 10, 14)).astype(np.float16)
    boxes, labels = [], []
    for label, (row, column) in enumerate([draw.integers(1, 9, 2), draw.integers((1, 9), (9, 13))]):
        across, down = (96.0, 64.0) if label else (64.0, 128.0)
        x, y = (column + 0.5) * STRIDE / 0.5 - across / 2, (row + 0.5) * STRIDE / 0.5 - down / 2
        boxes.append((float(x), float(y), across, down))
        labels.append(label)
        fine[label, row, column] += 3
    return Scene(Map(fine, np.zeros((2, 5, 7), np.float16)), boxes, labels)


@pytest.fixture(scope="module")
def trained() -> Any:
    recipe = DetectorRecipe(epochs=60, batch_size=4)
    return fit_detector([scene(n) for n in range(12)], class_count=2, stride=STRIDE, recipe=recipe)


@pytest.mark.parametrize(("count", "steps"), [(1, 2), (2, 2), (3, 3), (5, 5)])
def test_the_learning_rate_goes_round_once_in_as_many_steps_as_there_are_but_two_at_least(monkeypatch, count, steps):
    planned = []

    class Cycle(torch.optim.lr_scheduler.OneCycleLR):
        def __init__(self, *args: Any, total_steps: int, **others: Any):
            planned.append(total_steps)
            super().__init__(*args, total_steps=total_steps, **others)

    monkeypatch.setattr(torch.optim.lr_scheduler, "OneCycleLR", Cycle)
    recipe = DetectorRecipe(epochs=1, batch_size=1)

    fit_detector([scene(number) for number in range(count)], class_count=2, stride=STRIDE, recipe=recipe)

    assert planned == [steps]


def test_a_trained_detector_finds_objects_of_pictures_that_it_has_not_seen(trained):
    scenes = {str(number): scene(number) for number in range(100, 108)}
    found = [
        FoundBox(name, str(label), box, score)
        for name, box, label, score in detect(trained, {name: one.seen for name, one in scenes.items()})
    ]
    truth = [
        TrueBox(name, str(label), box)
        for name, one in scenes.items()
        for box, label in zip(one.boxes, one.labels, strict=True)
    ]

    right = average_precision(list(scenes), truth, found)
    swapped = [one._replace(label=str(1 - int(one.label))) for one in found]
    assert min(right.values()) > 0.8
    assert max(average_precision(list(scenes), truth, swapped).values()) < 0.6


def test_the_same_seed_gives_the_same_detector_and_another_seed_another():
    recipe, scenes = DetectorRecipe(epochs=1), [scene(0), scene(1)]
    first, again, other = (
        fit_detector(scenes, class_count=2, stride=STRIDE, recipe=recipe, random_seed=seed).state_dict()
        for seed in (3, 3, 4)
    )

    assert all(bool((first[name] == again[name]).all()) for name in first)
    assert any(bool((first[name] != other[name]).any()) for name in first)


def test_no_box_is_larger_than_about_four_hundred_places_however_sure_the_network_is_of_it():
    heat = torch.tensor([[[0.1, 0.9]]])
    shapes = torch.tensor([0.5, 0.25, 50.0, 70.0])[:, None, None].expand(4, 1, 2)

    [(box, label, score), *_] = _best(heat, shapes, pixels=32)

    side = np.exp(6) * 32  # a limit, or a side of infinity would end the evaluation
    assert box == pytest.approx((1.5 * 32 - side / 2, 0.25 * 32 - side / 2, side, side))
    assert (label, score) == (0, pytest.approx(0.9))


def test_what_is_wanted_of_a_map_is_told_in_its_places():
    # 0.5 pixels of the map's picture per pixel, 16 of them per place: a place is 32 pixels of the picture
    boxes = [(32.0, 0.0, 192.0, 384.0), (400.0, 310.0, 64.0, 32.0), (80.0, 48.0, 0.0, 0.0)]

    found = _target(Scene(scene(0).seen, boxes, [1, 0, 1]), class_count=2, stride=STRIDE)

    # centres at (4, 6), (13.5, 10.1875), whose place is outside, and (2.5, 1.5); sides of 6 x 12, 2 x 1 and none
    assert found.places.tolist() == [[1, 6, 4], [0, 9, 13], [1, 1, 2]]
    sides = np.log([[6, 12], [2, 1], [1e-3, 1e-3]])
    assert found.shapes.numpy() == pytest.approx(np.hstack([[[0, 0], [0.5, 1.1875], [0.5, 0.5]], sides]), abs=1e-5)
    # a bell's standard deviation is a sixth of the object's side, and 0.7 places at least
    assert found.heat[1, [8, 6], [4, 5]].numpy() == pytest.approx(np.exp([-0.5 * (2 / 2) ** 2, -0.5 * (1 / 1) ** 2]))
    assert found.heat[0, [8, 9], [13, 12]].numpy() == pytest.approx(np.exp([-0.5 / 0.7**2] * 2))


def test_a_detector_is_trained_in_steps_that_can_be_written_out():
    scenes = [scene(number) for number in range(9)]

    found = fit_detector(scenes, class_count=2, stride=STRIDE, random_seed=5)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        expected = CentreDetector(2, fine_channels=4, coarse_channels=2, stride=STRIDE)
    fine = torch.tensor(np.stack([one.seen.fine for one in scenes]))
    coarse = torch.tensor(np.stack([one.seen.coarse for one in scenes]))
    targets = [_target(one, 2, STRIDE) for one in scenes]
    optimizer = torch.optim.AdamW(expected.parameters(), lr=4e-3, weight_decay=1e-3)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=60)
    draw = torch.Generator().manual_seed(5)
    for _ in range(30):
        order = torch.randperm(9, generator=draw)
        for rows in (order[:8], order[8:]):
            logits, shapes = expected(fine[rows], coarse[rows])
            loss = centre_loss(logits, shapes, [targets[row] for row in rows], shape_weight=0.3)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            cycle.step()
    for name, weights in expected.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], weights, atol=1e-6, rtol=0)


def test_pictures_without_objects_are_learned_from_and_no_picture_at_all_is_refused():
    empty = Scene(scene(0).seen, [], [])

    assert fit_detector([empty], class_count=2, stride=STRIDE, recipe=DetectorRecipe(epochs=1)) is not None
    with pytest.raises(ContractError, match="fit_detector: no labelled picture"):
        fit_detector([], class_count=2, stride=STRIDE)


def test_average_precision_is_the_share_of_overlaps_that_a_shifted_box_still_meets():
    truth = [TrueBox("a", "car", (0, 0, 100, 40)), TrueBox("a", "bus", (0, 0, 9, 9), is_crowd=True)]
    shifted = [FoundBox("a", "car", (20, 0, 100, 40), 0.5)]

    # 80 of 120 pixels across are shared: the box counts for overlaps of .50, .55, .60 and .65.
    assert average_precision(["a"], truth, shifted) == {"car": pytest.approx(0.4)}
    assert average_precision(["a"], truth, []) == {"car": 0.0}
    assert average_precision(["a"], truth, [*shifted, FoundBox("a", "bus", (0, 0, 9, 9), 0.9)]) == {
        "car": pytest.approx(0.4)
    }
    assert average_precision([], [], shifted) == {}
