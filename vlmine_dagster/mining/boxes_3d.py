"""Detections in space: which objects are rare, and average precision of rare and common ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.geometry.overlap import box_iou_matrix
from vlmine_dagster.geometry.poses import Floats, wrapped

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class RareRule:
    """Which objects count as rare: all conditions that are given must hold.

    Attributes:
        types: Classes of the data set; empty for all.
        longer_than_m: Length in metres that it exceeds.
        fewer_points_than: Points of the LiDAR on it.
        kinds: Finer classes, where the data have some.
        keyword: A keyword that a person has chosen, and that its camera's crop has.
    """

    types: tuple[str, ...] = ()
    longer_than_m: float | None = None
    fewer_points_than: int | None = None
    kinds: tuple[str, ...] = ()
    keyword: str | None = None

    def __post_init__(self) -> None:
        if not self.text:
            raise ContractError("RareRule: no condition is given, so every object would be rare. Give one.")

    @property
    def text(self) -> str:
        """The rule in words, as it stands beside every result.

        Examples:
            >>> RareRule(types=("vehicle",), longer_than_m=7).text
            'vehicle, longer than 7 m'
            >>> RareRule(kinds=("horse", "excavator"), fewer_points_than=5).text
            'fewer than 5 LiDAR points, kind horse or excavator'
        """
        parts = [
            " or ".join(self.types),
            "" if self.longer_than_m is None else f"longer than {self.longer_than_m:g} m",
            "" if self.fewer_points_than is None else f"fewer than {self.fewer_points_than} LiDAR points",
            "" if not self.kinds else f"kind {' or '.join(self.kinds)}",
            "" if self.keyword is None else f'keyword "{self.keyword}"',
        ]
        return ", ".join(part for part in parts if part)

    def holds(self, objects: Mapping[str, Sequence[Any]]) -> Mask:
        """Return which objects are rare.

        Args:
            objects: Columns of equal length: type_name, length, point_count, class_name, and keywords (a collection of
                words each), as far as the rule asks for them.

        Raises:
            ContractError: a column that the rule asks for is missing.
        """
        tests: list[Mask] = []
        if self.types:
            tests.append(np.isin(_column(objects, "type_name"), self.types))
        if self.longer_than_m is not None:
            tests.append(np.asarray(_column(objects, "length"), np.float64) > self.longer_than_m)
        if self.fewer_points_than is not None:
            tests.append(np.asarray(_column(objects, "point_count"), np.float64) < self.fewer_points_than)
        if self.kinds:
            tests.append(np.isin(_column(objects, "class_name"), self.kinds))
        if self.keyword is not None:
            tests.append(np.asarray([self.keyword in words for words in _column(objects, "keywords")], bool))
        return np.asarray(np.logical_and.reduce(tests), bool)


def _column(objects: Mapping[str, Sequence[Any]], name: str) -> Sequence[Any]:
    if name not in objects:
        raise ContractError(f"RareRule: the objects have no {name}. They have {', '.join(objects)}.")
    return objects[name]


@dataclass(frozen=True)
class Boxes3D:
    """Boxes of many moments.

    Attributes:
        moments: Shape (N,), integers: in which sweep each is.
        boxes: Shape (N, 7).
        scores: Shape (N,), confidence of detections; empty for true boxes.
    """

    moments: npt.NDArray[np.int64]
    boxes: Floats
    scores: Floats


@dataclass(frozen=True)
class Precision:
    """How well some objects are detected, 0 to 1; NaN where there are none.

    Attributes:
        ap: Average precision: the area under precision over recall, made monotone.
        aph: The same, each found object weighed by 1 - |error of its heading| / pi.
        count: True objects that count.
    """

    ap: float
    aph: float
    count: int


@dataclass(frozen=True)
class Matches:
    """Which true box each detection has found, in the order of falling scores.

    Attributes:
        order: Shape (M,), detections by falling score; of equal scores the first.
        partner: Shape (M,), the true box of each in that order; -1 for none.
        accuracy: Shape (M,), 1 - |error of heading| / pi of pairs.
    """

    order: npt.NDArray[np.int64]
    partner: npt.NDArray[np.int64]
    accuracy: Floats


def matched(truth: Boxes3D, found: Boxes3D, *, min_iou: float) -> Matches:
    """Give each detection, the surest first, the free true box of its moment that it overlaps most.

    Args:
        truth: True boxes of one class.
        found: Detections of that class.
        min_iou: Least overlap in space of a pair.
    """
    order = np.argsort(-found.scores, kind="stable")
    partner = np.full(len(order), -1, np.int64)
    for moment in np.unique(found.moments).tolist():
        true_places = np.flatnonzero(truth.moments == moment)
        ranks = np.flatnonzero(found.moments[order] == moment)
        if len(true_places):
            overlap = box_iou_matrix(found.boxes[order[ranks]], truth.boxes[true_places])
            for row, rank in enumerate(ranks.tolist()):
                best = int(overlap[row].argmax())
                if overlap[row, best] >= min_iou:
                    partner[rank] = true_places[best]
                    overlap[:, best] = -1
    headings = np.where(partner >= 0, truth.boxes[partner, 6] if len(truth.boxes) else 0, 0)
    error = np.abs(wrapped(found.boxes[order, 6] - headings)) if len(order) else np.empty(0)
    return Matches(order, partner, 1 - error / np.pi)


def precision_of(matches: Matches, counts_true: Mask, counts_found: Mask) -> Precision:
    """Return average precision of some of the true boxes.

    A detection of a true box that does not count is neither right nor wrong. One of none is wrong if it counts.

    Args:
        matches: Of all true boxes of a class.
        counts_true: Shape (N,), the true boxes that count, such as rare ones.
        counts_found: Shape (M,), the detections that are wrong if they have found nothing, in their own order.

    Examples:
        Three detections, of which the second is wrong, of two objects: precision 1 up to recall 1/2, then 2/3.

        >>> matches = Matches(np.arange(3), np.array([0, -1, 1]), np.array([1.0, 0.0, 0.5]))
        >>> precision_of(matches, np.array([True, True]), np.ones(3, bool))
        Precision(ap=0.8333333333333333, aph=0.625, count=2)
    """
    count = int(counts_true.sum())
    if not count:
        return Precision(float("nan"), float("nan"), 0)
    has_partner = matches.partner >= 0
    is_right = has_partner & counts_true[matches.partner] if len(counts_true) else has_partner
    is_wrong = ~has_partner & counts_found[matches.order]
    kept = is_right | is_wrong
    right, wrong = is_right[kept].astype(np.float64), is_wrong[kept].astype(np.float64)
    weighed = right * matches.accuracy[kept]
    return Precision(_area(right, wrong, right, count), _area(right, wrong, weighed, count), count)


def _area(right: Floats, wrong: Floats, gain: Floats, count: int) -> float:
    precision = np.cumsum(gain) / np.cumsum(right + wrong)  # each is one of both
    monotone = np.maximum.accumulate(precision[::-1])[::-1]
    return float((monotone * gain).sum() / count)
