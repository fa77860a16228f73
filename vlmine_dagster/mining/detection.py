"""What a list finds for a detector: rare objects, images that hold one, and rare classes, at a budget of labelling."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from vlmine_dagster.domain.errors import ContractError

Frequency = Literal["rare", "common", "frequent"]
FREQUENCIES: tuple[Frequency, ...] = ("rare", "common", "frequent")
"""Groups of classes by the number of images that hold them, as LVIS has them."""

Counted = Literal["images", "boxes"]


@dataclass(frozen=True)
class Recall:
    """What the labelled images hold of one group of classes.

    Attributes:
        objects: Share of the group's objects.
        images: Share of the images that hold an object of the group.
        classes: Share of the group's classes of which there is an object. NaN each, where the pool holds none.
    """

    objects: float
    images: float
    classes: float


def class_frequency(
    image_counts: Mapping[str, int], *, rare_under: int = 11, frequent_over: int = 100
) -> dict[str, Frequency]:
    """Return the group of each class, by the number of images that hold it, not by its objects.

    The defaults are LVIS's: rare in 1 to 10 images, common in 11 to 100, frequent in more.

    Examples:
        >>> class_frequency({"car": 101, "bus": 11, "unicycle": 10})
        {'car': 'frequent', 'bus': 'common', 'unicycle': 'rare'}
    """
    return {
        name: "rare" if count < rare_under else "frequent" if count > frequent_over else "common"
        for name, count in image_counts.items()
    }


class LabelledScenes:
    """The true objects of a pool of images.

    Args:
        images: The image of each of N objects.
        classes: The class of each.
        frequency: Group by class.

    Raises:
        ContractError: lengths differ, or a class has no group.
    """

    def __init__(self, images: Sequence[str], classes: Sequence[str], frequency: Mapping[str, Frequency]):
        if len(images) != len(classes):
            raise ContractError(
                f"LabelledScenes: {len(images)} images and {len(classes)} classes; expected one of each per object"
            )
        lacking = sorted(set(classes) - frequency.keys())
        if lacking:
            raise ContractError(f"LabelledScenes: class {lacking[0]!r} has no frequency. Count its images too.")
        names, self._image = np.unique(np.asarray(images, dtype=object).astype(str), return_inverse=True)
        self._classes, self._class = np.unique(np.asarray(classes, dtype=object).astype(str), return_inverse=True)
        self._places = {name: place for place, name in enumerate(names.tolist())}
        self._box_counts = np.bincount(self._image, minlength=len(names))
        self._group = np.asarray([FREQUENCIES.index(frequency[name]) for name in self._classes.tolist()], np.int64)

    def labelled(self, ranked: Sequence[str], *, budget: int, counted: Counted) -> list[str]:
        """Return the images that a budget pays for, from the first of a list on.

        An image costs one, or as many boxes as it has: whoever labels it draws all of them, and one of an image
        without objects is free. The list ends before the first image that would exceed the budget, so that a smaller
        budget labels a prefix of what a larger one does. Repeats of an image cost nothing.

        Args:
            ranked: Images, best first.
            budget: Images or boxes that may be spent.
            counted: Which of the two.

        Examples:
            >>> scenes = LabelledScenes(["a", "a", "a", "b"], ["car"] * 4, {"car": "frequent"})
            >>> scenes.labelled(["a", "b", "a"], budget=2, counted="images")
            ['a', 'b']
            >>> [scenes.labelled(ranked, budget=2, counted="boxes") for ranked in (["b", "a"], ["a", "b"])]
            [['b'], []]
        """
        once = list(dict.fromkeys(ranked))
        costs = [1 if counted == "images" else self._boxes_of(image) for image in once]
        return once[: int(np.searchsorted(np.cumsum(costs), budget, side="right"))]

    def recall(self, labelled: Sequence[str]) -> dict[Frequency, Recall]:
        """Return what some labelled images hold of each group of classes.

        Examples:
            >>> scenes = LabelledScenes(["a", "a", "b", "c"], ["car", "yak", "yak", "emu"],
            ...                         {"car": "frequent", "yak": "rare", "emu": "rare"})
            >>> scenes.recall(["a"])["rare"]
            Recall(objects=0.3333333333333333, images=0.3333333333333333, classes=0.5)
        """
        is_labelled = np.zeros(len(self._places), bool)
        is_labelled[[self._places[image] for image in labelled if image in self._places]] = True
        is_found = is_labelled[self._image]
        groups = self._group[self._class]
        return {name: self._recall(groups == place, is_found) for place, name in enumerate(FREQUENCIES)}

    def _recall(self, is_in_group: npt.NDArray[np.bool_], is_found: npt.NDArray[np.bool_]) -> Recall:
        def share(of: npt.NDArray[np.int64]) -> float:
            whole = len(np.unique(of[is_in_group]))
            return len(np.unique(of[is_in_group & is_found])) / whole if whole else float("nan")

        return Recall(share(np.arange(len(is_found))), share(self._image), share(self._class))

    def _boxes_of(self, image: str) -> int:
        place = self._places.get(image)
        return 0 if place is None else int(self._box_counts[place])
