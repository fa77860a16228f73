"""What MLflow records: one run per mined list, with its metrics, its page and a child run per retraining."""

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import dagster as dg
import pyarrow as pa
import pyarrow.csv

from vlmine_dagster.mining.significance import area_under_budget_curve
from vlmine_dagster.reporting.charts import cloud_chart, recall_curve
from vlmine_dagster.reporting.report_page import Report
from vlmine_dagster.reporting.slices import slice_rows, worst_text
from vlmine_dagster.resources.labels import Labels
from vlmine_dagster.resources.tracking import COLOUR_TAG, INPUTS_TAG, Source, Tracking, dagster_url, run_colour
from vlmine_dagster.scoring.grounding import confirmations_of
from vlmine_dagster.scoring.list_changes import ListChanges
from vlmine_dagster.scoring.ranking import MinedList
from vlmine_dagster.scoring.reading import Reader
from vlmine_dagster.scoring.retraining import Judged, means
from vlmine_dagster.scoring.vocabulary_file import vocabulary_version
from vlmine_dagster.settings import CountedBudget

if TYPE_CHECKING:
    from vlmine_dagster.settings.slices import SliceSettings

ORACLE_TAG = "vlmine.oracle"
"""Marks an MLflow run whose list could not be made without the true classes of the pool."""


class Recorded(Reader, Protocol):
    """A stage at work, as MLflow records it."""

    @property
    def variant(self) -> str:
        """Extraction variant."""
        ...

    @property
    def table(self) -> str:
        """The table that the stage publishes."""
        ...

    @property
    def inputs(self) -> str:
        """Hash of all that goes into the partition."""
        ...

    @property
    def run_id(self) -> str:
        """Dagster's run id."""
        ...

    @property
    def code_revision(self) -> str | None:
        """Git commit, None where there is none."""
        ...

    def inputs_of(self, table: str) -> str | None:
        """Return the hash of all that went into this partition of another table."""
        ...


def record_list(
    run: Recorded,
    tracking: Tracking,
    mined: MinedList,
    changes: ListChanges,
    *,
    budget: float | CountedBudget,
    labels: Labels | None,
) -> Mapping[str, Any]:
    """Open the MLflow run of a mined list: parameters, what describing cost, the list and what changed in it."""
    settings = run.project.settings
    experiment = settings.experiments[run.partition]
    round_count = 0 if labels is None else labels.round_count
    counts = {"selected": mined.selected_count, "ranked": mined.rows.num_rows, "fronts": mined.front_count}
    # no params: plots show ten characters of a value, and merge those that agree in them
    tags = {
        **{f"vlmine.{name}": str(value) for name, value in counts.items()},
        "vlmine.signals": ", ".join(experiment.signals),
    }
    name = f"{run.partition}, round {round_count}" if round_count else run.partition
    source = Source(settings.name, run.project.resolve(settings.dataset.root), mined.digest, mined.rows.num_rows)
    with tracking.run(name, tags=run_tags(run) | tags) as tracked:
        tracked.params(_params(run, budget=budget, round_count=round_count))
        if experiment.needs_keywords:
            tracked.metrics({name: value for name, value in _bill(run).items() if value})
        tracked.metrics(changes.counts)
        grounding = confirmations_of(run)
        if grounding is not None:
            tracked.metrics(grounding.metrics())
        tracked.artifact("mined.csv", _csv(mined.selected))
        if changes.rows.num_rows:
            tracked.artifact("changes.csv", _csv(changes.rows))
        if settings.slices_of(run.partition) is not None:
            rows = slice_rows(mined.rows.select(["slice", "selected"]))
            tracked.metrics({metric_name(f"slice_selected: {row.name}"): row.selected_count for row in rows})
        tracked.dataset(source)
    return {"MLflow run": dg.MetadataValue.url(tracked.url), "mlflow_run_id": tracked.run_id}


def _params(run: Recorded, *, budget: float | CountedBudget, round_count: int) -> dict[str, Any]:
    settings = run.project.settings
    experiment = settings.experiments[run.partition]
    variant = settings.variant(experiment.variant)
    describer = {
        name: getattr(variant.describer, name) for name in ("model", "prompt") if hasattr(variant.describer, name)
    }
    keyworder = {
        f"keyworder_{name}": getattr(variant.keyworder, name)
        for name in ("model", "prompt")
        if hasattr(variant.keyworder, name)
    }
    version = vocabulary_version(run.project)
    return {
        "experiment": run.partition,
        "fusion": experiment.fusion,
        "weights": ", ".join(f"{name} {weight:g}" for name, weight in experiment.weights.items()),
        "diversity": "none" if experiment.diversity is None else experiment.diversity.kind,
        "budget": budget if not isinstance(budget, CountedBudget) else " ".join(map(str, budget.counted[::-1])),
        "variant": experiment.variant,
        "describer": variant.describer.kind,
        "keyworder": variant.keyworder.kind,
        **describer,
        **keyworder,
        "task_model": settings.task_model.kind,
        "shards": len(run.shards),
        "round": round_count,
        **_slice_params(settings.slices_of(run.partition)),
        **({"vocabulary": version} if experiment.needs_keywords and version is not None else {}),
    }


def _slice_params(slices: "SliceSettings | None") -> dict[str, Any]:
    return {} if slices is None else {f"slices_{name}": value for name, value in slices if value}


def _bill(run: Reader) -> dict[str, float]:
    """Return what describing and extracting keywords of the pool took."""
    columns = "prompt_tokens, output_tokens, cost_usd"
    with run.connect("descriptions", "keyword_answers") as connection:
        query = f"""SELECT coalesce(sum(prompt_tokens), 0), coalesce(sum(output_tokens), 0), coalesce(sum(cost_usd), 0)
                    FROM (SELECT {columns} FROM descriptions UNION ALL SELECT {columns} FROM keyword_answers)"""  # noqa: S608
        row = connection.sql(query).fetchall()[0]
    return {name: float(value) for name, value in zip(columns.split(", "), row, strict=True)}


def mining_run(run: Recorded, tracking: Tracking) -> str | None:
    """Return the MLflow run of the experiment's published list, None where there is none."""
    return tracking.latest(experiment=run.partition, asset="pareto_set", inputs=run.inputs_of("pareto_set"))


def run_tags(run: Recorded) -> dict[str, str]:
    """Return the tags that link an MLflow run to the Dagster run and to what it is made of."""
    return {
        "vlmine.experiment": run.partition,
        "vlmine.asset": run.table,
        "vlmine.variant": run.variant,
        COLOUR_TAG: run_colour(list(run.project.settings.experiments).index(run.partition)),
        INPUTS_TAG: run.inputs,
        "dagster.run_id": run.run_id,
        "dagster.run_url": dagster_url(run.project, run.run_id),
        **({ORACLE_TAG: "true"} if run.project.settings.experiments[run.partition].uses_oracle else {}),
        **({} if run.code_revision is None else {"mlflow.source.git.commit": run.code_revision}),
    }


def record_metrics(run: Recorded, tracking: Tracking, judged: Judged) -> Mapping[str, Any]:
    """Add the metrics of a judged list to its MLflow run, and those of retraining as a child run."""
    parent = mining_run(run, tracking)
    found, steps = means(judged.rows), {0.0: 0, **judged.counts}
    headline = [(metric_name(metric), steps[budget], mean) for (metric, budget), (mean, _) in found.items()]
    spread = [
        (f"{metric}_sd", steps[budget], deviation)
        for (metric, budget), (_, deviation) in found.items()
        if metric.endswith("_accuracy")
    ]
    with tracking.run(f"{run.partition}: retraining", tags=run_tags(run), parent_run_id=parent) as tracked:
        budgets = ", ".join(map(str, judged.counts))
        tracked.params({"kind": run.project.settings.retraining.kind, "budgets": budgets})
        tracked.curves([*headline, *spread])
        tracked.metrics({"labelled_images": judged.labelled_count})
    if parent is not None:
        curve = sorted((budget, mean) for (metric, budget), (mean, _) in found.items() if metric == "few_recall")
        with tracking.reopened(parent) as top:
            if curve:
                area = area_under_budget_curve(*zip((0.0, 0.0), *curve, strict=True))
                top.metrics({"recall_area": area})  # the first metric is what the compare view colours by
                top.artifact("recall.png", recall_curve({run.partition: curve}).png())
            top.curves(point for point in headline if not point[0].startswith("class_"))
            top.metrics({"labelled_images": judged.labelled_count})
            if (worst := worst_text(judged.rows)) is not None:
                top.tag("vlmine.worst_slice", worst)
    return {"MLflow run": dg.MetadataValue.url(tracked.url), "mlflow_run_id": tracked.run_id}


def metric_name(metric: str) -> str:
    """Return the name of a metric as MLflow takes it: a slice may be called anything.

    Examples:
        >>> metric_name("slice_accuracy: rain/fog (wet)"), metric_name("few_recall")
        ('slice_accuracy: rain_fog _wet_', 'few_recall')
    """
    return re.sub(r"[^\w\-. :]", "_", metric, flags=re.ASCII)[:200].rstrip(". ")


def record_page(run: Recorded, tracking: Tracking, page: Path, report: Report) -> Mapping[str, Any]:
    """Add the page of a list to its MLflow run."""
    parent = mining_run(run, tracking)
    if parent is None:
        return {}
    with tracking.reopened(parent) as tracked:
        tracked.artifact("contact_sheet.html", page.read_bytes())
        for found in report.discoveries:
            tracked.metrics(found.metrics)
        if report.cloud is not None:
            tracked.artifact("signals.png", cloud_chart(report.cloud).png())
    return {"MLflow run": dg.MetadataValue.url(tracked.url)}


def _csv(rows: pa.Table) -> bytes:
    sink = io.BytesIO()
    pyarrow.csv.write_csv(rows, sink)
    return sink.getvalue()
