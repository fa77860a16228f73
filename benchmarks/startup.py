"""How long it takes until anything happens: against a bare Dagster project with as many assets, turn by turn.

    python -m benchmarks.startup --shards 1000

Wall-clock seconds and processor seconds, medians; the ratio is of processor seconds, which other work hurts least.
"""

import os
import sys
import tempfile
from functools import partial
from pathlib import Path

import click

from benchmarks.measuring import Cost, cost_of, in_turns, machine, middle, print_table
from benchmarks.synthetic_pool import SyntheticPool

PROGRAMS = Path(sys.executable).parent
BARE = '''
"""As many assets, checks and jobs as vlmine has, and nothing in them."""

import dagster as dg

shards = dg.DynamicPartitionsDefinition(name="shards")


def made(number: int) -> dg.AssetsDefinition:
    spec = dg.AssetCheckSpec(name="contract", asset=f"a{number}")
    before = [f"a{number - 1}"] if number else []

    @dg.asset(name=f"a{number}", partitions_def=shards, deps=before, check_specs=[spec], description="An asset.")
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=True, check_name="contract")])

    return asset


assets = [made(number) for number in range(12)]
jobs = [dg.define_asset_job(f"job_{k}", selection=[asset.key for asset in assets[3 * k : 3 * k + 3]]) for k in range(4)]
defs = dg.Definitions(assets=assets, jobs=jobs)
'''


@click.command()
@click.option("--rounds", default=5, show_default=True, help="Turns; one more warms up.")
@click.option("--shards", "shard_count", default=1000, show_default=True, help="Shards of the pool of `vlmine status`.")
@click.option("--pool", "kept", type=click.Path(path_type=Path), help="Where that pool is kept, or made if it is not.")
def main(rounds: int, shard_count: int, kept: Path | None) -> None:
    """Print what validating, importing and the command take."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "bare_definitions.py").write_text(BARE, encoding="utf-8")
        pool = SyntheticPool(kept or folder / "pool", shard_count, 10)
        pool.make()
        work = {
            "bare: dagster definitions validate": _validated("bare_definitions", folder),
            "vlmine: dagster definitions validate": _validated("vlmine_dagster.definitions", pool.folder),
            "bare: what a step imports": _imported("bare_definitions", "bare_definitions.defs", folder),
            "vlmine: what a step imports": _imported(
                "vlmine_dagster.definitions", "vlmine_dagster.definitions.defs()", pool.folder
            ),
            "vlmine --help": partial(cost_of, [str(PROGRAMS / "vlmine"), "--help"]),
            "vlmine run --help": partial(cost_of, [str(PROGRAMS / "vlmine"), "run", "--help"]),
            f"vlmine status, {shard_count:,} shards": _in(pool.folder, str(PROGRAMS / "vlmine"), "status"),
        }
        found = {what: middle(costs) for what, costs in in_turns(work, rounds=rounds).items()}
    print(f"{machine('dagster')}; medians of {rounds}\n")
    print_table(["what", "s", "processor s", "of bare"], [_row(what, found) for what in found])


def _row(what: str, found: dict[str, Cost]) -> list[str]:
    cost = found[what]
    bare = found["bare: " + what.partition(": ")[2]] if ": " in what else None
    ratio = "" if bare is None else f"{cost.cpu_seconds / bare.cpu_seconds:.2f}"
    return [what, f"{cost.seconds:.2f}", f"{cost.cpu_seconds:.2f}", ratio]


def _validated(module: str, folder: Path) -> "partial[Cost]":
    return _in(folder, str(PROGRAMS / "dagster"), "definitions", "validate", "-m", module)


def _imported(module: str, loaded: str, folder: Path) -> "partial[Cost]":
    return _in(folder, sys.executable, "-W", "ignore", "-c", f"import {module}; {loaded}")


def _in(folder: Path, *command: str) -> "partial[Cost]":
    paths = os.pathsep.join([str(folder), str(Path(__file__).parent.parent)])
    return partial(cost_of, command, env={"PYTHONPATH": paths, "DAGSTER_HOME": ""}, folder=folder)


if __name__ == "__main__":
    main()
