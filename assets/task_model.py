"""Stage `task_model`: the downstream model, trained on the labelled set alone."""

from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.engine.stage import ACCELERATOR_POOL, Part, Product, Reads, stage
from vlmine_dagster.engine.stage_run import StageRun
from vlmine_dagster.resources.workbench import Workbench


def why_no_task_model(part: Part) -> str | None:
    """Return why a project has no task model, None where it has one."""
    if part.settings.task_model.capabilities.trains_on_labels and not part.project.has_labels:
        return "the project has no labels to train a task model on (dataset.labels in vlmine.yaml)"
    return None


def _reads(part: Part, *kinds: str) -> bool:
    """Whether preparing the model reads one of these: features or pixels to be trained, ids to be matched."""
    capabilities = part.settings.task_model.capabilities
    return capabilities.reads in kinds and (capabilities.trains_on_labels or capabilities.reads == "ids")


def checkpoint_digest(bench: Workbench, path: str | None) -> list[str]:
    """Return the hash of a model that the settings name, as a list; empty where they name none."""
    from vlmine_dagster.resources.digests import path_digest

    return [] if path is None else [path_digest(bench.project.resolve(path))]


@stage(
    "task_model",
    group="score",
    kinds={"pytorch", "parquet"},
    reads=[
        Reads(ITEMS, ("image_id", "label", "split", "outcome"), when=lambda part: _reads(part, "features", "pixels")),
        Reads(
            ITEMS,
            ("image_id", "sequence_id"),
            when=lambda part: part.settings.dataset.has_sequences and _reads(part, "features", "pixels"),
        ),
        Reads(ITEMS, ("image_id", "split", "outcome"), when=lambda part: _reads(part, "ids")),
        Reads("embeddings", ("image_id", "embedding"), when=lambda part: _reads(part, "features")),
    ],
    settings=lambda part: [part.settings.task_model],
    fingerprints=lambda bench, part: checkpoint_digest(bench, part.settings.task_model.path),
    skipped=why_no_task_model,
    version=2,
    pool=ACCELERATOR_POOL,
)
def task_model(run: StageRun) -> Product:
    """The task model, trained on the labelled set; it never sees a label of the pool, nor a test image.

    The one row says where the model is, what it is, and how well it does on labelled images that it was not trained on.
    A user's own predictions or checkpoint are only looked at, not trained.
    """
    from vlmine_dagster.scoring.task_model import Workplace, task_model_of

    previous = run.previous()
    published = None if previous is None else str(previous.read().column("path")[0].as_py())
    place = Workplace(run, run.encoder_inputs, run.models_folder, run.labels)
    rows, facts = task_model_of(run.project.settings.task_model).prepare(place, published=published)
    return Product(rows, facts)
