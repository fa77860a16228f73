"""How time and memory grow with images and with shards, from keywords to the mined list and its page, all by Dagster.

    python -m benchmarks.growth --images 10000 --images 1000000 --shards 1 --shards 1000 --plot docs/images/growth.png

Each point is a made-up pool (`synthetic_pool`) on which nothing beyond keywords was made yet, and one `vlmine run` in a
process of its own; or, for `--stages`, a lake of `benchmarks.engine` and the stages that count, score and rank, without
Dagster. To the processor seconds t = a + b n^p is fitted: a is what starting costs, p the exponent.
"""

import io
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import numpy as np

from benchmarks import engine
from benchmarks.measuring import Cost, machine, print_table
from benchmarks.new_shard import run
from benchmarks.synthetic_pool import SyntheticPool

FEW_SHARDS = 10
FEW_IMAGES = 10_000
BY_IMAGES = f"images, `vlmine run`, {FEW_SHARDS} shards"
BY_STAGES = "images, stages alone, 10,000 a shard"
BY_SHARDS = f"shards, `vlmine run`, {FEW_IMAGES:,} images"
Costs = Mapping[int, Cost]


@click.command()
@click.option("--images", "image_counts", multiple=True, type=int, default=(10_000, 100_000, 1_000_000))
@click.option("--stages", "stage_counts", multiple=True, type=int, default=(10_000, 100_000, 1_000_000))
@click.option("--shards", "shard_counts", multiple=True, type=int, default=(1, 10, 100, 1000))
@click.option("--folder", type=click.Path(path_type=Path), help="Where pools and results are kept; by default nowhere.")
@click.option("--plot", type=click.Path(path_type=Path), help="PNG to write, such as docs/images/growth.png.")
def main(
    image_counts: Sequence[int],
    stage_counts: Sequence[int],
    shard_counts: Sequence[int],
    folder: Path | None,
    plot: Path | None,
) -> None:
    """Print a table with its exponent for each way to grow, and draw them if asked to."""
    with tempfile.TemporaryDirectory() as temporary:
        root = folder or Path(temporary)
        found = {
            BY_IMAGES: {n: measured(root / f"images-{n}", FEW_SHARDS, n) for n in image_counts},
            BY_STAGES: {n: of_stages(root / "lakes" / f"images-{n}", n) for n in stage_counts},
            BY_SHARDS: {n: measured(root / f"shards-{n}", n, FEW_IMAGES) for n in shard_counts},
        }
    print(f"{machine('dagster', 'duckdb')}\n")
    for what, costs in found.items():
        print_table([what, "s", "processor s", "peak MB"], _rows(costs))
        print(f"\nprocessor seconds: {_fits_text(costs)}\n")
    if plot is not None:
        plot.write_bytes(drawn(found))


def _rows(costs: Costs) -> list[list[str]]:
    return [[f"{n:,}", f"{c.seconds:.1f}", f"{c.cpu_seconds:.1f}", f"{c.peak_mb:,.0f}"] for n, c in costs.items()]


def _fits_text(costs: Costs) -> str:
    """Return the fit, in which the exponent is what tells."""
    start, slope, exponent = fit({n: cost.cpu_seconds for n, cost in costs.items()})
    return f"{start:.1f} s + {slope:.2g} s x n^{exponent:.2f}"


def of_stages(folder: Path, image_count: int) -> Cost:
    """Return what counting, scoring and ranking by two signals take; a result that is kept already is read."""
    kept = folder / engine.KEPT
    if not kept.exists():
        engine.measure(folder, engine.lake_size(image_count), memory_gb=2.0)
    found = json.loads(kept.read_text(encoding="ascii"))
    stages = [found[name] for name in (engine.POOL_STAGE, engine.SHARD_STAGE, "pareto")]
    seconds, cpu_seconds = (sum(stage[key] for stage in stages) for key in ("seconds", "cpu"))
    return Cost(seconds, cpu_seconds, max(stage["peak"] for stage in stages))


def measured(folder: Path, shard_count: int, image_count: int) -> Cost:
    """Return what a run over a new pool takes; a result that is kept already is read."""
    kept = folder / "cost.json"
    if not kept.exists():
        pool = SyntheticPool(folder, shard_count, image_count // shard_count)
        pool.make()
        cost = run(pool)
        kept.write_text(json.dumps([cost.seconds, cost.cpu_seconds, cost.peak_mb]), encoding="ascii")
    cost = Cost(*json.loads(kept.read_text(encoding="ascii")))
    print(f"{folder.name}: {cost.seconds:.1f} s, {cost.cpu_seconds:.1f} processor s", file=sys.stderr)
    return cost


def fit(times: Mapping[int, float]) -> tuple[float, float, float]:
    """Fit t = a + b n^p by least squares of relative errors, p from 0.5 to 2 in steps of 0.01.

    Returns:
        a, b, p.

    Examples:
        >>> [round(float(value), 2) for value in fit({n: 8 + 0.5 * n for n in (1, 10, 100, 1000)})]
        [8.0, 0.5, 1.0]
    """
    counts, seconds = np.array([*times], float), np.array([*times.values()], float)
    found = []
    for exponent in np.arange(0.5, 2.005, 0.01):
        terms = np.column_stack([np.ones_like(counts), counts**exponent]) / seconds[:, None]
        (start, slope), *_ = np.linalg.lstsq(terms, np.ones_like(counts), rcond=None)
        error = float(((terms @ [start, slope] - 1) ** 2).sum())
        found.append((error, float(start), float(slope), float(exponent)))
    return min(found)[1:]


def drawn(found: Mapping[str, Costs]) -> bytes:
    """Return a PNG of time and memory against images and shards, with the fits."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6), layout="constrained")
    axes = figure.subplots(2, len(found), sharey="row")
    for column, (what, costs) in enumerate(found.items()):
        counts = np.array([*costs], float)
        start, slope, exponent = fit({n: cost.cpu_seconds for n, cost in costs.items()})
        line = np.geomspace(counts[0], counts[-1], 50)
        top, bottom = axes[0][column], axes[1][column]
        top.loglog(counts, [cost.cpu_seconds for cost in costs.values()], "o", color="#1f6f8b")
        top.loglog(line, start + slope * line**exponent, color="#1f6f8b", label=_fits_text(costs))
        top.legend(frameon=False, fontsize=9)
        top.set_title(what.replace("`", ""), fontsize=10)
        bottom.loglog(counts, [cost.peak_mb for cost in costs.values()], "o-", color="#b5562a")
        bottom.set(xlabel=what.partition(",")[0], ylim=(100, 10_000))
    axes[0][0].set_ylabel("processor seconds")
    axes[1][0].set_ylabel("peak memory, MB")
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110, metadata={"Software": None})
    return file.getvalue()


if __name__ == "__main__":
    main()
