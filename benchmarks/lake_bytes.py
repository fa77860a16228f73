"""Bytes per image in the lake, by table.

    python -m benchmarks.lake_bytes --images 100000
    python -m benchmarks.lake_bytes --project vlmine.yaml

Of a project that was run; or of a synthetic lake, made and scored as `benchmarks.engine` does: its paths and sentences
are made up, and shorter than real ones.
"""

import tempfile
from pathlib import Path
from typing import Any

import click

from benchmarks.engine import EXPERIMENTS, POOL_STAGE, SHARD_STAGE, lake_size, run_stage
from benchmarks.measuring import machine, print_table
from benchmarks.synthetic_lake import make_lake
from vlmine_dagster.domain.tables import TABLES
from vlmine_dagster.resources.workbench import Workbench


def bytes_of(bench: Workbench) -> list[list[Any]]:
    """Return a row per published table: rows, bytes in all, bytes per image of the pool. Experiments are a mean."""
    images = sum(
        bench.lake.read("images", shard, columns=["image_id"]).num_rows for shard in bench.lake.partitions("images")
    )
    rows = []
    for name, table in TABLES.items():
        files = [Path(str(bench.lake.path(name, partition))) for partition in bench.lake.partitions(name)]
        if files:
            size = sum(file.stat().st_size for file in files)
            size = size // len(files) if table.partition == "experiment" else size
            rows.append([name, f"{size:,}", f"{size / max(images, 1):,.1f}"])
    return rows


@click.command()
@click.option("--project", type=click.Path(exists=True, path_type=Path), help="vlmine.yaml of a project that was run.")
@click.option("--images", default=100_000, show_default=True, help="Images of a synthetic lake.")
def main(project: Path | None, images: int) -> None:
    """Print a Markdown table."""
    print(f"{machine('pyarrow', 'duckdb')}\n")
    if project is not None:
        print_table(("table", "bytes", "bytes per image"), bytes_of(Workbench(settings_file=str(project))))
        return
    with tempfile.TemporaryDirectory() as temporary:
        make_lake(Path(temporary), lake_size(images))
        bench = Workbench(settings_file=str(Path(temporary) / "vlmine.yaml"))
        for name in (POOL_STAGE, SHARD_STAGE, *EXPERIMENTS):
            run_stage(bench, name)
        print_table(("table", "bytes", "bytes per image"), bytes_of(bench))


if __name__ == "__main__":
    main()
