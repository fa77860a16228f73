"""Dataset `nuscenes`: nuScenes v1.0, whose JSON tables lie beside the folder `samples`."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vlmine_dagster.resources.datasets.drives import DriveSettings, open_drives
from vlmine_dagster.settings.dataset import SourcePlugin

if TYPE_CHECKING:
    from vlmine_dagster.resources.drives.source import DriveSource
    from vlmine_dagster.resources.sources.place import Place


class NuscenesSettings(DriveSettings):
    """nuScenes v1.0."""

    kind: Literal["nuscenes"]
    """nuScenes v1.0: a folder with samples and tables; a scene is a shard, its key frames are images."""
    version: str | None = None
    """Folder of the tables, such as v1.0-trainval, if there are several."""


def _open(place: "Place", settings: NuscenesSettings) -> "DriveSource":
    from vlmine_dagster.resources.drives.nuscenes import NuscenesLayout

    return open_drives(place, settings, partial(NuscenesLayout, version=settings.version))


def detect(root: str) -> Mapping[str, Any] | None:
    """Return the version where a folder holds one or several, the first; None where it holds none."""
    found = sorted(file.parent.name for file in Path(root).glob("v1.0*/sample_data.json"))
    return {"version": found[0]} if found else None


PLUGIN = SourcePlugin(NuscenesSettings, _open, detect=detect)
