"""Study `correlation`: how alike the signals are, over the whole pool and among many-, medium- and few-shot images."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from resources.study_charts import matrices_png
from resources.workbench import Workbench
from vlmine_dagster.mining.limits import MOST_SPEARMAN
from vlmine_dagster.mining.longtail import SHOTS
from vlmine_dagster.mining.selection import budget_count
from vlmine_dagster.mining.significance import mean_interval, signal_overlap
from vlmine_dagster.mining.verdicts import FEWEST_UNTRAINED, interval_text
from vlmine_dagster.signals import SIGNALS
from vlmine_dagster.studies import QUESTIONS
from vlmine_dagster.studies.drawn_models import drawn_model, model_facts, model_words
from vlmine_dagster.studies.draws import headline_of, share_name
from vlmine_dagster.studies.study import DRAWN_FROM, Arm, Findings, Row, Study, StudyRun, draw_steps

REGIONS = ("all", *SHOTS)
_TOLD = 3
_INDEPENDENT = 0.2


def measure(run: StudyRun, step: str) -> list[Row]:
    """Measure every pair of signals in one draw: Spearman by region, and how their lists overlap at the budget."""
    pool, draw = run.pool(), run.draw(step)
    shots = np.array([pool.bins[name] for name in draw.truth])
    names = [name for name in SIGNALS if name != "random"]
    known = np.isfinite(np.column_stack([draw.signals[name] for name in names])).all(axis=1)
    rows: list[Row] = []
    for region in REGIONS:
        where = known if region == "all" else known & (shots == region)
        count = budget_count(headline_of(run.bench.project.settings), max(int(where.sum()), 1))
        for first, second in combinations(names, 2):
            found = signal_overlap(draw.signals[first][where], draw.signals[second][where], budget_count=count)
            rows.append({"draw": draw.number, "region": region, "first": first, "second": second, **vars(found)})
    return rows


def conclude(run: StudyRun, rows: Sequence[Row]) -> Findings:
    """Say which signals say the same and which tell something else, with intervals over draws."""
    pairs = list(dict.fromkeys((row["first"], row["second"]) for row in rows))
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    panels = {region: _matrix(rows, names, region, "spearman") for region in REGIONS}
    overlap = _matrix(rows, names, "all", "jaccard")
    budget = share_name(headline_of(run.bench.project.settings))
    tables = {
        f"Pairs of signals: Spearman by region, Jaccard of the first {budget} (mean over draws, 95% interval)": [
            {
                "signals": f"{first}, {second}",
                **{region: _text(rows, first, second, region, "spearman") for region in REGIONS},
                f"Jaccard at {budget}": _text(rows, first, second, "all", "jaccard"),
            }
            for first, second in pairs
        ]
    }
    plots = {
        "spearman.png": matrices_png(names, panels),
        "jaccard.png": matrices_png(names, {f"overlap of the first {budget}": overlap}, low=0.0),
    }
    arms = [
        Arm(region, {"region": region}, {f"{a} / {b}": _mean(rows, a, b, region) for a, b in pairs})
        for region in REGIONS
    ]
    words = [*_words(names, panels), model_words(run.pool().drawn_model), run.class_words]
    return Findings(words, tables, arms, plots)


def _words(names: Sequence[str], panels: dict[str, npt.NDArray[np.float64]]) -> list[str]:
    whole, tail = panels["all"], panels["few"]
    pairs = [(i, j) for i, j in combinations(range(len(names)), 2) if np.isfinite(whole[i, j])]
    same = [f"{names[i]} and {names[j]} ({whole[i, j]:+.2f})" for i, j in pairs if whole[i, j] > MOST_SPEARMAN]
    apart = sorted(pairs, key=lambda pair: abs(whole[pair]))[:_TOLD]
    told = [f"{names[i]} and {names[j]} ({whole[i, j]:+.2f})" for i, j in apart if abs(whole[i, j]) < _INDEPENDENT]
    shifts = sorted((p for p in pairs if np.isfinite(tail[p])), key=lambda p: -abs(tail[p] - whole[p]))[:_TOLD]
    moved = [f"{names[i]} and {names[j]} from {whole[i, j]:+.2f} to {tail[i, j]:+.2f}" for i, j in shifts]
    return [
        f"the same thing under two names (Spearman above {MOST_SPEARMAN}): {', '.join(same) or 'no pair'}",
        f"nearly independent, so that joining them can add most: {', '.join(told) or 'no pair'}",
        f"furthest from the whole pool's correlation among few-shot images: {', '.join(moved) or 'no pair'}",
    ]


def _matrix(rows: Sequence[Row], names: Sequence[str], region: str, measure_name: str) -> npt.NDArray[np.float64]:
    values = np.eye(len(names))
    for i, j in combinations(range(len(names)), 2):
        values[i, j] = values[j, i] = _mean(rows, names[i], names[j], region, measure_name)
    return values


def _found(rows: Sequence[Row], first: str, second: str, region: str, name: str) -> list[float]:
    wanted = (first, second, region)
    found = [row[name] for row in rows if (row["first"], row["second"], row["region"]) == wanted]
    return [value for value in found if np.isfinite(value)]


def _mean(rows: Sequence[Row], first: str, second: str, region: str, name: str = "spearman") -> float:
    found = _found(rows, first, second, region, name)
    return float(np.mean(found)) if found else float("nan")


def _text(rows: Sequence[Row], first: str, second: str, region: str, name: str) -> str:
    found = _found(rows, first, second, region, name)
    return interval_text(mean_interval(found), signed=name == "spearman") if found else "unknown"


def _settings(bench: Workbench) -> list[Any]:
    """Return how long a list is, and what signals of members and passes depend on."""
    settings = bench.project.settings
    return [headline_of(settings), *model_facts(drawn_model(settings.task_model, SIGNALS))]


STUDY = Study(
    name="correlation",
    question=QUESTIONS["correlation"],
    reads=DRAWN_FROM,
    steps=draw_steps,
    work=measure,
    conclude=conclude,
    settings=_settings,
    draws=FEWEST_UNTRAINED,
    signals=tuple(SIGNALS),
    version=2,
)
