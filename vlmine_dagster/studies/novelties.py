"""What the studies of keyworders and of describers share: novelty from several sources, mined over the same draws."""

from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.mining.longtail import mining_metrics
from vlmine_dagster.mining.selection import budget_count
from vlmine_dagster.mining.significance import Comparison, compare_arms
from vlmine_dagster.mining.verdicts import FEWEST_UNTRAINED, comparison_sentences, spread_text
from vlmine_dagster.reporting.study_charts import budget_curves_png
from vlmine_dagster.studies.draws import ArmCurves, headline_of, share_name
from vlmine_dagster.studies.study import Arm, Findings, Row, StudyRun

Floats = npt.NDArray[np.float64]

POOLINGS = ("min", "mean")
MINED_BY = ("alone", "with entropy")
_JOINT = "; "


def judge_novelty(run: StudyRun, step: str, novelty: Mapping[tuple[str, str], Floats]) -> list[Row]:
    """Mine one draw by novelty alone, and by its Pareto set with the probe's entropy.

    Args:
        run: The study at work.
        step: The draw.
        novelty: Shape (N,) over the whole pool, by (source, pooling).
    """
    pool, draw, settings = run.pool(), run.draw(step), run.bench.project.settings
    rows: list[Row] = []
    for (source, pooling), values in novelty.items():
        alone = {"novelty": values[draw.rest]}
        for mined_by, signals in zip(MINED_BY, (alone, alone | {"entropy": draw.signals["entropy"]}), strict=True):
            order = draw.order(signals)
            for budget in settings.retraining.budgets:
                count = budget_count(budget, len(draw.ids))
                found = mining_metrics(draw.truth[order[:count]].tolist(), draw.truth.tolist(), bins=pool.bins)
                arm = _JOINT.join((source, pooling, mined_by))
                judged = {"budget": budget, "mined": count, "few_recall": found["few_recall"]}
                rows.append({"draw": draw.number, "arm": arm, **judged})
    return rows


def conclude_novelty(run: StudyRun, rows: Sequence[Row], *, source_name: str) -> Findings:
    """Compare sources within a pooling, and poolings within the first source, at the project's budget."""
    curves, budget = ArmCurves(rows), headline_of(run.bench.project.settings)
    compared = (_compared(curves, budget, *group) for group in _groups(curves.arms))
    words = comparison_sentences(chain.from_iterable(compared), where=f"at {share_name(budget)}")
    columns = (source_name, "pooling", "mined")
    table = [
        dict(zip(columns, arm.split(_JOINT), strict=True))
        | {name: spread_text(values[arm]) for name, values in curves.points.items()}
        for arm in curves.arms
    ]
    title = f"Recall of few-shot images, mean ± standard deviation over {counted(len(curves.draws), 'draw')}"
    plot = budget_curves_png({name: band for name, band in curves.bands().items() if name.endswith(MINED_BY[0])})
    arms = [_arm(curves, name, columns) for name in curves.arms]
    return Findings([*words, run.class_words], {title: table}, arms, {"recall.png": plot})


def _groups(arms: Sequence[str]) -> list[tuple[list[str], str]]:
    """Return (arms, reference): sources against the first one, then everything of the first one against its minimum."""
    names = [arm.split(_JOINT) for arm in arms]
    first = names[0][0]
    groups = [
        ([_JOINT.join(name) for name in names if name[1:] == [pooling, mined_by]], (first, pooling, mined_by))
        for pooling in POOLINGS
        for mined_by in MINED_BY
    ]
    own = ([_JOINT.join(name) for name in names if name[0] == first], (first, POOLINGS[0], MINED_BY[0]))
    return [(group, _JOINT.join(reference)) for group, reference in [*groups, own]]


def _compared(curves: ArmCurves, budget: float, group: Sequence[str], reference: str) -> list[Comparison]:
    values = {arm: curves.values(arm, budget) for arm in group}
    return compare_arms(values, reference=reference, fewest=FEWEST_UNTRAINED)


def _arm(curves: ArmCurves, name: str, columns: Sequence[str]) -> Arm:
    points = [("few_recall", curves.mined(b), float(np.mean(curves.values(name, b)))) for b in curves.budgets]
    params = dict(zip(columns, name.split(_JOINT), strict=True))
    return Arm(name, params, {"recall_area": float(np.mean(curves.areas(name)))}, points)
