"""Stage `images`: every image of a shard, opened and checked."""

from typing import Any

from assets.stages import Product, Stage, StageRun
from resources.intake import inspect_shard, outcome_counts, refuse_failures
from resources.workbench import Workbench


def compute(run: StageRun) -> Product:
    """Every image found in a shard, readable or not.

    A row is an image: where it lies, the hash of its bytes, its size, its label if the miner may know it, and what
    became of it when it was opened. Bad images are rows with an outcome and a reason; they never go further.
    """
    dataset = run.project.settings.dataset
    progress = run.progress(None)
    rows = inspect_shard(
        run.bench.source,
        run.partition,
        labels=run.bench.labels,
        max_pixels=dataset.max_pixels,
        on_progress=progress.add,
    )
    refuse_failures(rows, where=f"images[{run.partition}]", max_share=dataset.max_failure_share)
    return Product(rows, {"outcomes": outcome_counts(rows), "images/s": progress.rate})


def _settings(bench: Workbench, partition: str, _variant: str) -> list[Any]:
    dataset, labels = bench.project.settings.dataset, bench.labels
    facts = [bench.source.fingerprint(partition), dataset.max_pixels, dataset.max_bytes, dataset.image_column]
    return [*facts, dataset.key_column, None if labels is None else labels.fingerprint]


STAGE = Stage(
    table="images",
    group="ingest",
    kinds=frozenset({"python", "parquet", "greatexpectations"}),
    compute=compute,
    settings=_settings,
)
