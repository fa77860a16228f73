"""The sample drives of `vlmine demo --driving`: the generated world in Waymo's layout."""

from pathlib import Path

from vlmine_dagster.resources.driving.waymo_files import write_kinds, write_waymo
from vlmine_dagster.resources.driving.world import WorldSize, drives
from vlmine_dagster.resources.sample_pool import made_once

SIZE = WorldSize(segments=12, frames=8, frame_gap_s=1.0)
_RECIPE = "drives 1"
_RANDOM_SEED = 20261129


def make_sample_drives(folder: Path) -> Path:
    """Make the sample drives, the same each time; return at once where they are already.

    - `waymo/`: 12 segments of eight frames, a second apart, with five cameras and a LiDAR each.
    - `kinds.parquet`: the kind of every track, which the layout itself does not have.

    Args:
        folder: Where to put it; it appears whole or not at all.

    Raises:
        ConfigError: the folder holds something else.
    """
    return made_once(folder, _RECIPE, _write)


def _write(folder: Path) -> None:
    world = list(drives(SIZE, random_seed=_RANDOM_SEED))
    write_waymo(folder / "waymo", world, random_seed=_RANDOM_SEED)
    write_kinds(folder / "kinds.parquet", world)
