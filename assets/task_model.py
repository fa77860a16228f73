"""Stage `task_model`: the downstream model, trained on the labelled set alone."""

from vlmine_dagster.domain.tables import TASK_MODEL, WHOLE_POOL
from vlmine_dagster.engine.stages import Product, StageRun
from vlmine_dagster.scoring.task_model import task_model_row


def compute(run: StageRun) -> Product:
    """Train the task model on the labelled set, or look at the one that the user has."""
    is_published = run.lake.path(TASK_MODEL.name).exists()
    published = run.lake.read(TASK_MODEL.name, WHOLE_POOL).column("path")[0].as_py() if is_published else None
    folder = run.bench.models_folder
    return Product(*task_model_row(run, run.bench.source, run.bench.labels, models_folder=folder, published=published))
