"""Stage `task_model`: the downstream model, trained on the labelled set alone."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from vlmine_dagster.domain.tables import TASK_MODEL, WHOLE_POOL
from vlmine_dagster.engine.stages import Product, StageRun
from vlmine_dagster.resources.digests import path_digest
from vlmine_dagster.scoring.predictions import match_predictions
from vlmine_dagster.scoring.task_model import forget_older, keep, train


def compute(run: StageRun) -> Product:
    """Train the task model on the labelled set, or look at the one that the user has."""
    settings = run.project.settings.task_model
    if settings.kind in ("probe", "cnn"):
        return _trained(run)
    path = run.project.resolve(str(settings.path))
    class_count, facts = _checkpoint(path) if settings.kind == "transformers" else _predictions(run, path)
    return Product(_row(run, path, class_count=class_count), facts)


def _trained(run: StageRun) -> Product:
    trained = train(run, run.bench.source, run.bench.labels)
    folder = run.bench.models_folder
    path = keep(trained.model, folder)
    _forget_older(run, folder)
    class_count = len(trained.model.classes)
    row = _row(run, str(path), class_count=class_count, seed_count=trained.labelled_count, accuracy=trained.accuracy)
    facts = {
        "classes": class_count,
        "labelled seed images": trained.labelled_count,
        "members": len(trained.model.networks),
    }
    judged = {} if trained.accuracy is None else {"held-out accuracy on the seed": trained.accuracy}
    return Product(row, {**facts, **judged})


def _forget_older(run: StageRun, folder: Path) -> None:
    if run.lake.path(TASK_MODEL.name).exists():
        forget_older(folder, Path(run.lake.read(TASK_MODEL.name, WHOLE_POOL).column("path")[0].as_py()))


def _row(run: StageRun, path: str, *, class_count: int, seed_count: int = 0, accuracy: float | None = None) -> pa.Table:
    row = {
        "kind": run.project.settings.task_model.kind,
        "path": path,
        "sha256": path_digest(path),
        "class_count": class_count,
        "seed_count": seed_count,
        "seed_accuracy": accuracy,
    }
    return pa.Table.from_pylist([row], schema=TASK_MODEL.schema)


def _checkpoint(path: str) -> tuple[int, dict[str, Any]]:
    from vlmine_dagster.learning.user_model import load_checkpoint

    return len(load_checkpoint(path).classes), {}


def _predictions(run: StageRun, path: str) -> tuple[int, dict[str, Any]]:
    match = match_predictions(path, run.connect("images"))
    match.refuse_foreign()
    labels = run.bench.labels
    names = () if labels is None else labels.class_names
    for warning in match.warnings(names):
        run.log.warning(warning)
    shared = {} if labels is None else {"classes that labels know": len(set(names) & set(match.classes))}
    return len(match.classes), {
        "images of the pool": match.pool_count,
        "images of the pool with predictions": match.known_count,
        "classes": len(match.classes),
        **shared,
    }
