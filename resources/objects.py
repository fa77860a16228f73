"""From boxes to rows of `objects`: pixels of the upright picture, an outcome for each, what the files disagree on."""

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vlmine_dagster.domain.tables import OBJECTS, UNMATCHED_BOXES, Outcome
from vlmine_dagster.resources.labels import Labels
from vlmine_dagster.resources.sources import image_id

Sides = npt.NDArray[np.float64]
"""Shape (N, 4), float64: x, y, width, height of N boxes."""

_SAME = 2
"""Decimals of a pixel up to which two boxes are the same."""

_MOMENT = ("sequence_id", "frame_index", "timestamp_s")
_CHANGED_PX = 1e-3
_SHOWN = 3
_SWAPPING = (5, 6, 7, 8)
"""EXIF orientations that swap the sides of a picture."""


@dataclass(frozen=True)
class Objects:
    """The objects of some images.

    Attributes:
        rows: Rows of `objects`, sorted by image and number.
        disagreements: Boxes that occur again with another class, in words.
        other_sizes: Images whose size in the box file is another one than the picture's, in words.
    """

    rows: pa.Table
    disagreements: list[str]
    other_sizes: list[str]


def object_rows(
    images: pa.Table,
    boxes: pa.Table,
    *,
    min_size: float,
    context: float = 0.0,
    orientations: Callable[[Sequence[str]], Mapping[str, int]] = lambda _images: {},
) -> Objects:
    """Return the rows of `objects` of the boxes of some images, those of broken boxes too.

    A box is moved into the pixels of the upright picture. Box files hold upright boxes, as viewers and labelling tools
    show pictures, unless they declare the size of the picture lying down: then the box is turned as EXIF says. Of a
    square picture, or one that stands on its head, boxes are taken as upright.

    Args:
        images: Rows of `images`: image_id, sha256, width, height, split, outcome, and what tells their moment.
        boxes: Rows of a `BoxStore` (`ShardBoxes.rows`) of these images.
        min_size: Objects whose shorter side has fewer pixels are too small.
        context: Margin that belongs to a crop, as a share of the box's sides: other crops have other hashes.
        orientations: Returns the EXIF orientation of images; asked only for those that may be lying down.
    """
    image = _Images(images, boxes)
    given = _numbers(boxes, "x", "y", "width", "height")
    size, frame = image.upright, image.declared
    frame = np.where(np.isfinite(frame), frame, size)
    lies = image.lies_down(orientations)
    relative = np.asarray(boxes.column("is_relative").to_numpy(zero_copy_only=False), bool)
    pixels = np.where(relative[:, None], given * np.tile(frame, 2), given)
    pixels = _turned_upright(pixels, frame, lies)
    clipped = _clipped(pixels, size)
    failures = _failures(image, boxes, pixels, size)
    repeats, disagreements = _repeats(image, boxes, clipped, failures)
    failures |= {place: (Outcome.BAD_BOX, text) for place, text in repeats.items()}
    small = clipped[:, 2:].min(axis=1, initial=np.inf) < min_size
    for place in np.flatnonzero(small).tolist():
        side = clipped[place, 2:].min()
        failures.setdefault(place, (Outcome.TOO_SMALL, f"its shorter side has {side:.4g} pixels, under {min_size:g}"))
    rows = _table(image, boxes, pixels, clipped, failures, context=context)
    return Objects(rows, disagreements, image.other_sizes(lies))


def labelled(rows: pa.Table, shard: str, labels: Labels | None) -> pa.Table:
    """Return rows of `objects` of a shard with the class that the miner may know, and their splits.

    Args:
        rows: Rows with the splits of their images.
        shard: The shard.
        labels: The labels; None where there are none.
    """
    if labels is None:
        return rows
    start = len(image_id(shard, ""))
    columns = (rows.column(name).to_pylist() for name in ("object_id", "sequence_id", "class_name"))
    shown = [
        labels.visible(name, name[start:], sequence, box_class=label or "")
        for name, sequence, label in zip(*columns, strict=True)
    ]
    for name, values in (("label", [one[0] for one in shown]), ("split", [one[1].value for one in shown])):
        place = rows.schema.get_field_index(name)
        rows = rows.set_column(place, rows.schema.field(place), pa.array(values, pa.string()))
    return rows


class _Images:
    """The image of each box."""

    def __init__(self, images: pa.Table, boxes: pa.Table):
        self._rows = {
            name: images.column(name).to_pylist() for name in ("image_id", "sha256", "split", "outcome", *_MOMENT)
        }
        places = {image_id: place for place, image_id in enumerate(self._rows["image_id"])}
        self.names: list[str] = boxes.column("image_id").to_pylist()
        self.places = np.fromiter((places[name] for name in self.names), np.int64, len(self.names))
        self.upright = _numbers(images, "width", "height")[self.places]
        self.declared = _numbers(boxes, "declared_width", "declared_height")

    def of_box(self, column: str) -> list[Any]:
        """Return a column of `images`, one value per box."""
        values = self._rows[column]
        return [values[place] for place in self.places]

    def lies_down(self, orientations: Callable[[Sequence[str]], Mapping[str, int]]) -> npt.NDArray[np.int64]:
        """Return the EXIF orientation of each box's picture where the file's boxes are those of the picture lying down.

        Returns:
            Shape (N,); 1 where boxes are upright.
        """
        is_swapped = (self.declared == self.upright[:, ::-1]).all(axis=1) & (self.upright[:, 0] != self.upright[:, 1])
        asked = sorted({self.names[place] for place in np.flatnonzero(is_swapped)})
        found = orientations(asked) if asked else {}
        tags = [found.get(name, 1) if swapped else 1 for name, swapped in zip(self.names, is_swapped, strict=True)]
        return np.asarray([tag if tag in _SWAPPING else 1 for tag in tags], np.int64)

    def other_sizes(self, lies: npt.NDArray[np.int64]) -> list[str]:
        """Return the images whose declared size is not the picture's, in words."""
        known = np.isfinite(self.declared).all(axis=1) & np.isfinite(self.upright).all(axis=1)
        differs = known & (lies == 1) & (self.declared != self.upright).any(axis=1)
        found = {}
        for place in np.flatnonzero(differs):
            (told_w, told_h), (width, height) = self.declared[place], self.upright[place]
            found[self.names[place]] = f"{told_w:g} x {told_h:g} in the box file, {width:g} x {height:g} in truth"
        return [f"{name} ({text})" for name, text in found.items()]


def _numbers(table: pa.Table, *names: str) -> Sides:
    """Return numeric columns side by side, shape (N, columns); gaps are NaN."""
    columns = [table.column(name).cast(pa.float64()).to_numpy() for name in names]
    return np.stack(columns, axis=1).astype(np.float64) if table.num_rows else np.empty((0, len(names)))


def _turned_upright(boxes: Sides, frame: npt.NDArray[np.float64], orientation: npt.NDArray[np.int64]) -> Sides:
    """Return boxes of pictures as they are stored as those of the upright pictures.

    Args:
        boxes: Boxes in stored pixels.
        frame: Shape (N, 2), width and height of the stored picture.
        orientation: Shape (N,), EXIF's tag; of 1 a box stays.
    """
    x, y, width, height = boxes.T
    right, bottom = frame[:, 0] - x - width, frame[:, 1] - y - height
    moved = {5: (y, x), 6: (bottom, x), 7: (bottom, right), 8: (y, right)}
    found = boxes.copy()
    for tag, (left, top) in moved.items():
        is_it = orientation == tag
        found[is_it] = np.stack([left, top, height, width], axis=1)[is_it]
    return found


def _clipped(boxes: Sides, size: npt.NDArray[np.float64]) -> Sides:
    """Return the part of each box that is in the picture; NaN where there is none."""
    near = np.clip(boxes[:, :2], 0, size)
    far = np.clip(boxes[:, :2] + boxes[:, 2:], 0, size)
    found = np.concatenate([near, far - near], axis=1)
    found[~(found[:, 2:] > 0).all(axis=1)] = np.nan
    return found


def _failures(
    image: _Images, boxes: pa.Table, pixels: Sides, size: npt.NDArray[np.float64]
) -> dict[int, tuple[Outcome, str]]:
    """Return outcome and reason of the boxes that are not objects, by their place."""
    found: dict[int, tuple[Outcome, str]] = {}
    for place, problem in enumerate(boxes.column("problem").to_pylist()):
        if problem is not None:
            found[place] = (Outcome.BAD_BOX, problem)
    for place, outcome in enumerate(image.of_box("outcome")):
        if outcome != Outcome.OK:
            found.setdefault(place, (Outcome(outcome), f"its image is {outcome}"))
    far = pixels[:, :2] + pixels[:, 2:]
    reasons = (
        (~np.isfinite(pixels).all(axis=1), "a side is not a number"),
        ((pixels[:, 2:] < 0).any(axis=1), "it is inverted"),
        ((pixels[:, 2:] == 0).any(axis=1), "it has no area"),
        (((pixels[:, :2] >= size) | (far <= 0)).any(axis=1), "it is outside the picture"),
    )
    for is_so, reason in reasons:
        for place in np.flatnonzero(is_so).tolist():
            found.setdefault(place, (Outcome.BAD_BOX, f"{reason}: {_size_text(pixels[place], size[place])}"))
    return found


def _size_text(box: npt.NDArray[np.float64], size: npt.NDArray[np.float64]) -> str:
    x, y, width, height = (f"{side:.6g}" for side in box)
    return f"x {x}, y {y}, width {width}, height {height} in a picture of {size[0]:g} x {size[1]:g}"


def _repeats(
    image: _Images, boxes: pa.Table, clipped: Sides, failures: Mapping[int, Any]
) -> tuple[dict[int, str], list[str]]:
    """Return which boxes repeat an earlier one of the same class, and which have been there with another class."""
    labels, origins = boxes.column("label").to_pylist(), boxes.column("origin").to_pylist()
    keys = np.round(clipped, _SAME).tolist()
    first: dict[tuple[Any, ...], int] = {}
    classes: dict[tuple[Any, ...], int] = {}
    repeats: dict[int, str] = {}
    disagreements: list[str] = []
    for place, (name, key, label) in enumerate(zip(image.names, keys, labels, strict=True)):
        if place in failures:
            continue
        box = (name, *key)
        earlier = classes.setdefault((*box, label), place)
        if earlier != place:
            repeats[place] = f"it repeats a box of the same class ({origins[earlier]})"
        elif (other := first.setdefault(box, place)) != place:
            disagreements.append(
                f"{name}: {labels[other]!r} in {origins[other]}, {label!r} in {origins[place]}, the same box"
            )
    return repeats, disagreements


def _table(
    image: _Images,
    boxes: pa.Table,
    pixels: Sides,
    clipped: Sides,
    failures: Mapping[int, tuple[Outcome, str]],
    *,
    context: float,
) -> pa.Table:
    is_bad = np.asarray(
        [failures.get(place, (None,))[0] not in (None, Outcome.TOO_SMALL) for place in range(len(pixels))], bool
    )
    sides = np.where(is_bad[:, None], np.nan, clipped)
    moved = ~is_bad & (np.abs(clipped - pixels) > _CHANGED_PX).any(axis=1) if len(pixels) else is_bad
    names = _numbered(image.names, boxes.column("own_id").to_pylist())
    columns: dict[str, Any] = {
        "object_id": names,
        "image_id": image.names,
        **{
            name: pa.array(sides[:, place], pa.float64(), from_pandas=True)
            for place, name in enumerate(("x", "y", "width", "height"))
        },
        "class_name": boxes.column("label"),
        "score": boxes.column("score"),
        "track_id": boxes.column("track_id"),
        "attributes": _attributes(boxes.column("attributes").to_pylist(), pixels, moved),
        "origin": boxes.column("origin"),
        "sha256": _hashes(image.of_box("sha256"), np.where(is_bad[:, None], pixels, clipped), context),
        **{name: image.of_box(name) for name in _MOMENT},
        "label": pa.nulls(len(names), pa.string()),
        "split": image.of_box("split"),
        "outcome": [failures[place][0].value if place in failures else Outcome.OK.value for place in range(len(names))],
        "failure": [failures[place][1] if place in failures else None for place in range(len(names))],
    }
    rows = pa.table(columns, OBJECTS.schema)
    return rows.sort_by([("image_id", "ascending"), ("object_id", "ascending")])


def _numbered(images: Sequence[str], own_ids: Sequence[str | None]) -> list[str]:
    """Return an id for each box: the annotation's own, else its place among those of the image; repeats get `~2`."""
    counts: Counter[str] = Counter()
    taken: set[str] = set()
    found = []
    for image, own in zip(images, own_ids, strict=True):
        counts[image] += 1
        name = f"{image}#{counts[image] if own is None else own.replace('#', '_')}"
        ids = itertools.chain([name], (f"{name}~{number}" for number in itertools.count(2)))
        free = next(one for one in ids if one not in taken)
        taken.add(free)
        found.append(free)
    return found


def _attributes(attributes: list[str | None], pixels: Sides, moved: npt.NDArray[np.bool_]) -> list[str | None]:
    """Return the attributes, with the box as the file has it where it was cut to the picture."""
    for place in np.flatnonzero(moved):
        known = json.loads(attributes[place] or "{}")
        known["box_in_file"] = [round(float(side), 3) for side in pixels[place]]
        attributes[place] = json.dumps(known, ensure_ascii=False, sort_keys=True)
    return attributes


def _hashes(images: Sequence[str], boxes: Sides, context: float) -> list[str]:
    texts = (
        f"{image} {' '.join(map(repr, box))} {context!r}" for image, box in zip(images, boxes.tolist(), strict=True)
    )
    return [hashlib.sha256(text.encode("ascii")).hexdigest() for text in texts]


def class_spellings(counts: Mapping[str, int]) -> list[str]:
    """Return the classes that are spelled in more than one way: by case, spaces, underscores or hyphens.

    Examples:
        >>> class_spellings({"fire engine": 7, "Fire_Engine": 2, "car": 90})
        ["'fire engine' (7), 'Fire_Engine' (2)"]
    """
    spellings: dict[str, list[str]] = {}
    for name in counts:
        spellings.setdefault(" ".join(name.casefold().replace("_", " ").replace("-", " ").split()), []).append(name)
    return [
        ", ".join(f"{name!r} ({counts[name]:,})" for name in names) for names in spellings.values() if len(names) > 1
    ]


def unmatched_rows(names: pa.Table) -> pa.Table:
    """Return the rows of `unmatched_boxes`.

    Args:
        names: What `BoxStore.unmatched` returns.
    """
    rows = [
        {
            **row,
            "outcome": Outcome.BAD_BOX.value,
            "failure": row.pop("images") or "no image of the dataset has this name",
        }
        for row in names.to_pylist()
    ]
    return pa.Table.from_pylist(rows, schema=UNMATCHED_BOXES.schema)
