"""Stage `task_model`: the downstream model, trained on the labelled seed alone."""

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vlmine_dagster.assets.descriptions import matrix
from vlmine_dagster.domain.errors import MissingInputError
from vlmine_dagster.domain.tables import TASK_MODEL, WHOLE_POOL
from vlmine_dagster.engine.stages import Product, StageRun
from vlmine_dagster.resources.digests import path_digest
from vlmine_dagster.resources.intake import load_pixels
from vlmine_dagster.resources.label_match import match_labels, published_images

if TYPE_CHECKING:
    from vlmine_dagster.learning.task_model import TaskModel


def compute(run: StageRun) -> Product:
    """Train the task model on the seed, or look at the one that the user has."""
    settings = run.project.settings.task_model
    if settings.kind in ("probe", "cnn"):
        return _trained(run)
    path = run.project.resolve(str(settings.path))
    digest = path_digest(path)
    class_count, facts = _checkpoint(path) if settings.kind == "transformers" else _predictions(run, path)
    row = {"kind": settings.kind, "path": path, "sha256": digest, "class_count": class_count}
    table = pa.Table.from_pylist([{**row, "seed_count": 0, "seed_accuracy": None}], schema=TASK_MODEL.schema)
    return Product(table, facts)


def _trained(run: StageRun) -> Product:
    from vlmine_dagster.learning.task_model import held_out_accuracy, train_task_model

    settings = run.project.settings.task_model
    names, labels = seed_rows(run)
    inputs = model_inputs(run, settings.kind, names, side=settings.image_size)
    how = {"epochs": settings.epochs, "dropout": settings.dropout_share}
    model = train_task_model(settings.kind, inputs, labels, members=settings.members, **how)  # type: ignore[arg-type]
    accuracy = held_out_accuracy(settings.kind, inputs, labels, **how)  # type: ignore[arg-type]
    path = _kept(model, run.bench.models_folder)
    _forget_older(run)
    row = {
        "kind": settings.kind,
        "path": str(path),
        "sha256": path_digest(str(path)),
        "class_count": len(model.classes),
    }
    table = pa.Table.from_pylist(
        [{**row, "seed_count": len(names), "seed_accuracy": accuracy}], schema=TASK_MODEL.schema
    )
    facts = {"classes": len(model.classes), "labelled seed images": len(names), "members": len(model.networks)}
    return Product(table, {**facts, **({} if accuracy is None else {"held-out accuracy on the seed": accuracy})})


def _kept(model: "TaskModel", folder: Path) -> Path:
    """Write a model under the name of its content: the published row's file stays what it was until the next row."""
    from vlmine_dagster.learning.task_model import save

    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        beside = Path(scratch) / "model.safetensors"
        save(model, beside)
        digest = hashlib.sha256(beside.read_bytes()).hexdigest()
        path = folder / f"task_model-{digest[:16]}.safetensors"
        beside.replace(path)
    return path


def _forget_older(run: StageRun) -> None:
    """Delete models from before the published one; newer ones may be about to be published."""
    if not run.lake.path(TASK_MODEL.name).exists():
        return
    published = Path(run.lake.read(TASK_MODEL.name, WHOLE_POOL).column("path")[0].as_py())
    if published.parent == run.bench.models_folder and published.exists():
        for file in published.parent.glob("task_model*.safetensors"):
            if file != published and file.stat().st_mtime_ns < published.stat().st_mtime_ns:
                file.unlink(missing_ok=True)


def seed_rows(run: StageRun) -> tuple[list[str], list[str]]:
    """Return image ids and labels of the labelled seed.

    Raises:
        MissingInputError: there is no labelled image, or the label file is about other images.
    """
    with run.connect("images") as connection:
        rows = connection.sql(
            """SELECT image_id, label FROM images
               WHERE split = 'seed' AND outcome = 'ok' AND label IS NOT NULL ORDER BY image_id"""
        ).fetchall()
    if not rows:
        _refuse_foreign_labels(run)
        raise MissingInputError(
            f"{run.stage.table}: no image is labelled as seed. Name a file with columns key, split, class_id as "
            f"dataset.labels.file in vlmine.yaml, or mine by novelty alone."
        )
    return [row[0] for row in rows], [row[1] for row in rows]


def _refuse_foreign_labels(run: StageRun) -> None:
    if run.bench.labels is None:
        return
    match = match_labels(run.bench.labels, published_images(run.lake, run.shards))
    if match.is_none:
        raise MissingInputError(f"{run.stage.table}: dataset.labels.file: {match.problem} Correct its keys.")


def model_inputs(run: StageRun, kind: str, image_ids: Sequence[str], *, side: int) -> npt.NDArray[Any]:
    """Return what a model of a kind reads, in the order of `image_ids`.

    Returns:
        For `probe` features of shape (N, 1280), float32; for networks pixels of shape (N, side, side, 3), uint8.
    """
    if kind != "probe":
        return load_pixels(run.bench.source, image_ids, max_pixels=run.project.settings.dataset.max_pixels, side=side)
    rows = run.read("embeddings", ["image_id", "embedding"])
    places = {name: place for place, name in enumerate(rows.column("image_id").to_pylist())}
    missing = [name for name in image_ids if name not in places]
    if missing:
        raise MissingInputError(
            f"{run.stage.table}: {len(missing)} images have no embedding, such as {missing[0]}. "
            f"Materialize embeddings for their shards again."
        )
    wanted = np.array([places[name] for name in image_ids], dtype=np.int64)
    return np.asarray(matrix(rows.take(pa.array(wanted)), "embedding"))


def _checkpoint(path: str) -> tuple[int, dict[str, Any]]:
    from vlmine_dagster.learning.user_model import load_checkpoint

    return len(load_checkpoint(path).classes), {}


def _predictions(run: StageRun, path: str) -> tuple[int, dict[str, Any]]:
    from vlmine_dagster.assets.predictions import match_predictions

    match = match_predictions(path, run.lake, run.shards)
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
