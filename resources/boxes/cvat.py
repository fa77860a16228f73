"""CVAT's XML: boxes in images, and tracks through the frames of a video."""

from collections.abc import Iterator
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
_FRAME = "frame_{:06d}"


def read_cvat(file: BoxFile) -> Iterator[BoxRow | ImageEntry]:
    """Yield images and their boxes, and the boxes of tracks frame by frame.

    Turned boxes and polygons become the smallest upright box around them. A frame of a video, which CVAT only numbers,
    goes by `frame_000017`; frames in which an object is `outside` the picture have no box of it.
    """
    names: dict[str, str] = {}
    size: tuple[float | None, float | None] = (None, None)
    with file.open() as stream:
        for element in elements(file, stream, frozenset({"meta", "image", "track"})):
            if element.tag == "meta":
                original = element.find(".//original_size")
                if original is not None:
                    size = (size_of(original.findtext("width")), size_of(original.findtext("height")))
            elif element.tag == "image":
                yield from _image(element, names)
            else:
                yield from _track(element, names, size)


def _image(image: Element, names: dict[str, str]) -> Iterator[BoxRow | ImageEntry]:
    name = (image.get("name") or "").strip()
    names[image.get("id") or ""] = name
    yield ImageEntry(name, name, size_of(image.get("width")), size_of(image.get("height")))
    for place, shape in enumerate((one for one in image if one.tag in _SHAPES), start=1):
        yield _box(shape, name, shape.get("label"), f"image {image.get('id')}, {shape.tag} {place}")


def _track(
    track: Element, names: dict[str, str], size: tuple[float | None, float | None]
) -> Iterator[BoxRow | ImageEntry]:
    number = track.get("id") or ""
    for shape in (one for one in track if one.tag in _SHAPES and one.get("outside") != "1"):
        frame = shape.get("frame") or ""
        if frame not in names:
            names[frame] = _FRAME.format(int(frame) if frame.isdecimal() else 0)
            yield ImageEntry(names[frame], names[frame], *size)
        place = f"track {number}, frame {frame}"
        yield _box(shape, names[frame], track.get("label"), place, track_id=number, own_id=f"t{number}")


def _box(shape: Element, name: str, label: str | None, place: str, **ids: Any) -> BoxRow:
    box, problem = _upright(shape)
    flags = {"occluded": shape.get("occluded") == "1", "keyframe": shape.get("keyframe") == "1"}
    shown = {"shape": "" if shape.tag == "box" else shape.tag, "rotation": shape.get("rotation")}
    told = {one.get("name") or "": (one.text or "").strip() for one in shape.findall("attribute")}
    attributes = attributes_of({**told, **flags, **shown})
    return BoxRow(name, box, label=label, attributes=attributes, place=place, problem=problem, **ids)


def _upright(shape: Element) -> tuple[Box, str | None]:
    if shape.tag == "box":
        left, top, right, bottom = (number_of(shape.get(name)) for name in ("xtl", "ytl", "xbr", "ybr"))
        width, height = right - left, bottom - top
        pivot = (left + width / 2, top + height / 2)
        degrees = number_of(shape.get("rotation", 0))
        return turned((left, top, width, height), degrees=degrees, pivot=pivot), None
    if shape.get("points"):
        pairs = [point.partition(",") for point in str(shape.get("points")).split(";")]
        return around([(number_of(x), number_of(y)) for x, _, y in pairs]), None
    return NOWHERE, f"a {shape.tag} gives no box"


PLUGIN = BoxFormat("cvat", (".xml",), lambda _path, head: root_tag(head) == "annotations", read_cvat)
