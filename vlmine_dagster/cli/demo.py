"""`vlmine demo`: a pool of real photos with a known tail, mined."""

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from vlmine_dagster.cli.group import INTERRUPTED
from vlmine_dagster.cli.mined import mined
from vlmine_dagster.cli.run import print_outcome, run_pipeline
from vlmine_dagster.cli.session import open_bench
from vlmine_dagster.cli.top import print_top

if TYPE_CHECKING:
    from vlmine_dagster.settings.project import ProjectSettings

_SHOWN = 20


@click.command()
@click.option("--objects", "has_objects", is_flag=True, help="Mine the objects in scenes, by their boxes.")
@click.option("--driving", "is_driving", is_flag=True, help="Mine the objects of a small generated world of roads.")
def demo(has_objects: bool, is_driving: bool) -> None:
    """Mine a sample pool of real photos with a known tail, in this folder, and show the rare ones."""
    if has_objects and is_driving:
        raise click.UsageError("--objects and --driving are two demos; choose one")
    _make_project(Path.cwd(), "driving" if is_driving else "objects" if has_objects else "photos")
    outcome = run_pipeline(is_quiet=False)
    print_outcome(outcome)
    if outcome.failures or outcome.is_interrupted:
        sys.exit(INTERRUPTED if outcome.is_interrupted else 1)
    _show()


def _make_project(folder: Path, sample: Literal["photos", "objects", "driving"]) -> None:
    from vlmine_dagster.resources.driving.sample_drives import make_sample_drives
    from vlmine_dagster.resources.sample_clip import can_make_clip, make_scenes_and_clip
    from vlmine_dagster.resources.sample_pool import make_sample_pool
    from vlmine_dagster.settings import starter
    from vlmine_dagster.settings.project import SETTINGS_FILE

    has_clip = can_make_clip()
    if sample == "objects" and not has_clip:
        click.echo("Without a short video, which PyAV reads: pip install 'vlmine-dagster[video]'")
    demos: dict[str, tuple[Callable[[], ProjectSettings], Callable[[Path], object], str]] = {
        "photos": (starter.sample_settings, make_sample_pool, starter.SAMPLE_FOLDER),
        "objects": (partial(starter.scene_settings, has_clip=has_clip), make_scenes_and_clip, starter.SCENES_FOLDER),
        "driving": (starter.drive_settings, make_sample_drives, starter.DRIVES_FOLDER),
    }
    settings, make, place = demos[sample]
    starter.write_starter(folder, settings())
    os.environ["VLMINE_PROJECT"] = str(folder / SETTINGS_FILE)
    make(folder / place)


def _show() -> None:
    from vlmine_dagster.settings import default_experiment

    bench = open_bench()
    name = default_experiment(bench.project.settings.experiments)
    print_top(list(mined(bench, name, _SHOWN)), name)
    page = bench.lake.read("mining_report", name).to_pylist()[0]["path"]
    command = os.environ.get("VLMINE_COMMAND", "vlmine")  # `make demo` has it in .venv/bin
    click.echo(f"\nContact sheet: {page}")
    click.echo(f"Next: {command} compare | {command} explain IMAGE_ID | {command} ui | {command} init YOUR_FOLDER")
