"""What a run costs beside its work: shards of three images, and a second run that finds everything fresh.

    python -m benchmarks.small_shards --shards 24

`--other` names a checkout of another commit, which takes turns with this one. Medians; the time of one more shard is
that of all beyond the first four, divided by their number.
"""

import io
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

import click
import numpy as np
from PIL import Image

from benchmarks.measuring import Cost, cost_of, in_turns, machine, middle, print_table
from benchmarks.tars import write_tar

FEW = 4
SETTINGS = "name: small\ndataset: {kind: webdataset, root: ../pool}\ndescriber: {kind: tagger}\nexperiments: {}\n"
HERE = Path(__file__).parent.parent


@click.command()
@click.option(
    "--shards",
    "shard_count",
    default=24,
    show_default=True,
    type=click.IntRange(min=FEW + 1),
    help="Shards of the larger pool.",
)
@click.option("--rounds", default=1, show_default=True, help="Turns; one more warms up.")
@click.option("--other", type=click.Path(exists=True, path_type=Path), help="Checkout of another commit.")
def main(shard_count: int, rounds: int, other: Path | None) -> None:
    """Print what the first shards, one more shard and a run without work take."""
    trees = {"": HERE} if other is None else {"": HERE, "other: ": other}
    with tempfile.TemporaryDirectory() as name:
        work = {"import dagster": partial(cost_of, [sys.executable, "-c", "import dagster"])}
        for count in (FEW, shard_count):
            pool = Path(name) / str(count) / "pool"
            pool.mkdir(parents=True)
            for number in range(count):
                write_tar(pool / f"{number:04}.tar", _images(number))
        for tree, root in trees.items():
            for count in (FEW, shard_count):
                work[f"{tree}{count} new shards"] = partial(_made, Path(name) / str(count) / "made", root)
            work[f"{tree}{shard_count} fresh shards"] = partial(_run, Path(name) / str(shard_count) / "made", root)
        found = {what: middle(costs) for what, costs in in_turns(work, rounds=rounds).items()}
    for tree in trees:
        few, many = found[f"{tree}{FEW} new shards"], found[f"{tree}{shard_count} new shards"]
        more = shard_count - FEW
        found[f"{tree}one more shard"] = Cost(
            (many.seconds - few.seconds) / more, (many.cpu_seconds - few.cpu_seconds) / more, many.peak_mb
        )
    print(f"{machine('dagster', 'great-expectations')}; medians of {rounds}\n")
    rows = [
        [what, f"{one.seconds:.2f}", f"{one.cpu_seconds:.2f}", f"{one.peak_mb:,.0f}"] for what, one in found.items()
    ]
    print_table(["what", "s", "processor s", "peak MB"], rows)


def _made(folder: Path, root: Path) -> Cost:
    """Make a new project and run it; it stays."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "vlmine.yaml").write_text(SETTINGS, encoding="utf-8")
    return _run(folder, root)


def _run(folder: Path, root: Path) -> Cost:
    command = [sys.executable, "-m", "vlmine_dagster", "run"]
    return cost_of(command, env={"PYTHONPATH": str(root), "DAGSTER_HOME": "", "VLMINE_HOME": ""}, folder=folder)


def _images(number: int) -> dict[str, bytes]:
    found = {}
    for place in range(3):
        file = io.BytesIO()
        pixels = np.random.default_rng([number, place]).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((180, 140)).save(file, "JPEG")
        found[f"{place}.jpg"] = file.getvalue()
    return found


if __name__ == "__main__":
    main()
