"""Stage `images`: every image of a shard, opened and checked."""

from assets.stages import Product, StageRun
from resources.intake import inspect_shard, outcome_counts, refuse_failures


def compute(run: StageRun) -> Product:
    """Open and check every image of a shard."""
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
