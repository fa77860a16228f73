"""The neighbour index against all pairs: time of processors, recall, memory, on vectors like an encoder's.

    python -m benchmarks.neighbours --project vlmine.yaml --vectors 26645 --vectors 1000000
    python -m benchmarks.neighbours --project vlmine.yaml --vectors 1000000 --augmented 500

Reads the features of a project that was run. Up to their number the vectors are the features; more are made of them,
block by block, and never kept. Each is a mixture of two, 0.6 to 1 of the first; with `--augmented` it is a feature
moved at random, as far and in such directions as those of so many pictures moved when they were cut, mirrored, turned,
brightened and coded again. Queries are a sample; recall is of their 100 nearest neighbours by all pairs. Times are
processor seconds; those of all vectors are scaled from the sample.
"""

import io
import time
from collections.abc import Callable, Iterator
from itertools import chain, islice

import click
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageEnhance, ImageOps

from benchmarks.measuring import machine, own_peak_mb, print_table
from vlmine_dagster.mining.neighbours import Blocks, nearest_neighbours
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.scoring.vectors import matrix

COUNT, BLOCK = 100, 20_000
CHANGES = 8  # of each picture

Floats = npt.NDArray[np.float32]


More = Callable[[np.random.Generator, int], Floats]


def features(bench: Workbench) -> Floats:
    """Read the unit features of a project."""
    lake = bench.lake
    rows = lake.read_all("embeddings", lake.partitions("embeddings"), columns=["embedding"])
    return unit(np.asarray(matrix(rows, "embedding"), dtype=np.float32))


def unit(vectors: Floats) -> Floats:
    """Return rows of length 1."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def mixtures(real: Floats) -> More:
    """Return what makes vectors that are each a mixture of two real ones."""

    def make(draw: np.random.Generator, count: int) -> Floats:
        one, other = draw.integers(0, len(real), (2, count))
        share = draw.uniform(0.6, 1.0, (count, 1)).astype(np.float32)
        return unit(share * real[one] + (1 - share) * real[other])

    return make


def augmented(real: Floats, moves: Floats) -> More:
    """Return what makes vectors that are each a real one, moved at random by a normal law with the moves' spread."""
    spreads, axes = np.linalg.eigh(moves.T @ moves / len(moves))
    spread = np.ascontiguousarray((axes * np.sqrt(np.maximum(spreads, 0))).T, dtype=np.float32)

    def make(draw: np.random.Generator, count: int) -> Floats:
        noise = draw.standard_normal((count, len(spread)), dtype=np.float32)
        return unit(real[draw.integers(0, len(real), count)] + noise @ spread)

    return make


def moves_of(bench: Workbench, count: int) -> Floats:
    """Return how the unit features of pictures move when these are changed, shape (count * CHANGES, D)."""
    draw = np.random.default_rng(0)
    source, limit = bench.source, bench.project.settings.dataset.max_pixels
    found: list[tuple[str, bytes]] = []
    every = chain.from_iterable(map(source.read, source.shards()))
    for number, raw in enumerate(islice(every, count)):
        picture = Image.open(io.BytesIO(raw.data)).convert("RGB")
        versions = [picture, *(changed(picture, draw) for _ in range(CHANGES))]
        found += [(f"{number}-{place}", _coded(one)) for place, one in enumerate(versions)]
    embeddings = bench.encoder.encode(found, max_pixels=limit).embeddings
    each = unit(np.asarray(embeddings, dtype=np.float32)).reshape(-1, 1 + CHANGES, embeddings.shape[1])
    return np.ascontiguousarray((each[:, 1:] - each[:, :1]).reshape(-1, each.shape[2]))


def changed(picture: Image.Image, draw: np.random.Generator) -> Image.Image:
    """Return a picture cut to 70 to 100% of each side, perhaps mirrored, turned by up to 10 degrees, and brightened."""
    sides = [round(side * draw.uniform(0.7, 1.0)) for side in picture.size]
    left, top = (int(draw.integers(0, whole - part + 1)) for whole, part in zip(picture.size, sides, strict=True))
    part = picture.crop((left, top, left + sides[0], top + sides[1])).rotate(draw.uniform(-10, 10))
    turned = ImageOps.mirror(part) if draw.random() < 0.5 else part
    return ImageEnhance.Brightness(turned).enhance(draw.uniform(0.7, 1.3))


def _coded(picture: Image.Image) -> bytes:
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=75)
    return content.getvalue()


def blocks(real: Floats, size: int, more: More) -> Blocks:
    """Return a reader of the first real vectors, or of others where more are wanted."""

    def read() -> Iterator[Floats]:
        for start in range(0, size, BLOCK):
            count = min(BLOCK, size - start)
            if size <= len(real):
                yield real[start : start + count]
                continue
            yield more(np.random.default_rng(start), count)

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


def measure(real: Floats, size: int, query_count: int, more: More) -> list[str]:
    """Return a row of the table."""
    vectors = blocks(real, size, more)
    queries = first_rows(vectors, query_count)
    started = time.process_time()
    for _ in vectors():
        pass
    reading = time.process_time() - started  # of made-up vectors it takes long, and all queries share it
    exact, dense, _, all_pairs = search(vectors, queries, "exact")
    found, guessed, building, by_index = search(vectors, queries, "index")
    recall = np.mean([len(set(a) & set(b)) / COUNT for a, b in zip(found.tolist(), exact.tolist(), strict=True)])
    one, other = (np.argsort(np.argsort(sums)) for sums in (dense, guessed))
    agreement = np.corrcoef(one, other)[0, 1]
    each = (by_index - building) / (len(exact) - 1)
    peak = own_peak_mb()
    return [
        f"{size:,}",
        f"{max(0.0, all_pairs - reading) / len(exact) * size:,.0f}",
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
@click.option("--augmented", "pictures", default=0, help="More vectors by what changes do to so many pictures.")
def main(project: str, sizes: tuple[int, ...], queries: int, pictures: int) -> None:
    """Print a Markdown table; times over all vectors are those of the sample of queries, scaled."""
    bench = Workbench(settings_file=project)
    real = features(bench)
    more = augmented(real, moves_of(bench, pictures)) if pictures else mixtures(real)
    rows = [measure(real, size, queries, more) for size in sorted(sizes)]
    print(f"{machine('faiss-cpu', 'numpy')}; {queries:,} queries of {real.shape[1]:,} numbers, {COUNT} neighbours\n")
    columns = ("all pairs, CPU s", "index, CPU s", "of it building", "ms a query", "recall", "Spearman", "peak MB")
    print_table(("vectors", *columns), rows)


if __name__ == "__main__":
    main()
