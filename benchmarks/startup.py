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
"""As many assets, checks, jobs, schedules and sensors as vlmine has, and nothing in them."""

import dagster as dg

shards = dg.DynamicPartitionsDefinition(name="shards")


def made(number: int) -> dg.AssetsDefinition:
    specs = [dg.AssetCheckSpec(name=name, asset=f"a{number}") for name in ("contract", "quality")]
    before = [f"a{number - 1}"] if number else []

    @dg.asset(name=f"a{number}", partitions_def=shards, deps=before, check_specs=specs, description="An asset.")
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        results = [dg.AssetCheckResult(passed=True, check_name=spec.name) for spec in specs]
        return dg.MaterializeResult(check_results=results)

    return asset


def asked(number: int) -> dg.JobDefinition:
    @dg.op(name=f"op_{number}", description="An op.")
    def op(context: dg.OpExecutionContext) -> None:
        context.log.info("done")

    @dg.job(name=f"op_job_{number}", description="A job.")
    def job() -> None:
        op()

    return job


def looked(number: int) -> dg.SensorDefinition:
    @dg.sensor(name=f"sensor_{number}", job_name="job_0")
    def sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        return dg.SkipReason("nothing")

    return sensor


assets = [made(number) for number in range(10)]
jobs = [dg.define_asset_job(f"job_{k}", selection=[asset.key for asset in assets[2 * k : 2 * k + 3]]) for k in range(4)]
schedules = [dg.ScheduleDefinition(name=f"schedule_{k}", job=jobs[k], cron_schedule="0 2 * * *") for k in range(2)]
defs = dg.Definitions(
    assets=assets,
    jobs=[*jobs, *(asked(number) for number in range(9))],
    schedules=schedules,
    sensors=[looked(number) for number in range(2)],
)
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
            "bare: what a run imports": _imported("bare_definitions", "bare_definitions.defs", folder),
            "vlmine: what a run imports": _imported(
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
