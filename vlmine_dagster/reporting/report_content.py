"""The content of an experiment's page, read from the tables."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vlmine_dagster.domain.files import replacing
from vlmine_dagster.domain.items import ITEMS, OBJECT
from vlmine_dagster.domain.tables import MINING_REPORT
from vlmine_dagster.mining.discovery import Discovery
from vlmine_dagster.mining.longtail import shot_bins
from vlmine_dagster.mining.selection import mid_ranks
from vlmine_dagster.mining.strategy import strategy_advice
from vlmine_dagster.mining.verdicts import rules_text
from vlmine_dagster.reporting.charts import SignalCloud
from vlmine_dagster.reporting.junk_lane import junk_cards, kinds_of
from vlmine_dagster.reporting.mlflow_runs import Recorded, mining_run
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
from vlmine_dagster.reporting.slices import slice_rows, worst_text
from vlmine_dagster.reporting.telling import telling
from vlmine_dagster.resources.intake import by_shard, load_pictures, read_bytes
from vlmine_dagster.resources.labels import Labels
from vlmine_dagster.resources.media.contract import Medium
from vlmine_dagster.resources.pictures import thumbnail_data_url, with_box
from vlmine_dagster.resources.sounds import sound_data_url
from vlmine_dagster.resources.sources import ImageSource
from vlmine_dagster.resources.tracking import Tracking
from vlmine_dagster.scoring.discovery import class_discovery, keyword_discovery
from vlmine_dagster.scoring.grounding import confirmations_of
from vlmine_dagster.scoring.labelled import true_classes
from vlmine_dagster.scoring.list_changes import changes_text
from vlmine_dagster.scoring.retraining import UNTRAINED, means
from vlmine_dagster.scoring.vocabulary import keyword_trouble, published_health

PICTURES = 60
CHANGES = 100
_THUMBNAIL_SIDE = 320
_MOST_CLOUD_POINTS = 20_000
_SHOTS = ("many", "medium", "few")
_COUNTED = ("keyword", "image_count", "image_share")
_MORE = {"classes": "more labels", "keywords": "more images"}
_METRICS = ("budget", "seed", "metric", "value")
_CHANGES = ("image_id", "change", "cause", "why", "rank", "rank_before")


@dataclass(frozen=True)
class Context:
    """What a page needs beside the tables.

    Attributes:
        pictures: The pictures of what is mined.
        frames: Those of the dataset's items.
        recordings: The dataset's items, where they can be played; else None.
        medium: What they are.
        labels: The labels, None where the project has none.
        tracking: MLflow.
        rivals: Experiments whose recall is shown beside.
    """

    pictures: ImageSource
    frames: ImageSource
    recordings: ImageSource | None
    medium: Medium
    labels: Labels | None
    tracking: Tracking
    rivals: Sequence[str]


def report_of(run: Recorded, context: Context) -> Report:
    """Return the content of the page of an experiment.

    Args:
        run: The stage at work, which reads the tables.
        context: What it needs beside them.
    """
    experiment = run.project.settings.experiments[run.partition]
    slicing = run.project.settings.slices_of(run.partition)
    more = () if slicing is None else ("slice",)
    columns = ("image_id", "rank", "front", "selected", "reason", "junk", *more, *experiment.signals)
    ranked = run.read("pareto_set", columns).sort_by("rank")
    metrics = run.read("retrain_metrics", _METRICS, partitions=[run.partition]).to_pylist()
    changes = run.read("list_changes", _CHANGES)
    truth = _true_classes(run, context.labels, ranked)
    selected = ranked.filter(ranked.column("selected"))
    discoveries = _discoveries(run, context.labels)
    signals = telling(ranked, experiment.signals)
    return Report(
        project=run.project.settings.name,
        experiment=run.partition,
        fusion=experiment.fusion,
        diversity="" if experiment.diversity is None else experiment.diversity.kind,
        signals=experiment.signals,
        weights={name: weight for name, weight in experiment.weights.items() if weight != 1},
        pool_size=ranked.num_rows,
        selected_count=selected.num_rows,
        cards=_cards(run, context, ranked, signals, truth),
        keyword_counts=_keyword_counts(run),
        counted=run.project.settings.counted,
        ends_early=ranked.num_rows <= run.project.settings.whole_list_up_to < run.row_count(ITEMS),
        cloud=_cloud(ranked, signals),
        recall=_recall(metrics),
        rivals=_rivals(run, context.rivals),
        accuracy=_accuracy(metrics),
        class_mix=_class_mix(selected.column("image_id").to_pylist(), truth),
        outcomes=_outcomes(run),
        facts=_same_for_all(experiment.signals, signals) | _facts(run, context, discoveries),
        discoveries=discoveries,
        findings=(
            *_findings(run),
            *([another] if (another := run.project.settings.another_budget(run.partition)) else []),
        ),
        slices=() if slicing is None else slice_rows(ranked.select(["slice", "selected"]), metrics),
        sliced_by="" if slicing is None else slicing.by,
        worst_slice=worst_text(metrics) or "",
        changed=changes_text(changes, noun=run.project.settings.unit),
        changes=tuple(changes.slice(0, CHANGES).to_pylist()),
        junk=kinds_of(ranked),
        junk_cards=junk_cards(context.pictures, ranked, max_pixels=run.project.settings.dataset.max_pixels),
        item=run.project.settings.unit,
    )


def _same_for_all(signals: Sequence[str], shown: Sequence[str]) -> dict[str, str]:
    """Return which signals move no image here, as a fact; nothing where all do."""
    same = [name for name in signals if name not in shown]
    return {"no effect here": ", ".join(same)} if same else {}


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
    run: Recorded, context: Context, ranked: pa.Table, signals: Sequence[str], truth: Mapping[str, tuple[str, str]]
) -> tuple[Card, ...]:
    top = ranked.filter(pc.is_null(ranked.column("junk"))).slice(0, PICTURES)
    names = top.column("image_id").to_pylist()
    ranks = {name: mid_ranks(ranked.column(name).to_numpy(zero_copy_only=False)) for name in signals}
    pixels = run.project.settings.dataset.max_pixels
    pictures = load_pictures(context.pictures, names, max_pixels=pixels, smallest_side=_THUMBNAIL_SIDE)
    thumbnails = {name: thumbnail_data_url(picture, _THUMBNAIL_SIDE) for name, picture in pictures}
    frames, sounds = _frames(run, context, names), _sounds(context, names)
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
                frame=frames.get(name, ""),
                sound=sounds.get(name, ""),
            )
        )
    return tuple(cards)


def _frames(run: Recorded, context: Context, names: Sequence[str]) -> dict[str, str]:
    """Return the image of each object, small, with its box drawn."""
    if not run.needs(OBJECT.table):
        return {}
    with run.connect(OBJECT.table) as connection:
        query = "SELECT object_id, image_id, x, y, width, height FROM objects WHERE list_contains($names, object_id)"
        found = connection.sql(query, params={"names": list(names)}).fetchall()
    boxes: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for name, image, *box in found:
        boxes[image].append((name, *box))
    pixels = run.project.settings.dataset.max_pixels
    drawn = {}
    for image, frame in load_pictures(context.frames, list(boxes), max_pixels=pixels):
        width = frame.width
        frame.thumbnail((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE), reducing_gap=2.0)  # once, however many boxes it has
        for name, *box in boxes[image]:
            small = with_box(frame, *(side * frame.width / width for side in box))
            drawn[name] = thumbnail_data_url(small, _THUMBNAIL_SIDE)
    return drawn


def _sounds(context: Context, names: Sequence[str]) -> dict[str, str]:
    """Return what can be played of each item, as data URLs."""
    source = context.recordings
    if source is None:
        return {}
    shards = by_shard(names, source.shards())
    items = chain.from_iterable(read_bytes(source, shard, some) for shard, some in shards.items())
    return {name: sound_data_url(context.medium.recording(data)) for name, data in items}


def _keywords_of(run: Recorded, names: Sequence[str]) -> dict[str, tuple[str, int]]:
    """Return the rarest keyword and its count; an experiment without novelty shows none."""
    if not run.needs("novelty_scores"):
        return {}
    with run.connect("novelty_scores") as connection:
        query = "SELECT image_id, rarest_keyword, min_count FROM novelty_scores WHERE list_contains($names, image_id)"
        return {row[0]: (row[1], row[2]) for row in connection.sql(query, params={"names": list(names)}).fetchall()}


def _descriptions_of(run: Recorded, names: Sequence[str]) -> dict[str, str]:
    """Return what the describer said, as far as it is there; the page is whole without."""
    with run.connect("descriptions") as connection:
        query = """SELECT image_id, description FROM descriptions
                   WHERE description IS NOT NULL AND list_contains($names, image_id)"""
        return dict(connection.sql(query, params={"names": list(names)}).fetchall())


def _true_classes(run: Recorded, labels: Labels | None, ranked: pa.Table) -> dict[str, tuple[str, str]]:
    """Return true class and shot bin of ranked images, for an oracle's pool."""
    settings = run.project.settings.dataset.labels
    if labels is None or settings is None:
        return {}
    bins = shot_bins(labels.class_counts(), many_over=settings.many_over, few_under=settings.few_under)
    classes = true_classes(labels, ranked.column("image_id").to_pylist(), run.shards)
    return {name: (label, bins[label]) for name, label in classes.items()}


def _keyword_counts(run: Recorded) -> Any:
    if not run.needs("vocab_counts"):
        return ()
    return run.read("vocab_counts", ["unit_count"]).column("unit_count").to_numpy(zero_copy_only=False)


def _findings(run: Recorded) -> tuple[str, ...]:
    """Return what the keywords of the pool say against themselves."""
    if not run.needs("vocab_counts"):
        return ()
    trouble = keyword_trouble(run.read("vocab_counts", _COUNTED))
    return () if trouble is None else (trouble,)


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


def _rivals(run: Recorded, names: Sequence[str]) -> dict[str, list[tuple[float, float]]]:
    """Return the recall of other experiments, as far as they have been judged."""
    rivals = {}
    for name in names:
        rows = _recall(run.read("retrain_metrics", _METRICS, partitions=[name]).to_pylist())
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


def _outcomes(run: Recorded) -> dict[str, int]:
    with run.connect(ITEMS) as connection:
        return dict(
            connection.sql(
                """SELECT outcome, count(*) FROM items
                   WHERE split IN ('seed', 'pool') GROUP BY outcome ORDER BY 2 DESC, 1"""
            ).fetchall()
        )


def _facts(run: Recorded, context: Context, discoveries: Sequence[Discovery]) -> dict[str, str]:
    settings = run.project.settings
    variant = settings.variant(run.variant)
    parent = mining_run(run, context.tracking)
    facts = {
        "dataset": run.project.resolve(settings.dataset.root),
        "shards": str(len(run.shards)),
        "describer": variant.describer.kind,
        "keyworder": variant.keyworder.kind,
        "task model": settings.task_model.kind,
        "Dagster run": run.run_id,
    }
    facts["strategy"] = _strategy(run, context.labels)
    if context.labels is not None and any(context.labels.pool_counts().values()):
        facts["classes"] = rules_text(context.labels.class_counts().values())
    grounding = confirmations_of(run)
    if grounding is not None:
        facts["keywords"] = str(grounding)
    facts |= {_MORE[found.noun]: found.text for found in discoveries}
    return facts if parent is None else {**facts, "MLflow run": context.tracking.url(parent)}


def _discoveries(run: Recorded, labels: Labels | None) -> tuple[Discovery, ...]:
    """Return what more images would bring, in classes and in keywords, as far as that can be told."""
    with run.connect(ITEMS) as connection:
        items = connection.sql("SELECT image_id, label, split, outcome FROM items").fetchall()
    unit = run.project.settings.unit
    found = [class_discovery(items, labels, run.shards, unit=unit)]
    if run.needs("vocab_counts"):
        with run.connect("keywords", "vocab_counts") as connection:
            found.append(keyword_discovery(connection, unit=unit))
    return tuple(one for one in found if one is not None)


def _strategy(run: Recorded, labels: Labels | None) -> str:
    """Return what to mine by with what the project has, as far as this page's tables tell."""
    apart = None
    if run.needs("vocab_counts"):
        counts = run.read("vocab_counts", _COUNTED)
        apart = published_health(counts).tells_images_apart if counts.num_rows else None
    label_count, has_names = (0, False) if labels is None else (labels.known_count, bool(labels.announced))
    return strategy_advice(label_count=label_count, has_names=has_names, tells_images_apart=apart)


def write_page(report: Report, folder: Path) -> Path:
    """Write the page of a report, whole or not at all; return its file."""
    file = folder / f"{report.experiment}.html"
    with replacing(file) as beside:
        beside.write_text(render_report(report), encoding="utf-8")
    return file


def page_row(page: Path, report: Report) -> pa.Table:
    """Return the row of `mining_report`."""
    digest = hashlib.sha256(page.read_bytes()).hexdigest()
    row = {"path": str(page), "sha256": digest, "picture_count": len(report.cards)}
    return pa.Table.from_pylist([row], MINING_REPORT.schema)
