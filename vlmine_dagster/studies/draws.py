"""Study `draws`: every arm on the same draws of the seed, at every budget."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import ConfigError, MissingInputError
from vlmine_dagster.mining.longtail import mining_metrics, shot_bins
from vlmine_dagster.mining.selection import budget_count
from vlmine_dagster.mining.sign_flips import sign_flip_p_values
from vlmine_dagster.mining.significance import Comparison, area_under_budget_curve, compare_arms, mean_interval
from vlmine_dagster.mining.verdicts import (
    FEWEST_UNTRAINED,
    comparison_sentences,
    interval_text,
    spread_text,
)
from vlmine_dagster.reporting.study_charts import Band, budget_curves_png
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings import DEFAULT_VARIANT, ExperimentSettings
from vlmine_dagster.settings.project import ProjectSettings
from vlmine_dagster.studies import QUESTIONS
from vlmine_dagster.studies.drawn_models import drawn_model, model_facts
from vlmine_dagster.studies.left_out import left_out
from vlmine_dagster.studies.pool import Draw, Pool
from vlmine_dagster.studies.study import DRAWN_FROM, Arm, Findings, Row, Study, StudyRun, draw_steps

AREA = "area"
RULES = {"few_recall_lt20": (100, 20), "few_recall_le20": (99, 21)}
"""Recall by the two rules in use: few-shot is fewer than 20 images, or 20 at the most."""


class ArmCurves:
    """A metric of every arm at every budget, over the same draws.

    Args:
        rows: One a draw, arm and budget, with the columns draw, arm, budget, mined and the metric's.
        metric: What is compared.
        start: Its value where nothing is mined; None where the rows tell, at budget 0.

    Attributes:
        arms: Names, in the order of the rows.
        budgets: Shares, rising.
        draws: Numbers of the draws.
    """

    def __init__(self, rows: Sequence[Row], metric: str = "few_recall", *, start: float | None = 0.0):
        self._start = [] if start is None else [start]
        self.arms = list(dict.fromkeys(row["arm"] for row in rows))
        self.budgets = sorted({row["budget"] for row in rows})
        self.draws = sorted({row["draw"] for row in rows})
        self._found = {(row["arm"], row["budget"], row["draw"]): row[metric] for row in rows}
        self._mined = {row["budget"]: row["mined"] for row in rows}

    def values(self, arm: str, budget: float) -> list[float]:
        """Return an arm's values at a budget, a draw each."""
        return [self._found[arm, budget, draw] for draw in self.draws]

    def areas(self, arm: str) -> list[float]:
        """Return an arm's area under the budget curve from nothing to the largest budget, a draw each."""
        shares = [*(0.0 for _ in self._start), *self.budgets]
        curves = zip(*(self.values(arm, budget) for budget in self.budgets), strict=True)
        return [area_under_budget_curve(shares, [*self._start, *curve]) for curve in curves]

    def mined(self, budget: float) -> int:
        """Return the images that a budget means."""
        return int(self._mined[budget])

    @cached_property
    def points(self) -> dict[str, dict[str, list[float]]]:
        """Values by column (a budget as `10%`, or the area) and arm."""
        shares = {f"{budget:.3g}": budget for budget in self.budgets}
        found = {share_name(b): {arm: self.values(arm, b) for arm in self.arms} for b in shares.values()}
        return {**found, AREA: {arm: self.areas(arm) for arm in self.arms}}

    def compared(self, reference: str, *, fewest: int) -> dict[str, list[Comparison]]:
        """Compare every arm with a reference in every column; p-values are adjusted for arms and columns together.

        Of two p-values the larger counts: Wilcoxon's after Holm over the arms of a column, and that of flipped signs
        over the whole table, without which five budgets would give each arm five chances.
        """
        found = {name: compare_arms(values, reference=reference, fewest=fewest) for name, values in self.points.items()}
        cells = [(name, place) for name, column in found.items() for place in range(len(column))]
        if not cells:
            return found
        differences = [
            np.subtract(self.points[name][found[name][place].arm], self.points[name][reference])
            for name, place in cells
        ]
        for (name, place), p_value in zip(cells, sign_flip_p_values(np.column_stack(differences)), strict=True):
            one = found[name][place]
            found[name][place] = replace(one, p_value=max(one.p_value, float(p_value)))
        return found

    def spread_table(self) -> list[dict[str, str]]:
        """Return mean and standard deviation over draws, a row an arm."""
        return [
            {"arm": arm, **{name: spread_text(values[arm]) for name, values in self.points.items()}}
            for arm in self.arms
        ]

    def bands(self) -> dict[str, Band]:
        """Return each arm's curve with the interval of its mean."""
        found = {}
        for arm in self.arms:
            intervals = [mean_interval(self.values(arm, budget)) for budget in self.budgets]
            found[arm] = Band(
                self.budgets, [i.mean for i in intervals], [i.low for i in intervals], [i.high for i in intervals]
            )
        return found


def share_name(budget: float) -> str:
    """Return a share for people.

    Examples:
        >>> share_name(0.1), share_name(0.025)
        ('10%', '2.5%')
    """
    return f"{100 * budget:.3g}%"


def reference_of(arms: Sequence[str]) -> str:
    """Return the arm that others are compared with: `entropy`, else `random`, else the first."""
    return next(name for name in ("entropy", "random", *arms) if name in arms)


def headline_of(settings: ProjectSettings) -> float:
    """Return the judged budget nearest to that of the project, the largest where that is a number of images."""
    budgets = settings.retraining.budgets
    return budgets[-1] if settings.budget > 1 else min(budgets, key=lambda share: abs(share - settings.budget))


def difference_table(compared: Mapping[str, Sequence[Comparison]]) -> list[dict[str, str]]:
    """Return differences with their intervals, a row an arm; a star marks what is shown."""
    arms = [one.arm for one in next(iter(compared.values()))]
    return [
        {
            "arm": arm,
            **{
                name: f"{interval_text(found[place].difference, signed=True)}{' *' if found[place].is_shown else ''}"
                for name, found in compared.items()
            },
        }
        for place, arm in enumerate(arms)
    ]


def judge(run: StudyRun, step: str) -> list[Row]:
    """Rank the pool of one draw by every experiment, and judge it at every budget by both rules."""
    settings = run.bench.project.settings
    own = {name: arm for name, arm in settings.strategies.items() if arm.variant == DEFAULT_VARIANT}
    return judged(run.pool(), run.draw(step), own, budgets=settings.retraining.budgets)


def judged(
    pool: Pool, draw: Draw, experiments: Mapping[str, ExperimentSettings], *, budgets: Sequence[float]
) -> list[Row]:
    """Return one row per budget and experiment that can be ranked."""
    truth = draw.truth.tolist()
    bins = {"few_recall": pool.bins} | {
        name: shot_bins(pool.class_counts, many_over=many, few_under=few) for name, (many, few) in RULES.items()
    }
    rows = []
    for arm, experiment in experiments.items():
        if not draw.can_rank(experiment):
            continue
        order = draw.rank(experiment)
        for budget in budgets:
            count = budget_count(budget, len(draw.ids))
            mined = draw.truth[order[:count]].tolist()
            metrics = {name: mining_metrics(mined, truth, bins=rule) for name, rule in bins.items()}
            rows.append(
                {
                    "draw": draw.number,
                    "arm": arm,
                    "budget": budget,
                    "mined": count,
                    **{name: found["few_recall"] for name, found in metrics.items()},
                    "few_coverage": metrics["few_recall"]["few_coverage"],
                    "few_lift": metrics["few_recall"]["few_lift"],
                }
            )
    return rows


def conclude(run: StudyRun, rows: Sequence[Row]) -> Findings:
    """Compare the arms with a reference at every budget and by the area under the curve."""
    curves = ArmCurves(rows)
    words, tables = verdict(run.bench, curves)
    words += [
        *rule_words(run, rows, headline_of(run.bench.project.settings)),
        *left_out(run.bench.project.settings, curves.arms),
    ]
    return Findings(words, tables, _arms(run, curves), {"recall.png": budget_curves_png(curves.bands())})


def verdict(
    bench: Workbench, curves: ArmCurves, *, reference: str | None = None
) -> tuple[list[str], dict[str, list[dict[str, str]]]]:
    """Return what is shown against a reference, in words and as tables.

    Raises:
        ConfigError: the reference is not one of the arms.
    """
    against = reference or reference_of(curves.arms)
    if against not in curves.arms:
        raise ConfigError(f"there is no experiment {against!r} to compare with. There are: {', '.join(curves.arms)}")
    compared = curves.compared(against, fewest=FEWEST_UNTRAINED)
    headline = share_name(headline_of(bench.project.settings))
    words = comparison_sentences(compared[headline], where=f"at {headline}")
    over = counted(len(curves.draws), "draw")
    tables = {
        f"Recall of few-shot images, mean ± standard deviation over {over}": curves.spread_table(),
        f"Minus {against}, paired, 95% interval; * is significant": difference_table(compared),
    }
    return words, tables


def rule_words(run: StudyRun, rows: Sequence[Row], budget: float) -> list[str]:
    """Say how many classes are what by both rules, and recall at a budget by each."""
    at = [row for row in rows if row["budget"] == budget]
    sentences = [run.class_words]
    for name, text in (("few_recall_lt20", "fewer than 20"), ("few_recall_le20", "20 or fewer")):
        means: dict[str, Any] = {}
        for row in at:
            means.setdefault(row["arm"], []).append(row[name])
        shown = ", ".join(f"{arm} {np.mean(values):.3f}" for arm, values in means.items())
        sentences.append(f"recall at {share_name(budget)} where few-shot means {text} images: {shown}")
    return sentences


def _arms(run: StudyRun, curves: ArmCurves) -> list[Arm]:
    arms = []
    for name in curves.arms:
        settings = run.bench.project.settings.strategies[name]
        points = [("few_recall", curves.mined(b), float(np.mean(curves.values(name, b)))) for b in curves.budgets]
        spread = [("few_recall_sd", curves.mined(b), float(np.std(curves.values(name, b)))) for b in curves.budgets]
        arms.append(
            Arm(
                name,
                {"arm": name, "fusion": settings.fusion},
                {"recall_area": float(np.mean(curves.areas(name)))},  # the headline of the compare view
                [*points, *spread],
            )
        )
    return arms


def settings_read(bench: Workbench) -> list[Any]:
    """Return what a draw's rows depend on beside tables and labels."""
    settings = bench.project.settings
    named = {name for arm in settings.strategies.values() for name in arm.signals}
    models = model_facts(drawn_model(settings.task_model, named))
    arms = {name: arm.model_dump() for name, arm in settings.strategies.items()}
    return [arms, settings.retraining.budgets, *models]


def kept_rows(bench: Workbench) -> list[Row]:
    """Return the rows of all draws that were done on what is in the lake now; none where nothing fits."""
    try:
        run = StudyRun(STUDY, bench)
        files = sorted((run.folder / "steps" / run.inputs).glob("draw-*.json"))
    except (ConfigError, MissingInputError):
        return []
    return [row for file in files for row in run.kept(file.stem) or []]


STUDY = Study(
    name="draws",
    question=QUESTIONS["draws"],
    reads=DRAWN_FROM,
    steps=draw_steps,
    work=judge,
    conclude=conclude,
    settings=settings_read,
    draws=FEWEST_UNTRAINED,
)
