"""Mined lists as files for other programs. Each format is a module here, registered in pyproject.toml."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.domain.plugins import Registry

Row = Mapping[str, Any]


@dataclass(frozen=True)
class MinedList:
    """A mined list, as an exporter gets it.

    Attributes:
        columns: Type name (int64, string, float64) by column: rank, image_id, shard, path, reason, then the signals.
        rows: The rows, best first. `path` is where the bytes lie: a copy, a file, a URL, or `archive#member`.
        pictures: Folder on this machine below which all pictures are files; None where they are not.
        are_pictures_files: Whether every `path` can be opened as it is, on this machine or by its URL.
    """

    columns: Mapping[str, str]
    rows: Iterator[Row]
    pictures: Path | None
    are_pictures_files: bool


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
        raise ConfigError(f"{file}: the ending says no format. End it in {', '.join(by_ending)}, or pass --format.")
    return by_ending[file.suffix.lower()]
