"""Pascal VOC: one XML file per image."""

import math
import posixpath
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.resources.boxes.contract import (
    NOWHERE,
    Box,
    BoxFile,
    BoxRow,
    ImageEntry,
    attributes_of,
    number_of,
    size_of,
    text_or_none,
    turned,
)
from vlmine_dagster.resources.boxes.xml_files import parsed, root_tag
from vlmine_dagster.settings.objects import BoxFormat

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_TURNED = ("cx", "cy", "w", "h", "angle")
_FLAGS = ("difficult", "truncated", "occluded")


def read_voc(file: BoxFile) -> Iterator[BoxRow | ImageEntry]:
    """Yield the image of a file, then its boxes.

    The image goes by the XML file's own name, not by `filename`, which copied files keep. Corners are 1-based, and both
    belong to the box: xmin 1, xmax 10 is ten pixels from the left edge. Of a turned box (roLabelImg) the smallest
    upright one around it counts. A file that cannot be read is one object without a box: its image stays, and says why.
    """
    name = _image_path(file.path)
    try:
        root = parsed(file)
    except SourceError as error:
        yield from file.without_boxes(name, error)
        return
    width, height = (size_of(root.findtext(f"size/{side}")) for side in ("width", "height"))
    yield ImageEntry(name, name, width, height)
    for place, one in enumerate(root.iter("object"), start=1):
        box, angle = _box_of(one)
        flags = {flag: one.findtext(flag) == "1" for flag in _FLAGS}
        yield BoxRow(
            name,
            box or NOWHERE,
            label=text_or_none(one.findtext("name")),
            attributes=attributes_of({**flags, "angle": angle}),
            place=f"object {place}",
            problem=None if box else "the object has no bndbox of four numbers",
        )


def _box_of(one: Element) -> tuple[Box | None, float]:
    """Return the upright box of an object, None where it has none, and the angle in radians by which it is turned."""
    corners = [number_of(one.findtext(f"bndbox/{corner}")) for corner in _CORNERS]
    if not any(map(math.isnan, corners)):
        return _box(*corners), 0.0
    x, y, width, height, angle = (number_of(one.findtext(f"robndbox/{side}")) for side in _TURNED)
    if math.isnan(x + y + width + height + angle):
        return None, 0.0
    upright = (x - width / 2, y - height / 2, width, height)
    return turned(upright, degrees=math.degrees(angle), pivot=(x, y)), angle


def _box(left: float, top: float, right: float, bottom: float) -> Box:
    """Return a box; corners in one column or row are a box without area, for nobody draws one of a single pixel."""
    width = right - left + 1 if right > left else right - left
    height = bottom - top + 1 if bottom > top else bottom - top
    return left - 1, top - 1, width, height


def _image_path(path: str) -> str:
    """Return the path of the picture that an XML file is about, without its ending.

    Examples:
        >>> _image_path("train/Annotations/a/1.xml")
        'train/JPEGImages/a/1'
    """
    parts = posixpath.splitext(path)[0].split("/")
    return "/".join("JPEGImages" if part == "Annotations" else part for part in parts)


PLUGIN = BoxFormat("voc", (".xml",), lambda _path, head: root_tag(head) == "annotation", read_voc)
