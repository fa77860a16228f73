"""Study `pooling`: minimum or mean of an image's keyword counts, on classes that are known to be rare."""

from collections.abc import Sequence

import numpy as np

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.mining.selection import mid_ranks
from vlmine_dagster.mining.significance import compare_arms
from vlmine_dagster.mining.verdicts import FEWEST_UNTRAINED, comparison_sentence
from vlmine_dagster.reporting.study_charts import scatter_pairs_png
from vlmine_dagster.studies import QUESTIONS
from vlmine_dagster.studies.study import DRAWN_FROM, Arm, Findings, Row, Study, StudyRun

_SHOWN = 15


def measure(run: StudyRun, _step: str) -> list[Row]:
    """Return, for each few-shot class, how far up the list its images stand by either pooling: 1 is the top."""
    pool = run.pool()
    heights = {}
    for name in ("novelty_min", "novelty_mean"):
        ranks = mid_ranks(pool.novelty[name])
        heights[name] = 1 - (ranks - 0.5) / np.isfinite(ranks).sum()
    rows = []
    for label in sorted(name for name, shot in pool.bins.items() if shot == "few"):
        ours = pool.truth == label
        if ours.any() and all(np.isfinite(values[ours]).any() for values in heights.values()):
            found = {name: float(np.nanmean(values[ours])) for name, values in heights.items()}
            rows.append({"class": label, "images": int(ours.sum()), **found})
    return rows


def conclude(run: StudyRun, rows: Sequence[Row]) -> Findings:
    """Compare the two poolings class by class."""
    names = ("novelty_min", "novelty_mean")
    values = {name: [row[name] for row in rows] for name in names}
    [found] = compare_arms(values, reference="novelty_min", fewest=FEWEST_UNTRAINED)
    classes = counted(len(rows), "few-shot class", "few-shot classes")
    sentence = comparison_sentence(
        found,
        where=f"on {classes} (mean height in the list, 1 is the top, 0.5 is chance)",
        more="puts rare classes higher than",
        less="puts rare classes lower than",
        of=("class", "classes"),
    )
    wins = sum(row["novelty_mean"] > row["novelty_min"] for row in rows)
    words = [
        sentence,
        f"the mean puts {wins} of {len(rows)} classes higher, the minimum {len(rows) - wins}",
        run.class_words,
    ]
    ordered = sorted(rows, key=lambda row: -abs(row["novelty_mean"] - row["novelty_min"]))[:_SHOWN]
    table = [
        {
            "class": row["class"],
            "images": str(row["images"]),
            "min": f"{row['novelty_min']:.3f}",
            "mean": f"{row['novelty_mean']:.3f}",
        }
        for row in ordered
    ]
    arms = [
        Arm(name, {"pooling": name.removeprefix("novelty_")}, {"height": float(np.mean(values[name]))})
        for name in names
    ]
    plot = scatter_pairs_png(
        values["novelty_min"], values["novelty_mean"], x_name="height by min", y_name="height by mean"
    )
    return Findings(words, {f"The {len(table)} classes on which they differ most": table}, arms, {"classes.png": plot})


STUDY = Study(
    name="pooling",
    question=QUESTIONS["pooling"],
    reads=DRAWN_FROM,
    steps=lambda _run: ["classes"],
    work=measure,
    conclude=conclude,
)
