"""Study `unseen`: half of the few-shot classes have no label at all; are they found, with and without their names?"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.mining.selection import budget_count
from vlmine_dagster.mining.verdicts import FEWEST_TRAINED, comparison_sentence
from vlmine_dagster.reporting.study_charts import budget_curves_png
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings import DEFAULT_VARIANT, ExperimentSettings
from vlmine_dagster.studies import QUESTIONS
from vlmine_dagster.studies.draws import ArmCurves, difference_table, reference_of, settings_read, share_name
from vlmine_dagster.studies.pool import Draw, Pool
from vlmine_dagster.studies.study import DRAWN_FROM, Arm, Findings, Row, Study, StudyRun, draw_steps

BUDGETS = (0.01, 0.02, 0.05, 0.1)
METRICS = {
    "few_recall": "recall of images of unlabelled few-shot classes",
    "labelled_recall": "recall of images of labelled few-shot classes",
    "discovered": "unlabelled few-shot classes discovered",
}
_HEADLINE = 0.1
_NAMELESS = "{}, no class names"


def withhold(run: StudyRun, step: str) -> list[Row]:
    """Take the labels of half of the few-shot classes out of one draw of the seed, and mine in one round."""
    pool, number = run.pool(), int(step.removeprefix("draw-"))
    few = sorted(name for name, shot in pool.bins.items() if shot == "few")
    if len(few) < 2:
        classes = counted(len(few), "few-shot class", "few-shot classes")
        raise ConfigError(f"study unseen: {classes}, expected at least 2. Take a longer-tailed pool.")
    hidden = np.random.default_rng(number).permutation(few)[: len(few) // 2]
    is_drawn = pool.drawn(number) & ~np.isin(pool.truth, hidden)
    settings = run.bench.project.settings
    own = {name: arm for name, arm in settings.strategies.items() if arm.variant == DEFAULT_VARIANT}
    named = pool.labelled(number, is_drawn)
    rows = [row for name, arm in own.items() for row in _judged(pool, named, name, arm, hidden)]
    if pool.naming.announced:
        nameless = _nameless(run).labelled(number, is_drawn)
        rows += [
            row
            for name, arm in own.items()
            if arm.needs_labels and "rarity_scores" in arm.tables
            for row in _judged(pool, nameless, _NAMELESS.format(name), arm, hidden)
        ]
    return rows


def _nameless(run: StudyRun) -> Pool:
    if "nameless" not in run.memory:
        run.memory["nameless"] = run.pool().nameless()
    return run.memory["nameless"]  # type: ignore[no-any-return]


def _judged(pool: Pool, draw: Draw, name: str, arm: ExperimentSettings, hidden: npt.NDArray[np.str_]) -> list[Row]:
    """Return a row per budget, none where the arm cannot be ranked."""
    if not draw.can_rank(arm):
        return []
    order = draw.rank(arm)
    is_hidden = np.isin(draw.truth, hidden)
    is_few = np.array([pool.bins[label] == "few" for label in draw.truth]) & ~is_hidden
    there = set(draw.truth[is_hidden].tolist())
    rows = []
    for budget in BUDGETS:
        mined = order[: budget_count(budget, len(draw.ids))]
        found = set(draw.truth[mined][is_hidden[mined]].tolist())
        rows.append(
            {
                "draw": draw.number,
                "arm": name,
                "budget": budget,
                "mined": len(mined),
                "few_recall": float(is_hidden[mined].sum() / max(is_hidden.sum(), 1)),
                "labelled_recall": float(is_few[mined].sum() / max(is_few.sum(), 1)),
                "discovered": len(found) / max(len(there), 1),
            }
        )
    return rows


def conclude(run: StudyRun, rows: Sequence[Row]) -> Findings:
    """Compare the arms by what they find of classes that nobody has labelled."""
    tables, words, plots = {}, [], {}
    for metric, name in METRICS.items():
        curves = ArmCurves(rows, metric)
        reference = reference_of(curves.arms)
        compared = curves.compared(reference, fewest=FEWEST_TRAINED)
        tables[f"{name.capitalize()}, mean ± standard deviation over {counted(len(curves.draws), 'draw')}"] = (
            curves.spread_table()
        )
        tables[f"{name.capitalize()} minus {reference}, paired, 95% interval; * is significant"] = difference_table(
            compared
        )
        words += [
            comparison_sentence(
                one,
                where=f"at {share_name(_HEADLINE)}",
                more=f"has more {name} than",
                less=f"has less {name} than",
            )
            for one in compared[share_name(_HEADLINE)]
            if one.is_shown
        ]
        plots[f"{metric}.png"] = budget_curves_png(curves.bands(), y_name=name)
    words += [
        "in each draw half of the few-shot classes, drawn at random, have no label in the seed; they are announced by "
        "their names where the project has names, and once more not at all",
        run.class_words,
    ]
    return Findings(words, tables, _arms(rows), plots)


def _arms(rows: Sequence[Row]) -> list[Arm]:
    curves = ArmCurves(rows)
    return [
        Arm(
            arm,
            {"arm": arm},
            {"recall_area": float(np.mean(curves.areas(arm)))},
            [("few_recall", curves.mined(b), float(np.mean(curves.values(arm, b)))) for b in curves.budgets],
        )
        for arm in curves.arms
    ]


def _settings(bench: Workbench) -> list[Any]:
    return [settings_read(bench), BUDGETS]


STUDY = Study(
    name="unseen",
    question=QUESTIONS["unseen"],
    reads=DRAWN_FROM,
    steps=draw_steps,
    work=withhold,
    conclude=conclude,
    settings=_settings,
    draws=FEWEST_TRAINED,
)
