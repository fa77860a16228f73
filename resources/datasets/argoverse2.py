"""Dataset `argoverse2`: the sensor data set of Argoverse 2, a folder per log."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vlmine_dagster.resources.datasets.drives import DriveSettings, open_drives
from vlmine_dagster.settings.dataset import SourcePlugin

if TYPE_CHECKING:
    from vlmine_dagster.resources.drives.source import DriveSource
    from vlmine_dagster.resources.sources.place import Place


class ArgoverseSettings(DriveSettings):
    """The sensor data set of Argoverse 2."""

    kind: Literal["argoverse2"]
    """The sensor data set of Argoverse 2: a folder of logs; a log is a shard, pictures at sweeps' times are images."""


def _open(place: "Place", settings: ArgoverseSettings) -> "DriveSource":
    from vlmine_dagster.resources.drives.argoverse2 import ArgoverseLayout

    return open_drives(place, settings, ArgoverseLayout)


def detect(root: str) -> Mapping[str, Any] | None:
    """Return no further settings where a folder holds logs, or splits of logs."""
    folder = Path(root)
    found = any(any(folder.glob(f"{depth}city_SE3_egovehicle.feather")) for depth in ("*/", "*/*/"))
    return {} if found else None


PLUGIN = SourcePlugin(ArgoverseSettings, _open, detect=detect)
