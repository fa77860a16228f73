"""A compact one-stage detector on the encoder's feature maps: objects as points, trained in seconds on a processor."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.learning.heat_maps import PRIOR_LOGIT, CentreTarget, centre_loss, centre_target, peaks
from vlmine_dagster.learning.training import seeded

Box = tuple[float, float, float, float]
"""x, y, width, height in pixels."""

_WIDTH = 48
_GROUPS = 8
_MOST_FOUND = 100
_SIZE_WEIGHT = 0.3
_LEAST_SPREAD = 0.7  # places
_SIDES_PER_SPREAD = 6


class PlaceMap(Protocol):
    """A picture's features, place by place."""

    @property
    def fine(self) -> npt.NDArray[np.float16]:
        """Shape (C, H, W)."""

    @property
    def coarse(self) -> npt.NDArray[np.float16]:
        """Shape (D, H / 2, W / 2)."""

    @property
    def scale(self) -> float:
        """Pixels of the map's picture per pixel of the picture."""


@dataclass(frozen=True)
class Scene:
    """A labelled picture.

    Attributes:
        seen: Its features.
        boxes: Its objects, in pixels of the picture.
        labels: The class of each, in [0, class_count).
    """

    seen: PlaceMap
    boxes: Sequence[Box]
    labels: Sequence[int]


@dataclass(frozen=True)
class DetectorRecipe:
    """How a detector is trained.

    Attributes:
        epochs: Passes over the labelled pictures.
        learning_rate: The highest of the cycle.
        batch_size: Pictures per step.
    """

    epochs: int = 30
    learning_rate: float = 4e-3
    batch_size: int = 8


RECIPE = DetectorRecipe()


class CentreDetector(nn.Module):
    """Says for each place how likely it is the centre of an object of each class, and how large that object is.

    Args:
        class_count: Classes.
        fine_channels: Channels of the fine map.
        coarse_channels: Channels of the coarse map.
        stride: Pixels of the map's picture per place of the fine map.

    References:
        Zhou et al. 2019, Objects as Points, arXiv 1904.07850.
    """

    def __init__(self, class_count: int, *, fine_channels: int, coarse_channels: int, stride: int):
        super().__init__()
        self.stride = stride
        self.fine = nn.Conv2d(fine_channels, _WIDTH, 1)
        self.coarse = nn.Conv2d(coarse_channels, _WIDTH, 1)
        self.trunk = nn.Sequential(_layer(_WIDTH), _layer(_WIDTH))
        self.centres = nn.Conv2d(_WIDTH, class_count, 1)
        self.shapes = nn.Conv2d(_WIDTH, 4, 1)
        nn.init.constant_(self.centres.bias, PRIOR_LOGIT)  # type: ignore[arg-type]

    def forward(self, fine: torch.Tensor, coarse: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits (N, classes, H, W), and the centre's offset and the log sides in places (N, 4, H, W)."""
        larger = nn.functional.interpolate(self.coarse(coarse.float()), scale_factor=2.0)
        seen = self.trunk(self.fine(fine.float()) + larger)
        return self.centres(seen), self.shapes(seen)


def fit_detector(
    scenes: Sequence[Scene],
    *,
    class_count: int,
    stride: int,
    recipe: DetectorRecipe = RECIPE,
    random_seed: int = 0,
) -> CentreDetector:
    """Train a detector: focal loss on the centres, absolute error on offsets and sides. The encoder stays as it is.

    The same seed gives the same weights on one machine, whatever is trained beside.

    Args:
        scenes: Labelled pictures whose maps have one shape; those without objects teach what is none.
        class_count: Classes.
        stride: Pixels of the map's picture per place of the fine map.
        recipe: How to train.
        random_seed: Of the initial weights and the order.

    Raises:
        ContractError: there is no picture.
    """
    if not scenes:
        raise ContractError("fit_detector: no labelled picture, expected at least one.")
    with seeded(random_seed):
        first = scenes[0].seen
        detector = CentreDetector(
            class_count, fine_channels=len(first.fine), coarse_channels=len(first.coarse), stride=stride
        )
        draw = torch.Generator().manual_seed(random_seed)
        targets = [_target(scene, class_count, stride) for scene in scenes]
        steps = -(-len(scenes) // recipe.batch_size) * recipe.epochs
        optimizer = torch.optim.AdamW(detector.parameters(), lr=recipe.learning_rate, weight_decay=1e-3)
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=recipe.learning_rate, total_steps=max(2, steps))
        for rows in _orders(len(scenes), recipe, draw):
            logits, shapes = detector(*_stacked([scenes[row].seen for row in rows]))
            loss = centre_loss(logits, shapes, [targets[row] for row in rows], shape_weight=_SIZE_WEIGHT)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            cycle.step()
    return detector.eval()


def detect(
    detector: CentreDetector, pictures: Mapping[str, PlaceMap], *, batch_size: int = 32
) -> Iterator[tuple[str, Box, int, float]]:
    """Yield the image, box, class and score of the up to 100 likeliest objects of each picture.

    See `heat_maps.peaks`.
    """
    names = list(pictures)
    for at in range(0, len(names), batch_size):
        batch = names[at : at + batch_size]
        with torch.inference_mode():
            logits, shapes = detector(*_stacked([pictures[name] for name in batch]))
            likely = logits.sigmoid()
        for place, name in enumerate(batch):
            yield from (
                (name, box, label, score)
                for box, label, score in _best(likely[place], shapes[place], detector.stride / pictures[name].scale)
            )


def _layer(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.GroupNorm(_GROUPS, width), nn.ReLU())


def _orders(count: int, recipe: DetectorRecipe, draw: torch.Generator) -> Iterator[list[int]]:
    for _ in range(recipe.epochs):
        for rows in torch.randperm(count, generator=draw).split(recipe.batch_size):  # type: ignore[no-untyped-call]
            yield rows.tolist()


def _stacked(seen: Sequence[PlaceMap]) -> tuple[torch.Tensor, torch.Tensor]:
    fine = torch.from_numpy(np.stack([one.fine for one in seen]))
    return fine, torch.from_numpy(np.stack([one.coarse for one in seen]))


def _target(scene: Scene, class_count: int, stride: int) -> CentreTarget:
    height, width = scene.seen.fine.shape[1:]
    boxes = np.asarray(scene.boxes, np.float64).reshape(-1, 4) * scene.seen.scale / stride
    sides = np.maximum(boxes[:, 2:], 1e-3)
    centres = boxes[:, :2] + boxes[:, 2:] / 2
    corners = np.clip(centres.astype(np.int64), 0, (width - 1, height - 1))
    places = np.column_stack([np.asarray(scene.labels, np.int64), corners[:, 1], corners[:, 0]])
    shapes = np.column_stack([centres - corners, np.log(sides)])
    spreads = np.maximum(_LEAST_SPREAD, sides[:, ::-1] / _SIDES_PER_SPREAD)
    return centre_target(places, shapes, spreads=spreads, size=(class_count, height, width))


def _best(likely: torch.Tensor, shapes: torch.Tensor, pixels: float) -> Iterator[tuple[Box, int, float]]:
    """Yield box, class and score of one picture's likeliest places; pixels of the picture per place."""
    scores, places = peaks(likely, at_most=_MOST_FOUND)
    for score, (label, row, column) in zip(scores.tolist(), places.tolist(), strict=True):
        off_x, off_y, across, down = shapes[:, row, column].tolist()
        sides = float(np.exp(min(across, 6.0))) * pixels, float(np.exp(min(down, 6.0))) * pixels
        centre = (column + off_x) * pixels, (row + off_y) * pixels
        yield (centre[0] - sides[0] / 2, centre[1] - sides[1] / 2, *sides), label, score
