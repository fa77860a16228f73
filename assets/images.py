"""Stage `images`: every image of a shard, opened and checked."""

import pyarrow as pa

from vlmine_dagster.engine.stages import Product, StageRun
from vlmine_dagster.resources.intake import inspect_shard, outcome_counts, refuse_failures, relabelled


def compute(run: StageRun) -> Product:
    """Open and check every image of a shard; where only labels have changed, join these to the published rows."""
    rows, facts = _relabelled(run) or _inspected(run)
    refuse_failures(rows, where=f"images[{run.partition}]", max_share=run.project.settings.dataset.max_failure_share)
    return Product(rows, {"outcomes": outcome_counts(rows), **facts})


def _relabelled(run: StageRun) -> tuple[pa.Table, dict[str, str]] | None:
    stamp = run.lake.stamp("images", run.partition)
    if (
        stamp is None or stamp.source != run.source or stamp.inputs == run.inputs
    ):  # who asks for fresh ones wants them opened
        return None
    rows = relabelled(run.lake.read("images", run.partition), run.partition, run.bench.labels)
    return rows, {"opened": "none: only labels have changed"}


def _inspected(run: StageRun) -> tuple[pa.Table, dict[str, float]]:
    progress = run.progress(None)
    rows = inspect_shard(
        run.bench.source,
        run.partition,
        labels=run.bench.labels,
        max_pixels=run.project.settings.dataset.max_pixels,
        on_progress=progress.add,
    )
    return rows, {"images/s": progress.rate}
