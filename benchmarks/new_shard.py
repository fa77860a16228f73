"""One new shard comes to a large pool: how long until everything that depends on it is up to date again?

    python -m benchmarks.new_shard --images 1000000 --shards 100

The pool's tables are made up, with the stamps that the stages would have given them (see `synthetic_pool`), and brought
up to date once. Then a shard comes: first one that is keyworded already, then one of real photos, on which every stage
works. Counts, every shard's novelty and uncertainty, the experiment and its page are then made again: once by
`vlmine run`, once by the jobs that the schedules start.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import click
import dagster as dg

from benchmarks.measuring import Cost, cost_of, machine, print_table
from benchmarks.synthetic_pool import SyntheticPool, shard_name
from vlmine_dagster.automation.history import open_instance
from vlmine_dagster.automation.jobs import GLOBAL_JOB, MINING_JOB, SCORE_JOB
from vlmine_dagster.automation.planner import RANGE_TAGS
from vlmine_dagster.engine.partitions import SHARDS
from vlmine_dagster.resources.progress import duration

PROGRAMS = Path(sys.executable).parent


@click.command()
@click.option("--images", "image_count", default=1_000_000, show_default=True, help="Images of the pool.")
@click.option("--shards", "shard_count", default=100, show_default=True, help="Shards of the pool.")
@click.option("--photos", default=200, show_default=True, help="Real photos of the last shard that comes.")
@click.option(
    "--folder", type=click.Path(path_type=Path), help="Where the pool is made; by default a temporary folder."
)
def main(image_count: int, shard_count: int, photos: int, folder: Path | None) -> None:
    """Print what each way of catching up takes."""
    with tempfile.TemporaryDirectory() as temporary:
        pool = SyntheticPool(folder or Path(temporary) / "pool", shard_count, image_count // shard_count)
        started = time.perf_counter()
        pool.make()
        print(f"{machine('dagster', 'duckdb')}; {image_count:,} images in {shard_count:,} shards")
        print(f"made in {duration(time.perf_counter() - started)}\n", flush=True)
        found = {"the whole pool, from keywords on": run(pool)}
        pool = pool.add_rows()
        found["a keyworded shard comes, `vlmine run`"] = run(pool)
        pool = pool.add_rows()
        found["a keyworded shard comes, the three jobs"] = run_jobs(pool)
        pool = pool.add_photos(photos)
        found[f"a shard of {photos} new photos comes, `vlmine run`"] = run(pool)
        check_fresh(pool)
    print_table(
        ["what", "s", "processor s", "peak MB"],
        [[what, f"{c.seconds:.0f}", f"{c.cpu_seconds:.0f}", f"{c.peak_mb:.0f}"] for what, c in found.items()],
    )


def run(pool: SyntheticPool) -> Cost:
    """Bring a pool up to date by the command."""
    return printed_cost("vlmine run", cost_of([str(PROGRAMS / "vlmine"), "run"], folder=pool.folder))


def printed_cost(what: str, cost: Cost) -> Cost:
    """Say at once what something took: the table comes at the end, and may not."""
    print(f"{what}: {cost.seconds:.0f} s, {cost.cpu_seconds:.0f} processor s, {cost.peak_mb:.0f} MB", file=sys.stderr)
    return cost


def run_jobs(pool: SyntheticPool) -> Cost:
    """Bring a pool up to date by the jobs, a process each, as the daemon would start them."""
    with open_instance(pool.bench.project) as instance:
        instance.add_dynamic_partitions(SHARDS, [shard_name(pool.shard_count - 1)])
        first, *_, last = instance.get_dynamic_partitions(SHARDS)
    span = dict(zip(RANGE_TAGS, (first, last), strict=True))
    chosen = {GLOBAL_JOB: {}, SCORE_JOB: span, MINING_JOB: {"dagster/partition": "pareto"}}
    home = str(pool.bench.project.state_folder("dagster"))
    costs = []
    for job, tags in chosen.items():
        module = ["-m", "vlmine_dagster.definitions"]
        command = [str(PROGRAMS / "dagster"), "job", "execute", *module, "-j", job, "--tags", json.dumps(tags)]
        costs.append(printed_cost(job, cost_of(command, folder=pool.folder, env={"DAGSTER_HOME": home})))
    return Cost(sum(c.seconds for c in costs), sum(c.cpu_seconds for c in costs), max(c.peak_mb for c in costs))


def check_fresh(pool: SyntheticPool) -> None:
    """Refuse to print numbers of a pool that is not up to date."""
    from vlmine_dagster.cli.status import table_states

    rows = table_states(pool.bench, pool.bench.source.shards())
    stale = {row["table"]: row["states"] for row in rows if row.get("not_fresh")}
    assert not stale, stale
    with open_instance(pool.bench.project) as instance:
        shards = set(instance.get_dynamic_partitions(SHARDS))
        made = instance.get_materialized_partitions(dg.AssetKey("novelty_scores"))
    assert made == shards, (len(made), len(shards))


if __name__ == "__main__":
    main()
