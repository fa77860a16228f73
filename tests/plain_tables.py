"""Tables of which a test says only the columns that it is about."""

from typing import Any

import pyarrow as pa

from vlmine_dagster.domain.tables import Column, Table


def plain_rows(table: Table, **columns: Any) -> pa.Table:
    """Rows of a table: the columns that are given, and in every other the plainest value that its contract allows."""
    count = len(next(iter(columns.values())))

    def plain(column: Column) -> Any:
        if column.nullable:
            return None
        plainest = {"string": "x", "bool": False, "float64": column.minimum or 0.0}
        return next(iter(column.allowed), plainest.get(column.type_name, column.minimum))

    return pa.table(
        {
            column.name: pa.array(columns.get(column.name, [plain(column)] * count), column.type)
            for column in table.columns
        },
        table.schema,
    )
