"""What a list would be with other merges of keywords: counted, scored and ranked aside, nothing is published."""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from upath import UPath

from vlmine_dagster.assets import GRAPH
from vlmine_dagster.domain.errors import MissingInputError
from vlmine_dagster.domain.tables import VOCAB_COUNTS, WHOLE_POOL
from vlmine_dagster.engine.stage import MiningConfig, StageConfig
from vlmine_dagster.engine.stage_run import StageRun
from vlmine_dagster.mining.merges import Merge
from vlmine_dagster.resources.workbench import Workbench

if TYPE_CHECKING:
    import pyarrow as pa

    from vlmine_dagster.resources.merged_keywords import MergedLake

_TRIED = ("vocab_counts", "novelty_scores")
_KEYWORD_TABLES = ("rarity_scores", "neighbour_scores")


@dataclass(frozen=True)
class Change:
    """An image that enters a list, or leaves it.

    Attributes:
        image_id: The image.
        before: Its rank in the published list, None where it was not ranked.
        after: Its rank in the list that was tried.
        reason: Why it is on the list that it is on.
    """

    image_id: str
    before: int | None
    after: int | None
    reason: str


@dataclass(frozen=True)
class Trial:
    """A list that was tried against the published one.

    Attributes:
        experiment: The experiment.
        enters: Images that only the list that was tried selects, best first.
        leaves: Images that only the published list selects, best first.
        stays: Number of images that both select.
        keyword_count: Keywords before and after.
        taken_as_published: Tables that depend on keywords too and were not made anew.
    """

    experiment: str
    enters: tuple[Change, ...]
    leaves: tuple[Change, ...]
    stays: int
    keyword_count: tuple[int, int]
    taken_as_published: tuple[str, ...]


def try_merges(bench: Workbench, experiment: str, merges: Sequence[Merge]) -> Trial:
    """Return who would enter and who would leave the list of an experiment.

    Counts, novelty and the ranking are made by the same functions that the stages call, in a folder of their own.

    Args:
        bench: A project that was run.
        experiment: An experiment with a published list.
        merges: All merges that would hold.

    Raises:
        MissingInputError: the experiment was not run.
    """
    settings = bench.project.settings.experiments[experiment]
    if not bench.lake.path("pareto_set", experiment).exists():
        raise MissingInputError(f"pareto_set[{experiment}] was not made yet. Run `vlmine run` first.")
    columns = ["image_id", "rank", "selected", "reason"]
    before = bench.lake.read("pareto_set", experiment, columns=columns)
    old = bench.lake.read("vocab_counts", columns=["keyword"], variant=settings.variant).num_rows
    with _lake_aside(bench, merges) as lake:
        counts = _count_and_score(bench, lake, settings.variant)
        after = _ranked(bench, lake, experiment).select(columns)
    tables = tuple(table for table in settings.tables if table in _KEYWORD_TABLES)
    return Trial(experiment, *_changes(before, after), (old, counts), tables)


@contextmanager
def _lake_aside(bench: Workbench, merges: Sequence[Merge]) -> "Iterator[MergedLake]":
    import pyarrow as pa

    pairs = {name: pa.array([getattr(one, name) for one in merges], pa.string()) for name in ("keyword", "merged_into")}
    with tempfile.TemporaryDirectory(dir=bench.project.state_folder("scratch")) as folder:
        yield bench.lake.tried(pa.table(pairs), {table: UPath(folder) / table for table in _TRIED})


def _run(bench: Workbench, lake: "MergedLake", table: str, partitions: Sequence[str], **more: Any) -> StageRun:
    shards = bench.source.shards()
    log = logging.getLogger("vlmine.vocabulary")
    return StageRun(
        GRAPH.stage_of(table), GRAPH, bench, partitions=partitions, shards=shards, log=log, run_id="", lake=lake, **more
    )


def _count_and_score(bench: Workbench, lake: "MergedLake", variant: str) -> int:
    """Publish counts and novelty aside; return the number of keywords."""
    from vlmine_dagster.resources.cuts import by_shard
    from vlmine_dagster.scoring.novelty import novelty_scores
    from vlmine_dagster.scoring.vocabulary import count_vocabulary

    more = {"variant": variant, "config": StageConfig()}
    counted = count_vocabulary(
        _run(bench, lake, VOCAB_COUNTS.name, [WHOLE_POOL], **more), bench.project.settings.counted
    )
    lake.publish(VOCAB_COUNTS.name, WHOLE_POOL, counted.counts, inputs="")
    shards = bench.source.shards()
    scores = novelty_scores(_run(bench, lake, "novelty_scores", shards, **more))
    for shard, rows in by_shard(scores, shards).items():
        lake.publish("novelty_scores", shard, rows, inputs="")
    count: int = counted.counts.num_rows
    return count


def _ranked(bench: Workbench, lake: "MergedLake", experiment: str) -> "pa.Table":
    from vlmine_dagster.scoring.ranking import mined_list

    settings = bench.project.settings
    one = settings.experiments[experiment]
    run = _run(bench, lake, "pareto_set", [experiment], variant=one.variant, config=MiningConfig())
    return mined_list(run, one, budget=one.budget or settings.budget, labels=bench.labels).rows


def _changes(before: "pa.Table", after: "pa.Table") -> tuple[tuple[Change, ...], tuple[Change, ...], int]:
    old, new = ({row["image_id"]: row for row in rows.to_pylist()} for rows in (before, after))
    was, is_now = ({name for name, row in rows.items() if row["selected"]} for rows in (old, new))

    def change(name: str, rows: dict[str, Any]) -> Change:
        before, after = (found[name]["rank"] if name in found else None for found in (old, new))
        return Change(name, before, after, rows[name]["reason"])

    enters = sorted((change(name, new) for name in is_now - was), key=lambda one: one.after or 0)
    leaves = sorted((change(name, old) for name in was - is_now), key=lambda one: one.before or 0)
    return tuple(enters), tuple(leaves), len(was & is_now)
