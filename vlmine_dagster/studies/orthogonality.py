"""Study `orthogonality`: do novelty and uncertainty find the same few-shot images, or each what the other misses?"""

from collections.abc import Sequence

import numpy as np

from vlmine_dagster.mining.selection import budget_count
from vlmine_dagster.mining.significance import Interval, compare_arms, mean_interval, signal_overlap
from vlmine_dagster.mining.verdicts import FEWEST_UNTRAINED, comparison_sentence, interval_text
from vlmine_dagster.reporting.study_charts import bars_png
from vlmine_dagster.studies import QUESTIONS
from vlmine_dagster.studies.draws import share_name
from vlmine_dagster.studies.study import DRAWN_FROM, Arm, Findings, Row, Study, StudyRun, draw_steps

PAIRS = (("novelty_min", "entropy"), ("novelty_mean", "entropy"), ("novelty_min", "novelty_mean"))
SHARES = ("both", "only_first", "only_second", "neither", "by_chance_both")


def measure(run: StudyRun, step: str) -> list[Row]:
    """Cut the few-shot images of one draw by who finds them at each budget."""
    pool, draw = run.pool(), run.draw(step)
    is_few = np.array([pool.bins[name] == "few" for name in draw.truth])
    rows = []
    for first, second in PAIRS:
        orders = [draw.order({name: draw.signals[name]}) for name in (first, second)]
        for budget in run.bench.project.settings.retraining.budgets:
            count = budget_count(budget, len(draw.ids))
            hits = [np.isin(np.flatnonzero(is_few), order[:count]) for order in orders]
            both, one, two = (hits[0] & hits[1]).mean(), (hits[0] & ~hits[1]).mean(), (hits[1] & ~hits[0]).mean()
            overlap = signal_overlap(draw.signals[first], draw.signals[second], budget_count=count)
            rows.append(
                {
                    "draw": draw.number,
                    "first": first,
                    "second": second,
                    "budget": budget,
                    "mined": count,
                    "both": float(both),
                    "only_first": float(one),
                    "only_second": float(two),
                    "neither": float(1 - both - one - two),
                    "by_chance_both": float(hits[0].mean() * hits[1].mean()),
                    "spearman": overlap.spearman,
                }
            )
    return rows


def conclude(run: StudyRun, rows: Sequence[Row]) -> Findings:
    """Say how many few-shot images only one of two signals finds."""
    budgets = sorted({row["budget"] for row in rows})
    table, words, bars, arms = [], [], {}, []
    for first, second in PAIRS:
        for budget in budgets:
            at = [r for r in rows if (r["first"], r["second"], r["budget"]) == (first, second, budget)]
            found = {name: mean_interval([row[name] for row in at]) for name in (*SHARES, "spearman")}
            cells = {name.replace("_", " "): interval_text(found[name]) for name in SHARES}
            table.append({"first": first, "second": second, "budget": share_name(budget), **cells})
            bars[f"{first} / {second}, {share_name(budget)}"] = {name: found[name].mean for name in SHARES[:3]}
        words.append(_sentence(at, found))
        arms.append(_arm(rows, first, second))
    plot = bars_png(bars, x_name="share of the few-shot images")
    return Findings(
        [*words, run.class_words],
        {"Few-shot images by who finds them (mean over draws, 95% interval)": table},
        arms,
        {"found.png": plot},
    )


def _sentence(at: Sequence[Row], found: dict[str, Interval]) -> str:
    first, second, budget = at[0]["first"], at[0]["second"], share_name(at[0]["budget"])
    values = {"both": [row["both"] for row in at], "chance": [row["by_chance_both"] for row in at]}
    [beyond] = compare_arms(values, reference="chance", fewest=FEWEST_UNTRAINED)
    comparison = comparison_sentence(
        beyond,
        where=f"for {first} and {second} at {budget}",
        more="found is more often true than by",
        less="found is less often true than by",
    )
    return (
        f"at {budget} each, {first} and {second} both find {interval_text(found['both'])} of the few-shot images, only "
        f"{first} {interval_text(found['only_first'])}, only {second} {interval_text(found['only_second'])} "
        f"(Spearman {interval_text(found['spearman'], signed=True)}); {comparison}"
    )


def _arm(rows: Sequence[Row], first: str, second: str) -> Arm:
    mine = [row for row in rows if (row["first"], row["second"]) == (first, second)]
    steps = sorted({row["mined"] for row in mine})
    curves = [
        (name, mined, float(np.mean([row[name] for row in mine if row["mined"] == mined])))
        for name in SHARES
        for mined in steps
    ]
    return Arm(f"{first} / {second}", {"first": first, "second": second}, {}, curves)


STUDY = Study(
    name="orthogonality",
    question=QUESTIONS["orthogonality"],
    reads=DRAWN_FROM,
    steps=draw_steps,
    work=measure,
    conclude=conclude,
    settings=lambda bench: bench.project.settings.retraining.budgets,
    draws=FEWEST_UNTRAINED,
)
