"""Dataset `kitti`: KITTI's data for object detection."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vlmine_dagster.resources.datasets.drives import DriveSettings, open_drives
from vlmine_dagster.settings.dataset import SourceCapabilities, SourcePlugin

if TYPE_CHECKING:
    from vlmine_dagster.resources.drives.source import DriveSource
    from vlmine_dagster.resources.sources.place import Place


class KittiSettings(DriveSettings):
    """KITTI's data for object detection."""

    kind: Literal["kitti"]
    """KITTI's data for object detection: training/ with image_2, label_2, calib, velodyne; 500 pictures are a shard."""

    @property
    def capabilities(self) -> SourceCapabilities:
        """Its pictures are of no sequence."""
        return SourceCapabilities(has_flat_shards=True, knows_objects=True)


def _open(place: "Place", settings: KittiSettings) -> "DriveSource":
    from vlmine_dagster.resources.drives.kitti import KittiLayout

    return open_drives(place, settings, KittiLayout)


def detect(root: str) -> Mapping[str, Any] | None:
    """Return no further settings where pictures and labels lie in folders of KITTI's names."""
    folder = Path(root)
    found = any(all((folder / above / part).is_dir() for part in ("image_2", "label_2")) for above in ("", "training"))
    return {} if found else None


PLUGIN = SourcePlugin(KittiSettings, _open, detect=detect)
