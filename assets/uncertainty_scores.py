"""Stage `uncertainty_scores`: how unsure the task model is about each image."""

from typing import Any

from vlmine_dagster.assets.task_model import why_no_task_model
from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.engine.stage import ACCELERATOR_POOL, Part, Product, Reads, stage
from vlmine_dagster.engine.stage_run import StageRun


def _passes(part: Part) -> list[Any]:
    model = part.settings.task_model
    return [model.dropout_passes, model.dropout] if model.dropout_passes else []


@stage(
    "uncertainty_scores",
    group="score",
    kinds={"pytorch", "parquet"},
    reads=[
        Reads(ITEMS, ("image_id", "sha256", "split", "outcome")),
        Reads("task_model", ("kind", "sha256")),
        Reads(
            "embeddings",
            ("image_id", "embedding"),
            when=lambda part: part.settings.task_model.capabilities.reads == "features",
        ),
    ],
    settings=_passes,
    skipped=why_no_task_model,
    version=2,
    is_one_run=True,
    pool=ACCELERATOR_POOL,
)
def uncertainty_scores(run: StageRun) -> Product:
    """Predictive entropy, variation ratio and margin of the task model for each readable image of a shard.

    One row per image of the labelled set or the pool; images that judge models are left out. Entropy is in nats. An
    ensemble is asked as one, by the mean of its members; how much they, or Monte Carlo dropout passes, disagree is in
    columns that are empty where the task model has neither.
    """
    from vlmine_dagster.scoring.task_model import Workplace
    from vlmine_dagster.scoring.uncertainty import uncertainty_scores

    rows = uncertainty_scores(Workplace(run, run.encoder_inputs, run.models_folder))
    return Product(rows, {"judged": rows.num_rows})
