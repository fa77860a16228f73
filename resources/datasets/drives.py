"""What all data sets of driving have in common: their settings, and how they are opened."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from vlmine_dagster.settings.base import PublicLocation
from vlmine_dagster.settings.dataset import DatasetSettings, SourceCapabilities

if TYPE_CHECKING:
    from vlmine_dagster.resources.drives.contract import DriveLayout
    from vlmine_dagster.resources.drives.source import DriveSource
    from vlmine_dagster.resources.sources.place import Place
    from vlmine_dagster.resources.sources.tree import FileTree


class DriveSettings(DatasetSettings):
    """Recordings of vehicles."""

    kinds: PublicLocation | None = None
    """Parquet or CSV file with the columns track_id and kind: finer classes assigned to tracks."""

    @property
    def capabilities(self) -> SourceCapabilities:
        """A segment is a sequence, and its objects are known."""
        return SourceCapabilities(has_flat_shards=True, knows_sequences=True, knows_objects=True)

    @property
    def own_files(self) -> tuple[str, ...]:
        """The files of labels and of kinds."""
        return (*super().own_files, *(() if self.kinds is None else (self.kinds,)))


def open_drives(
    place: "Place", settings: DriveSettings, layout: "Callable[[FileTree, Mapping[str, str]], DriveLayout]"
) -> "DriveSource":
    """Open recordings in a layout."""
    from vlmine_dagster.resources.drives.kinds import read_kinds
    from vlmine_dagster.resources.drives.source import DriveSource

    kinds: Any = {} if settings.kinds is None else read_kinds(place.resolve(settings.kinds))
    return DriveSource(
        layout(place.tree, kinds), place.tree, max_bytes=settings.max_bytes, cache=place.fingerprints, kinds=kinds
    )
