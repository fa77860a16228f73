"""Study `retraining`: models retrained with what each arm mined, same draws and initial weights."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import MissingInputError
from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.domain.tables import Split
from vlmine_dagster.mining.longtail import shot_accuracy
from vlmine_dagster.mining.selection import budget_count
from vlmine_dagster.mining.verdicts import FEWEST_TRAINED, comparison_sentences
from vlmine_dagster.reporting.study_charts import budget_curves_png
from vlmine_dagster.resources.digests import path_digest
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.scoring.labelled import labelled_images
from vlmine_dagster.scoring.retraining import learner_of, lesson
from vlmine_dagster.settings import DEFAULT_VARIANT
from vlmine_dagster.studies import QUESTIONS
from vlmine_dagster.studies.draws import (
    ArmCurves,
    difference_table,
    headline_of,
    reference_of,
    settings_read,
    share_name,
)
from vlmine_dagster.studies.left_out import left_out
from vlmine_dagster.studies.pool import Draw, Places
from vlmine_dagster.studies.reading import PoolReader
from vlmine_dagster.studies.study import DRAWN_FROM, Arm, Findings, Row, Study, StudyRun, draw_steps

if TYPE_CHECKING:
    from vlmine_dagster.learning.retraining import Labelled, Retrained

METRICS = {"few_accuracy": "few-shot accuracy", "all_accuracy": "accuracy over all classes"}


def retrain(run: StudyRun, step: str) -> list[Row]:
    """Train on the seed, then once an arm and budget in one draw; the draw's number is the training seed of all."""
    from vlmine_dagster.learning.retraining import Labelled

    pool, draw = run.pool(), run.draw(step)
    counts = {share: budget_count(share, len(draw.ids)) for share in run.bench.project.settings.retraining.budgets}
    seed, mined = _lessons(run, draw, count=max(counts.values()))
    test = _judges(run, Split.TEST)
    if test is None:
        raise MissingInputError("study retraining: no image is labelled as `test`, so no model can be evaluated.")
    curve = _curve(run, seed, test, training_seed=draw.number)
    alone = curve(mined=Labelled(seed.inputs[:0], []), budgets=[0])
    shares = {0: 0.0, **{count: share for share, count in counts.items()}}
    rows: list[Row] = []
    for arm, images in mined.items():
        for result in [*alone, *curve(mined=images, budgets=list(counts.values()))]:
            found = shot_accuracy(list(test.labels), result.predicted, bins=pool.bins)
            rows.append(
                {"draw": draw.number, "arm": arm, "budget": shares[result.budget], "mined": result.budget, **found}
            )
    return rows


def _curve(
    run: StudyRun, seed: "Labelled", test: "Labelled", *, training_seed: int
) -> Callable[..., Sequence["Retrained"]]:
    """Return `retrain_curve` with all that arms share."""
    from vlmine_dagster.learning.retraining import retrain_curve

    settings = run.bench.project.settings.retraining
    return partial(
        retrain_curve,
        learner_of(run.bench.project),
        seed=seed,
        validation=_judges(run, Split.VAL) if settings.patience else None,
        test_inputs=test.inputs,
        classes=sorted(run.pool().bins),
        training_seeds=(training_seed,),
    )


def _lessons(run: StudyRun, draw: Draw, *, count: int) -> tuple["Labelled", dict[str, "Labelled"]]:
    """Return the seed and what each arm mines first; an image that several arms mine is read once."""
    from vlmine_dagster.learning.retraining import Labelled

    pool, arms = run.pool(), run.bench.project.settings.strategies
    orders = {
        arm: draw.rest[draw.rank(experiment)[:count]]
        for arm, experiment in arms.items()
        if experiment.variant == DEFAULT_VARIANT and draw.can_rank(experiment)
    }
    read = np.unique(np.concatenate([draw.seed, *orders.values()]))
    classes = {pool.ids[place]: str(pool.truth[place]) for place in read}
    everything = lesson(PoolReader(run.bench), run.bench.encoder_inputs, classes)

    def some(places: Places) -> Labelled:
        return Labelled(everything.inputs[np.searchsorted(read, places)], pool.truth[places].tolist())

    return some(draw.seed), {arm: some(places) for arm, places in orders.items()}


def conclude(run: StudyRun, rows: Sequence[Row]) -> Findings:
    """Compare the arms with entropy and with chance by few-shot accuracy and by accuracy over all classes."""
    budget = headline_of(run.bench.project.settings)
    words, tables, plots = [], {}, {}
    for metric, name in METRICS.items():
        if any(np.isnan(row[metric]) for row in rows):
            words.append(f"{name} is unknown: the test split lacks some of these classes")
            continue
        curves = ArmCurves(rows, metric, start=None)
        tables[f"{name.capitalize()}, mean ± standard deviation over {counted(len(curves.draws), 'draw')}"] = (
            curves.spread_table()
        )
        for reference in _references(curves.arms):
            compared = curves.compared(reference, fewest=FEWEST_TRAINED)
            words += comparison_sentences(
                compared[share_name(budget)],
                where=f"at {share_name(budget)}",
                more=f"has more {name} than",
                less=f"has less {name} than",
            )
            title = f"{name.capitalize()} minus {reference}, paired, 95% interval; * is significant"
            tables[title] = difference_table(compared)
        plots[f"{metric}.png"] = budget_curves_png(curves.bands(), y_name=name, is_from_zero=False)
    words.append(run.class_words)
    words += left_out(run.bench.project.settings, dict.fromkeys(row["arm"] for row in rows))
    return Findings(words, tables, _arms(run, rows), plots)


def _references(arms: Sequence[str]) -> list[str]:
    """Return what every arm is compared with: the usual reference, and chance."""
    return list(dict.fromkeys([reference_of(arms), *(name for name in arms if name == "random")]))


def _arms(run: StudyRun, rows: Sequence[Row]) -> list[Arm]:
    curves = {metric: ArmCurves(rows, metric, start=None) for metric in METRICS}
    kind = run.bench.project.settings.retraining.kind
    any_of = curves["few_accuracy"]
    return [
        Arm(
            arm,
            {"arm": arm, "network": kind},
            {},
            [
                (metric, found.mined(budget), float(np.mean(found.values(arm, budget))))
                for metric, found in curves.items()
                for budget in found.budgets
            ],
        )
        for arm in any_of.arms
    ]


def _judges(run: StudyRun, split: Split) -> "Labelled | None":
    """Return the images of a split that judges, read once; None where there are none."""
    if split not in run.memory:
        reader = PoolReader(run.bench)
        classes = labelled_images(reader, split)
        run.memory[split] = lesson(reader, run.bench.encoder_inputs, classes) if classes else None
    return run.memory[split]  # type: ignore[no-any-return]


def _settings(bench: Workbench) -> list[Any]:
    settings = bench.project.settings.retraining
    digest = [] if settings.path is None else [path_digest(bench.project.resolve(settings.path))]
    return [settings_read(bench), settings.model_dump(exclude={"seeds"}), *digest]


STUDY = Study(
    name="retraining",
    question=QUESTIONS["retraining"],
    reads=(*DRAWN_FROM, ITEMS),
    steps=draw_steps,
    work=retrain,
    conclude=conclude,
    settings=_settings,
    draws=FEWEST_TRAINED,
)
