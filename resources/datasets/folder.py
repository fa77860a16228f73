"""Dataset `folder`: a folder tree of image files."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from vlmine_dagster.settings.dataset import DatasetSettings, SourceCapabilities, SourcePlugin

if TYPE_CHECKING:
    from vlmine_dagster.resources.sources import FolderSource, Place


class FolderSettings(DatasetSettings):
    """A folder tree of image files."""

    kind: Literal["folder"]
    """A folder tree of image files."""
    shard_count: Annotated[int, Field(ge=1, le=5000)] = 8
    """Number of shards, fixed at `vlmine init`: another number changes every image id."""
    files: str | None = None
    """Text file with the relative paths that belong to the dataset, one per line; left out, all do."""

    fixed_at_init: ClassVar[tuple[str, ...]] = ("shard_count",)

    @property
    def capabilities(self) -> SourceCapabilities:
        """Every image is a file of its own, and shards have no folders in their names."""
        return SourceCapabilities(serves_files=True, has_flat_shards=True)

    @property
    def own_files(self) -> tuple[str, ...]:
        """Files that the settings name, which are not images."""
        return (*super().own_files, *([] if self.files is None else [self.files]))


def _open(place: "Place", settings: FolderSettings) -> "FolderSource":
    from vlmine_dagster.resources.sources import FolderSource, read_listed

    return FolderSource(
        place.tree,
        shard_count=settings.shard_count,
        max_bytes=settings.max_bytes,
        cache=place.fingerprints,
        listed=None if settings.files is None else read_listed(place.resolve(settings.files)),
    )


PLUGIN = SourcePlugin(FolderSettings, _open)
