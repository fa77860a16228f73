"""Format `parquet`: one row per image, with types."""

import itertools
from pathlib import Path

from vlmine_dagster.reporting.exporters import Exported, MinedList

_ROWS_AT_ONCE = 10_000


class ParquetExporter:
    """Writes Parquet, compressed by zstd."""

    name = "parquet"
    endings = (".parquet",)

    def write(self, mined: MinedList, file: Path) -> Exported:
        """Write the list, some rows at a time."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema, count = pa.schema(list(mined.columns.items())), 0
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            while part := list(itertools.islice(mined.rows, _ROWS_AT_ONCE)):
                writer.write_table(pa.Table.from_pylist(part, schema))
                count += len(part)
        return Exported(count)


PLUGIN = ParquetExporter()
