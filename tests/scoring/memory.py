"""A reader over tables in memory, which hands out declared columns alone, as a stage's does."""

import logging
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.domain.tables import partition_of
from vlmine_dagster.resources.progress import Progress


class MemoryReader:
    """Tables of shards, or of the pool, by name and partition."""

    def __init__(self, tables, columns, *, project=None, partition="pool", batch=1):
        # tests are about images: these are the items
        self.tables, self.columns = ({**of, ITEMS: of["images"]} if "images" in of else of for of in (tables, columns))
        self.project, self.partition = project, partition
        self.log, self._batch = logging.getLogger("memory"), batch
        cut = next(parts for name, parts in tables.items() if name == ITEMS or partition_of(name) == "shard")
        self.shards = tuple(sorted(cut))

    def needs(self, table):
        return table in self.columns

    def read(self, table, columns, *, partitions=None):
        assert set(columns) <= set(self.columns[table]), (table, columns)
        is_cut = table == ITEMS or partition_of(table) == "shard"
        names = self.tables[table] if not is_cut else self.shards if partitions is None else partitions
        return pa.concat_tables([self.tables[table][name] for name in names]).select(list(columns))

    @contextmanager
    def connect(self, *tables, partitions=None):
        with duckdb.connect() as connection:
            for table in tables:
                rows = self.read(table, self.columns[table], partitions=partitions)
                connection.register(
                    table, rows.drop_columns([f.name for f in rows.schema if "halffloat" in str(f.type)])
                )
            yield connection

    def batches(self, table):
        for start in range(0, len(self.shards), self._batch):
            yield list(self.shards[start : start + self._batch])

    def row_count(self, table):
        return sum(self.tables[table][shard].num_rows for shard in self.shards)

    def progress(self, total):
        return Progress("memory", log=self.log, total=total, unit="images")
