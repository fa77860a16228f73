"""The generated world of the study `driving`, as docs/studies.md has it, with the project that mines it.

    python -m benchmarks.study_world world
    cd world && vlmine run && vlmine study driving

48 drives of five sweeps, a second apart, in Waymo's layout, and the kinds of their tracks beside it.
"""

from pathlib import Path

import click
import yaml

from vlmine_dagster.resources.driving.waymo_files import write_kinds, write_waymo
from vlmine_dagster.resources.driving.world import WorldSize, drives

SIZE = WorldSize(segments=48, frames=5, frame_gap_s=1.0, columns=480)
SEED = 24


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--segments", default=SIZE.segments, show_default=True)
def main(folder: Path, segments: int) -> None:
    """Write the world and its vlmine.yaml to a new folder."""
    make_study_world(folder, WorldSize(segments, SIZE.frames, SIZE.frame_gap_s, columns=SIZE.columns))
    click.echo(f"cd {folder} && vlmine run && vlmine study driving")


def make_study_world(folder: Path, size: WorldSize) -> None:
    """Write a world and its project."""
    folder.mkdir(parents=True)
    world = list(drives(size, random_seed=SEED))
    write_waymo(folder / "waymo", world, random_seed=SEED)
    write_kinds(folder / "kinds.parquet", world)
    content = {
        "name": "roads",
        "dataset": {"kind": "waymo", "root": "waymo", "kinds": "kinds.parquet"},
        "unit": "object",
        "objects": {"from_dataset": True},
        "count_by": "track",
        "retraining": {"epochs": 20},
        "experiments": {"novelty_min": {"signals": ["novelty_min"]}},
    }
    (folder / "vlmine.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


if __name__ == "__main__":
    main()
