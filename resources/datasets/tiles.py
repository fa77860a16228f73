"""Dataset `tiles`: a folder tree of scans, such as whole slides or GeoTIFFs, cut into tiles."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from vlmine_dagster.settings.dataset import DatasetSettings, SourceCapabilities, SourcePlugin

if TYPE_CHECKING:
    from vlmine_dagster.resources.sources.place import Place
    from vlmine_dagster.resources.sources.tiles import TileSource


class TilesSettings(DatasetSettings):
    """A folder tree of large TIFF files."""

    kind: Literal["tiles"]
    """A folder tree of large TIFF files (tif, tiff, svs, ndpi, scn, btf), such as whole slides or GeoTIFFs, cut into
    tiles that are read as they are needed."""
    side: Annotated[int, Field(ge=16, le=8192)] = 512
    """Pixels per side of a tile; tiles at the right and lower edge are smaller, and left out if smaller than half."""
    level: Annotated[int, Field(ge=0, le=32)] = 0
    """Which level of a pyramid is cut: 0 is the finest; a file with fewer levels gives its coarsest."""
    skip_blank: bool = False
    """Leave out tiles of one colour, such as the glass of a slide or pixels without data: 99% of the values of a band
    lie within 3% of white, or of the tile's largest value where there are more than 8 bits."""
    max_bytes: Annotated[int, Field(ge=1)] = 200_000_000_000
    """Larger files are refused as corrupt without being opened."""
    shard_count: Annotated[int, Field(ge=1, le=5000)] = 8
    """Number of shards, fixed at `vlmine init`: another number changes every id. A file lies in one shard."""

    fixed_at_init: ClassVar[tuple[str, ...]] = ("shard_count", "side", "level")

    @property
    def capabilities(self) -> SourceCapabilities:
        """A file's tiles are in one shard."""
        return SourceCapabilities(has_flat_shards=True)


def _open(place: "Place", settings: TilesSettings) -> "TileSource":
    from vlmine_dagster.resources.sources.tiles import TileSource

    return TileSource(place.tree, settings, cache=place.fingerprints)


def detect(root: str) -> Mapping[str, Any] | None:
    """Return settings where a folder holds slides, or TIFFs too large for a picture."""
    from vlmine_dagster.resources.sources.tiles import found_in
    from vlmine_dagster.resources.sources.tree import FileTree

    return found_in(FileTree(root)) if Path(root).is_dir() else None


PLUGIN = SourcePlugin(TilesSettings, _open, detect=detect)
