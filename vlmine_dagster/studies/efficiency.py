"""Study `efficiency`: how many labels a selector needs for the balanced accuracy of many random ones."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from vlmine_dagster.domain.errors import MissingInputError
from vlmine_dagster.mining.selection import budget_count
from vlmine_dagster.mining.selectors.table import SELECTORS
from vlmine_dagster.mining.significance import mean_interval
from vlmine_dagster.mining.verdicts import FEWEST_TRAINED, interval_text
from vlmine_dagster.reporting.study_charts import Band, budget_curves_png
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.studies import QUESTIONS
from vlmine_dagster.studies.draws import settings_read
from vlmine_dagster.studies.rounds import AXES, BY_NAME, by_names, labelled_pool, rounds_of_arms
from vlmine_dagster.studies.selectors import arms_of
from vlmine_dagster.studies.study import DRAWN_FROM, Findings, Row, Study, StudyRun, draw_steps

SHARES = (0.01, 0.014, 0.018, 0.022, 0.027, 0.033, 0.04, 0.048, 0.057, 0.067, 0.08, 0.1, 0.125, 0.15, 0.2)
"""Shares of the pool that are labelled after each round; the first is drawn at random, the same for every arm."""
_TARGET_OF_RANDOM, _TARGET_OF_BEST = 1 / 3, 0.6


def spend(run: StudyRun, step: str) -> list[Row]:
    """Label one draw in rounds by every arm, until it is as good as random labels are in the end."""
    pool, number = labelled_pool(run), int(step.removeprefix("draw-"))
    if not pool.test_truth:
        raise MissingInputError("study efficiency: no image is labelled as `test`, so no probe can be evaluated.")
    count = len(pool.truth)
    totals = [budget_count(share, count) for share in SHARES]
    start = np.random.default_rng([number, count]).permutation(count)[: totals[0]]
    label = partial(rounds_of_arms, pool, start=np.sort(start), totals=totals[1:], random_seed=number)
    rows = label({"random": SELECTORS["random"].pick})
    others = {name: one.pick for name, one in SELECTORS.items() if name != "random"} | by_names(run)
    rows += label(others, enough=rows[-1]["balanced_accuracy"])
    by_total = dict(zip(totals, SHARES, strict=True))
    return [{"draw": number, **row, "budget": by_total[row["labelled"]]} for row in rows]


def labels_needed(labelled: Sequence[float], accuracy: Sequence[float], target: float) -> float:
    """Return at how many labels an accuracy is reached for the first time, between two rounds by a straight line.

    Args:
        labelled: Labels after each round, rising.
        accuracy: The accuracy then.
        target: What is to be reached.

    Returns:
        Labels; NaN where it is never reached, the first number where it is there from the start.

    Examples:
        >>> labels_needed([100, 200, 400], [0.2, 0.4, 0.6], 0.5), labels_needed([100, 200], [0.2, 0.4], 0.5)
        (300.0, nan)
    """
    for place, reached in enumerate(accuracy):
        if reached >= target:
            if not place:
                return float(labelled[0])
            low, before = accuracy[place - 1], labelled[place - 1]
            return float(before + (labelled[place] - before) * (target - low) / (reached - low))
    return float("nan")


def shares_needed(rows: Sequence[Row]) -> dict[str, list[float]]:
    """Return by arm, for each draw, the labels that it needs as a share of those of random labelling at the end.

    An arm that never gets there has needed at least as many: it counts as 1.
    """
    curves: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        curves.setdefault((row["arm"], row["draw"]), []).append(row)
    needed: dict[str, list[float]] = {}
    for (arm, draw), curve in curves.items():
        last = curves["random", draw][-1]
        found = labels_needed(
            [row["labelled"] for row in curve],
            [row["balanced_accuracy"] for row in curve],
            last["balanced_accuracy"],
        )
        needed.setdefault(arm, []).append(1.0 if np.isnan(found) else found / last["labelled"])
    return needed


def conclude(run: StudyRun, rows: Sequence[Row]) -> Findings:
    """Say how many labels each arm needs, and whether the target is met."""
    needed = shares_needed(rows)
    order = sorted(needed, key=lambda arm: float(np.mean(needed[arm])))
    last = max(row["labelled"] for row in rows)
    title = f"Labels needed for the balanced accuracy of {last:,} random labels, as a share of these"
    table = [
        {
            "arm": arm,
            "share": interval_text(mean_interval(needed[arm])),
            "labels": f"{np.mean(needed[arm]) * last:,.0f}",
            "not reached in": f"{sum(share >= 1 for share in needed[arm])} of {len(needed[arm])}",
        }
        for arm in order
        if arm != "random"
    ]
    accuracy = _accuracy(rows)
    words = [*_words(needed, order), _how(), run.class_words]
    plot = budget_curves_png(_bands(rows), y_name="balanced accuracy", is_from_zero=False)
    names = {
        title: table,
        "Balanced accuracy by labelled share of the pool, while any draw needs more labels": accuracy,
    }
    return Findings(words, names, arms_of(rows), {"efficiency.png": plot})


def _words(needed: Mapping[str, Sequence[float]], order: Sequence[str]) -> list[str]:
    ours = [arm for arm in order if arm in (BY_NAME, "class_balance")]
    others = [arm for arm in order if arm not in (*ours, "random")]
    if not ours or not others:
        return []
    best, rival = ours[0], others[0]
    share, other = float(np.mean(needed[best])), float(np.mean(needed[rival]))
    ratio = mean_interval([a / b for a, b in zip(needed[best], needed[rival], strict=True)])
    return [
        f"{best} needs {share:.2f} of random's labels; the target of {_TARGET_OF_RANDOM:.2f} is "
        f"{'met' if share <= _TARGET_OF_RANDOM else 'missed'}",
        f"the best other selector, {rival}, needs {other:.2f}; {best} needs {interval_text(ratio)} of that, and the "
        f"target of {_TARGET_OF_BEST} is {'met' if ratio.mean <= _TARGET_OF_BEST else 'missed'}",
    ]


def _how() -> str:
    return (
        f"{SHARES[0]:.0%} of the pool is drawn at random, then {len(SHARES) - 1} rounds; the judge is a class-balanced "
        f"linear probe on {AXES} main axes of the features, over the test images"
    )


def _accuracy(rows: Sequence[Row]) -> list[dict[str, str]]:
    bands = _bands(rows)
    return [
        {"arm": arm, **{f"{100 * share:.3g}%": _at(band, share) for share in bands["random"].budgets}}
        for arm, band in bands.items()
    ]


def _at(band: Band, share: float) -> str:
    """Return an arm's mean at a share, empty where it needed no more labels."""
    return f"{band.mean[band.budgets.index(share)]:.3f}" if share in band.budgets else ""


def _bands(rows: Sequence[Row]) -> dict[str, Band]:
    """Return each arm's curve as far as all draws have it: those that need no more labels would leave only bad ones."""
    found: dict[str, dict[float, list[float]]] = {}
    for row in rows:
        found.setdefault(row["arm"], {}).setdefault(row["budget"], []).append(row["balanced_accuracy"])
    draws = len({row["draw"] for row in rows})
    bands = {}
    for arm, curve in found.items():
        whole = {share: mean_interval(values) for share, values in curve.items() if len(values) == draws}
        means, lows, highs = ([getattr(one, end) for one in whole.values()] for end in ("mean", "low", "high"))
        bands[arm] = Band(list(whole), means, lows, highs)
    return bands


def _settings(bench: Workbench) -> list[Any]:
    return [settings_read(bench), list(SELECTORS), SHARES, AXES]


STUDY = Study(
    name="efficiency",
    question=QUESTIONS["efficiency"],
    reads=(*DRAWN_FROM, "images"),
    steps=draw_steps,
    work=spend,
    conclude=conclude,
    settings=_settings,
    draws=FEWEST_TRAINED,
)
