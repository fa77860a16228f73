"""Mined lists as files for other programs. Each format is a module here, registered in pyproject.toml."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.domain.plugins import Registry

Row = Mapping[str, Any]

UNLABELLED = "unlabelled"
"""The category of boxes that nobody has labelled yet; read back, it is not a class."""

_ROWS_AT_ONCE = 64  # pictures in memory


@dataclass(frozen=True)
class ItemFacts:
    """What a labelling tool wants to know of an item beside its row.

    Attributes:
        width: Width of its image in pixels, upright; None where the image could not be read.
        height: Height.
        prediction: The class that the task model gives it; None without a task model.
    """

    width: int | None = None
    height: int | None = None
    prediction: str | None = None


@dataclass(frozen=True)
class Encoded:
    """A picture as a file holds it.

    Attributes:
        item_id: The id of its image or object.
        name: The id, with an ending that fits its bytes.
        data: The bytes.
    """

    item_id: str
    name: str
    data: bytes


@dataclass(frozen=True)
class MinedList:
    """A mined list, as an exporter gets it.

    Attributes:
        columns: Type name (int64, string, float64) by column: rank, image_id, shard, path, reason, then the signals.
        rows: The rows, best first. `path` is where the bytes lie: a copy, a file, a URL, or `archive#member`.
        pictures: Folder on this machine below which all pictures are files; None where they are not.
        are_pictures_files: Whether every `path` can be opened as it is, on this machine or by its URL.
        are_crops: Whether the picture of an object is its crop, and not the whole image.
        class_names: Classes of the project; none before its first labels.
        facts_of: Returns what else is known of items, by id.
        encoded_of: Returns the pictures of items by the id of the picture (`picture_id`).
        twins: Returns the ids, without their ending, that several images of the dataset have.
    """

    columns: Mapping[str, str]
    rows: Iterator[Row]
    pictures: Path | None
    are_pictures_files: bool
    are_crops: bool = False
    class_names: Sequence[str] = ()
    facts_of: Callable[[Sequence[str]], Mapping[str, ItemFacts]] = lambda _names: {}
    encoded_of: Callable[[Sequence[str]], Mapping[str, Encoded]] = lambda _names: {}
    twins: Callable[[], frozenset[str]] = frozenset

    def picture_id(self, row: Row) -> str:
        """Return the id of a row's picture: an object's crop, or an image."""
        return item_id(row) if self.are_crops else str(row["image_id"])

    def with_facts(self) -> Iterator[tuple[Row, ItemFacts]]:
        """Yield each row with what else is known of its item."""
        for part in self._parts():
            facts = self.facts_of([item_id(row) for row in part])
            yield from ((row, facts.get(item_id(row), ItemFacts())) for row in part)

    def with_pictures(self) -> Iterator[tuple[Row, ItemFacts, Encoded]]:
        """Yield each row with its facts and its picture; a few pictures are in memory at once.

        Raises:
            MissingInputError: a picture is gone from the dataset.
        """
        for part in self._parts():
            facts = self.facts_of([item_id(row) for row in part])
            encoded = self.encoded_of(list(dict.fromkeys(self.picture_id(row) for row in part)))
            for row in part:
                yield row, facts.get(item_id(row), ItemFacts()), encoded[self.picture_id(row)]

    def has_boxes(self, row: Row) -> bool:
        """Return whether a row is about a box in its picture."""
        return not self.are_crops and row.get("object_id") is not None

    def file_name(self, row: Row) -> str:
        """Return the name of a row's picture below the folder of pictures, or its id where it was not copied."""
        path, name = Path(str(row["path"])), self.picture_id(row)
        is_copy = self.pictures is not None and path.is_relative_to(self.pictures)
        return path.relative_to(self.pictures).as_posix() if is_copy and self.pictures is not None else name

    def _parts(self) -> Iterator[list[Row]]:
        rows = iter(self.rows)
        while part := list(itertools.islice(rows, _ROWS_AT_ONCE)):
            yield part


def item_id(row: Row) -> str:
    """Return the id of what was mined: an object, or an image."""
    return str(row.get("object_id") or row["image_id"])


def tags_of(row: Row) -> dict[str, Any]:
    """Return what tools keep beside a picture: ids, rank, reason and signals, without gaps."""
    places = ("path", "x", "y", "width", "height")
    return {name: value for name, value in row.items() if name not in places and value is not None}


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        row_count: Images in the file.
        served: Folder that the labelling tool must serve to find the pictures; None where there is none.
    """

    row_count: int
    served: Path | None = None


@runtime_checkable
class Exporter(Protocol):
    """A format, for the entry-point group `vlmine.exporters`."""

    name: str
    """What `--format` calls it, and its entry point."""
    endings: Sequence[str]
    """Endings of files that are in this format, such as .csv; none where it must be asked for by name."""

    def write(self, mined: MinedList, file: Path) -> Exported:
        """Write the list to a file; the file takes its place at the end, if all went well.

        Raises:
            ConfigError: the list cannot be written in this format.
        """


EXPORTERS: Registry[Exporter] = Registry("vlmine.exporters", Exporter, noun="format", dash="-")  # type: ignore[type-abstract]


def exporter_for(file: Path, name: str | None = None) -> Exporter:
    """Return the exporter of a name, else the one whose files end as this one does.

    Raises:
        ConfigError: there is none, or it is broken.
    """
    if name is not None:
        return EXPORTERS.get(name)
    by_ending = {ending: one for one in EXPORTERS.all().values() for ending in one.endings}
    if file.suffix.lower() not in by_ending:
        raise ConfigError(
            f"{file}: its ending does not name a format. End it in {', '.join(by_ending)}, or pass --format."
        )
    return by_ending[file.suffix.lower()]
