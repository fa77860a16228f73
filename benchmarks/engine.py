"""Keywords to counts, scores, ranks and a selected set over a synthetic lake, against bare DuckDB and bare moocore.

    python -m benchmarks.engine --images 1000000 --images 10000000 --folder /a/disk/with/5GB

The stages are the project's own: what they read, check by Great Expectations, hash, publish and tell MLflow. Each runs
in a process of its own, whose peak of memory stands beside its time; imports are not counted. Bare DuckDB reads the
same files, counts and scores in one query and writes one Parquet file, with the same threads and memory limit; bare
moocore ranks the same two signals. Both must find the same.
"""

import importlib
import json
import logging
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import click
import duckdb
import numpy as np
import yaml

from assets import making
from assets.catalog import STAGES
from assets.lineage import Lineage
from assets.stages import StageRun
from benchmarks.measuring import cost_of, machine, print_table
from benchmarks.synthetic_lake import LakeSize, make_lake
from resources.lake import Lake
from resources.workbench import Workbench
from vlmine_dagster.mining import selection

SHARD_STAGE, POOL_STAGE = "novelty_scores", "vocab_counts"
EXPERIMENTS = ("novelty_min", "pareto")
BARE_QUERY, BARE_RANKING = "bare DuckDB: counts and scores", "bare moocore: fronts"
_BARE_FILE = "bare.parquet"
_SCORES = ("image_id", "min_count", "mean_count", "novelty_min", "novelty_mean", "rarest_keyword")

_BARE = """
COPY (
    WITH counts AS MATERIALIZED (SELECT keyword, count(*) AS image_count FROM {keywords} GROUP BY keyword)
    SELECT image_id,
           min(image_count) AS min_count,
           avg(image_count) AS mean_count,
           1 / min(image_count) AS novelty_min,
           1 / avg(image_count) AS novelty_mean,
           arg_min(keyword, (image_count, keyword)) AS rarest_keyword
    FROM {keywords} JOIN counts USING (keyword)
    GROUP BY image_id
) TO '{file}' (FORMAT parquet, COMPRESSION zstd)
"""


def run_stage(bench: Workbench, name: str) -> dict[str, float]:
    """Run a stage (or the experiment of that name) over the whole lake; return seconds by part."""
    table = "pareto_set" if name in EXPERIMENTS else name
    stage = next(stage for stage in STAGES if stage.table == table)
    shards = bench.lake.partitions("keywords")
    partitions = {"shard": shards, "pool": ["pool"], "experiment": [name]}[stage.contract.partition]
    lineage = Lineage(bench, shards)
    parts: dict[str, float] = {}
    with _timed(parts):
        for batch in making.batches(stage, lineage, bench.project, partitions, "default"):
            run = StageRun(
                stage,
                bench,
                partitions=batch,
                variant="default",
                shards=shards,
                config=stage.config(),
                log=logging.getLogger("benchmark"),
                run_id="benchmark",
            )
            making.make(run, lineage)
    return parts


@contextmanager
def _timed(parts: dict[str, float]) -> Iterator[None]:
    """Add up the seconds of some functions, from outside."""
    watched = {"checked": (making, "validate"), "published": (making, "_publish"), "fronts": (selection, "_fronts")}
    with ExitStack() as stack:
        for part, (owner, function) in watched.items():
            stack.enter_context(mock.patch.object(owner, function, _clocked(getattr(owner, function), part, parts)))
        yield


def _clocked(function: Callable[..., Any], part: str, parts: dict[str, float]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            parts[part] = parts.get(part, 0.0) + time.perf_counter() - started

    return run


def run_bare_query(bench: Workbench, folder: Path) -> dict[str, float]:
    """Count and score in one query of one connection."""
    files = [str(path) for path in bench.lake.require("keywords", bench.lake.partitions("keywords"))]
    with bench.lake.connect() as connection:
        connection.execute(_BARE.format(keywords=Lake.scan(files), file=folder / _BARE_FILE))
    return {}


def run_bare_ranking(bench: Workbench) -> dict[str, float]:
    """Rank the signals of the published experiment by moocore alone; refuse other fronts than were published."""
    import moocore

    rows = bench.lake.read("pareto_set", "pareto", columns=["novelty_min", "entropy", "front"])
    points = np.column_stack([rows.column(name).to_numpy() for name in ("novelty_min", "entropy")])
    started = time.perf_counter()
    fronts = moocore.pareto_rank(points, maximise=True)
    seconds = time.perf_counter() - started
    if not np.array_equal(fronts + 1, rows.column("front").to_numpy()):
        raise SystemExit("moocore finds other fronts than were published")
    return {"fronts": seconds}


def check_scores(bench: Workbench, folder: Path) -> None:
    """Refuse scores that differ from those of bare DuckDB in any row, by number of rows and a sum of hashes."""
    ours = Lake.scan([str(path) for path in bench.lake.require(SHARD_STAGE, bench.lake.partitions(SHARD_STAGE))])
    query = f"SELECT count(*), sum(hash({', '.join(_SCORES)})) FROM "  # noqa: S608 - our own names
    with duckdb.connect() as connection:
        found = [connection.sql(query + scan).fetchall() for scan in (ours, f"'{folder / _BARE_FILE}'")]
    if found[0] != found[1]:
        raise SystemExit(f"scores differ from bare DuckDB's: {found}")


WORK: Mapping[str, Callable[[Workbench, Path], dict[str, float]]] = {
    POOL_STAGE: lambda bench, _folder: run_stage(bench, POOL_STAGE),
    SHARD_STAGE: lambda bench, _folder: run_stage(bench, SHARD_STAGE),
    BARE_QUERY: run_bare_query,
    **{name: lambda bench, _folder, name=name: run_stage(bench, name) for name in EXPERIMENTS},
    BARE_RANKING: lambda bench, _folder: run_bare_ranking(bench),
}


def work(name: str, folder: Path) -> None:
    """Do one piece of work and print what it took, as JSON."""
    for library in ("great_expectations.expectations", "mlflow", "moocore"):  # imports are not counted
        importlib.import_module(library)
    bench = Workbench(settings_file=str(folder / "vlmine.yaml"))
    bench.tracking.connect()
    started, spent = time.perf_counter(), time.process_time()
    parts = WORK[name](bench, folder)
    took = {"seconds": time.perf_counter() - started, "cpu": time.process_time() - spent}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(
        json.dumps({**took, "peak": peak, **{f"part {part}": seconds for part, seconds in parts.items()}}), flush=True
    )
    os._exit(0)  # threads of the libraries may abort a process that ends in the ordinary way


def measure(folder: Path, size: LakeSize, *, memory_gb: float) -> dict[str, dict[str, float]]:
    """Make the lake where it is not there yet, do all work on it, each in its own process, and check the results."""
    done = folder / "done"
    started = time.perf_counter()
    if not done.exists():
        make_lake(folder, size)
        done.touch()
        print(f"made {size.images:,} images in {time.perf_counter() - started:.0f} s", file=sys.stderr)
    file = folder / "vlmine.yaml"
    settings = {**yaml.safe_load(file.read_text(encoding="utf-8")), "duckdb": {"memory_gb": memory_gb}}
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    found = {}
    for name in WORK:
        command = [sys.executable, "-m", "benchmarks.engine", "--folder", str(folder), "--work", name]
        said = cost_of(command).output.splitlines()
        found[name] = json.loads(next(line for line in said if line.startswith("{")))
        print(f"{size.images:,} {name}: {found[name]}", file=sys.stderr)
    bench = Workbench(settings_file=str(file))
    check_scores(bench, folder)
    (folder / _BARE_FILE).unlink()
    return found


def report(found: Mapping[int, Mapping[str, Mapping[str, float]]]) -> None:
    """Print times by stage, and the ratios to the bare engines."""
    rows = [
        (
            name,
            f"{images:,}",
            *(f"{costs[column]:.1f}" for column in ("seconds", "cpu")),
            *(f"{costs.get(f'part {part}', 0):.1f}" for part in ("checked", "published", "fronts")),
            f"{costs['peak']:,.0f}",
        )
        for images, by_name in found.items()
        for name, costs in by_name.items()
    ]
    columns = ("stage", "images", "s", "CPU s", "of it checked", "hashed and written", "fronts", "peak MB")
    print_table(columns, rows)
    print()
    ratios = []
    for images, costs in found.items():
        ours = {key: costs[POOL_STAGE][key] + costs[SHARD_STAGE][key] for key in ("seconds", "cpu")}
        bare = costs[BARE_QUERY]
        fronts = costs["pareto"]["part fronts"] / costs[BARE_RANKING]["part fronts"]
        ratios.append((f"{images:,}", *(f"{ours[key] / bare[key]:.2f}" for key in ("seconds", "cpu")), f"{fronts:.2f}"))
    print_table(("images", "counts and scores / DuckDB, s", "the same, CPU s", "fronts / moocore, s"), ratios)


@click.command()
@click.option("--images", "sizes", multiple=True, type=int, default=(1_000_000,), show_default=True)
@click.option("--images-a-shard", default=10_000, show_default=True)
@click.option("--memory-gb", default=2.0, show_default=True, help="DuckDB's limit, for the stages and for bare DuckDB.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where lakes are made and kept; else a temporary one.")
@click.option("--work", "name", type=click.Choice(list(WORK)), help="Do only this, on a lake that is there.")
def main(sizes: tuple[int, ...], images_a_shard: int, memory_gb: float, folder: Path | None, name: str | None) -> None:
    """Print Markdown tables of time and memory by stage, and of ratios to the bare engines."""
    if name is not None:
        assert folder is not None
        work(name, folder)
        return
    with tempfile.TemporaryDirectory() as temporary:
        home = folder or Path(temporary)
        found = {
            images: measure(
                home / f"images-{images}",
                LakeSize(images, max(images // images_a_shard, 1), max(images // 10, 10)),
                memory_gb=memory_gb,
            )
            for images in sizes
        }
    print(f"{machine('duckdb', 'moocore', 'numpy', 'great_expectations')}; {memory_gb:g} GB for DuckDB\n")
    report(found)


if __name__ == "__main__":
    main()
