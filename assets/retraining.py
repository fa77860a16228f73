"""Stage `retrain_metrics`: what the mined images are worth, by what they are and by what a model learns from them."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa

from vlmine_dagster.assets.pareto import mining_run, run_tags
from vlmine_dagster.assets.pool import true_labels
from vlmine_dagster.assets.task_model import model_inputs
from vlmine_dagster.domain.tables import RETRAIN_METRICS
from vlmine_dagster.engine.catalog import LUCK_CHECK
from vlmine_dagster.engine.stages import Product, StageRun
from vlmine_dagster.mining.advice import Advice, luck_advice
from vlmine_dagster.mining.longtail import mining_metrics, shot_accuracy, shot_bins
from vlmine_dagster.mining.selection import budget_count
from vlmine_dagster.mining.significance import area_under_budget_curve
from vlmine_dagster.reporting.charts import recall_curve
from vlmine_dagster.resources.labels import Labels
from vlmine_dagster.settings.project import Project

UNTRAINED = -1


@dataclass(frozen=True)
class Truth:
    """The mined order with the oracle's labels.

    Attributes:
        image_ids: Ranked pool images, best first.
        labels: Their true classes.
        bins: many, medium or few, by class.
    """

    image_ids: Sequence[str]
    labels: Sequence[str]
    bins: Mapping[str, str]


def compute(run: StageRun) -> Product:
    """Judge the ranked images by what they are, and by what a model learns from them."""
    labels = run.bench.labels
    if labels is None:
        return _skipped("the project has no labels (dataset.labels in vlmine.yaml)")
    truth = _truth(run, labels)
    shares = run.project.settings.retraining.budgets if truth.labels else ()
    counts = {share: budget_count(share, len(truth.labels)) for share in shares}
    seed = _labelled(run, "seed")
    rows = _kept(run) or [*_found(truth, counts), *_learned(run, truth, counts, seed=seed)]
    if not rows:
        return _skipped(
            "the label file knows no class of any pool image, so nobody can say what was found, and not both seed and "
            "test images, so nothing is retrained"
        )
    table = pa.Table.from_pylist(rows, schema=RETRAIN_METRICS.schema)
    return Product(
        table,
        {"summary": dg.MetadataValue.md(_summary(rows))},
        partial(_record, run, rows, counts, labelled_count=len(seed)),
        advice={LUCK_CHECK: _luck(run, truth)},
    )


def _kept(run: StageRun) -> list[dict[str, Any]]:
    """Return the rows that were made of the same inputs: a list that is made again teaches a model nothing new."""
    stamp = run.lake.stamp("retrain_metrics", run.partition)
    if stamp is None or stamp.inputs != run.inputs:
        return []
    rows: list[dict[str, Any]] = run.lake.read("retrain_metrics", run.partition).to_pylist()
    return rows


def _luck(run: StageRun, truth: Truth) -> Advice:
    experiment = run.project.settings.experiments[run.partition]
    if experiment.signals == ("random",) or list(experiment.signals) == ["random"]:
        return Advice(True, "this experiment is chance itself")
    count = budget_count(experiment.budget or run.project.settings.budget, len(truth.labels))
    is_few = [truth.bins[label] == "few" for label in truth.labels]
    return luck_advice(sum(is_few[:count]), mined_count=count, tail_count=sum(is_few), pool_size=len(is_few))


def _skipped(reason: str) -> Product:
    return Product(RETRAIN_METRICS.schema.empty_table(), {"skipped": reason})


def _truth(run: StageRun, labels: Labels) -> Truth:
    ranked = run.read("pareto_set", ["image_id", "rank"]).sort_by("rank").column("image_id").to_pylist()
    known = true_labels(run, ranked)
    pairs = [(name, known[name]) for name in ranked if name in known]
    settings = run.project.settings.dataset.labels
    assert settings is not None  # noqa: S101 - there are labels, so there are their settings
    bins = shot_bins(labels.class_counts(), many_over=settings.many_over, few_under=settings.few_under)
    return Truth([name for name, _ in pairs], [label for _, label in pairs], bins)


def _found(truth: Truth, counts: Mapping[float, int]) -> Iterator[dict[str, Any]]:
    for share, count in counts.items():
        metrics = mining_metrics(truth.labels[:count], truth.labels, bins=truth.bins)
        for metric, value in metrics.items():
            yield _row(share, count, UNTRAINED, metric, value)


def _learned(
    run: StageRun, truth: Truth, counts: Mapping[float, int], *, seed: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    from vlmine_dagster.learning.retraining import Labelled, retrain_curve

    test, watched = (_labelled(run, split) for split in ("test", "val"))
    if not seed or not test:
        run.log.warning(
            f"retrain_metrics: nothing retrained, {len(seed)} seed and {len(test)} test images are labelled"
        )
        return
    settings = run.project.settings.retraining
    mined = truth.image_ids[: max(counts.values(), default=0)]

    def inputs(names: Sequence[str]) -> Any:
        return model_inputs(run, settings.kind, names, side=settings.image_size)

    retrained = retrain_curve(
        retraining_plan(run.project),
        seed=Labelled(inputs(list(seed)), list(seed.values())),
        mined=Labelled(inputs(mined), truth.labels[: len(mined)]),
        validation=Labelled(inputs(list(watched)), list(watched.values())) if settings.patience and watched else None,
        test_inputs=inputs(list(test)),
        classes=sorted(truth.bins),
        budgets=[0, *counts.values()],
        training_seeds=settings.seeds,
    )
    shares = {count: share for share, count in counts.items()}
    for result in retrained:
        for metric, value in shot_accuracy(list(test.values()), result.predicted, bins=truth.bins).items():
            yield _row(shares.get(result.budget, 0.0), result.budget, result.seed, metric, value)


def retraining_plan(project: Project) -> Any:
    """Return what a project retrains, and how."""
    from vlmine_dagster.learning.retraining import Plan
    from vlmine_dagster.learning.training import Recipe

    settings = project.settings.retraining
    recipe = Recipe(
        epochs=settings.epochs,
        learning_rate=settings.highest_learning_rate,
        class_balance=settings.class_balance,
        is_half=settings.precision == "bfloat16",
        patience=settings.patience,
    )
    return Plan(
        settings.kind,
        recipe,
        side=settings.image_size,
        checkpoint=project.resolve(settings.path) if settings.path else "",
        validation_share=settings.validation_share,
    )


def _labelled(run: StageRun, split: str) -> dict[str, str]:
    with run.connect("images") as connection:
        query = """SELECT image_id, label FROM images
                   WHERE split = $split AND outcome = 'ok' AND label IS NOT NULL ORDER BY image_id"""
        return dict(connection.sql(query, params={"split": split}).fetchall())


def _row(share: float, count: int, seed: int, metric: str, value: float) -> dict[str, Any]:
    known = None if np.isnan(value) else float(value)
    return {"budget": share, "mined_count": count, "seed": seed, "metric": metric, "value": known}


def means(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, float], tuple[float, float]]:
    """Return mean and standard deviation over training seeds by (metric, budget); unknown values are left out."""
    values: dict[tuple[str, float], list[float]] = defaultdict(list)
    for row in rows:
        if row["value"] is not None:
            values[row["metric"], row["budget"]].append(row["value"])
    return {key: (float(np.mean(found)), float(np.std(found))) for key, found in values.items()}


def _summary(rows: Sequence[Mapping[str, Any]]) -> str:
    found = means(rows)
    budgets = sorted({row["budget"] for row in rows})
    shown = [
        m
        for m in ("few_recall", "few_lift", "few_coverage", "few_accuracy", "all_accuracy")
        if any(m == k[0] for k in found)
    ]
    lines = [f"| metric | {' | '.join(f'{budget:.0%}' for budget in budgets)} |", "| --- |" + " ---: |" * len(budgets)]
    for metric in shown:
        cells = [f"{found[metric, budget][0]:.3f}" if (metric, budget) in found else "" for budget in budgets]
        lines.append(f"| {metric} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _record(
    run: StageRun, rows: Sequence[Mapping[str, Any]], counts: Mapping[float, int], *, labelled_count: int
) -> Mapping[str, Any]:
    tracking, experiment = run.bench.tracking, run.partition
    parent = mining_run(run)
    found, steps = means(rows), {0.0: 0, **counts}
    headline = [(metric, steps[budget], mean) for (metric, budget), (mean, _) in found.items()]
    spread = [
        (f"{metric}_sd", steps[budget], deviation)
        for (metric, budget), (_, deviation) in found.items()
        if metric.endswith("_accuracy")
    ]
    curve = sorted((budget, mean) for (metric, budget), (mean, _) in found.items() if metric == "few_recall")
    with tracking.run(f"{experiment}: retraining", tags=run_tags(run), parent_run_id=parent) as tracked:
        tracked.params({"kind": run.project.settings.retraining.kind, "budgets": ", ".join(map(str, counts))})
        tracked.curves([*headline, *spread])
        tracked.metrics({"labelled_images": labelled_count})
    if parent is not None:
        with tracking.reopened(parent) as top:
            if curve:
                area = area_under_budget_curve(*zip((0.0, 0.0), *curve, strict=True))
                top.metrics({"recall_area": area})  # the first metric is what the compare view colours by
                top.artifact("recall.png", recall_curve({experiment: curve}).png())
            top.curves(point for point in headline if not point[0].startswith("class_"))
            top.metrics({"labelled_images": labelled_count})
    return {"MLflow run": dg.MetadataValue.url(tracked.url), "mlflow_run_id": tracked.run_id}
