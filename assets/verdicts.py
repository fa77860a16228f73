"""Stage `verdicts`: what reviewers said of mined items, in the rounds that they have finished."""

from typing import Any

from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.engine.stage import Part, Product, Reads, stage
from vlmine_dagster.engine.stage_run import StageRun
from vlmine_dagster.resources.verdicts import finished_verdicts, has_finished_verdicts, verdicts_fingerprint
from vlmine_dagster.resources.workbench import Workbench


def _log(bench: Workbench, _part: Part) -> list[Any]:
    return [verdicts_fingerprint(finished_verdicts(bench.project))]


def _why_none(part: Part) -> str | None:
    return None if has_finished_verdicts(part.project) else "no review was finished (vlmine verdicts --finish)"


@stage(
    "verdicts",
    group="mine",
    kinds={"sqlite", "parquet"},
    reads=[Reads(ITEMS, ("image_id",))],
    fingerprints=_log,
    skipped=_why_none,
    is_on_demand=True,
)
def verdicts(run: StageRun) -> Product:
    """What reviewers said of mined items, in the rounds that they have finished.

    One row per reviewer and item: the last word. Lists that learn from verdicts read it. Items that the dataset holds
    no longer are left out; the log of the review page keeps all that was said.
    """
    from vlmine_dagster.scoring.verdicts import verdict_rows

    judgements = finished_verdicts(run.project)
    rows = verdict_rows(judgements, run.read(ITEMS, ["image_id"]).column("image_id"))
    return Product(rows, {"verdicts": rows.num_rows, "of items that are gone": len(judgements) - rows.num_rows})
