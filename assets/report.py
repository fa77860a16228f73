"""Stage `mining_report`: one page an experiment that shows what was mined and why."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa

from vlmine_dagster.assets.pareto import mining_run
from vlmine_dagster.domain.tables import MINING_REPORT
from vlmine_dagster.engine.stages import Product, StageRun
from vlmine_dagster.mining.longtail import shot_bins
from vlmine_dagster.mining.selection import mid_ranks
from vlmine_dagster.mining.verdicts import rules_text
from vlmine_dagster.reporting.charts import SignalCloud, cloud_chart
from vlmine_dagster.reporting.report_page import (
    AccuracyRow,
    Card,
    MeanSd,
    MixRow,
    RecallRow,
    Report,
    SignalValue,
    render_report,
)
from vlmine_dagster.resources.intake import load_pictures
from vlmine_dagster.resources.pictures import thumbnail_data_url
from vlmine_dagster.scoring.labelled import true_classes
from vlmine_dagster.scoring.retraining import UNTRAINED, means

PICTURES = 60
_THUMBNAIL_SIDE = 320
_MOST_CLOUD_POINTS = 20_000
_RIVALS = ("random", "entropy", "novelty_min", "pareto", "fused")
_SHOTS = ("many", "medium", "few")


def compute(run: StageRun) -> Product:
    """Write the page, and one row that says where it lies."""
    path = run.project.state_folder("reports") / f"{run.partition}.html"
    ranked = run.read("pareto_set").sort_by("rank")
    cloud = _cloud(ranked, run.project.settings.experiments[run.partition].signals)
    page = render_report(_report(run, ranked, cloud))
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(page, encoding="utf-8")
    unfinished.replace(path)
    digest = hashlib.sha256(page.encode()).hexdigest()
    shown = min(PICTURES, ranked.num_rows)
    rows = pa.Table.from_pylist([{"path": str(path), "sha256": digest, "picture_count": shown}], MINING_REPORT.schema)
    link = dg.MetadataValue.path(str(path))
    return Product(rows, {"report": link, "pictures": shown}, partial(_record, run, path, cloud))


def _report(run: StageRun, ranked: pa.Table, cloud: SignalCloud) -> Report:
    experiment = run.project.settings.experiments[run.partition]
    metrics = run.read("retrain_metrics").to_pylist()
    truth = _true_classes(run, ranked)
    selected = ranked.filter(ranked.column("selected"))
    return Report(
        project=run.project.settings.name,
        experiment=run.partition,
        fusion=experiment.fusion,
        diversity="" if experiment.diversity is None else experiment.diversity.kind,
        signals=experiment.signals,
        weights={name: weight for name, weight in experiment.weights.items() if weight != 1},
        pool_size=ranked.num_rows,
        selected_count=selected.num_rows,
        cards=_cards(run, ranked, experiment.signals, truth),
        keyword_counts=_keyword_counts(run),
        cloud=cloud,
        recall=_recall(metrics),
        rivals=_rivals(run),
        accuracy=_accuracy(metrics),
        class_mix=_class_mix(selected.column("image_id").to_pylist(), truth),
        outcomes=_outcomes(run),
        facts=_facts(run),
    )


def _cloud(ranked: pa.Table, signals: Sequence[str]) -> SignalCloud:
    """Return the signals of the pool; of a large one all selected images and a share of the rest, evenly by rank."""
    selected = ranked.column("selected").to_numpy(zero_copy_only=False)
    rest = np.flatnonzero(~selected)
    if len(rest) > _MOST_CLOUD_POINTS:
        rest = rest[np.linspace(0, len(rest) - 1, _MOST_CLOUD_POINTS).astype(np.int64)]
    shown = ranked.take(pa.array(np.concatenate([np.flatnonzero(selected), rest])))
    values = np.column_stack([shown.column(name).to_numpy(zero_copy_only=False) for name in signals])
    front = shown.column("front").to_numpy(zero_copy_only=False)
    return SignalCloud(tuple(signals), values, front, shown.column("selected").to_numpy(zero_copy_only=False))


def _cards(
    run: StageRun, ranked: pa.Table, signals: Sequence[str], truth: Mapping[str, tuple[str, str]]
) -> tuple[Card, ...]:
    top = ranked.slice(0, PICTURES)
    names = top.column("image_id").to_pylist()
    ranks = {name: mid_ranks(ranked.column(name).to_numpy(zero_copy_only=False)) for name in signals}
    pixels = run.project.settings.dataset.max_pixels
    pictures = load_pictures(run.bench.source, names, max_pixels=pixels, smallest_side=_THUMBNAIL_SIDE)
    thumbnails = {name: thumbnail_data_url(picture, _THUMBNAIL_SIDE) for name, picture in pictures}
    keywords, descriptions = _keywords_of(run, names), _descriptions_of(run, names)
    cards = []
    for place, row in enumerate(top.to_pylist()):
        name = row["image_id"]
        keyword, count = keywords.get(name, (None, None))
        label, shot = truth.get(name, (None, None))
        values = tuple(SignalValue(s, row[s], round(float(ranks[s][place]))) for s in signals)
        cards.append(
            Card(
                image_id=name,
                thumbnail=thumbnails.get(name, ""),
                rank=row["rank"],
                front=row["front"],
                reason=row["reason"],
                keyword=keyword,
                keyword_count=count,
                signals=values,
                label=label,
                shot_bin=shot,
                description=descriptions.get(name),
            )
        )
    return tuple(cards)


def _keywords_of(run: StageRun, names: Sequence[str]) -> dict[str, tuple[str, int]]:
    """Return the rarest keyword and its count; an experiment without novelty shows none."""
    if not run.needs("novelty_scores"):
        return {}
    with run.connect("novelty_scores") as connection:
        query = "SELECT image_id, rarest_keyword, min_count FROM novelty_scores WHERE list_contains($names, image_id)"
        return {row[0]: (row[1], row[2]) for row in connection.sql(query, params={"names": list(names)}).fetchall()}


def _descriptions_of(run: StageRun, names: Sequence[str]) -> dict[str, str]:
    """Return what the describer said, as far as it is there; the page is whole without."""
    there = [s for s in run.shards if run.lake.path("descriptions", s, variant=run.variant).exists()]
    with run.lake.connect(descriptions=run.lake.require("descriptions", there, variant=run.variant)) as connection:
        query = """SELECT image_id, description FROM descriptions
                   WHERE description IS NOT NULL AND list_contains($names, image_id)"""
        return dict(connection.sql(query, params={"names": list(names)}).fetchall())


def _true_classes(run: StageRun, ranked: pa.Table) -> dict[str, tuple[str, str]]:
    """Return true class and shot bin of ranked images, for an oracle's pool."""
    labels, settings = run.bench.labels, run.project.settings.dataset.labels
    if labels is None or settings is None:
        return {}
    bins = shot_bins(labels.class_counts(), many_over=settings.many_over, few_under=settings.few_under)
    known = true_classes(labels, ranked.column("image_id").to_pylist(), run.shards)
    return {name: (label, bins[label]) for name, label in known.items()}


def _keyword_counts(run: StageRun) -> Any:
    if not run.needs("vocab_counts"):
        return ()
    return run.read("vocab_counts", ["image_count"]).column("image_count").to_numpy(zero_copy_only=False)


def _recall(metrics: Sequence[Mapping[str, Any]]) -> tuple[RecallRow, ...]:
    found: dict[float, dict[str, float]] = defaultdict(dict)
    for row in metrics:
        if row["seed"] == UNTRAINED:
            found[row["budget"]][row["metric"]] = row["value"]
    return tuple(
        RecallRow(b, v.get("few_recall"), v.get("few_precision"), v.get("few_lift"), v.get("few_coverage"))
        for b, v in sorted(found.items())
    )


def _accuracy(metrics: Sequence[Mapping[str, Any]]) -> tuple[AccuracyRow, ...]:
    trained = [row for row in metrics if row["seed"] != UNTRAINED]
    found = means(trained)

    def cell(name: str, budget: float) -> MeanSd:
        return MeanSd(*found.get((f"{name}_accuracy", budget), (None, None)))

    budgets = sorted({row["budget"] for row in trained})
    return tuple(AccuracyRow(b, cell("many", b), cell("medium", b), cell("few", b), cell("all", b)) for b in budgets)


def _rivals(run: StageRun) -> dict[str, list[tuple[float, float]]]:
    """Return the recall of other experiments, as far as they have been judged."""
    rivals = {}
    for name in _RIVALS:
        path = run.lake.path("retrain_metrics", name)
        if name == run.partition or name not in run.project.settings.experiments or not path.exists():
            continue
        rows = _recall(run.lake.read("retrain_metrics", name).to_pylist())
        curve = [(row.budget, row.recall) for row in rows if row.recall is not None]
        if curve:
            rivals[name] = curve
    return rivals


def _class_mix(selected: Sequence[str], truth: Mapping[str, tuple[str, str]]) -> tuple[MixRow, ...]:
    if not truth:
        return ()
    pool = Counter(shot for _, shot in truth.values())
    mined = Counter(truth[name][1] for name in selected if name in truth)
    return tuple(MixRow(shot, mined[shot], pool[shot]) for shot in _SHOTS)


def _outcomes(run: StageRun) -> dict[str, int]:
    with run.connect("images") as connection:
        return dict(
            connection.sql(
                """SELECT outcome, count(*) FROM images
                   WHERE split IN ('seed', 'pool') GROUP BY outcome ORDER BY 2 DESC, 1"""
            ).fetchall()
        )


def _facts(run: StageRun) -> dict[str, str]:
    settings = run.project.settings
    variant = settings.variant(run.variant)
    parent = mining_run(run)
    facts = {
        "dataset": run.project.resolve(settings.dataset.root),
        "shards": str(len(run.shards)),
        "describer": variant.describer.kind,
        "keyworder": variant.keyworder.kind,
        "task model": settings.task_model.kind,
        "Dagster run": run.run_id,
    }
    if run.bench.labels is not None and any(run.bench.labels.pool_counts().values()):
        facts["classes"] = rules_text(run.bench.labels.class_counts().values())
    return facts if parent is None else {**facts, "MLflow run": run.bench.tracking.url(parent)}


def _record(run: StageRun, path: Path, cloud: SignalCloud) -> Mapping[str, Any]:
    tracking = run.bench.tracking
    parent = mining_run(run)
    if parent is None:
        return {}
    with tracking.reopened(parent) as tracked:
        tracked.artifact("contact_sheet.html", path.read_bytes())
        tracked.artifact("signals.png", cloud_chart(cloud).png())
    return {"MLflow run": dg.MetadataValue.url(tracked.url)}
