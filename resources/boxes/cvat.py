"""CVAT's XML: boxes in images, and tracks through the frames of a video."""

import re
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree.ElementTree import Element

from vlmine_dagster.resources.boxes.contract import (
    NOWHERE,
    Box,
    BoxFile,
    BoxRow,
    ImageEntry,
    around,
    attributes_of,
    number_of,
    size_of,
    turned,
)
from vlmine_dagster.resources.boxes.xml_files import elements, root_tag
from vlmine_dagster.settings.objects import BoxFormat

_SHAPES = frozenset({"box", "polygon", "polyline", "points", "ellipse", "mask", "skeleton", "cuboid"})
_CORNERS = [f"{side}{end}" for side in ("tl", "bl", "tr", "br") for end in "12"]
_VIDEOS = (".//source", ".//task/name")
"""Where a file names its video; an export of a project leaves it to the name of the task."""
_NUMBERED = re.compile(r"frame_(\d{6,})")
_FRAME = "frame_{:06d}"


def read_cvat(file: BoxFile) -> Iterator[BoxRow | ImageEntry]:
    """Yield images and their boxes, and the boxes of tracks frame by frame.

    Of turned boxes, polygons, masks, ellipses, cuboids and skeletons the smallest upright box around them counts. A
    frame of a video, which CVAT only numbers, is that of the dataset's video of that name, else goes by
    `frame_000017`; frames in which an object is `outside` the picture have no box of it.
    """
    names = _Names(file.frame_key)
    size: tuple[float | None, float | None] = (None, None)
    with file.open() as stream:
        for element in elements(file, stream, frozenset({"meta", "image", "track"})):
            if element.tag == "meta":
                names.videos = [text for path in _VIDEOS if (text := element.findtext(path))]
                original = element.find(".//original_size")
                if original is not None:
                    size = (size_of(original.findtext("width")), size_of(original.findtext("height")))
            elif element.tag == "image":
                yield from _image(element, names)
            else:
                yield from _track(element, names, size)


class _Names:
    """The names of frames, as far as they were yielded.

    Args:
        frame_key: Returns the key of a frame by the name of its video and its number.

    Attributes:
        videos: Names that the file's one video may have.
    """

    def __init__(self, frame_key: Callable[[str, int], str | None]):
        self.videos: list[str] = []
        self._frame_key = frame_key
        self._by_id: dict[str, str] = {}

    def of_image(self, image: Element) -> str:
        """Return the name of an image, and remember it for tracks."""
        name = (image.get("name") or "").strip()
        numbered = _NUMBERED.fullmatch(name)
        name = name if numbered is None else self._of_number(int(numbered.group(1)))
        self._by_id[image.get("id") or ""] = name
        return name

    def of_frame(self, frame: str) -> tuple[str, bool]:
        """Return the name of a frame, and whether it is new."""
        if frame in self._by_id:
            return self._by_id[frame], False
        self._by_id[frame] = self._of_number(int(frame) if frame.isdecimal() else 0)
        return self._by_id[frame], True

    def _of_number(self, number: int) -> str:
        keys = (self._frame_key(video, number) for video in self.videos)
        return next((key for key in keys if key is not None), _FRAME.format(number))


def _image(image: Element, names: _Names) -> Iterator[BoxRow | ImageEntry]:
    name = names.of_image(image)
    yield ImageEntry(name, name, size_of(image.get("width")), size_of(image.get("height")))
    for place, shape in enumerate((one for one in image if one.tag in _SHAPES), start=1):
        yield _box(shape, name, shape.get("label"), f"image {image.get('id')}, {shape.tag} {place}")


def _track(track: Element, names: _Names, size: tuple[float | None, float | None]) -> Iterator[BoxRow | ImageEntry]:
    number = track.get("id") or ""
    for shape in (one for one in track if one.tag in _SHAPES and one.get("outside") != "1"):
        frame = shape.get("frame") or ""
        name, is_new = names.of_frame(frame)
        if is_new:
            yield ImageEntry(name, name, *size)
        place = f"track {number}, frame {frame}"
        yield _box(shape, name, track.get("label"), place, track_id=number, own_id=f"t{number}")


def _box(shape: Element, name: str, label: str | None, place: str, **ids: Any) -> BoxRow:
    box, problem = _upright(shape)
    flags = {"occluded": shape.get("occluded") == "1", "keyframe": shape.get("keyframe") == "1"}
    shown = {"shape": "" if shape.tag == "box" else shape.tag, "rotation": shape.get("rotation")}
    own_attributes = {one.get("name") or "": (one.text or "").strip() for one in shape.findall("attribute")}
    attributes = attributes_of({**own_attributes, **flags, **shown})
    return BoxRow(name, box, label=label, attributes=attributes, place=place, problem=problem, **ids)


def _upright(shape: Element) -> tuple[Box, str | None]:
    """Return the smallest upright box around a shape, and why there is none."""
    box = _extent(shape)
    if box is None:
        return NOWHERE, f"a {shape.tag} gives no box"
    x, y, width, height = box
    degrees = number_of(shape.get("rotation", 0))
    return turned(box, degrees=degrees, pivot=(x + width / 2, y + height / 2)), None


def _extent(shape: Element) -> Box | None:
    """Return the box around a shape before it is turned; None where the shape is unknown."""
    if shape.tag == "box":
        left, top, right, bottom = _numbers(shape, "xtl", "ytl", "xbr", "ybr")
        return left, top, right - left, bottom - top
    if shape.tag == "mask":
        left, top, width, height = _numbers(shape, "left", "top", "width", "height")
        return left, top, width, height
    if shape.tag == "ellipse":
        x, y, across, down = _numbers(shape, "cx", "cy", "rx", "ry")
        return x - across, y - down, 2 * across, 2 * down
    if shape.tag == "cuboid":
        return around([_pair(shape, f"x{corner}", f"y{corner}") for corner in _CORNERS])
    if shape.tag == "skeleton":
        joints = [one for one in shape.iter("points") if one.get("outside") != "1"]
        return around([point for one in joints for point in _points(one)]) if joints else None
    return around(_points(shape)) if shape.get("points") else None


def _numbers(shape: Element, *names: str) -> list[float]:
    return [number_of(shape.get(name)) for name in names]


def _pair(shape: Element, x: str, y: str) -> tuple[float, float]:
    return number_of(shape.get(x)), number_of(shape.get(y))


def _points(shape: Element) -> list[tuple[float, float]]:
    pairs = [point.partition(",") for point in str(shape.get("points")).split(";")]
    return [(number_of(x), number_of(y)) for x, _, y in pairs]


PLUGIN = BoxFormat("cvat", (".xml",), lambda _path, head: root_tag(head) == "annotations", read_cvat)
