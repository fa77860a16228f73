"""What studies read: the published tables of the whole pool, of one extraction variant."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from vlmine_dagster.assets import GRAPH
from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.domain.tables import WHOLE_POOL, partition_of
from vlmine_dagster.resources.progress import Progress
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings import DEFAULT_VARIANT
from vlmine_dagster.settings.project import Project

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

COLUMNS: Mapping[str, tuple[str, ...]] = {
    ITEMS: ("image_id", "sequence_id", "frame_index", "timestamp_s", "label", "sha256", "split", "outcome"),
    "embeddings": ("image_id", "embedding", "tag_probabilities"),
    "descriptions": ("image_id", "description", "tags", "outcome"),
    "keywords": ("image_id", "keyword"),
    "keyword_answers": ("image_id", "outcome"),
    "vocab_counts": ("keyword", "unit_count"),
    "novelty_scores": ("image_id", "novelty_min", "novelty_mean"),
}
"""The tables of shards and of the pool that studies read, and their columns."""


class PoolReader:
    """Reads published tables for scoring, as a stage does: see `scoring.reading.Reader`.

    Args:
        bench: A project that was run.
        variant: Extraction variant whose tables are read.
        log: A logger, or None.
    """

    partition = WHOLE_POOL

    def __init__(self, bench: Workbench, *, variant: str = DEFAULT_VARIANT, log: Any = None):
        self._bench, self._variant = bench, variant
        self.log = log or logging.getLogger("vlmine.studies")

    @property
    def project(self) -> Project:
        """The project."""
        return self._bench.project

    @cached_property
    def shards(self) -> tuple[str, ...]:
        """All shards of the dataset."""
        return tuple(self._bench.source.shards())

    def needs(self, table: str) -> bool:
        """Whether studies read a table."""
        return table in COLUMNS

    def read(self, table: str, columns: Sequence[str], *, partitions: Sequence[str] | None = None) -> "pa.Table":
        """Read columns of some shards, or of all."""
        read = self._partitions(table, partitions)
        return self._bench.lake.read_all(table, read, columns=columns, variant=variant_of(table, self._variant))

    @contextmanager
    def connect(self, *tables: str, partitions: Sequence[str] | None = None) -> "Iterator[duckdb.DuckDBPyConnection]":
        """Open DuckDB with one view per table, over some shards or all."""
        lake = self._bench.lake
        files = {
            table: lake.require(table, self._partitions(table, partitions), variant=variant_of(table, self._variant))
            for table in tables
        }
        with lake.connect({table: COLUMNS[table] for table in tables}, **files) as connection:
            yield connection

    def batches(self, table: str) -> Iterator[list[str]]:
        """Yield all shards at once: what a study draws from fits in memory."""
        if self.shards and self.needs(table):
            yield list(self.shards)

    def row_count(self, table: str) -> int:
        """Return the rows of a table of shards, by its stamps."""
        stamps = (
            self._bench.lake.stamp(table, shard, variant=variant_of(table, self._variant)) for shard in self.shards
        )
        return sum(stamp.row_count for stamp in stamps if stamp is not None)

    def progress(self, total: int | None) -> Progress:
        """Return a counter whose steps show in the log and in the terminal."""
        return Progress("study", log=self.log, total=total, unit="images")

    def _partitions(self, table: str, partitions: Sequence[str] | None) -> list[str]:
        if partition_of(table) == "pool":
            return [WHOLE_POOL]
        return list(self.shards if partitions is None else partitions)


def variant_of(table: str, variant: str) -> str:
    """Return the variant under which a table is published."""
    return variant if GRAPH.has_variants(table) else DEFAULT_VARIANT
