"""Names of classes as people and tools write them: gaps that look like names, and two names that look like one."""

from collections.abc import Collection, Iterable

from vlmine_dagster.resources.label_files.contract import composed

GAPS = frozenset(
    ("", "nan", "NaN", "NAN", "-nan", "-NaN", "n/a", "N/A", "#N/A", "NA", "<NA>", "null", "NULL", "None", "#NAME?")
)
"""What pandas, R, spreadsheets and people write where a class is missing; a class of that name must be announced."""


def is_gap(label: str, class_names: Collection[str] = ()) -> bool:
    """Return whether a label says that there is none.

    Args:
        label: Text of a class column, without white space around it.
        class_names: Names of classes that exist: a class called `NA` in the classes file is one.

    Examples:
        >>> is_gap("nan"), is_gap("N/A"), is_gap("none"), is_gap("NA", {"NA", "SA"})
        (True, True, False, False)
    """
    return label in GAPS and label not in class_names


def lookalikes(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Return groups of class names that differ in nothing but case, white space, or a decimal point.

    Examples:
        >>> lookalikes(["cat", "Cat", "dog", "3", "3.0"])
        [('Cat', 'cat'), ('3', '3.0')]
    """
    groups: dict[str, set[str]] = {}
    for name in names:
        groups.setdefault(plain_class(name), set()).add(name)
    return [tuple(sorted(group)) for group in groups.values() if len(group) > 1]


def plain_class(name: str) -> str:
    """Return a class name without case, with single spaces, and without the `.0` of a whole number.

    Examples:
        >>> plain_class(" Big  Cat"), plain_class("3.0"), plain_class("v3.0")
        ('big cat', '3', 'v3.0')
    """
    plain = " ".join(composed(name).casefold().split())
    whole, point, rest = plain.partition(".")
    return whole if point and whole.isdecimal() and rest.strip("0") == "" else plain
