"""Study `correlation`: how alike the signals are, over the whole pool and among many-, medium- and few-shot images."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from vlmine_dagster.domain.signals import SIGNALS
from vlmine_dagster.mining.limits import MOST_SPEARMAN
from vlmine_dagster.mining.longtail import SHOTS
from vlmine_dagster.mining.selection import budget_count
from vlmine_dagster.mining.significance import alike_order, mean_interval, signal_overlap
from vlmine_dagster.mining.verdicts import FEWEST_UNTRAINED, interval_text
from vlmine_dagster.reporting.study_charts import matrices_png
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.studies import QUESTIONS
from vlmine_dagster.studies.drawn_models import drawn_model, model_facts, model_words
from vlmine_dagster.studies.draws import headline_of, share_name
from vlmine_dagster.studies.study import DRAWN_FROM, Arm, Findings, Row, Study, StudyRun, draw_steps

REGIONS = ("all", *SHOTS)
_CEILING = "oracle"
_TOLD = 3
_INDEPENDENT = 0.2


def measure(run: StudyRun, step: str) -> list[Row]:
    """Measure every pair of signals in one draw: Spearman by region, and how their lists overlap at the budget."""
    pool, draw = run.pool(), run.draw(step)
    shots = np.array([pool.bins[name] for name in draw.truth])
    names = [name for name in SIGNALS if name != "random" and name in draw.signals]
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
    overlaps = _Overlaps(rows)
    budget = share_name(headline_of(run.bench.project.settings))
    panels = {region: overlaps.matrix(region) for region in REGIONS}
    order = alike_order(panels["all"])
    names = [overlaps.names[place] for place in order]
    panels = {region: values[np.ix_(order, order)] for region, values in panels.items()}
    plots = {
        f"spearman{'' if region == 'all' else f'-{region}'}.png": matrices_png(names, {_title(region): values})
        for region, values in panels.items()
    }
    shared = overlaps.matrix("all", "jaccard")[np.ix_(order, order)]
    plots["jaccard.png"] = matrices_png(names, {f"Jaccard of the first {budget}": shared}, low=0.0)
    title = (
        f"Pairs of signals, the most alike first: Spearman by region, Jaccard of the first {budget} (mean over draws, "
    )
    tables = {f"{title}95% interval)": _table(overlaps, budget)}
    arms = [
        Arm(region, {"region": region}, {f"{a} / {b}": overlaps.mean(a, b, region) for a, b in overlaps.pairs})
        for region in REGIONS
    ]
    words = [*_words(names, panels), _nearest(names, shared, budget), model_words(run.pool().drawn_model)]
    return Findings([*words, run.class_words], tables, arms, plots)


class _Overlaps:
    """How alike pairs of signals are, over draws.

    Args:
        rows: Of `measure`.

    Attributes:
        pairs: The pairs, each once.
        names: The signals.
    """

    def __init__(self, rows: Sequence[Row]):
        self._rows: dict[tuple[str, str, str], list[Row]] = {}
        for row in rows:
            self._rows.setdefault((row["first"], row["second"], row["region"]), []).append(row)
        self.pairs = list(dict.fromkeys((first, second) for first, second, _ in self._rows))
        self.names = list(dict.fromkeys(name for pair in self.pairs for name in pair))

    def mean(self, first: str, second: str, region: str, name: str = "spearman") -> float:
        """Return a measure's mean, NaN where no draw knows it."""
        found = self._found(first, second, region, name)
        return float(np.mean(found)) if found else float("nan")

    def text(self, first: str, second: str, region: str, name: str = "spearman") -> str:
        """Return the same with its interval, for people."""
        found = self._found(first, second, region, name)
        return interval_text(mean_interval(found), signed=name == "spearman") if found else "unknown"

    def matrix(self, region: str, name: str = "spearman") -> npt.NDArray[np.float64]:
        """Return the means of all pairs, shape (S, S), in the order of the names."""
        values = np.eye(len(self.names))
        for i, j in combinations(range(len(self.names)), 2):
            values[i, j] = values[j, i] = self.mean(self.names[i], self.names[j], region, name)
        return values

    def _found(self, first: str, second: str, region: str, name: str) -> list[float]:
        return [row[name] for row in self._rows[first, second, region] if np.isfinite(row[name])]


def _title(region: str) -> str:
    return f"Spearman, {'all images left to mine' if region == 'all' else f'{region}-shot images'}"


def _table(overlaps: _Overlaps, budget: str) -> list[dict[str, str]]:
    known = {pair: overlaps.mean(*pair, "all") for pair in overlaps.pairs}
    return [
        {
            "signals": f"{first}, {second}",
            **{region: overlaps.text(first, second, region) for region in REGIONS},
            f"Jaccard at {budget}": overlaps.text(first, second, "all", "jaccard"),
        }
        for first, second in sorted(known, key=lambda pair: -abs(np.nan_to_num(known[pair])))
    ]


def _words(names: Sequence[str], panels: dict[str, npt.NDArray[np.float64]]) -> list[str]:
    whole, tail = panels["all"], panels["few"]
    mined = [place for place, name in enumerate(names) if name != _CEILING]
    pairs = [(i, j) for i, j in combinations(mined, 2) if np.isfinite(whole[i, j])]
    same = [f"{names[i]} and {names[j]} ({whole[i, j]:+.2f})" for i, j in pairs if whole[i, j] > MOST_SPEARMAN]
    apart = sorted(pairs, key=lambda pair: abs(whole[pair]))[:_TOLD]
    independent = [
        f"{names[i]} and {names[j]} ({whole[i, j]:+.2f})" for i, j in apart if abs(whole[i, j]) < _INDEPENDENT
    ]
    shifts = sorted((p for p in pairs if np.isfinite(tail[p])), key=lambda p: -abs(tail[p] - whole[p]))[:_TOLD]
    moved = [f"{names[i]} and {names[j]} from {whole[i, j]:+.2f} to {tail[i, j]:+.2f}" for i, j in shifts]
    return [
        f"the same thing under two names (Spearman above {MOST_SPEARMAN}): {', '.join(same) or 'no pair'}",
        f"nearly independent, so that joining them can add most: {', '.join(independent) or 'no pair'}",
        f"furthest from the whole pool's correlation among few-shot images: {', '.join(moved) or 'no pair'}",
    ]


def _nearest(names: Sequence[str], shared: npt.NDArray[np.float64], budget: str) -> str:
    with_ceiling = dict(zip(names, np.nan_to_num(shared[list(names).index(_CEILING)]).tolist(), strict=True))
    nearest = sorted(with_ceiling.keys() - {_CEILING}, key=lambda name: (-with_ceiling[name], name))[:_TOLD]
    listed = ", ".join(f"{name} ({with_ceiling[name]:.2f})" for name in nearest)
    return f"the first {budget} most like those by the true rarity of classes, which is hidden (Jaccard): {listed}"


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
