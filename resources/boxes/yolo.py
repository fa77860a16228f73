"""YOLO: one text file per image, a line per object, in shares of the picture's sides."""

import posixpath
from collections.abc import Iterator, Sequence
from functools import lru_cache

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
    """Yield the image of a file, then its boxes: class, centre and sides in shares, and the score that detectors add.

    A line with seven or more numbers is a polygon; the smallest box around it counts. Names of classes are searched
    beside the file and in the folders above: classes.txt, obj.names, data.yaml.
    """
    name = _image_path(file.path)
    yield ImageEntry(name, name)
    with file.open() as stream:
        lines = stream.read().decode("utf-8-sig", "replace").splitlines()
    names = _class_names(file) if any(line.strip() for line in lines) else []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _box(line.split(), name, names, f"line {number}")


def _box(cells: Sequence[str], name: str, names: Sequence[str], place: str) -> BoxRow:
    numbers = [number_of(cell) for cell in cells]
    class_number = numbers[0]
    is_known = class_number.is_integer() and 0 <= class_number < len(names)
    box, problem, is_polygon = NOWHERE, None, False
    if len(numbers) in (5, 6):
        x, y, width, height = numbers[1:5]
        box = (x - width / 2, y - height / 2, width, height)
    elif len(numbers) >= 7 and len(numbers) % 2:
        box, is_polygon = around(list(zip(numbers[1::2], numbers[2::2], strict=True))), True
    else:
        problem = f"{len(numbers)} numbers, expected 5, 6 with a score, or a class and a polygon"
    return BoxRow(
        name,
        box,
        label=names[int(class_number)] if is_known else cells[0],
        score=numbers[5] if len(numbers) == 6 else None,
        is_relative=True,
        attributes=attributes_of({"shape": "polygon" if is_polygon else ""}),
        place=place,
        problem=problem,
    )


def _image_path(path: str) -> str:
    """Return the path of the picture that a label file is about, without its ending.

    Examples:
        >>> _image_path("labels/train/1.txt")
        'images/train/1'
    """
    parts = posixpath.splitext(path)[0].split("/")
    return "/".join("images" if part == "labels" else part for part in parts)


def _class_names(file: BoxFile) -> Sequence[str]:
    folder = posixpath.dirname(file.path)
    places = [folder]
    while folder:
        folder = posixpath.dirname(folder)
        places.append(folder)
    for place in [*places, "..", "../.."]:
        for name in _NAME_FILES:
            content = file.beside(posixpath.join(place, name))
            if content is not None:
                return _names_in(content, name, file.uri)
    return ()


@lru_cache(maxsize=64)
def _names_in(content: bytes, name: str, where: str) -> tuple[str, ...]:
    text = content.decode("utf-8-sig", "replace")
    if not name.endswith((".yaml", ".yml")):
        return tuple(line.strip() for line in text.splitlines() if line.strip())
    import yaml

    try:
        found = (yaml.safe_load(text) or {}).get("names") or ()
    except (yaml.YAMLError, AttributeError) as error:
        raise SourceError(f"{where}: the class names in {name} cannot be read: {error}. Correct that file.") from error
    if isinstance(found, dict):
        return tuple(str(found.get(number, number)) for number in range(max(map(int, found), default=-1) + 1))
    return tuple(str(one) for one in found)


def is_yolo(path: str, head: bytes) -> bool:
    """Whether a text file holds lines of numbers, or nothing: an image without objects."""
    if posixpath.basename(path).lower() in _NOT_LABELS or posixpath.basename(path).lower().startswith("readme"):
        return False
    lines = [line.split() for line in head.decode("utf-8-sig", "replace").splitlines() if line.strip()]
    whole = lines[:-1] or lines  # the last may be cut
    return all(len(cells) >= 5 and all(number_of(cell) == number_of(cell) for cell in cells[:5]) for cells in whole)


PLUGIN = BoxFormat("yolo", (".txt",), is_yolo, read_yolo)
