"""Dataset `waymo`: the Waymo Open Dataset v2, whose Parquet files lie in a folder per component."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vlmine_dagster.resources.datasets.drives import DriveSettings, open_drives
from vlmine_dagster.settings.dataset import SourcePlugin

if TYPE_CHECKING:
    from vlmine_dagster.resources.drives.source import DriveSource
    from vlmine_dagster.resources.sources.place import Place


class WaymoSettings(DriveSettings):
    """The Waymo Open Dataset v2."""

    kind: Literal["waymo"]
    """The Waymo Open Dataset v2: a folder with camera_image, lidar_box and more; a segment is a shard."""


def _open(place: "Place", settings: WaymoSettings) -> "DriveSource":
    from vlmine_dagster.resources.drives.waymo import WaymoLayout

    return open_drives(place, settings, WaymoLayout)


def detect(root: str) -> Mapping[str, Any] | None:
    """Return no further settings where a folder, or one of its splits, holds components of the data set."""
    folder, parts = Path(root), ("camera_image", "projected_lidar_box")
    has_both = any(all(any(folder.glob(f"{above}{part}/*.parquet")) for part in parts) for above in ("", "*/"))
    return {} if has_both else None


PLUGIN = SourcePlugin(WaymoSettings, _open, detect=detect)
