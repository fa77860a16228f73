"""YOLO: one text file per image, a line per object, in shares of the picture's sides."""

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.resources.boxes.contract import (
    NOWHERE,
    BoxFile,
    BoxRow,
    ImageEntry,
    around,
    attributes_of,
    number_of,
)
from vlmine_dagster.settings.objects import BoxFormat

_NAME_FILES = ("classes.txt", "obj.names", "data.yaml", "dataset.yaml", "data.yml")
_NOT_LABELS = frozenset({"classes.txt", "train.txt", "val.txt", "valid.txt", "test.txt", "requirements.txt"})


def read_yolo(file: BoxFile) -> Iterator[BoxRow | ImageEntry]:
    """Yield the image of a file, then its boxes: class, centre and sides in shares, and what detectors add.

    After the box a score may follow, a track's number, or both. A line of keypoints (`kpt_shape` in data.yaml, or three
    numbers per point) begins with its box; any other line with seven or more numbers is a polygon, and the smallest box
    around it counts. Names of classes are searched beside the file and in the folders above: classes.txt, obj.names,
    data.yaml.
    """
    name = _image_path(file.path)
    yield ImageEntry(name, name)
    with file.open() as stream:
        lines = stream.read().decode("utf-8-sig", "replace").splitlines()
    classes = _classes(file) if any(line.strip() for line in lines) else _Classes()
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _box(line.split(), name, classes, f"line {number}")


@dataclass(frozen=True)
class _Classes:
    """What the files beside the labels say.

    Attributes:
        names: Names of the classes, by number.
        keypoint_count: Numbers that follow the box in a line with keypoints, 0 where lines have none.
    """

    names: tuple[str, ...] = ()
    keypoint_count: int = 0


def _box(cells: Sequence[str], name: str, classes: _Classes, place: str) -> BoxRow:
    numbers = [number_of(cell) for cell in cells]
    class_number = numbers[0]
    is_known = class_number.is_integer() and 0 <= class_number < len(classes.names)
    box, problem, is_polygon = NOWHERE, None, False
    score, track_id = _found(cells, numbers)
    if len(numbers) in (5, 6) or track_id or _has_keypoints(len(numbers), classes.keypoint_count):
        x, y, width, height = numbers[1:5]
        box = (x - width / 2, y - height / 2, width, height)
    elif len(numbers) >= 7 and len(numbers) % 2:
        box, is_polygon = around(list(zip(numbers[1::2], numbers[2::2], strict=True))), True
    else:
        problem = f"{counted(len(numbers), 'number')}, expected 5, 6 with a score, or a class and a polygon"
    return BoxRow(
        name,
        box,
        label=classes.names[int(class_number)] if is_known else cells[0],
        score=score,
        track_id=track_id,
        is_relative=True,
        attributes=attributes_of({"shape": "polygon" if is_polygon else ""}),
        place=place,
        problem=problem,
    )


def _found(cells: Sequence[str], numbers: Sequence[float]) -> tuple[float | None, str | None]:
    """Return the score and the track that a tracker or a detector writes after a box.

    A sixth number above 1 is not a score, and a seventh that is a whole number is not a share: both are tracks.
    """
    if len(numbers) == 6:
        return (None, cells[5]) if cells[5].isdecimal() and numbers[5] > 1 else (numbers[5], None)
    if len(numbers) == 7 and cells[6].isdecimal() and numbers[6] >= 1:
        return numbers[5], cells[6]
    return None, None


def _has_keypoints(count: int, declared: int) -> bool:
    """Return whether a line of so many numbers is a box and keypoints; an even number of them is not a polygon."""
    return count == 5 + declared if declared else count > 6 and count % 2 == 0 and (count - 5) % 3 == 0


def _image_path(path: str) -> str:
    """Return the path of the picture that a label file is about, without its ending.

    Examples:
        >>> _image_path("labels/train/1.txt")
        'images/train/1'
    """
    parts = posixpath.splitext(path)[0].split("/")
    return "/".join("images" if part == "labels" else part for part in parts)


def _classes(file: BoxFile) -> _Classes:
    folder = posixpath.dirname(file.path)
    places = [folder]
    while folder:
        folder = posixpath.dirname(folder)
        places.append(folder)
    for place in [*places, "..", "../.."]:
        for name in _NAME_FILES:
            content = file.beside(posixpath.join(place, name))
            if content is None:
                continue
            classes, list_file = _classes_in(content, name, file.uri)
            if not list_file:
                return classes
            listed = file.beside(posixpath.join(place, list_file))
            if listed is None:
                raise _unnamed(file.uri, name, f"there is no file {list_file} beside it")
            return replace(classes, names=_lines(listed))
    return _Classes()


@lru_cache(maxsize=64)
def _classes_in(content: bytes, name: str, where: str) -> tuple[_Classes, str]:
    """Return what a file says, and the file that it refers to for the names, "" where it has them itself."""
    if not name.endswith((".yaml", ".yml")):
        return _Classes(_lines(content)), ""
    import yaml

    try:
        read = yaml.safe_load(content.decode("utf-8-sig", "replace")) or {}
        found, shape = read.get("names") or (), read.get("kpt_shape") or ()
        keypoint_count = prod(map(int, shape)) if shape else 0
        if isinstance(found, str):
            return _Classes((), keypoint_count), found
        if isinstance(found, dict):
            found = [found.get(number, number) for number in range(max(map(int, found), default=-1) + 1)]
        return _Classes(tuple(str(one) for one in found), keypoint_count), ""
    except (yaml.YAMLError, AttributeError, TypeError, ValueError) as error:
        raise _unnamed(where, name, error) from error


def _lines(content: bytes) -> tuple[str, ...]:
    lines = content.decode("utf-8-sig", "replace").splitlines()
    return tuple(line.strip() for line in lines if line.strip())


def _unnamed(where: str, name: str, reason: object) -> SourceError:
    return SourceError(
        f"{where}: the class names in {name} cannot be read: {reason}. Expected a list of names, or a name by number."
    )


def is_yolo(path: str, head: bytes) -> bool:
    """Whether a text file holds lines of numbers, or nothing: an image without objects."""
    if posixpath.basename(path).lower() in _NOT_LABELS or posixpath.basename(path).lower().startswith("readme"):
        return False
    lines = [line.split() for line in head.decode("utf-8-sig", "replace").splitlines() if line.strip()]
    whole = lines[:-1] or lines  # the last may be cut
    return all(len(cells) >= 5 and all(number_of(cell) == number_of(cell) for cell in cells[:5]) for cells in whole)


PLUGIN = BoxFormat("yolo", (".txt",), is_yolo, read_yolo)
