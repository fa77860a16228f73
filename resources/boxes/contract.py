"""What every reader of box files gets and yields."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NamedTuple, Protocol, runtime_checkable

from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.resources.label_files.contract import text_of

Box = tuple[float, float, float, float]
"""x, y, width, height."""


@runtime_checkable
class KnowsFrames(Protocol):
    """A source of frames of videos."""

    def shards(self) -> list[str]:
        """Return the names of the shards."""
        ...

    def fingerprint(self, shard: str) -> str:
        """Return a hash of a shard's files."""
        ...

    def frame_key(self, video: str, number: int) -> str | None:
        """Return the key of a frame by its video and its number, None where there is none."""
        ...


class ImageEntry(NamedTuple):
    """An image that a box file declares, with objects or without.

    Attributes:
        ref: What boxes of the same file call it.
        name: Its file's name or path, or its image_id.
        width: Pixels of the picture as it was annotated; None where the file does not say.
        height: Pixels of the picture as it was annotated; None where the file does not say.
        is_number: Whether the name is but a number, which another file of the project may explain.
    """

    ref: str
    name: str
    width: float | None = None
    height: float | None = None
    is_number: bool = False


class ClassEntry(NamedTuple):
    """A class that a box file names, for files of detections that have numbers alone.

    Attributes:
        ref: Its number.
        name: Its name.
    """

    ref: str
    name: str


class BoxRow(NamedTuple):
    """One annotated object, as its file has it.

    Attributes:
        ref: Its image: that of an `ImageEntry` of the same file, else the image's name.
        box: Left edge, top edge, width and height: pixels, or shares of the picture's sides.
        label: Class name; None where the file has none.
        score: The detector's confidence; None where the file has none.
        track_id: Track that the object belongs to, None without.
        own_id: The file's own id of the annotation, None without.
        is_relative: Whether the box is in shares of the picture's sides.
        attributes: What else the file says, as JSON text.
        place: Where in the file it is, such as `line 4`.
        problem: Why the annotation gives no box; None where it gives one.
    """

    ref: str
    box: Box
    label: str | None = None
    score: float | None = None
    track_id: str | None = None
    own_id: str | None = None
    is_relative: bool = False
    attributes: str | None = None
    place: str = ""
    problem: str | None = None


@dataclass(frozen=True)
class BoxFile:
    """A file with boxes.

    Attributes:
        path: Path relative to the place that the settings name.
        uri: Full path or URL, for messages.
        open: Opens it for reading, as often as it is called.
        beside: Returns the content of another file by its path relative to the same place, None where there is none;
            `..` leads above the place.
        columns: Names of a table's columns by role, as the settings have them.
        frame_key: Returns the key of the image that is a frame of a video, by the video's name and the frame's number.
    """

    path: str
    uri: str
    open: Callable[[], AbstractContextManager[BinaryIO]]
    beside: Callable[[str], bytes | None]
    columns: Mapping[str, str] = field(default_factory=dict)
    frame_key: Callable[[str, int], str | None] = lambda _video, _number: None

    def unreadable(self, reason: object) -> SourceError:
        """Return the error of a file that is not what its format promises."""
        return SourceError(
            f"{self.uri} cannot be read as boxes: {reason}. Export it again, or name its format (objects.format)."
        )

    def without_boxes(self, name: str, error: SourceError) -> "Iterator[BoxRow | ImageEntry]":
        """Yield the image of a file that cannot be read, and one object without a box, which says why.

        Args:
            name: The image.
            error: Why it cannot be read.
        """
        yield ImageEntry(name, name)
        yield BoxRow(name, NOWHERE, place="the file", problem=str(error).replace(self.uri, self.path))


NOWHERE: Box = (math.nan, math.nan, math.nan, math.nan)
"""The box of an annotation that gives none."""


def number_of(value: Any) -> float:
    """Return a cell as a number, NaN where it is none.

    Examples:
        >>> number_of(" 3.5 "), number_of(2), number_of("x"), number_of(None), number_of(True)
        (3.5, 2.0, nan, nan, nan)
    """
    if value is None or isinstance(value, bool):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def size_of(value: Any) -> float | None:
    """Return a declared side of a picture, None where it is missing or not positive."""
    number = number_of(value)
    return number if number > 0 and math.isfinite(number) else None


def text_or_none(value: Any) -> str | None:
    """Return a cell as text, None where it is empty."""
    return text_of(value) or None


def attributes_of(found: Mapping[str, Any]) -> str | None:
    """Return what else a file says of an object, as JSON text; what is None, False or empty is left out."""
    kept = {name: value for name, value in found.items() if value not in (None, False, "", [], {})}
    return json.dumps(kept, ensure_ascii=False, default=str, sort_keys=True) if kept else None


def around(points: Sequence[tuple[float, float]]) -> Box:
    """Return the smallest upright box around some points: x, y, width, height; of none, `NOWHERE`.

    Examples:
        >>> around([(2, 5), (4, 1), (3, 3)])
        (2, 1, 2, 4)
    """
    if not points:
        return NOWHERE
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)


def turned(box: Box, *, degrees: float, pivot: tuple[float, float]) -> Box:
    """Return the smallest upright box around one that is turned clockwise around a point.

    Examples:
        >>> [round(side, 6) for side in turned((10, 20, 30, 40), degrees=90, pivot=(10, 20))]
        [-30.0, 20.0, 40.0, 30.0]
    """
    if not degrees:
        return box
    x, y, width, height = box
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    corners = [(x, y), (x + width, y), (x, y + height), (x + width, y + height)]
    moved = [(left - pivot[0], top - pivot[1]) for left, top in corners]
    return around(
        [(pivot[0] + dx * cosine - dy * sine, pivot[1] + dx * sine + dy * cosine) for dx, dy in moved],
    )
