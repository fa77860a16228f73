"""A small generated world in Waymo's layout, for tests of driving data."""

from pathlib import Path

from vlmine_dagster.resources.datasets import waymo
from vlmine_dagster.resources.drives.source import DriveSource
from vlmine_dagster.resources.driving.waymo_files import write_waymo
from vlmine_dagster.resources.driving.world import Drive, WorldSize, drives
from vlmine_dagster.resources.sources.fingerprints import FingerprintCache
from vlmine_dagster.resources.sources.place import Place

SIZE = WorldSize(segments=2, frames=3, frame_gap_s=0.5, picture_width=160, beams=12, columns=180)


def world() -> list[Drive]:
    """Two short drives."""
    return list(drives(SIZE, random_seed=1))


def write_world(folder: Path) -> Path:
    """Write them as Waymo would."""
    write_waymo(folder, world(), random_seed=0)
    return folder


def open_waymo(folder: Path, **settings) -> DriveSource:
    """Open a folder in Waymo's layout."""
    chosen = waymo.WaymoSettings(kind="waymo", root=str(folder), **settings)
    return waymo.PLUGIN.make(Place(chosen, FingerprintCache()), chosen)
