"""What of the features of a pool is ever in memory: `rarity_scores` and `neighbour_scores` over made-up embeddings.

    python -m benchmarks.rarity --images 100000 --images 400000

Features and tags are drawn around the centres of classes, two images in a hundred are labelled. Each stage runs in a
process of its own; its peak stands beside what the vectors that it reads would take at once, 2 bytes a number.
"""

import sys
import tempfile
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import yaml

from benchmarks.engine import POOL_STAGE, run_stage
from benchmarks.measuring import cost_of, machine, print_table
from benchmarks.synthetic_lake import LakeSize, make_lake
from vlmine_dagster.domain.encoders import ENCODER
from vlmine_dagster.domain.tables import EMBEDDINGS
from vlmine_dagster.resources.workbench import Workbench

CLASSES, LABELLED_SHARE, INPUTS = 200, 0.02, "synthetic"
WIDTHS = {"rarity_scores": ENCODER.embedding_size + ENCODER.class_count, "neighbour_scores": ENCODER.embedding_size}
EXPERIMENTS = {
    "fused": {"signals": ["class_rank_rarity", "chosen_sparsity", "chosen_isolation"], "fusion": "fisher"},
    "lonely": {"signals": ["embedding_sparsity", "seed_distance"]},
}


def make_pool(folder: Path, images: int) -> None:
    """Write a lake with labels, embeddings and counts."""
    size = LakeSize(images, max(images // 10_000, 1), max(images // 10, 10))
    bench = make_lake(folder, size)
    settings = yaml.safe_load((folder / "vlmine.yaml").read_text(encoding="utf-8"))
    (folder / "vlmine.yaml").write_text(yaml.safe_dump({**settings, "experiments": EXPERIMENTS}), encoding="utf-8")
    centres = np.random.default_rng(0).normal(size=(CLASSES, ENCODER.embedding_size)).astype(np.float32)
    for number, shard in enumerate(size.names):
        rows = bench.lake.read("images", shard)
        draw = np.random.default_rng(number)
        classes = (CLASSES * draw.random(rows.num_rows) ** 3).astype(np.int64)  # a few large ones, many small ones
        is_labelled = draw.random(rows.num_rows) < LABELLED_SHARE
        labels = pa.array(
            [f"class {k}" if is_known else None for k, is_known in zip(classes, is_labelled, strict=True)]
        )
        splits = pa.array(np.where(is_labelled, "seed", "pool").tolist())
        for name, values in (("label", labels), ("split", splits)):
            rows = rows.set_column(rows.column_names.index(name), name, values)
        bench.lake.publish("images", shard, rows, inputs=INPUTS)
        vectors = (centres[classes] + draw.normal(size=(rows.num_rows, ENCODER.embedding_size)), _tags(draw, classes))
        bench.lake.publish("embeddings", shard, _embeddings(rows.column("image_id"), *vectors), inputs=INPUTS)
    run_stage(bench, POOL_STAGE)


def _tags(draw: np.random.Generator, classes: np.ndarray) -> np.ndarray:
    """Draw tag probabilities: a class shows its own tag, and a few others by chance."""
    odds = draw.gamma(0.05, size=(len(classes), ENCODER.class_count)).astype(np.float32)
    odds[np.arange(len(classes)), classes] += draw.gamma(5.0, size=len(classes))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def _embeddings(image_ids: pa.ChunkedArray, *vectors: np.ndarray) -> pa.Table:
    names = ("embedding", "tag_probabilities")
    columns = [
        pa.FixedSizeListArray.from_arrays(
            pa.array(values.astype(np.float16).reshape(-1), pa.float16()), type=EMBEDDINGS.column(name).type
        )
        for name, values in zip(names, vectors, strict=True)
    ]
    return pa.table([image_ids, *columns], names=["image_id", *names])


@click.command()
@click.option("--images", "sizes", multiple=True, type=int, default=(100_000, 400_000), show_default=True)
@click.option("--folder", type=click.Path(path_type=Path), help="Where pools are made and kept; else a temporary one.")
@click.option("--work", type=click.Choice(list(WIDTHS)), help="Do only this, on a pool that is there.")
def main(sizes: tuple[int, ...], folder: Path | None, work: str | None) -> None:
    """Print a Markdown table of time and memory."""
    if work is not None:
        run_stage(Workbench(settings_file=str(folder and folder / "vlmine.yaml")), work)
        return
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        for images in sizes:
            pool = (folder or Path(temporary)) / f"images-{images}"
            if not (pool / "vlmine.yaml").exists():
                make_pool(pool, images)
            for stage, width in WIDTHS.items():
                cost = cost_of([sys.executable, "-m", "benchmarks.rarity", "--folder", str(pool), "--work", stage])
                held = f"{images * width * 2 / 1e6:,.0f}"
                rows.append(
                    (
                        stage,
                        f"{images:,}",
                        f"{cost.seconds:.0f}",
                        f"{cost.cpu_seconds:.0f}",
                        held,
                        f"{cost.peak_mb:,.0f}",
                    )
                )
                print(*rows[-1], file=sys.stderr)
    print(f"{machine('faiss-cpu', 'torch', 'pyarrow')}\n")
    print_table(("stage", "images", "s", "CPU s", "vectors, MB", "peak MB"), rows)


if __name__ == "__main__":
    main()
