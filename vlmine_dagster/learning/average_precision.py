"""Average precision of detections, by COCO's own evaluation."""

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vlmine_dagster.domain.errors import ConfigError


class TrueBox(NamedTuple):
    """An object that is there.

    Attributes:
        image: Its image.
        label: Its class.
        box: x, y, width, height in pixels.
        is_crowd: Whether it stands for many: finding it is neither right nor wrong.
    """

    image: str
    label: str
    box: tuple[float, float, float, float]
    is_crowd: bool = False


class FoundBox(NamedTuple):
    """An object that a detector claims.

    Attributes:
        image: Its image.
        label: Its class.
        box: x, y, width, height in pixels.
        score: Confidence; only the order counts.
    """

    image: str
    label: str
    box: tuple[float, float, float, float]
    score: float


def average_precision(images: Sequence[str], truth: Sequence[TrueBox], found: Sequence[FoundBox]) -> dict[str, float]:
    """Return COCO's average precision of each class that the truth holds.

    The mean, over overlaps (IoU) of .50, .55, ... .95, of the precision at 101 levels of recall, of at most 100
    detections in an image.

    Args:
        images: The images judged; detections in others are not counted.
        truth: Objects in them. Classes with crowds alone have no average precision.
        found: Detections. Those of a class that the truth lacks are not counted.

    Returns:
        From 0 to 1 by class, higher is better.

    Raises:
        ConfigError: pycocotools is not installed.

    Examples:
        >>> truth = [TrueBox("a", "car", (0, 0, 10, 10)), TrueBox("b", "bus", (5, 5, 20, 10))]
        >>> found = [FoundBox("a", "car", (0, 0, 10, 10), 0.9), FoundBox("a", "bus", (5, 5, 20, 10), 0.8)]
        >>> {name: round(value, 3) for name, value in average_precision(["a", "b"], truth, found).items()}
        {'bus': 0.0, 'car': 1.0}

    References:
        Lin et al. 2014, arXiv 1405.0312; evaluated by pycocotools.
    """
    names = sorted({one.label for one in truth if not one.is_crowd})
    if not names:
        return {}
    image_of = {name: number for number, name in enumerate(dict.fromkeys(images), start=1)}
    class_of = {name: number for number, name in enumerate(names, start=1)}
    precision = _precision(
        {
            "images": [{"id": number} for number in image_of.values()],
            "categories": [{"id": number, "name": name} for name, number in class_of.items()],
            "annotations": [
                {**_row(one, image_of, class_of), "id": number, "iscrowd": int(one.is_crowd)}
                for number, one in enumerate((one for one in truth if one.label in class_of), start=1)
            ],
        },
        [
            {**_row(one, image_of, class_of), "score": one.score}
            for one in found
            if one.label in class_of and one.image in image_of
        ],
    )
    return {name: float(precision[:, :, place].mean()) for place, name in enumerate(names)}


def _row(one: TrueBox | FoundBox, image_of: Mapping[str, int], class_of: Mapping[str, int]) -> dict[str, Any]:
    area = one.box[2] * one.box[3]
    return {"image_id": image_of[one.image], "category_id": class_of[one.label], "bbox": list(one.box), "area": area}


def _precision(truth: dict[str, Any], found: list[dict[str, Any]]) -> Any:
    """Return precision of shape (overlaps, levels of recall, classes); each class has an object."""
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise ConfigError("average precision needs pycocotools: pip install 'vlmine-dagster[detection]'") from error
    if not found:
        return np.zeros((10, 101, len(truth["categories"])))
    with contextlib.redirect_stdout(io.StringIO()):  # it prints each step
        reference = COCO()
        reference.dataset = truth
        reference.createIndex()
        judged = COCOeval(reference, reference.loadRes(found), "bbox")
        judged.evaluate()
        judged.accumulate()
    return judged.eval["precision"][:, :, :, 0, -1]
