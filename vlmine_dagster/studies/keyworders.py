"""Study `keyworders`: how descriptions become keywords, by how their counts are pooled."""

from collections.abc import Sequence

import numpy as np

from vlmine_dagster.describing.keyworders.rules import RulesSettings, by_rules
from vlmine_dagster.describing.keyworders.tags import TagsSettings, by_tags
from vlmine_dagster.mining.novelty import novelty_scores
from vlmine_dagster.mining.verdicts import FEWEST_UNTRAINED
from vlmine_dagster.mining.vocabulary import count_images
from vlmine_dagster.resources.describers import Description, Tag
from vlmine_dagster.resources.keyworders import Keyworder
from vlmine_dagster.studies import QUESTIONS
from vlmine_dagster.studies.novelties import POOLINGS, Floats, conclude_novelty, judge_novelty
from vlmine_dagster.studies.reading import PoolReader
from vlmine_dagster.studies.study import DRAWN_FROM, Findings, Row, Study, StudyRun, draw_steps

_TAGS = "tags"
_KEYWORDERS: dict[str, Keyworder] = {
    _TAGS: by_tags(TagsSettings()),
    "rules, 1 word": by_rules(RulesSettings(max_words=1)),
    "rules, 2 words": by_rules(RulesSettings(max_words=2)),
    "rules, 3 words": by_rules(RulesSettings(max_words=3)),
}


def novelty_by_keyworder(run: StudyRun) -> dict[tuple[str, str], Floats]:
    """Return novelty by (keyworder, pooling); a describer without tags has rules alone."""
    if not run.memory:
        described = _descriptions(run)
        asked = [described.get(name, Description("", "", ())) for name in run.pool().ids]
        for name, keyworder in _KEYWORDERS.items():
            if name == _TAGS and not any(answer.tags for answer in described.values()):
                continue
            words = [list(answer.keywords) for answer in keyworder.extract(asked)]
            counts = count_images(words)
            for pooling in POOLINGS:
                run.memory[name, pooling] = np.asarray(novelty_scores(words, counts, pooling=pooling))
    return run.memory


def _descriptions(run: StudyRun) -> dict[str, Description]:
    columns = ["image_id", "description", "tags", "outcome"]
    rows = PoolReader(run.bench).read("descriptions", columns).to_pylist()
    return {
        row["image_id"]: Description(
            row["image_id"], row["description"], tuple(Tag(t["tag"], t["probability"]) for t in row["tags"] or ())
        )
        for row in rows
        if row["outcome"] == "ok"
    }


def _judge(run: StudyRun, step: str) -> list[Row]:
    return judge_novelty(run, step, novelty_by_keyworder(run))


def _conclude(run: StudyRun, rows: Sequence[Row]) -> Findings:
    return conclude_novelty(run, rows, source_name="keyworder")


STUDY = Study(
    name="keyworders",
    question=QUESTIONS["keyworders"],
    reads=(*DRAWN_FROM, "descriptions"),
    steps=draw_steps,
    work=_judge,
    conclude=_conclude,
    settings=lambda bench: bench.project.settings.retraining.budgets,
    draws=FEWEST_UNTRAINED,
)
