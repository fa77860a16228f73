"""The rows of `retrain_metrics`: what mined images are worth, by what they are and by what a model learns from them."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.items import ItemKind
from vlmine_dagster.domain.tables import RETRAIN_METRICS, UNRANKED, Split
from vlmine_dagster.mining.advice import Advice, luck_advice
from vlmine_dagster.mining.longtail import mining_metrics, shot_accuracy, shot_bins
from vlmine_dagster.mining.selection import budget_count, id_hashes, unranked_last
from vlmine_dagster.mining.slices import slice_metrics
from vlmine_dagster.resources.labels import Labels
from vlmine_dagster.resources.sources import ImageSource
from vlmine_dagster.scoring.labelled import labelled_counts, labelled_images, readable_pool, true_classes
from vlmine_dagster.scoring.reading import Reader
from vlmine_dagster.scoring.slices import judged_slices
from vlmine_dagster.scoring.task_model import model_inputs
from vlmine_dagster.settings import RetrainingSettings
from vlmine_dagster.settings.project import Project

if TYPE_CHECKING:
    from torch import nn

    from vlmine_dagster.learning.retraining import Labelled, Learner, NetworkLearner

UNTRAINED = -1
"""In place of a random seed where nothing was trained."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Truth:
    """The pool in mining order with the oracle's labels: of every experiment the same images.

    Attributes:
        image_ids: Readable images of the pool whose class is known: those that the experiment ranked, best first, then
            the others by the hash that decides between equals.
        labels: Their true classes.
        bins: many, medium or few, by class.
        unranked_count: Images at the end that the experiment did not rank.
    """

    image_ids: Sequence[str]
    labels: Sequence[str]
    bins: Mapping[str, str]
    unranked_count: int


@dataclass(frozen=True)
class Judged:
    """An experiment's list, judged.

    Attributes:
        rows: Rows of `retrain_metrics`.
        truth: The list with its true classes.
        counts: Images by budget.
        labelled_count: Images of the labelled set.
    """

    rows: Sequence[Row]
    truth: Truth
    counts: Mapping[float, int]
    labelled_count: int


def judged_rows(reader: Reader, source: ImageSource, labels: Labels, *, kept: Sequence[Row] = ()) -> Judged:
    """Judge the ranked images by what they are, and by what a model learns from them.

    Args:
        reader: Reads `pareto_set`, `images` and, for a probe, `embeddings`.
        source: The pictures, which a network looks at.
        labels: The labels of the project.
        kept: Rows that were made of the same inputs, in place of retraining.
    """
    truth = ranked_truth(reader, labels)
    shares = reader.project.settings.retraining.budgets if truth.labels else ()
    counts = {share: budget_count(share, len(truth.labels)) for share in shares}
    slices = {} if kept else judged_slices(reader, truth.image_ids)
    rows = list(kept) or [
        *mined_rows(truth, counts, slices=slices),
        *retrained_rows(reader, source, truth, counts, slices=slices),
    ]
    return Judged(rows, truth, counts, sum(labelled_counts(reader).values()))


def metrics_table(rows: Sequence[Row]) -> pa.Table:
    """Return rows as the table `retrain_metrics`."""
    return pa.Table.from_pylist(list(rows), schema=RETRAIN_METRICS.schema)


def ranked_truth(reader: Reader, labels: Labels) -> Truth:
    """Return the images of the pool whose class is known in mining order.

    Args:
        reader: Reads `pareto_set` (image_id, rank) and `images` (image_id, split, outcome).
        labels: The labels of the project.
    """
    pool = readable_pool(reader)
    classes = true_classes(labels, pool, reader.shards)
    known = [name for name in pool if name in classes]
    places = {name: place for place, name in enumerate(known)}
    ranked = reader.read("pareto_set", ["image_id", "rank"]).sort_by("rank").column("image_id").to_pylist()
    experiment = reader.project.settings.experiments.get(reader.partition)
    if experiment is not None and experiment.deliver == "image":
        ranked = _image_by_image(ranked, reader.project.settings.items)
    order = [places[name] for name in ranked if name in places]
    names = [known[place] for place in unranked_last(order, id_hashes(known))]
    settings = reader.project.settings.dataset.labels
    assert settings is not None  # noqa: S101 - there are labels, so there are their settings
    bins = shot_bins(labels.class_counts(), many_over=settings.many_over, few_under=settings.few_under)
    return Truth(names, [classes[name] for name in names], bins, len(names) - len(order))


def _image_by_image(ranked: Sequence[str], kind: ItemKind) -> list[str]:
    """Return objects in the order in which whole images are labelled: all of an image where its first one ranks."""
    images: dict[str, list[str]] = {}
    for name in ranked:
        images.setdefault(kind.part_of(name), []).append(name)
    return [name for names in images.values() for name in names]


def mined_rows(truth: Truth, counts: Mapping[float, int], *, slices: Mapping[str, str] | None = None) -> Iterator[Row]:
    """Yield what the first images of a list are, a row per budget and metric.

    Args:
        truth: The list.
        counts: Images by budget.
        slices: The slice of each image by id, where the pool has slices.
    """
    for share, count in counts.items():
        metrics = mining_metrics(truth.labels[:count], truth.labels, bins=truth.bins)
        if slices:
            metrics |= _slice_recall(truth, count, slices)
        unranked = {UNRANKED: truth.unranked_count} if truth.unranked_count else {}
        for metric, value in {**metrics, **unranked}.items():
            yield _row(share, count, UNTRAINED, metric, value)


def _slice_recall(truth: Truth, count: int, slices: Mapping[str, str]) -> dict[str, float]:
    """Return the recall of few-shot images within slices."""
    few = [place for place, label in enumerate(truth.labels) if truth.bins[label] == "few"]
    return slice_metrics("recall", [slices[truth.image_ids[place]] for place in few], [place < count for place in few])


def retrained_rows(
    reader: Reader,
    source: ImageSource,
    truth: Truth,
    counts: Mapping[float, int],
    *,
    slices: Mapping[str, str] | None = None,
) -> Iterator[Row]:
    """Yield how models do that learned from the labelled set and the first images of a list.

    Args:
        reader: Reads `images` (image_id, label, split, outcome) and, for a probe, `embeddings`.
        source: The pictures, which a network looks at.
        truth: The list.
        counts: Images by budget.
        slices: The slice of each image by id, where the pool has slices.
    """
    from vlmine_dagster.learning.retraining import retrain_curve

    seed, test, watched = (labelled_images(reader, split) for split in (Split.SEED, Split.TEST, Split.VAL))
    if not seed or not test:
        reader.log.warning(
            f"retrain_metrics: nothing retrained; labelled: {counted(len(seed), 'seed image')} and "
            f"{counted(len(test), 'test image')}"
        )
        return
    settings = reader.project.settings.retraining
    count = max(counts.values(), default=0)
    mined = dict(zip(truth.image_ids[:count], truth.labels[:count], strict=True))
    retrained = retrain_curve(
        learner_of(reader.project),
        seed=lesson(reader, source, seed),
        mined=lesson(reader, source, mined),
        validation=lesson(reader, source, watched) if settings.patience and watched else None,
        test_inputs=lesson(reader, source, test).inputs,
        classes=sorted(truth.bins),
        budgets=[0, *counts.values()],
        training_seeds=settings.seeds,
    )
    shares = {count: share for share, count in counts.items()}
    for result in retrained:
        metrics = shot_accuracy(list(test.values()), result.predicted, bins=truth.bins)
        if slices:
            is_right = [one == other for one, other in zip(test.values(), result.predicted, strict=True)]
            metrics |= slice_metrics("accuracy", [slices[name] for name in test], is_right)
        for metric, value in metrics.items():
            yield _row(shares.get(result.budget, 0.0), result.budget, result.training_seed, metric, value)


def lesson(reader: Reader, source: ImageSource, classes: Mapping[str, str]) -> "Labelled":
    """Return images as what is retrained reads them.

    Args:
        reader: Reads `embeddings` where that is a probe.
        source: The pictures, which a network looks at.
        classes: The class of each image, by its id.
    """
    from vlmine_dagster.learning.retraining import Labelled

    settings = reader.project.settings.retraining
    inputs = model_inputs(reader, source, settings.reads_features, list(classes), side=settings.image_size)
    return Labelled(inputs, list(classes.values()))


def learner_of(project: Project) -> "Learner":
    """Return what a project retrains."""
    settings = project.settings.retraining
    made: Learner = settings.plugins.get(settings.kind).make(project, settings)
    return made


def network_learner(settings: RetrainingSettings, build: "Callable[[int], nn.Module]") -> "NetworkLearner":
    """Return a network that is trained as the settings say.

    Args:
        settings: How.
        build: Makes the network for a number of classes.
    """
    from vlmine_dagster.learning.retraining import NetworkLearner
    from vlmine_dagster.learning.training import Recipe

    recipe = Recipe(
        epochs=settings.epochs,
        learning_rate=settings.learning_rate or settings.usual_learning_rate,
        class_balance=settings.class_balance,
        is_half=settings.precision == "bfloat16",
        patience=settings.patience,
    )
    return NetworkLearner(build, recipe, settings.validation_share)


def luck(reader: Reader, truth: Truth) -> Advice:
    """Tell whether an experiment finds more few-shot images at its budget than chance would."""
    experiment = reader.project.settings.experiments[reader.partition]
    if list(experiment.signals) == ["random"]:
        return Advice(True, "this experiment is the random baseline")
    own = experiment.budget if isinstance(experiment.budget, float) else None  # what labelling takes is not a share
    count = budget_count(own or reader.project.settings.budget, len(truth.labels))
    is_few = [truth.bins[label] == "few" for label in truth.labels]
    return luck_advice(sum(is_few[:count]), mined_count=count, tail_count=sum(is_few), pool_size=len(is_few))


def means(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, float], tuple[float, float]]:
    """Return mean and standard deviation over random seeds by (metric, budget); unknown values are left out."""
    values: dict[tuple[str, float], list[float]] = defaultdict(list)
    for row in rows:
        if row["value"] is not None:
            values[row["metric"], row["budget"]].append(row["value"])
    return {key: (float(np.mean(found)), float(np.std(found))) for key, found in values.items()}


def summary(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the metrics that people ask for by budget, as a Markdown table."""
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


def _row(share: float, count: int, training_seed: int, metric: str, value: float) -> Row:
    known = None if np.isnan(value) else float(value)
    return {"budget": share, "mined_count": count, "seed": training_seed, "metric": metric, "value": known}
