"""A lake whose keywords are read through the vocabulary: what is merged is counted as one."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from types import MappingProxyType

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from upath import UPath

from vlmine_dagster.domain.counting import LEFT_OUT
from vlmine_dagster.domain.tables import WHOLE_POOL
from vlmine_dagster.resources.lake import Lake
from vlmine_dagster.settings import DEFAULT_VARIANT

# Only images with a merged keyword need a DISTINCT, which would hold every image id of the pool.
_VIEWS = f"""
ALTER VIEW keywords RENAME TO said_keywords;
CREATE TEMP VIEW touched AS SELECT DISTINCT image_id FROM said_keywords SEMI JOIN merges USING (keyword);
CREATE TEMP VIEW keywords AS
SELECT * FROM said_keywords ANTI JOIN touched USING (image_id) UNION ALL
SELECT DISTINCT said.* REPLACE (coalesce(merges.merged_into, said.keyword) AS keyword)
FROM said_keywords said SEMI JOIN touched USING (image_id) LEFT JOIN merges ON merges.keyword = said.keyword
WHERE merges.merged_into IS DISTINCT FROM '{LEFT_OUT}'
"""  # noqa: S608 - a constant of ours


class MergedLake(Lake):
    """A lake that shows `keywords` as the published table `vocabulary` of their variant merges them.

    An image that has two keywords of one meaning has the one that stands for both, once; what is left out, none has.
    Before the vocabulary is published, keywords are as they were said.

    Attributes:
        is_merged: Whether the project has a vocabulary; what was published of an earlier one does not count.
        candidate: Merges (keyword, merged_into) to try in place of the published ones.
        aside: Folders of tables that are tried out, by name, in place of the published ones.
    """

    is_merged = True
    candidate: pa.Table | None = None
    aside: Mapping[str, UPath] = MappingProxyType({})

    def as_said(self) -> "MergedLake":
        """Return the lake with the keywords as keyworders said them."""
        plain = copy(self)
        plain.is_merged = False
        return plain

    def tried(self, merges: pa.Table, aside: Mapping[str, UPath]) -> "MergedLake":
        """Return the lake as it would be with other merges, and with some tables in folders aside."""
        trial = copy(self)
        trial.candidate, trial.aside, trial.is_merged = merges, aside, True
        return trial

    def path(self, table: str, partition: str = WHOLE_POOL, *, variant: str = DEFAULT_VARIANT) -> UPath:
        """Return where a partition of a table is, whether it exists or not."""
        if table in self.aside:
            return self.aside[table] / f"{partition}.parquet"
        return super().path(table, partition, variant=variant)

    def merges(self, variant: str) -> pa.Table | None:
        """Return `keyword` and `merged_into` as published; None where nothing is merged."""
        if self.candidate is not None:
            return self.candidate if self.candidate.num_rows else None
        if not self.is_merged or not self.path("vocabulary", WHOLE_POOL, variant=variant).exists():
            return None
        rows = super().read("vocabulary", WHOLE_POOL, columns=["keyword", "merged_into"], variant=variant)
        return rows if rows.num_rows else None

    def read(
        self,
        table: str,
        partition: str = WHOLE_POOL,
        *,
        columns: Sequence[str] | None = None,
        variant: str = DEFAULT_VARIANT,
    ) -> pa.Table:
        """Read one partition; see `Lake.read`."""
        merges = self.merges(variant) if table == "keywords" else None
        if merges is None or (columns is not None and "keyword" not in columns):
            return super().read(table, partition, columns=columns, variant=variant)
        asked = None if columns is None else list(dict.fromkeys((*columns, "image_id")))
        rows = merged_rows(super().read(table, partition, columns=asked, variant=variant), merges)
        return rows if columns is None else rows.select(list(columns))

    @contextmanager
    def connect(
        self, columns: Mapping[str, Sequence[str]] | None = None, /, **tables: Sequence[UPath]
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open DuckDB; see `Lake.connect`."""
        with super().connect(columns, **tables) as connection:
            files = tables.get("keywords")
            merges = self.merges(self._variant_of(files[0])) if files else None
            if merges is not None:
                connection.register("merges", merges)
                connection.execute(_VIEWS)
            yield connection

    def _variant_of(self, file: UPath) -> str:
        """Return the extraction variant of a file of keywords."""
        first = str(file)[len(str(self.root)) :].strip("/").partition("/")[0]
        return DEFAULT_VARIANT if first == "keywords" else first


def merged_rows(rows: pa.Table, merges: pa.Table) -> pa.Table:
    """Return rows of `keywords` (image_id, keyword and others) with merged keywords, each once per image.

    Args:
        rows: Rows of `keywords`, in any order.
        merges: `keyword` and `merged_into`.

    Returns:
        The rows in their order, without those that are left out; of those of an image that became the same one, the
        first.
    """
    places = pc.index_in(rows.column("keyword"), value_set=merges.column("keyword").combine_chunks())
    is_merged = pc.is_valid(places)
    if not pc.any(is_merged).as_py():
        return rows
    instead = merges.column("merged_into").take(places)
    keywords = pc.if_else(is_merged, instead, rows.column("keyword"))
    rows = rows.set_column(rows.schema.get_field_index("keyword"), rows.schema.field("keyword"), keywords)
    touched = rows.column("image_id").filter(is_merged).combine_chunks()
    is_touched = pc.is_in(rows.column("image_id"), value_set=touched)
    seen: set[tuple[str, str]] = set()
    is_kept = []
    pairs = zip(rows.column("image_id").to_pylist(), keywords.to_pylist(), is_touched.to_pylist(), strict=True)
    for name, keyword, is_here in pairs:
        is_kept.append(keyword != LEFT_OUT and (not is_here or (name, keyword) not in seen))
        if is_here:
            seen.add((name, keyword))
    return rows.filter(pa.array(is_kept))
