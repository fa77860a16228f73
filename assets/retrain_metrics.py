"""Stage `retrain_metrics`: what mined images are worth, by what they are and by what a model learns from them."""

from functools import partial
from typing import Any

from vlmine_dagster.assets.task_model import checkpoint_digest
from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.engine.stage import ACCELERATOR_POOL, Part, Product, Reads, stage
from vlmine_dagster.engine.stage_run import StageRun
from vlmine_dagster.resources.workbench import Workbench

LUCK_CHECK = "better_than_random"


def _bins(part: Part) -> list[Any]:
    labels = part.settings.dataset.labels
    slices = [] if part.slices is None else [part.slices]
    return [
        part.settings.retraining,
        *slices,
        None if labels is None else [labels.many_over, labels.few_under, labels.shots_by],
    ]


def _fingerprints(bench: Workbench, part: Part) -> list[Any]:
    labels = None if bench.labels is None else bench.labels.fingerprint
    return [*checkpoint_digest(bench, part.settings.retraining.path), labels]


@stage(
    "retrain_metrics",
    group="evaluate",
    kinds={"pytorch", "mlflow", "parquet"},
    reads=[
        Reads("pareto_set", ("image_id", "rank")),
        Reads(ITEMS, ("image_id", "label", "split", "outcome")),
        Reads("embeddings", ("image_id", "embedding"), when=lambda part: part.settings.retraining.reads_features),
        Reads("attributes", ("image_id", "attributes"), when=lambda part: part.reads_attributes),
        Reads("keywords", ("image_id", "keyword"), when=lambda part: part.reads_slice_keywords),
    ],
    settings=_bins,
    fingerprints=_fingerprints,
    version=4,
    is_tracked=True,
    pool=ACCELERATOR_POOL,
    checks={
        LUCK_CHECK: "More of the known few-shot classes at the budget than by chance (hypergeometric, p at most 0.05); "
        "passes where too few are known to tell."
    },
)
def retrain_metrics(run: StageRun) -> Product:
    """How much of the tail an experiment found at each budget, and how well a model does that is retrained with it.

    One row per metric and budget: recall, precision, lift and coverage of the few-shot classes of the mined images
    (seed -1), and many/medium/few/all accuracy on the test split after retraining on the labelled set and the oracle's
    labels, one row per random seed. Budgets and seeds are the same for every experiment. Where the pool's classes are
    unknown, there is only the accuracy with the labels so far. Without labels the stage is skipped.
    """
    import dagster as dg

    from vlmine_dagster.reporting.mlflow_runs import record_metrics
    from vlmine_dagster.scoring.retraining import judged_rows, luck, metrics_table, summary

    if run.labels is None:
        return _skipped("the project has no labels (dataset.labels in vlmine.yaml)")
    previous = run.previous()  # a list that is made again teaches a model nothing new
    kept = previous.read().to_pylist() if previous is not None and previous.is_of_same_inputs else []
    judged = judged_rows(run, run.encoder_inputs, run.labels, kept=kept)
    if not judged.rows:
        return _skipped(
            "the label file has no class for any pool image, so nothing found can be counted, and not both seed and "
            "test images, so nothing is retrained"
        )
    record = partial(record_metrics, run, run.tracking, judged)
    facts = {"summary": dg.MetadataValue.md(summary(judged.rows))}
    return Product(metrics_table(judged.rows), facts, record, advice={LUCK_CHECK: luck(run, judged.truth)})


def _skipped(reason: str) -> Product:
    from vlmine_dagster.scoring.retraining import metrics_table

    return Product(metrics_table([]), {"skipped": reason})
