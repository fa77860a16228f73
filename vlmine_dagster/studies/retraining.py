"""Study `retraining`: models retrained with what each arm mined, same draws and initial weights."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from assets.descriptions import matrix
from assets.retraining import retraining_plan
from resources.intake import load_pixels
from resources.study_charts import budget_curves_png
from resources.workbench import Workbench
from vlmine_dagster.errors import MissingInputError
from vlmine_dagster.mining.longtail import shot_accuracy
from vlmine_dagster.mining.selection import budget_count
from vlmine_dagster.mining.verdicts import FEWEST_TRAINED, comparison_sentence
from vlmine_dagster.studies import QUESTIONS
from vlmine_dagster.studies.draws import (
    ArmCurves,
    difference_table,
    headline_of,
    reference_of,
    settings_read,
    share_name,
)
from vlmine_dagster.studies.study import DRAWN_FROM, Arm, Findings, Row, Study, StudyRun, draw_steps

METRICS = {"few_accuracy": "few-shot accuracy", "all_accuracy": "accuracy over all classes"}


def retrain(run: StudyRun, step: str) -> list[Row]:
    """Retrain once an arm and budget in one draw; the draw's number is the training seed of all."""
    from vlmine_dagster.learning.retraining import Labelled, retrain_curve

    pool, draw, settings = run.pool(), run.draw(step), run.bench.project.settings
    test, watched = (_judges(run, split) for split in ("test", "val"))
    if not test:
        raise MissingInputError("study retraining: no image is labelled as `test`, so nobody can judge a model.")
    counts = {share: budget_count(share, len(draw.ids)) for share in settings.retraining.budgets}
    seed_ids = [pool.ids[place] for place in draw.seed]
    taught = Labelled(_inputs(run, seed_ids), pool.truth[draw.seed].tolist())
    is_watched = settings.retraining.patience and watched
    validation = Labelled(_inputs(run, list(watched)), list(watched.values())) if is_watched else None
    rows: list[Row] = []
    for arm, experiment in settings.experiments.items():
        if experiment.variant != "default" or not draw.can_rank(experiment):
            continue
        order = draw.rank(experiment).order[: max(counts.values())]
        mined = Labelled(_inputs(run, [draw.ids[place] for place in order]), draw.truth[order].tolist())
        retrained = retrain_curve(
            retraining_plan(run.bench.project),
            seed=taught,
            mined=mined,
            validation=validation,
            test_inputs=_inputs(run, list(test)),
            classes=sorted(pool.bins),
            budgets=list(counts.values()),
            training_seeds=(draw.number,),
        )
        shares = {0: 0.0, **{count: share for share, count in counts.items()}}
        for result in retrained:
            found = shot_accuracy(list(test.values()), result.predicted, bins=pool.bins)
            rows.append(
                {"draw": draw.number, "arm": arm, "budget": shares[result.budget], "mined": result.budget, **found}
            )
    return rows


def conclude(run: StudyRun, rows: Sequence[Row]) -> Findings:
    """Compare the arms with a reference by few-shot accuracy and by accuracy over all classes."""
    budget = headline_of(run.bench.project.settings)
    words, tables, plots = [], {}, {}
    for metric, name in METRICS.items():
        if any(np.isnan(row[metric]) for row in rows):
            words.append(f"{name} is unknown: the test split lacks some of these classes")
            continue
        curves = ArmCurves(rows, metric, start=None)
        reference = reference_of(curves.arms)
        compared = curves.compared(reference, fewest=FEWEST_TRAINED)
        words += [
            comparison_sentence(
                one, where=f"at {share_name(budget)}", more=f"has more {name} than", less=f"has less {name} than"
            )
            for one in compared[share_name(budget)]
        ]
        tables[f"{name.capitalize()}, mean ± standard deviation over {len(curves.draws)} draws"] = curves.spread_table()
        tables[f"{name.capitalize()} minus {reference}, paired, 95% interval; * is shown"] = difference_table(compared)
        plots[f"{metric}.png"] = budget_curves_png(curves.bands(), y_name=name, is_from_zero=False)
    return Findings(words, tables, _arms(run, rows), plots)


def _arms(run: StudyRun, rows: Sequence[Row]) -> list[Arm]:
    curves = {metric: ArmCurves(rows, metric, start=None) for metric in METRICS}
    kind = run.bench.project.settings.retraining.kind
    any_of = curves["few_accuracy"]
    return [
        Arm(
            arm,
            {"network": kind, "signals": ", ".join(run.bench.project.settings.experiments[arm].signals)},
            {},
            [
                (metric, found.mined(budget), float(np.mean(found.values(arm, budget))))
                for metric, found in curves.items()
                for budget in found.budgets
            ],
        )
        for arm in any_of.arms
    ]


def _judges(run: StudyRun, split: str) -> dict[str, str]:
    """Return class by image of a split that judges."""
    shards = run.bench.source.shards()
    with run.bench.lake.connect(images=run.bench.lake.require("images", shards)) as connection:
        query = """SELECT image_id, label FROM images
                   WHERE split = $split AND outcome = 'ok' AND label IS NOT NULL ORDER BY image_id"""
        return dict(connection.sql(query, params={"split": split}).fetchall())


def _inputs(run: StudyRun, names: Sequence[str]) -> Any:
    settings = run.bench.project.settings
    if settings.retraining.kind != "probe":
        side = settings.retraining.image_size
        return load_pixels(run.bench.source, names, max_pixels=settings.dataset.max_pixels, side=side)
    if not run.memory:
        rows = run.bench.lake.read_all("embeddings", run.bench.source.shards(), columns=["image_id", "embedding"])
        run.memory["places"] = {name: place for place, name in enumerate(rows.column("image_id").to_pylist())}
        run.memory["features"] = matrix(rows, "embedding")
    return run.memory["features"][[run.memory["places"][name] for name in names]]


def _settings(bench: Workbench) -> list[Any]:
    return [settings_read(bench), bench.project.settings.retraining.model_dump(exclude={"seeds"})]


STUDY = Study(
    name="retraining",
    question=QUESTIONS["retraining"],
    reads=(*DRAWN_FROM, "images"),
    steps=draw_steps,
    work=retrain,
    conclude=conclude,
    settings=_settings,
    draws=FEWEST_TRAINED,
)
