"""Study `describers`: which of the project's ways to describe its pool finds more of the tail."""

from collections.abc import Sequence

from vlmine_dagster.mining.verdicts import FEWEST_UNTRAINED
from vlmine_dagster.studies import QUESTIONS
from vlmine_dagster.studies.novelties import conclude_novelty, judge_novelty
from vlmine_dagster.studies.study import DRAWN_FROM, Findings, Row, Study, StudyRun, draw_steps
from vlmine_dagster.studies.variants import novelty_by_variant, settings_read


def _judge(run: StudyRun, step: str) -> list[Row]:
    return judge_novelty(run, step, novelty_by_variant(run))


def _conclude(run: StudyRun, rows: Sequence[Row]) -> Findings:
    return conclude_novelty(run, rows, source_name="variant")


STUDY = Study(
    name="describers",
    question=QUESTIONS["describers"],
    reads=DRAWN_FROM,
    steps=draw_steps,
    work=_judge,
    conclude=_conclude,
    settings=settings_read,
    draws=FEWEST_UNTRAINED,
)
