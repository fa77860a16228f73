"""What every reader of label files yields, and which columns it looks for."""

import math
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

KEY_NAMES = (
    "image_id",
    "key",
    "file_name",
    "filename",
    "file",
    "filepath",
    "file_path",
    "image_name",
    "image_path",
    "path",
    "image",
)
CLASS_NAMES = (
    "label",
    "class",
    "class_name",
    "class_id",
    "category",
    "category_name",
    "choice",
    "choices",
    "classes",
    "labels",
)
SPLIT_NAMES = ("split", "subset")
"""Names under which spreadsheets and tools write the columns, the most telling first; any case, `_`, `-` or space."""


class LabelRow(NamedTuple):
    """One row, task or image of a label file, as text.

    Attributes:
        place: Where it is, such as `line 4`.
        key: The image; empty where the row names none.
        split: Its split; empty where the file has none.
        label: Its class; empty where it has none.
        shape: What it holds in place of a class, such as `rectanglelabels`; empty where nothing.
    """

    place: str
    key: str
    split: str
    label: str
    shape: str = ""


@dataclass(frozen=True)
class Columns:
    """The columns that a use of label files needs.

    Attributes:
        wanted: Names to look for by role (`key`, `split`, `class_id`, ...), the most telling first.
        needed: Roles without which a file is refused.
        given: Column name by role that the user has set; it goes before `wanted`.
        complaint: Makes the message from the missing roles and the names that are there.
    """

    wanted: Mapping[str, Sequence[str]]
    needed: tuple[str, ...]
    complaint: Callable[[Sequence[str], Sequence[str]], str]
    given: Mapping[str, str] = field(default_factory=dict)

    def places(self, names: Sequence[str]) -> dict[str, int]:
        """Return the place of each role's column; roles that have none are left out."""
        plain = [plain_name(name) for name in names]
        found = {}
        for role, known in self.wanted.items():
            wanted = [plain_name(self.given[role])] if role in self.given else known
            place = next((plain.index(name) for name in wanted if name in plain), None)
            if place is not None:
                found[role] = place
        return found

    def missing(self, places: Mapping[str, int]) -> list[str]:
        """Return the needed columns that have no place, by the name that the user would look for."""
        return [self.given.get(role, role) for role in self.needed if role not in places]


def plain_cell(cell: str) -> str:
    """Return the text of a cell without white space around it; `="007"` is how a spreadsheet keeps its zeros.

    Examples:
        >>> plain_cell(' ="007" '), plain_cell("=7")
        ('007', '=7')
    """
    text = cell.strip()
    return text[2:-1] if len(text) > 2 and text.startswith('="') and text.endswith('"') else text


def plain_name(name: str) -> str:
    """Return a column's name without case, and with one way to write a gap.

    Examples:
        >>> plain_name(" Image-ID "), plain_name("File Name")
        ('image_id', 'file_name')
    """
    return "_".join(name.casefold().replace("-", " ").replace("_", " ").split())


def composed(text: str) -> str:
    """Return text in Unicode's composed form (NFC): a Mac writes é as two characters, others as one."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def text_of(value: Any) -> str:
    """Return a cell as text: gaps as nothing, whole numbers without a point.

    Examples:
        >>> text_of(3.0), text_of(float("nan")), text_of(None), text_of(" cat ")
        ('3', '', '', 'cat')
    """
    if value is None:
        return ""
    if isinstance(value, float):
        return "" if math.isnan(value) else str(int(value)) if value.is_integer() else str(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace").strip()
    return str(value).strip()


def rows_of_record(place: str, key: str, split: str, value: Any) -> Iterator[LabelRow]:
    """Return the rows of one record, whose class may be text, a number, or what Label Studio writes for several."""
    return rows_of_classes(place, key, split, *classes_of(value))


def rows_of_classes(place: str, key: str, split: str, classes: Sequence[str], shape: str) -> Iterator[LabelRow]:
    """Yield one row per class of a record, and one without a class where it has none."""
    if not classes:
        yield LabelRow(place, key, split, "", shape)
    for name in classes:
        yield LabelRow(place, key, split, name)


def classes_of(value: Any) -> tuple[list[str], str]:
    """Return the classes in a value of Label Studio's flat exports; without any, the kind of shape that it holds.

    Examples:
        >>> classes_of("cat"), classes_of({"choices": ["cat", "dog"]})
        ((['cat'], ''), (['cat', 'dog'], ''))
        >>> classes_of([{"x": 1, "rectanglelabels": ["cat"]}])
        ([], 'rectanglelabels')
    """
    if isinstance(value, Mapping):
        if "choices" in value:
            return classes_of(value["choices"])
        if len(value) == 1 and isinstance(only := next(iter(value.values())), str):  # VIA: one attribute of the file
            return classes_of(only)
        return [], next((name for name in value if name.endswith("labels")), "unknown results")
    if isinstance(value, list):
        found = [classes_of(one) for one in value]
        return [name for names, _ in found for name in names], next((shape for _, shape in found if shape), "")
    text = text_of(value)
    return ([text] if text else []), ""
