"""Study `prompts`: how alike the mined sets of two ways of asking are."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.mining.selection import budget_count
from vlmine_dagster.mining.significance import overlap_intervals
from vlmine_dagster.reporting.study_charts import matrices_png
from vlmine_dagster.studies import QUESTIONS
from vlmine_dagster.studies.draws import headline_of, share_name
from vlmine_dagster.studies.novelties import POOLINGS
from vlmine_dagster.studies.study import Arm, Findings, Row, Study, StudyRun
from vlmine_dagster.studies.variants import novelty_without_labels, settings_read, variants_of

_ALIKE = 0.9


def _pairs(run: StudyRun) -> list[str]:
    return [f"{first}--{second}" for first, second in combinations(variants_of(run), 2)]


def _measure(run: StudyRun, step: str) -> list[Row]:
    """Compare two variants' orders over the whole pool: Spearman, and the overlap of the sets that they would mine."""
    first, second = step.split("--")
    found, rows = novelty_without_labels(run), []
    for pooling in POOLINGS:
        pair = np.column_stack([found[first, pooling], found[second, pooling]])
        scored = pair[np.isfinite(pair).all(axis=1)]
        count = budget_count(headline_of(run.bench.project.settings), len(scored))
        spearman, jaccard = overlap_intervals(scored[:, 0], scored[:, 1], budget_count=count)
        intervals = {
            f"{name}_{end}": value
            for name, i in (("spearman", spearman), ("jaccard", jaccard))
            for end, value in vars(i).items()
        }
        rows.append({"first": first, "second": second, "pooling": pooling, "images": len(scored), **intervals})
    return rows


def _conclude(run: StudyRun, rows: Sequence[Row]) -> Findings:
    budget, names = share_name(headline_of(run.bench.project.settings)), variants_of(run)
    table = [
        {
            "variants": f"{row['first']}, {row['second']}",
            "pooling": row["pooling"],
            "images": f"{row['images']:,}",
            "Spearman": _text(row, "spearman"),
            f"overlap of the first {budget} (Jaccard)": _text(row, "jaccard"),
        }
        for row in rows
    ]
    panels = {f"Spearman, {pooling}": _matrix(rows, names, pooling) for pooling in POOLINGS}
    arms = [
        Arm(
            f"{row['first']} / {row['second']}, {row['pooling']}",
            {"first": row["first"], "second": row["second"], "pooling": row["pooling"]},
            {"spearman": row["spearman_mean"], "jaccard": row["jaccard_mean"]} if _has_orders(row) else {},
        )
        for row in rows
    ]
    words = [_sentence([row for row in rows if row["pooling"] == pooling], pooling, budget) for pooling in POOLINGS]
    title = "How alike two ways to describe are (95% interval over images)"
    return Findings(words, {title: table}, arms, {"spearman.png": matrices_png(names, panels)})


def _has_orders(row: Row) -> bool:
    """Whether both variants order the images: one that gives all of them the same score has no correlation."""
    return bool(np.isfinite(row["spearman_mean"]))


def _sentence(rows: Sequence[Row], pooling: str, budget: str) -> str:
    ordered = [row for row in rows if _has_orders(row)]
    flat = sorted(_variants_in(rows) - _variants_in(ordered))
    if not ordered:
        return f"novelty by {pooling} cannot be compared: of any two, one gives every image the same score"
    sentence = _of_known(ordered, pooling, budget)
    if not flat:
        return sentence
    return f"{sentence}; {', '.join(flat)}: the same score for every image, look at its keywords"


def _variants_in(rows: Sequence[Row]) -> set[str]:
    return {row[place] for row in rows for place in ("first", "second")}


def _of_known(rows: Sequence[Row], pooling: str, budget: str) -> str:
    worst = min(rows, key=lambda row: row["spearman_mean"])
    pair = f"{worst['first']} and {worst['second']}"
    numbers = f"Spearman {_text(worst, 'spearman')}, overlap of the first {budget} {_text(worst, 'jaccard')}"
    if worst["spearman_low"] >= _ALIKE and worst["jaccard_low"] >= _ALIKE:
        return f"novelty by {pooling} hardly depends on the prompt: the least alike, {pair}, have {numbers}"
    return f"novelty by {pooling} depends on the prompt: the least alike are {pair} with {numbers}"


def _text(row: Row, name: str) -> str:
    if not _has_orders(row):
        return "-"
    return f"{row[f'{name}_mean']:.3f} [{row[f'{name}_low']:.3f}, {row[f'{name}_high']:.3f}]"


def _matrix(rows: Sequence[Row], names: Sequence[str], pooling: str) -> Any:
    values = np.eye(len(names))
    for row in rows:
        if row["pooling"] == pooling:
            i, j = names.index(row["first"]), names.index(row["second"])
            values[i, j] = values[j, i] = row["spearman_mean"]
    return values


STUDY = Study(
    name="prompts",
    question=QUESTIONS["prompts"],
    reads=(ITEMS, "novelty_scores"),
    steps=_pairs,
    work=_measure,
    conclude=_conclude,
    settings=settings_read,
)
