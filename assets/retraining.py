"""Stage `retrain_metrics`: what the mined images are worth, by what they are and by what a model learns from them."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import dagster as dg
import pyarrow as pa

from vlmine_dagster.assets.pareto import mining_run, run_tags
from vlmine_dagster.domain.tables import RETRAIN_METRICS
from vlmine_dagster.engine.catalog import LUCK_CHECK
from vlmine_dagster.engine.stages import Product, StageRun
from vlmine_dagster.mining.selection import budget_count
from vlmine_dagster.mining.significance import area_under_budget_curve
from vlmine_dagster.reporting.charts import recall_curve
from vlmine_dagster.scoring.labelled import labelled_counts
from vlmine_dagster.scoring.retraining import luck, means, mined_rows, ranked_truth, retrained_rows


def compute(run: StageRun) -> Product:
    """Judge the ranked images by what they are, and by what a model learns from them."""
    labels = run.bench.labels
    if labels is None:
        return _skipped("the project has no labels (dataset.labels in vlmine.yaml)")
    truth = ranked_truth(run, labels)
    shares = run.project.settings.retraining.budgets if truth.labels else ()
    counts = {share: budget_count(share, len(truth.labels)) for share in shares}
    rows = _kept(run) or [*mined_rows(truth, counts), *retrained_rows(run, run.bench.source, truth, counts)]
    if not rows:
        return _skipped(
            "the label file knows no class of any pool image, so nobody can say what was found, and not both seed and "
            "test images, so nothing is retrained"
        )
    table = pa.Table.from_pylist(rows, schema=RETRAIN_METRICS.schema)
    return Product(
        table,
        {"summary": dg.MetadataValue.md(_summary(rows))},
        partial(_record, run, rows, counts, labelled_count=sum(labelled_counts(run).values())),
        advice={LUCK_CHECK: luck(run, truth)},
    )


def _kept(run: StageRun) -> list[dict[str, Any]]:
    """Return the rows that were made of the same inputs: a list that is made again teaches a model nothing new."""
    stamp = run.lake.stamp("retrain_metrics", run.partition)
    if stamp is None or stamp.inputs != run.inputs:
        return []
    rows: list[dict[str, Any]] = run.lake.read("retrain_metrics", run.partition).to_pylist()
    return rows


def _skipped(reason: str) -> Product:
    return Product(RETRAIN_METRICS.schema.empty_table(), {"skipped": reason})


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
