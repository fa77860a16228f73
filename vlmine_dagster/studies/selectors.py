"""Study `selectors`: the field's selectors beside ours, on the same features, seeds and budgets, in rounds."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.mining.selection import budget_count
from vlmine_dagster.mining.selectors.table import SELECTORS
from vlmine_dagster.mining.verdicts import FEWEST_TRAINED, comparison_sentence
from vlmine_dagster.reporting.study_charts import budget_curves_png
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings import DEFAULT_VARIANT
from vlmine_dagster.studies import QUESTIONS
from vlmine_dagster.studies.draws import ArmCurves, difference_table, headline_of, settings_read, share_name
from vlmine_dagster.studies.rounds import AXES, labelled_pool, picks_by_experiment, rounds_of_arms
from vlmine_dagster.studies.study import DRAWN_FROM, Arm, Findings, Row, Study, StudyRun, draw_steps

METRICS = {
    "few_recall": "recall of few-shot images",
    "classes": "classes discovered",
    "balanced_accuracy": "balanced accuracy",
}
REFERENCES = ("random", "entropy", "fused")
_ROUNDS_A_BUDGET = 2
_LARGEST = 0.1


def compare(run: StudyRun, step: str) -> list[Row]:
    """Label in rounds by every selector, and by the experiment `fused` of the project, from one draw of the seed."""
    pool, number = labelled_pool(run), int(step.removeprefix("draw-"))
    is_drawn = run.pool().drawn(number)
    start = np.flatnonzero(is_drawn)
    shares, totals = _rounds(run, len(start), len(is_drawn))
    arms = {name: selector.pick for name, selector in SELECTORS.items()}
    experiment = run.bench.project.settings.experiments.get("fused")
    if experiment is not None and experiment.variant == DEFAULT_VARIANT and experiment.diversity is None:
        arms["fused"] = picks_by_experiment(run.pool(), experiment, number, is_drawn)
    rows = rounds_of_arms(pool, arms, start=start, totals=totals, random_seed=number)
    by_total = dict(zip([len(start), *totals], [0.0, *shares], strict=True))
    return [
        {"draw": number, **row, "budget": by_total[row["labelled"]], "mined": row["labelled"] - len(start)}
        for row in rows
        if by_total[row["labelled"]] in {0.0, *budgets_of(run)}
    ]


def budgets_of(run: StudyRun) -> list[float]:
    """Return the judged budgets of the project up to a tenth of the pool, the smallest in any case."""
    budgets = run.bench.project.settings.retraining.budgets
    return [share for share in budgets if share <= max(_LARGEST, min(budgets))]


def _rounds(run: StudyRun, seed_count: int, pool_count: int) -> tuple[list[float], list[int]]:
    """Return shares of the rest after each round, a budget in two rounds, and the labels that this means."""
    edges = [0.0, *budgets_of(run)]
    shares = [
        float(share) for low, high in pairwise(edges) for share in np.linspace(low, high, _ROUNDS_A_BUDGET + 1)[1:]
    ]
    shares = [next((edge for edge in edges if np.isclose(edge, share)), share) for share in shares]
    counts = {seed_count + budget_count(share, pool_count - seed_count): share for share in shares}
    return list(counts.values()), list(counts)


def conclude(run: StudyRun, rows: Sequence[Row]) -> Findings:
    """Compare every selector with chance, entropy and `fused`, by each of the measures that the pool allows."""
    tables, words, plots = {}, [], {}
    headline = max(share for share in budgets_of(run) if share <= max(headline_of(run.bench.project.settings), 0))
    for metric, name in METRICS.items():
        if any(np.isnan(row[metric]) for row in rows):
            words.append(f"{name} is unknown: the project has no such test images")
            continue
        curves = ArmCurves(rows, metric, start=None)
        tables[f"{name.capitalize()}, mean ± standard deviation over {counted(len(curves.draws), 'draw')}"] = (
            curves.spread_table()
        )
        tables[
            f"{name.capitalize()} at {share_name(headline)} minus that of ..., paired, 95% interval; * is significant"
        ] = differences(curves, headline)
        words += best_words(curves, name, headline)
        plots[f"{metric}.png"] = budget_curves_png(curves.bands(), y_name=name)
    words += [_kinds(), run.class_words]
    return Findings(words, tables, arms_of(rows), plots)


def differences(curves: ArmCurves, budget: float) -> list[dict[str, str]]:
    """Return a row per arm: its difference at a budget to each of the references that are there."""
    columns: dict[str, Mapping[str, str]] = {}
    for reference in (name for name in REFERENCES if name in curves.arms):
        compared = curves.compared(reference, fewest=FEWEST_TRAINED)
        table = difference_table({share_name(budget): compared[share_name(budget)]})
        columns[reference] = {row["arm"]: row[share_name(budget)] for row in table}
    return [{"arm": arm, **{name: column.get(arm, "") for name, column in columns.items()}} for arm in curves.arms]


def best_words(curves: ArmCurves, name: str, budget: float) -> list[str]:
    """Say which arm has most of a measure, and what is shown between it and the references."""
    means = {arm: float(np.mean(curves.values(arm, budget))) for arm in curves.arms}
    best, *others = (arm for arm in curves.arms if means[arm] == max(means.values()))
    words = [f"most {name} at {share_name(budget)}: {', '.join([best, *others])}, {means[best]:.3f}"]
    if others:
        return words
    for reference in (one for one in REFERENCES if one in curves.arms and one != best):
        compared = curves.compared(reference, fewest=FEWEST_TRAINED)[share_name(budget)]
        words += [
            comparison_sentence(
                one, where=f"at {share_name(budget)}", more=f"has more {name} than", less=f"has less {name} than"
            )
            for one in compared
            if one.arm == best
        ]
    return words


def _kinds() -> str:
    single = ", ".join(name for name, selector in SELECTORS.items() if selector.labels_one_by_one)
    return (
        f"all see the encoder's features on {AXES} main axes and the same class-balanced linear probe, fitted again "
        f"after each of the {_ROUNDS_A_BUDGET} rounds per budget; {single} see each label before the next pick of a "
        f"round, and fused learns all its signals again after each round"
    )


def arms_of(rows: Sequence[Row]) -> list[Arm]:
    """Return a nested MLflow run per arm, with its curves over the labels."""
    names = dict.fromkeys(row["arm"] for row in rows)
    arms = []
    for name in names:
        points: dict[tuple[str, int], list[float]] = {}
        for row in (row for row in rows if row["arm"] == name):
            for metric in METRICS:
                points.setdefault((metric, row["labelled"]), []).append(row[metric])
        means = [(metric, count, float(np.mean(found))) for (metric, count), found in points.items()]
        arms.append(Arm(name, {"arm": name}, {}, [point for point in means if not np.isnan(point[2])]))
    return arms


def _settings(bench: Workbench) -> list[Any]:
    return [settings_read(bench), list(SELECTORS), AXES]


STUDY = Study(
    name="selectors",
    question=QUESTIONS["selectors"],
    reads=(*DRAWN_FROM, "images"),
    steps=draw_steps,
    work=compare,
    conclude=conclude,
    settings=_settings,
    draws=FEWEST_TRAINED,
)
