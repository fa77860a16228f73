"""Study `keyworders`: how descriptions become keywords, by how their counts are pooled."""

from collections.abc import Sequence

import numpy as np

from assets.models import rule_keyworder
from resources.describers import Description, Tag
from resources.study_charts import budget_curves_png
from resources.workbench import Workbench
from vlmine_dagster.mining.longtail import mining_metrics
from vlmine_dagster.mining.novelty import novelty_scores
from vlmine_dagster.mining.selection import budget_count, rank_images
from vlmine_dagster.mining.significance import Comparison, compare_arms
from vlmine_dagster.mining.verdicts import FEWEST_UNTRAINED, comparison_sentence, spread_text
from vlmine_dagster.mining.vocabulary import count_images
from vlmine_dagster.project import RulesSettings, TagsSettings
from vlmine_dagster.studies import QUESTIONS
from vlmine_dagster.studies.draws import ArmCurves, headline_of, share_name
from vlmine_dagster.studies.study import DRAWN_FROM, Arm, Findings, Row, Study, StudyRun, draw_steps

POOLINGS = ("min", "mean")
_KEYWORDERS: dict[str, RulesSettings | TagsSettings] = {
    "tags": TagsSettings(),
    "rules, 1 word": RulesSettings(max_words=1),
    "rules, 2 words": RulesSettings(max_words=2),
    "rules, 3 words": RulesSettings(max_words=3),
}


def extracted(run: StudyRun) -> dict[str, list[list[str]]]:
    """Return the keywords of each image of the pool, by keyworder; a describer without tags has rules alone."""
    if run.memory:
        return run.memory
    rows = run.bench.lake.read_all("descriptions", run.bench.source.shards()).to_pylist()
    described = {
        row["image_id"]: Description(
            row["image_id"], row["description"], tuple(Tag(t["tag"], t["probability"]) for t in row["tags"] or ())
        )
        for row in rows
        if row["outcome"] == "ok"
    }
    has_tags = any(answer.tags for answer in described.values())
    nothing = Description("", "", ())
    asked = [described.get(name, nothing) for name in run.pool().ids]
    for name, settings in _KEYWORDERS.items():
        if has_tags or settings.kind != "tags":
            run.memory[name] = [list(answer.keywords) for answer in rule_keyworder(settings).extract(asked)]
    return run.memory


def judge(run: StudyRun, step: str) -> list[Row]:
    """Mine one draw by novelty alone, and with the probe's entropy, for each keyworder and pooling."""
    pool, draw, settings = run.pool(), run.draw(step), run.bench.project.settings
    rows: list[Row] = []
    for keyworder, words in extracted(run).items():
        counts = count_images(words)
        for pooling in POOLINGS:
            novelty = novelty_scores(words, counts, pooling=pooling)[draw.rest]
            for mined_by, signals in (
                ("alone", {"novelty": novelty}),
                ("with entropy", {"novelty": novelty, "entropy": draw.signals["entropy"]}),
            ):
                order = rank_images(signals, draw.ids).order
                for budget in settings.retraining.budgets:
                    count = budget_count(budget, len(draw.ids))
                    found = mining_metrics(draw.truth[order[:count]].tolist(), draw.truth.tolist(), bins=pool.bins)
                    rows.append(
                        {
                            "draw": draw.number,
                            "arm": f"{keyworder}; {pooling}; {mined_by}",
                            "budget": budget,
                            "mined": count,
                            "few_recall": found["few_recall"],
                            "keywords": len(counts),
                        }
                    )
    return rows


def conclude(run: StudyRun, rows: Sequence[Row]) -> Findings:
    """Compare keyworders within a pooling, and poolings within a keyworder, at the project's budget."""
    curves, budget = ArmCurves(rows), headline_of(run.bench.project.settings)
    where = f"at {share_name(budget)}"
    words = [
        comparison_sentence(one, where=where)
        for group, reference in _groups(curves.arms)
        for one in _compared(curves, budget, group, reference)
    ]
    keywords = {row["arm"]: row["keywords"] for row in rows}
    table = [
        {
            **dict(zip(("keyworder", "pooling", "mined"), arm.split("; "), strict=True)),
            "keywords": f"{keywords[arm]:,}",
            **{name: spread_text(values[arm]) for name, values in curves.points.items()},
        }
        for arm in curves.arms
    ]
    title = f"Recall of few-shot images, mean ± standard deviation over {len(curves.draws)} draws"
    plot = budget_curves_png({name: band for name, band in curves.bands().items() if name.endswith("alone")})
    return Findings(words, {title: table}, [_arm(curves, name) for name in curves.arms], {"recall.png": plot})


def _groups(arms: Sequence[str]) -> list[tuple[list[str], str]]:
    """Return (arms, reference) groups: keyworders against the first one, then `mean` against `min` of the first one."""
    names = [arm.split("; ") for arm in arms]
    first = names[0][0]
    groups = []
    for pooling in POOLINGS:
        for mined_by in ("alone", "with entropy"):
            group = ["; ".join(name) for name in names if name[1:] == [pooling, mined_by]]
            groups.append((group, f"{first}; {pooling}; {mined_by}"))
    return [*groups, ([arm for arm in arms if arm.startswith(f"{first};")], f"{first}; min; alone")]


def _compared(curves: ArmCurves, budget: float, group: Sequence[str], reference: str) -> list[Comparison]:
    values = {arm: curves.values(arm, budget) for arm in group}
    return compare_arms(values, reference=reference, fewest=FEWEST_UNTRAINED)


def _arm(curves: ArmCurves, name: str) -> Arm:
    keyworder, pooling, mined_by = name.split("; ")
    points = [("few_recall", curves.mined(b), float(np.mean(curves.values(name, b)))) for b in curves.budgets]
    params = {"keyworder": keyworder, "pooling": pooling, "mined": mined_by}
    return Arm(name, params, {"recall_area": float(np.mean(curves.areas(name)))}, points)


def _settings(bench: Workbench) -> object:
    return bench.project.settings.retraining.budgets


STUDY = Study(
    name="keyworders",
    question=QUESTIONS["keyworders"],
    reads=(*DRAWN_FROM, "descriptions"),
    steps=draw_steps,
    work=judge,
    conclude=conclude,
    settings=_settings,
    draws=FEWEST_UNTRAINED,
)
