"""What a detector does, and how what it finds becomes the rows that box files give."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

_DECIMALS = 2
"""Boxes are rounded to hundredths of a pixel, so that they are the same in batches of any size."""


class Detection(NamedTuple):
    """An object that a detector found.

    Attributes:
        box: x, y, width, height in pixels of the upright picture.
        label: Class name.
        score: Confidence, 0 to 1.
    """

    box: tuple[float, float, float, float]
    label: str
    score: float


class Detector(Protocol):
    """Finds objects in pictures."""

    @property
    def label(self) -> str:
        """What it is, for people: the origin of its objects."""

    @property
    def fingerprint(self) -> str:
        """Changes with everything that can change what it finds."""

    def detect(self, images: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, Sequence[Detection] | str]]:
        """Yield (image_id, objects), best first, for encoded images; why one cannot be read in place of its objects.

        Raises:
            ModelError: the model cannot be loaded, or not even one image fits into memory.
        """


@dataclass(frozen=True)
class Detected:
    """What a detector found in the images of a shard.

    Attributes:
        rows: One row per object, with the columns of `ShardBoxes.rows`.
        failures: Why images could not be read, by image_id.
    """

    rows: "pa.Table"
    failures: dict[str, str]


def detected_boxes(
    detector: Detector,
    found: Iterable[tuple[str, Sequence[Detection] | str]],
    *,
    on_progress: Callable[[int], None] = lambda _count: None,
) -> Detected:
    """Return what `Detector.detect` yields as the rows that box files give; their number in the image is by score."""
    import pyarrow as pa

    failures: dict[str, str] = {}
    rows = []
    for image_id, objects in found:
        on_progress(1)
        if isinstance(objects, str):
            failures[image_id] = objects
            continue
        for number, (box, label, score) in enumerate(objects, start=1):
            x, y, width, height = (round(side, _DECIMALS) for side in box)
            place = f"{detector.label}: object {number}"
            sides = {"x": x, "y": y, "width": width, "height": height}
            rows.append({"image_id": image_id, "origin": place, **sides, "label": label, "score": score})
    texts = ("image_id", "origin", "label", "track_id", "own_id", "attributes", "problem")
    numbers = ("declared_width", "declared_height", "x", "y", "width", "height", "score")
    schema = pa.schema([*((name, pa.string()) for name in texts), *((name, pa.float64()) for name in numbers)])
    table = pa.Table.from_pylist(rows, schema=schema)
    return Detected(table.append_column("is_relative", pa.array([False] * len(rows), pa.bool_())), failures)
