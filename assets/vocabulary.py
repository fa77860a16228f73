"""Stage `vocabulary`: which keywords are counted as another one."""

from typing import Any

from vlmine_dagster.engine.stage import Part, Product, Reads, stage
from vlmine_dagster.engine.stage_run import StageRun
from vlmine_dagster.resources.workbench import Workbench

UNKNOWN_CHECK = "merged_keywords_occur"


def _version(_bench: Workbench, part: Part) -> list[Any]:
    from vlmine_dagster.scoring.vocabulary_file import vocabulary_version

    return [vocabulary_version(part.project)]


def _why_none(part: Part) -> str | None:
    return None if part.project.has_vocabulary else "there is no vocabulary.csv beside vlmine.yaml"


@stage(
    "vocabulary",
    group="score",
    kinds={"csv", "parquet"},
    reads=[Reads("keywords", ("image_id", "keyword"))],
    fingerprints=_version,
    skipped=_why_none,
    is_on_demand=True,
    checks={UNKNOWN_CHECK: "Each keyword of vocabulary.csv, or the one that it is merged into, occurs in some image."},
)
def vocabulary(run: StageRun) -> Product:
    """Which keywords are counted as another one, as vocabulary.csv beside vlmine.yaml has it.

    One row per merge, with the number of images that say the keyword, and the version of all merges. Whatever counts,
    scores or shows keywords reads them through it; keywords as they were said stay in the table `keywords`.
    """
    from vlmine_dagster.scoring.merges import unknown_words, vocabulary_rows

    rows, image_counts = vocabulary_rows(run)
    facts = {"merges": rows.num_rows, "version": rows.column("version")[0].as_py() if rows.num_rows else "empty"}
    return Product(rows, facts, advice={UNKNOWN_CHECK: unknown_words(rows, image_counts)})
