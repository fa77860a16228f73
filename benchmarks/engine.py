"""Keywords to counts, scores, ranks and a selected set over a synthetic lake, against bare DuckDB and bare moocore.

    python -m benchmarks.engine --images 1000000 --images 10000000 --folder /a/disk/with/5GB
    python -m benchmarks.engine --images 10000000 --objects-an-image 10

The stages are the project's own: what they read, check by Great Expectations, hash, publish and tell MLflow. Each runs
in a process of its own, whose peak of memory stands beside its time; imports are not counted. Bare DuckDB reads the
same files, counts, scores and writes both tables sorted, compressed as ours, with the same threads and memory limit.
It has our shortcut too, one number per keyword in place of a count and a name. It neither checks rows, nor compares
shards, nor hashes what it writes. Bare moocore ranks the same two signals. Both must find the same. Parts of stages are
processor seconds.
"""

import importlib
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import click
import duckdb
import numpy as np
import yaml

from benchmarks.measuring import cost_of, in_quotes, machine, own_peak_mb, print_table
from benchmarks.synthetic_lake import LakeSize, make_lake
from vlmine_dagster.assets import GRAPH
from vlmine_dagster.domain.tables import TABLES
from vlmine_dagster.engine import making
from vlmine_dagster.engine.freshness import Freshness
from vlmine_dagster.engine.stage import Unit
from vlmine_dagster.engine.stage_run import StageRun
from vlmine_dagster.mining import selection
from vlmine_dagster.resources.lake import Lake
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.scoring import large_pools, vocabulary

SHARD_STAGE, POOL_STAGE = "novelty_scores", "vocab_counts"
EXPERIMENTS = ("novelty_min", "pareto")
BARE_QUERY, BARE_RANKING = "bare DuckDB: counts and scores", "bare moocore: fronts"
KEPT = "costs.json"
_BARE_FILES = {"counts_file": "bare-counts.parquet", "scores_file": "bare-scores.parquet"}

_BARE = """
CREATE TEMP TABLE counts AS
SELECT *, row_number() OVER (ORDER BY image_count, keyword) AS place
FROM (SELECT keyword, count(*) AS image_count FROM {keywords} GROUP BY keyword);
COPY (
    SELECT keyword, image_count, image_count / {images} AS image_share, image_count AS unit_count
    FROM counts ORDER BY image_count DESC, keyword
) TO '{counts_file}' (FORMAT parquet, COMPRESSION zstd);
COPY (
    SELECT {key},
           min(image_count) AS min_count,
           avg(image_count) AS mean_count,
           1 / min(image_count) AS novelty_min,
           1 / avg(image_count) AS novelty_mean,
           arg_min(keyword, place) AS rarest_keyword
    FROM {keywords} JOIN counts USING (keyword)
    GROUP BY {key} ORDER BY {key}
) TO '{scores_file}' (FORMAT parquet, COMPRESSION zstd);
"""


def run_stage(bench: Workbench, name: str) -> dict[str, float]:
    """Run a stage (or the experiment of that name) over the whole lake; return seconds by part."""
    table = "pareto_set" if name in EXPERIMENTS else name
    stage = GRAPH.stage_of(table)
    shards = bench.lake.partitions("keywords")
    partitions = {"shard": shards, "pool": ["pool"], "experiment": [name]}[stage.contract.partition]
    freshness = Freshness(GRAPH, bench, shards)
    parts: dict[str, float] = {}
    with _timed(parts):
        for batch in making.batches(Unit(stage), freshness, partitions):
            run = StageRun(
                stage,
                GRAPH,
                bench,
                partitions=batch,
                variant="default",
                shards=shards,
                config=stage.config(),
                log=logging.getLogger("benchmark"),
                run_id="benchmark",
            )
            making.make(run, freshness)
    return parts


@contextmanager
def _timed(parts: dict[str, float]) -> Iterator[None]:
    """Add up the processor seconds of some functions, from outside."""
    watched = {
        "drift": (vocabulary, "vocabulary_drift"),
        "checked": (making, "validate"),
        "published": (making, "_publish"),
        "fronts": (selection, "non_dominated_fronts"),
        "first": (large_pools, "shortlist"),
    }
    with ExitStack() as stack:
        for part, (owner, function) in watched.items():
            stack.enter_context(mock.patch.object(owner, function, _clocked(getattr(owner, function), part, parts)))
        yield


def _clocked(function: Callable[..., Any], part: str, parts: dict[str, float]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        spent = time.process_time()
        try:
            return function(*args, **kwargs)
        finally:
            parts[part] = parts.get(part, 0.0) + time.process_time() - spent

    return run


def run_bare_query(bench: Workbench, folder: Path) -> dict[str, float]:
    """Count and score in one connection, and write both tables, sorted as ours are."""
    shards = bench.lake.partitions("keywords")
    files = [str(path) for path in bench.lake.require("keywords", shards)]
    images = sum(stamp.row_count for shard in shards if (stamp := bench.lake.stamp("keyword_answers", shard)))
    written = {name: in_quotes(folder / file) for name, file in _BARE_FILES.items()}
    with bench.lake.connect() as connection:
        connection.execute("SET preserve_insertion_order = true")  # else what is sorted is not written so
        connection.execute(_BARE.format(keywords=Lake.scan(files), images=images, key=bench.lake.kind.key, **written))
    return {}


def run_bare_ranking(bench: Workbench) -> dict[str, float]:
    """Rank the signals of the published experiment by moocore alone; refuse other fronts than were published."""
    import moocore

    rows = bench.lake.read("pareto_set", "pareto", columns=["image_id", "novelty_min", "entropy", "front"])
    rows = rows.sort_by("image_id")  # as the stage gets them: points that come by rank are sorted faster
    points = np.column_stack([rows.column(name).to_numpy() for name in ("novelty_min", "entropy")])
    spent = time.process_time()
    fronts = moocore.pareto_rank(points, maximise=True)
    seconds = time.process_time() - spent
    if not np.array_equal(fronts + 1, rows.column("front").to_numpy()):
        raise SystemExit("moocore finds other fronts than were published")
    return {"fronts": seconds}


def check_scores(bench: Workbench, folder: Path) -> None:
    """Refuse counts or scores that differ from those of bare DuckDB in any row, by a sum of hashes."""
    for table, name in ((POOL_STAGE, "counts_file"), (SHARD_STAGE, "scores_file")):
        ours = Lake.scan([str(path) for path in bench.lake.require(table, bench.lake.partitions(table))])
        on_disk = bench.lake.kind.renamed(table)
        columns = ", ".join(on_disk.get(column.name, column.name) for column in TABLES[table].columns)
        query = f"SELECT count(*), sum(hash({columns})) FROM "  # noqa: S608 - our own names
        bare = f"'{in_quotes(folder / _BARE_FILES[name])}'"
        with duckdb.connect() as connection:
            found = [connection.sql(query + scan).fetchall() for scan in (ours, bare)]
        if found[0] != found[1]:
            raise SystemExit(f"{table} differs from bare DuckDB's: {found}")


def _run_experiment(name: str, bench: Workbench, _folder: Path) -> dict[str, float]:
    return run_stage(bench, name)


WORK: Mapping[str, Callable[[Workbench, Path], dict[str, float]]] = {
    POOL_STAGE: lambda bench, _folder: run_stage(bench, POOL_STAGE),
    SHARD_STAGE: lambda bench, _folder: run_stage(bench, SHARD_STAGE),
    BARE_QUERY: run_bare_query,
    **{name: partial(_run_experiment, name) for name in EXPERIMENTS},
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
    peak = own_peak_mb()
    print(
        json.dumps({**took, "peak": peak, **{f"part {part}": seconds for part, seconds in parts.items()}}), flush=True
    )
    os._exit(0)  # threads of the libraries may abort a process that ends in the ordinary way


def lake_size(images: int, images_a_shard: int = 10_000, *, objects_an_image: int = 0) -> LakeSize:
    """Return the lake of so many images, or objects, that is measured: its vocabulary is a tenth of them."""
    return LakeSize(images, max(images // images_a_shard, 1), max(images // 10, 10), objects_an_image)


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
        lines = cost_of(command).output.splitlines()
        found[name] = json.loads(next(line for line in lines if line.startswith("{")))
        print(f"{size.images:,} {name}: {found[name]}", file=sys.stderr)
    bench = Workbench(settings_file=str(file))
    check_scores(bench, folder)
    for name in _BARE_FILES.values():
        (folder / name).unlink()
    (folder / KEPT).write_text(json.dumps(found), encoding="ascii")
    return found


PARTS = {
    "drift": "drift",
    "checked": "checked",
    "published": "hashed and written",
    "fronts": "fronts",
    "first": "first found",
}


def report(found: Mapping[int, Mapping[str, Mapping[str, float]]]) -> None:
    """Print times by stage, and the ratios to the bare engines."""
    rows = [
        (
            name,
            f"{images:,}",
            *(f"{costs[column]:.1f}" for column in ("seconds", "cpu")),
            *(f"{costs[f'part {part}']:.1f}" if f"part {part}" in costs else "" for part in PARTS),
            f"{costs['peak']:,.0f}",
        )
        for images, by_name in found.items()
        for name, costs in by_name.items()
    ]
    print_table(("stage", "images", "s", "CPU s", *(f"of it {part}" for part in PARTS.values()), "peak MB"), rows)
    print()
    names = ("counts and scores / DuckDB", "the same without drift and checks", "fronts / moocore")
    print_table(
        ("images", *(f"{name}, CPU s" for name in names), "counts and scores / DuckDB, wall s"),
        [(f"{images:,}", *(f"{ratio:.2f}" for ratio in ratios(costs))) for images, costs in found.items()],
    )


def ratios(costs: Mapping[str, Mapping[str, float]]) -> tuple[float, float, float, float]:
    """Return processor seconds against bare DuckDB, with and without its omissions, and against moocore; wall time."""
    ours = [costs[stage] for stage in (POOL_STAGE, SHARD_STAGE)]
    spent = sum(cost["cpu"] for cost in ours)
    checks = sum(cost.get(f"part {part}", 0.0) for cost in ours for part in ("drift", "checked"))
    bare = costs[BARE_QUERY]["cpu"]
    fronts = costs["pareto"]["part fronts"] / costs[BARE_RANKING]["part fronts"]
    waited = sum(cost["seconds"] for cost in ours) / costs[BARE_QUERY]["seconds"]
    return spent / bare, (spent - checks) / bare, fronts, waited


@click.command()
@click.option("--images", "sizes", multiple=True, type=int, default=(1_000_000,), show_default=True)
@click.option("--images-a-shard", default=10_000, show_default=True)
@click.option("--objects-an-image", default=0, show_default=True, help="The items are objects, so many in each image.")
@click.option("--memory-gb", default=2.0, show_default=True, help="DuckDB's limit, for the stages and for bare DuckDB.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where lakes are made and kept; else a temporary one.")
@click.option("--work", "name", type=click.Choice(list(WORK)), help="Do only this, on a lake that is there.")
def main(
    *,
    sizes: tuple[int, ...],
    images_a_shard: int,
    objects_an_image: int,
    memory_gb: float,
    folder: Path | None,
    name: str | None,
) -> None:
    """Print Markdown tables of time and memory by stage, and of ratios to the bare engines."""
    if name is not None:
        assert folder is not None
        work(name, folder)
        return
    with tempfile.TemporaryDirectory() as temporary:
        home = folder or Path(temporary)
        kind = "objects" if objects_an_image else "images"
        found = {
            images: measure(
                home / f"{kind}-{images}",
                lake_size(images, images_a_shard, objects_an_image=objects_an_image),
                memory_gb=memory_gb,
            )
            for images in sizes
        }
    print(f"{machine('duckdb', 'moocore', 'numpy', 'great_expectations')}; {memory_gb:g} GB for DuckDB\n")
    report(found)


if __name__ == "__main__":
    main()
