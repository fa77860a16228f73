"""Study `cold_start`: nothing is labelled; ask for 50 labels, learn, ask again."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.mining.selectors.state import UNLABELLED, Ask, Places, PoolState
from vlmine_dagster.mining.selectors.table import SELECTORS
from vlmine_dagster.mining.verdicts import FEWEST_TRAINED, comparison_sentence
from vlmine_dagster.reporting.study_charts import budget_curves_png
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings import DEFAULT_VARIANT, default_experiments
from vlmine_dagster.studies import QUESTIONS
from vlmine_dagster.studies.draws import ArmCurves, difference_table, settings_read
from vlmine_dagster.studies.pool import Pool
from vlmine_dagster.studies.rounds import AXES, Pick, by_names, first_then, labelled_pool, rounds_of_arms
from vlmine_dagster.studies.selectors import METRICS, arms_of
from vlmine_dagster.studies.study import DRAWN_FROM, Findings, Row, Study, StudyRun, draw_steps

ROUND = 50
"""Labels that are asked for at a time."""
ROUNDS = 10
_FEWEST_CLASSES = 2


def loop(run: StudyRun, step: str) -> list[Row]:
    """Run the whole loop by every arm: from nothing, ten rounds of 50 labels."""
    pool, number = labelled_pool(run), int(step.removeprefix("draw-"))
    totals = [ROUND * done for done in range(1, ROUNDS + 1) if ROUND * done <= len(pool.truth) // 2] or [
        max(len(pool.truth) // 4, 1)
    ]
    rows = rounds_of_arms(
        pool, arms_from_nothing(run), start=np.empty(0, dtype=np.int64), totals=totals, random_seed=number
    )
    return [
        {"draw": number, **row, "budget": row["labelled"] / len(pool.truth), "mined": row["labelled"]} for row in rows
    ]


def arms_from_nothing(run: StudyRun) -> dict[str, Pick]:
    """Return the arms: those that need no label, those that go on by labels, the project's `fused`, and by names."""
    names = [name for name, one in SELECTORS.items() if not one.needs_labels]
    arms: dict[str, Pick] = {name: SELECTORS[name].pick for name in names}
    begin = SELECTORS["cluster_wise"].pick
    for name in ("margin", "class_balance"):
        arms[f"cluster_wise, {name}"] = first_then(begin, SELECTORS[name].pick, until=1)
    experiment = run.bench.project.settings.strategies.get("fused")
    if experiment is not None and experiment.variant == DEFAULT_VARIANT and experiment.diversity is None:
        arms["cluster_wise, fused"] = first_then(begin, fused_from_nothing(run.pool(), begin), until=1)
    return arms | by_names(run)


def fused_from_nothing(pool: Pool, otherwise: Pick) -> Pick:
    """Return how `fused` picks once there are labels; while they are of one class it is the other that picks.

    It is the `fused` of a fresh project with labels: that of a project which began without any uses none. No label is a
    random draw, and the signals are not told that they are: where the labelled classes do not fit those that are
    predicted for the pool, predictions tell how large classes are (`scoring.class_sizes`).
    """
    experiment = default_experiments()["fused"]

    def pick(state: PoolState, count: int, ask: Ask) -> Places:
        if len(np.unique(state.labels[state.labelled])) < _FEWEST_CLASSES:
            return otherwise(state, count, ask)
        draw = pool.labelled(0, state.labels != UNLABELLED)
        return draw.rest[draw.rank(experiment)[:count]]

    return pick


def conclude(run: StudyRun, rows: Sequence[Row]) -> Findings:
    """Compare the arms with random labels and with cluster-wise sampling after the last round."""
    tables, plots = {}, {}
    words: list[str] = []
    last = max(row["labelled"] for row in rows)
    for metric, name in METRICS.items():
        if any(np.isnan(row[metric]) for row in rows):
            words.append(f"{name} is unknown: the project has no such test images")
            continue
        curves = ArmCurves(rows, metric)
        named = {curves.mined(share): share for share in curves.budgets}
        shown = [count for count in named if count in (ROUND, 2 * ROUND, 4 * ROUND, last)]
        tables[f"{name.capitalize()} by labels, mean over {counted(len(curves.draws), 'draw')}"] = [
            {
                "arm": arm,
                **{f"{count} labels": f"{np.mean(curves.values(arm, named[count])):.3f}" for count in shown},
                "area": f"{np.mean(curves.areas(arm)):.3f}",
            }
            for arm in curves.arms
        ]
        for reference in ("random", "cluster_wise"):
            compared = list(curves.compared(reference, fewest=FEWEST_TRAINED).values())[-2]
            tables[
                f"{name.capitalize()} at {last} labels minus {reference}, paired, 95% interval; * is significant"
            ] = difference_table({f"{last} labels": compared})
            words += [
                comparison_sentence(
                    one, where=f"at {last} labels", more=f"has more {name} than", less=f"has less {name} than"
                )
                for one in compared
                if one.is_shown
            ]
        plots[f"{metric}.png"] = budget_curves_png(curves.bands(), y_name=name)
    words += [
        f"nothing is labelled at first; each round asks for {ROUND} labels, from which the probe (class-balanced, on "
        f"{AXES} main axes of the features) and all signals learn",
        run.class_words,
    ]
    return Findings(words, tables, arms_of(rows), plots)


def _settings(bench: Workbench) -> list[Any]:
    return [settings_read(bench), list(SELECTORS), ROUND, ROUNDS, AXES]


STUDY = Study(
    name="cold_start",
    question=QUESTIONS["cold_start"],
    reads=(*DRAWN_FROM, "images"),
    steps=draw_steps,
    work=loop,
    conclude=conclude,
    settings=_settings,
    draws=FEWEST_TRAINED,
)
