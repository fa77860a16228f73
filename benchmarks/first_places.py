"""The first hundredth of a list of two signals, of a file of any size: ours against a bare DuckDB sort of that file.

    python -m benchmarks.first_places --images 100000000 --folder /a/disk/with/20GB

A Parquet file of ids and two signals is made once. Ours reads the signals, finds the first places exactly
(`mining.shortlist`), reads the ids of these alone, and writes them in mining order with their fronts. DuckDB sorts the
whole file by both signals and writes it, or, as `top`, the first hundredth alone. Each is a process of its own, whose
peak of memory stands beside its time; imports are not counted. `--kind` draws other signals.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import click
import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.measuring import cost_of, in_quotes, machine, own_peak_mb, print_table
from benchmarks.ranking import KINDS
from vlmine_dagster.mining.selection import id_hashes
from vlmine_dagster.mining.shortlist import shortlist
from vlmine_dagster.resources.ordered import core_count

_GROUP = 1_000_000
_SIGNALS = ("novelty", "entropy")
_SORT = "COPY (FROM '{file}' ORDER BY novelty DESC, entropy DESC {limit}) TO '{out}' (FORMAT parquet, COMPRESSION zstd)"


def make_file(file: Path, images: int, kind: str) -> None:
    """Write ids and two signals, a million rows to a row group."""
    schema = pa.schema({"image_id": pa.string(), **dict.fromkeys(_SIGNALS, pa.float64())})
    points = KINDS[kind](images, 2, 1.0)
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for start in range(0, images, _GROUP):
            drawn = points[start : start + _GROUP]
            numbers = pc.cast(pa.array(np.arange(start, start + len(drawn))), pa.string())
            ids = pc.binary_join_element_wise("pool", pc.utf8_lpad(numbers, 9, "0"), "/")
            writer.write_table(pa.table([ids, *drawn.T], schema), row_group_size=_GROUP)


def first_places(file: Path, out: Path, share: float) -> None:
    """Write the first places, best first."""
    source = pq.ParquetFile(file)
    signals = {name: np.empty(source.metadata.num_rows) for name in _SIGNALS}
    start = 0
    for batch in source.iter_batches(_GROUP, columns=list(_SIGNALS)):
        for name, values in signals.items():
            values[start : start + batch.num_rows] = batch.column(name).to_numpy()
        start += batch.num_rows
    count = max(1, round(share * start))
    found = shortlist(signals, count)
    values = {name: column[found.places] for name, column in signals.items()}
    ids = _ids_at(source, found.places)
    ranking = found.ranking(values, id_hashes(ids.to_pylist()))
    order = ranking.order[:count]
    columns = {name: column[order] for name, column in values.items()}
    rows = pa.table({"image_id": ids.take(pa.array(order)), "front": ranking.front[:count], **columns})
    pq.write_table(rows, out, compression="zstd")


def _ids_at(source: pq.ParquetFile, places: np.ndarray) -> pa.ChunkedArray:
    parts, start = [], 0
    for batch in source.iter_batches(_GROUP, columns=["image_id"]):
        first, last = np.searchsorted(places, [start, start + batch.num_rows])
        parts.append(batch.column(0).take(pa.array(places[first:last] - start)))
        start += batch.num_rows
    return pa.chunked_array(parts)


def bare_sort(file: Path, out: Path, share: float, *, is_cut: bool, memory_gb: float) -> None:
    """Sort the file in DuckDB."""
    limit = f"LIMIT {round(share * pq.read_metadata(file).num_rows)}" if is_cut else ""
    settings = {"memory_limit": f"{memory_gb}GB", "temp_directory": str(out.parent), "threads": core_count()}
    with duckdb.connect(config=settings) as connection:
        connection.execute(_SORT.format(file=in_quotes(file), out=in_quotes(out), limit=limit))


WORK: Mapping[str, Callable[[Path, Path, float, float], None]] = {
    "vlmine: the first places": lambda file, out, share, _memory: first_places(file, out, share),
    "bare DuckDB: sort": lambda file, out, share, memory: bare_sort(file, out, share, is_cut=False, memory_gb=memory),
    "bare DuckDB: top": lambda file, out, share, memory: bare_sort(file, out, share, is_cut=True, memory_gb=memory),
}


def _measured(name: str, file: Path, share: float, memory_gb: float) -> None:
    started, spent = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        WORK[name](file, Path(folder) / "out.parquet", share, memory_gb)
    took = {"seconds": time.perf_counter() - started, "cpu": time.process_time() - spent, "peak": own_peak_mb()}
    print(json.dumps(took), flush=True)
    os._exit(0)  # threads of the libraries may abort a process that ends in the ordinary way


@click.command()
@click.option("--images", default=1_000_000, show_default=True)
@click.option("--share", default=0.01, show_default=True, help="Of the images, to find.")
@click.option("--kind", type=click.Choice(list(KINDS)), default="independent", show_default=True)
@click.option("--memory-gb", default=6.0, show_default=True, help="DuckDB's limit.")
@click.option(
    "--folder", type=click.Path(path_type=Path), help="Where the file is made and kept; else a temporary one."
)
@click.option("--work", "name", type=click.Choice(list(WORK)), help="Do only this, with a file that is there.")
def main(*, images: int, share: float, kind: str, memory_gb: float, folder: Path | None, name: str | None) -> None:
    """Print a Markdown table of time and memory."""
    with tempfile.TemporaryDirectory() as temporary:
        home = folder or Path(temporary)
        home.mkdir(parents=True, exist_ok=True)
        file = home / f"{kind}-{images}.parquet"
        if name is not None:
            _measured(name, file, share, memory_gb)
            return
        if not file.exists():
            make_file(file, images, kind)
        costs = {}
        for one in WORK:
            given = {
                "images": images,
                "share": share,
                "kind": kind,
                "memory-gb": memory_gb,
                "folder": home,
                "work": one,
            }
            options = [part for name, value in given.items() for part in (f"--{name}", str(value))]
            lines = cost_of([sys.executable, "-m", "benchmarks.first_places", *options]).output.splitlines()
            costs[one] = json.loads(next(line for line in lines if line.startswith("{")))
    print(f"{machine('duckdb', 'moocore', 'numpy', 'pyarrow')}; {memory_gb:g} GB for DuckDB\n")
    ours = costs["vlmine: the first places"]
    rows = [
        (
            one,
            f"{images:,}",
            *(f"{cost[column]:,.1f}" for column in ("seconds", "cpu")),
            f"{cost['peak']:,.0f}",
            *(f"{ours[column] / cost[column]:.2f}" for column in ("cpu", "seconds")),
        )
        for one, cost in costs.items()
    ]
    print_table(("work", "images", "s", "CPU s", "peak MB", "ours / this, CPU", "ours / this, time"), rows)


if __name__ == "__main__":
    main()
