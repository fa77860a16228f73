"""The neighbour index against all pairs: time of processors, recall, memory, on vectors like an encoder's.

    python -m benchmarks.neighbours --project vlmine.yaml --vectors 26645 --vectors 1000000

Reads the features of a project that was run. Up to their number the vectors are the features; more are made of them:
each is a mixture of two, 0.6 to 1 of the first, made block by block and never kept. Queries are a sample; recall is of
their 100 nearest neighbours by all pairs. Times are processor seconds; those of all vectors are scaled from the sample.
"""

import time
from collections.abc import Iterator

import click
import numpy as np
import numpy.typing as npt

from benchmarks.measuring import machine, own_peak_mb, print_table
from vlmine_dagster.mining.neighbours import Blocks, nearest_neighbours
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.scoring.vectors import matrix

COUNT, BLOCK = 100, 20_000

Floats = npt.NDArray[np.float32]


def features(project: str) -> Floats:
    """Read the unit features of a project."""
    lake = Workbench(settings_file=project).lake
    rows = lake.read_all("embeddings", lake.partitions("embeddings"), columns=["embedding"])
    return unit(np.asarray(matrix(rows, "embedding"), dtype=np.float32))


def unit(vectors: Floats) -> Floats:
    """Return rows of length 1."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def blocks(real: Floats, size: int) -> Blocks:
    """Return a reader of the first real vectors, or of mixtures where more are wanted."""

    def read() -> Iterator[Floats]:
        for start in range(0, size, BLOCK):
            count = min(BLOCK, size - start)
            if size <= len(real):
                yield real[start : start + count]
                continue
            draw = np.random.default_rng(start)
            one, other = draw.integers(0, len(real), (2, count))
            share = draw.uniform(0.6, 1.0, (count, 1)).astype(np.float32)
            yield unit(share * real[one] + (1 - share) * real[other])

    return read


def first_rows(vectors: Blocks, count: int) -> Blocks:
    """Return a reader of a few rows, evenly from the first block; the first comes alone."""
    block = next(iter(vectors()))
    chosen = np.ascontiguousarray(block[:: max(len(block) // count, 1)][:count])
    return lambda: [chosen[:1], chosen[1:]]


def search(vectors: Blocks, queries: Blocks, how: str) -> tuple[npt.NDArray[np.int64], Floats, float, float]:
    """Return places, sums of similarities, processor seconds to the first answer (an index is built) and in all."""
    started = time.process_time()
    parts: list[tuple[npt.NDArray[np.int64], Floats]] = []
    seconds: list[float] = []
    for part in nearest_neighbours(vectors, queries=queries, count=COUNT, search=how):
        parts.append(part)
        seconds.append(time.process_time() - started)
    places, similar = np.vstack([part[0] for part in parts]), np.vstack([part[1] for part in parts])
    return places, similar.sum(axis=1), seconds[0], seconds[-1]


def measure(real: Floats, size: int, query_count: int) -> list[str]:
    """Return a row of the table."""
    vectors = blocks(real, size)
    queries = first_rows(vectors, query_count)
    exact, dense, _, all_pairs = search(vectors, queries, "exact")
    found, guessed, building, by_index = search(vectors, queries, "index")
    recall = np.mean([len(set(a) & set(b)) / COUNT for a, b in zip(found.tolist(), exact.tolist(), strict=True)])
    one, other = (np.argsort(np.argsort(sums)) for sums in (dense, guessed))
    agreement = np.corrcoef(one, other)[0, 1]
    each = (by_index - building) / (len(exact) - 1)
    peak = own_peak_mb()
    return [
        f"{size:,}",
        f"{all_pairs / len(exact) * size:,.0f}",
        f"{building + each * size:,.0f}",
        f"{building:,.0f}",
        f"{each * 1000:.2f}",
        f"{recall:.3f}",
        f"{agreement:.4f}",
        f"{peak:,.0f}",
    ]


@click.command()
@click.option("--project", default="vlmine.yaml", show_default=True, type=click.Path(exists=True))
@click.option("--vectors", "sizes", multiple=True, type=int, default=(20_000,), show_default=True)
@click.option("--queries", default=1000, show_default=True)
def main(project: str, sizes: tuple[int, ...], queries: int) -> None:
    """Print a Markdown table; times over all vectors are those of the sample of queries, scaled."""
    real = features(project)
    rows = [measure(real, size, queries) for size in sorted(sizes)]
    print(f"{machine('faiss-cpu', 'numpy')}; {queries:,} queries of {real.shape[1]:,} numbers, {COUNT} neighbours\n")
    columns = ("all pairs, CPU s", "index, CPU s", "of it building", "ms a query", "recall", "Spearman", "peak MB")
    print_table(("vectors", *columns), rows)


if __name__ == "__main__":
    main()
