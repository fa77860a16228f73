"""What is below the root of a data set and is not used, in one line for people."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.resources.sources.attributes import BESIDE
from vlmine_dagster.resources.sources.choice import ending_of
from vlmine_dagster.resources.sources.contract import ImageSource, ListsIgnored

_MOST_KINDS = 10
_JSON = ending_of("a.json")


def ignored_line(source: ImageSource, *, has_attributes: bool = False, used: Collection[str] = ()) -> str | None:
    """Return what a source does not use, or None where there is nothing or it does not tell.

    Args:
        source: The source.
        has_attributes: Whether the JSON files beside images are read.
        used: Files below the root that are used otherwise, by their paths.
    """
    if not isinstance(source, ListsIgnored):
        return None
    counts = Counter(source.ignored())
    for ending, count in Counter(map(ending_of, used)).items():
        beside = min(counts[BESIDE], count) if ending == _JSON else 0
        counts.subtract({BESIDE: beside, ending: count - beside})
    return describe_ignored(
        {kind: n for kind, n in counts.items() if n > 0 and not (has_attributes and kind == BESIDE)}
    )


def below(root: str, paths: Iterable[str]) -> list[str]:
    """Return the paths or URLs that lie below a root.

    Examples:
        >>> below("/data/", ["/data/a.json", "/data2/b.json"])
        ['/data/a.json']
    """
    return [path for path in paths if path.startswith(f"{root.rstrip('/')}/")]


def describe_ignored(counts: Mapping[str, int]) -> str | None:
    """Return counts by kind, as `FileTree.unused` gives them, in one line.

    Examples:
        >>> describe_ignored({".zip": 2, "": 1, "hidden": 3, "__MACOSX/": 1})
        'ignored: 2 .zip, 1 without an ending, 3 hidden files, and what is in __MACOSX'
    """
    if not counts:
        return None
    kinds = [_kind(name, count) for name, count in counts.items() if not name.endswith("/")]
    if len(kinds) > _MOST_KINDS:
        kinds = [*kinds[: _MOST_KINDS - 1], f"{len(kinds) - _MOST_KINDS + 1} further kinds of files"]
    folders = [name.rstrip("/") for name in counts if name.endswith("/")]
    if folders:
        more = ", ..." if len(folders) > _MOST_KINDS else ""
        kinds.append(f"{'and ' if kinds else ''}what is in {', '.join(folders[:_MOST_KINDS])}{more}")
    return f"ignored: {', '.join(kinds)}"


def _kind(name: str, count: int) -> str:
    if name == "hidden":
        return counted(count, "hidden file")
    return f"{count:,} {name or 'without an ending'}"
