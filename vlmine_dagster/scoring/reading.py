"""What scoring asks of whoever runs it: tables by their declared columns, shards some at a time, a log."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from vlmine_dagster.resources.progress import Progress
from vlmine_dagster.settings.project import Project

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


class Reader(Protocol):
    """Reads published tables of one extraction variant: for a stage, for a study, for a command.

    A reader hands out the columns that were declared to it, and no others.
    """

    @property
    def shards(self) -> tuple[str, ...]:
        """Shards of the pool to read, in name order."""
        ...

    @property
    def partition(self) -> str:
        """The partition at work, for messages."""
        ...

    @property
    def project(self) -> Project:
        """The project."""
        ...

    @property
    def log(self) -> Any:
        """A logger."""
        ...

    def needs(self, table: str) -> bool:
        """Whether the table is one of those that were declared."""
        ...

    def read(self, table: str, columns: Sequence[str], *, partitions: Sequence[str] | None = None) -> "pa.Table":
        """Read columns of some partitions one after the other; None: those that belong to the work at hand."""
        ...

    def connect(
        self, *tables: str, partitions: Sequence[str] | None = None
    ) -> "AbstractContextManager[duckdb.DuckDBPyConnection]":
        """Open DuckDB with one view per table, over the partitions that `read` would read."""
        ...

    def batches(self, table: str) -> Iterator[list[str]]:
        """Yield the shards in lists of about a million rows of a table."""
        ...

    def row_count(self, table: str) -> int:
        """Return the rows of a table of shards, without reading it."""
        ...

    def progress(self, total: int | None) -> Progress:
        """Return a counter whose steps show in the log and in the terminal."""
        ...
