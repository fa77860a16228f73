"""The label file and the classes file of a project, read and checked row by row."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from upath import UPath

from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.domain.tables import Split
from vlmine_dagster.resources.label_files import Columns, LabelRow, read_label_file
from vlmine_dagster.resources.label_files.contract import CLASS_NAMES, KEY_NAMES, SPLIT_NAMES, composed
from vlmine_dagster.resources.label_files.tables import decoded, read_table
from vlmine_dagster.resources.label_names import is_gap
from vlmine_dagster.settings import LabelSettings

_LABEL_COLUMNS = {
    "key": ("key", *KEY_NAMES),
    "split": SPLIT_NAMES,
    "class_id": ("class_id", *CLASS_NAMES),
}
_CLASS_COLUMNS = {"class_id": ("class_id", "id", "label_id"), "name": ("name", "class_name", "label", "class")}

_SPLITS = {split.value: split for split in Split}
_SHOWN = 5  # problems listed in a message


@dataclass(frozen=True)
class Label:
    """What the label file says of an image.

    Attributes:
        split: Its split.
        class_name: Its class, None where the file names none.
    """

    split: Split
    class_name: str | None


def read_label_rows(content: bytes, settings: LabelSettings, *, where: str) -> list[LabelRow]:
    """Return the rows of a label file, with the splits and keys that the settings make of them.

    Raises:
        SourceError: the file is of no format that is read, cannot be read, or lacks a column.
    """
    columns = Columns(
        wanted=_LABEL_COLUMNS,
        needed=("key", "class_id") if settings.default_split else ("key", "split", "class_id"),
        given={str(role): name for role, name in settings.columns.items()},
        complaint=_missing_columns,
    )
    rows = read_label_file(content, where=where, columns=columns, encoding=settings.encoding)
    words = {**_SPLITS, **settings.splits}
    return [
        row._replace(
            key=settings.key_format.replace("{}", row.key) if row.key else "",
            split=str(words.get(row.split, row.split)) or _split_of_none(row, settings),
        )
        for row in rows
    ]


def _split_of_none(row: LabelRow, settings: LabelSettings) -> str:
    """Return the split of a row that names none: one without a class can only be of the pool."""
    if settings.default_split is None:
        return ""
    return Split.POOL if is_gap(row.label) else settings.default_split


def _missing_columns(missing: Sequence[str], names: Sequence[str]) -> str:
    is_split_missing = "split" in missing
    advice = " Where columns have other names, set dataset.labels.columns in vlmine.yaml, such as {key: id}."
    if is_split_missing:
        advice += " Where there are no splits, set default_split (seed: all rows with a class are the labelled set)."
    return (
        f"no column {' and '.join(missing)}. Its first line contains {', '.join(names) or 'nothing'}; "
        f"expected {', '.join(_LABEL_COLUMNS)}.{advice}"
    )


def _missing_class_columns(missing: Sequence[str], names: Sequence[str]) -> str:
    return (
        f"no column {' and '.join(missing)}. Its first line contains {', '.join(names) or 'nothing'}; "
        f"expected {', '.join(_CLASS_COLUMNS)}."
    )


def read_file(where: str, *, setting: str) -> bytes:
    """Return the content of a label file.

    Args:
        where: Absolute path or URL.
        setting: What a message tells the user to correct.

    Raises:
        SourceError: it is missing or cannot be read.
    """
    try:
        return UPath(where).read_bytes()
    except FileNotFoundError as error:
        raise SourceError(f"no file {where}. Correct {setting} in vlmine.yaml.") from error
    except Exception as error:  # each store has its own exceptions
        raise SourceError(
            f"{where} cannot be read: {error}. Check {setting} in vlmine.yaml and your rights."
        ) from error


def read_classes(content: bytes, *, where: str, encoding: str | None = None) -> dict[str, str]:
    """Return the name of each class by its class_id; names that several classes share carry the id.

    Raises:
        SourceError: the file is not a table, lacks a column, or a row of it is incomplete or a repetition.
    """
    names: dict[str, str] = {}
    columns = Columns(wanted=_CLASS_COLUMNS, needed=tuple(_CLASS_COLUMNS), complaint=_missing_class_columns)
    for line, row in read_table(decoded(content, where=where, encoding=encoding), columns, where=where):
        class_id, name = row["class_id"], row["name"]
        if not class_id or not name:
            raise SourceError(f"{where}, line {line}: class_id or name is empty. Fill it in.")
        if class_id in names:
            raise SourceError(f"{where}, line {line}: class_id {class_id!r} appears twice. Remove one of the two.")
        names[class_id] = name
    uses = Counter(names.values())
    return {class_id: name if uses[name] == 1 else f"{name} ({class_id})" for class_id, name in names.items()}


def labels_of_rows(
    rows: Sequence[LabelRow], names: Mapping[str, str] | None, *, where: str, are_classes_elsewhere: bool = False
) -> dict[str, Label]:
    """Return what rows say, by their keys (composed, NFC).

    Args:
        rows: The rows of a label file.
        names: Class name by class_id, None without a classes file.
        where: The file, for messages.
        are_classes_elsewhere: Whether a row of seed or test may lack a class, since box files have those of objects.

    Raises:
        SourceError: a key repeats or is empty, or a split or class is unknown; the message names the rows.
    """
    found: dict[str, Label] = {}
    first: dict[str, str] = {}
    shared: dict[tuple[str, str], Label] = {}  # a million rows have a few hundred different labels
    problems: list[str] = []
    for row in rows:
        label = shared.get((row.split, row.label))
        if label is None:
            class_name = class_of(row.label, names)
            problem = _label_problem(row, class_name, names, needs_class=not are_classes_elsewhere)
            if problem:
                problems.append(f"{row.place}: {problem}")
                continue
            label = shared.setdefault((row.split, row.label), Label(_SPLITS[row.split], class_name))
        key = composed(row.key)
        if key in found or not key:
            there = f"key {row.key!r} appears in {first.get(key)} already"
            problems.append(f"{row.place}: {there if key else 'an empty key'}")
            continue
        found[key] = label
        first[key] = row.place
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise SourceError(f"{where}: {'; '.join(problems[:_SHOWN])}{more}. Fix these lines.")
    return found


def class_of(label: str, names: Mapping[str, str] | None) -> str | None:
    """Return the class that a label means; None where it says that there is none.

    Args:
        label: A class_id or a class's name.
        names: Name by class_id, of the classes file. Spreadsheets write the id 3 as 3.0 where a column has gaps.

    Returns:
        The class's name; the label itself where it is that of no class.
    """
    if is_gap(label, () if names is None else {*names, *names.values()}):
        return None
    if names is None:
        return label
    whole, _, rest = label.partition(".")
    return names.get(label) or (names.get(whole) if rest.strip("0") == "" else None) or label


def _label_problem(
    row: LabelRow, class_name: str | None, names: Mapping[str, str] | None, *, needs_class: bool
) -> str | None:
    if row.split not in _SPLITS:
        hint = " (training rows are the seed)" if row.split.lower().startswith("train") else ""
        return f"unknown split {row.split!r}, expected {', '.join(_SPLITS)}{hint}"
    if class_name is None and row.split != Split.POOL and needs_class:
        label_text = f", but {row.label!r}" if row.label else ""
        return f"a {row.split} row without a class_id{label_text}"
    if class_name is not None and names is not None and class_name not in names.values():
        return f"class_id {row.label!r} is not in the classes file"
    return None
