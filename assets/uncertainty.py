"""Stage `uncertainty_scores`: how unsure the task model is about each image."""

from vlmine_dagster.engine.stages import Product, StageRun
from vlmine_dagster.scoring.uncertainty import uncertainty_scores


def compute(run: StageRun) -> Product:
    """Ask the task model about a shard's images of the labelled set and the pool."""
    rows = uncertainty_scores(run, run.bench.source, models_folder=run.bench.models_folder)
    return Product(rows, {"judged": rows.num_rows})
