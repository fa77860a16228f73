"""A few rows of a table that break its contract if any row does: they keep checking ten million rows cheap."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from vlmine_dagster.domain.tables import Column, Table

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

_MOST_REPEATS = 10  # repeated keys that are returned: more than one, since two keys may share a hash


def deciding_rows(contract: Table, rows: "pa.Table") -> "pa.Table":
    """Return rows that break a contract if and only if any of all rows does.

    A column is within its bounds if its smallest and largest values are, has no missing value if there is no first one,
    and holds only allowed categories if the first row of each category is allowed; a key is unique if none occurs
    again. So it is enough to evaluate these rows. A share of rows cannot be decided this way.

    Args:
        contract: What holds for each column.
        rows: All rows; missing columns are skipped.

    Returns:
        Some of the rows, in their order.

    Examples:
        >>> import pyarrow as pa
        >>> from vlmine_dagster.domain.tables import VOCAB_COUNTS
        >>> rows = pa.table({"keyword": list("abca"), "image_count": [5, 9, 6, 7], "image_share": [0.5] * 4})
        >>> deciding_rows(VOCAB_COUNTS, rows).column("image_count").to_pylist()
        [5, 9, 7]
    """
    import pyarrow as pa

    columns = [column for column in contract.columns if column.name in rows.column_names]
    places = {place for column in columns for place in _deciding(column, rows.column(column.name)) if place >= 0}
    if set(contract.key) <= set(rows.column_names):
        places.update(_repeats(rows.select(list(contract.key))))
    return rows.take(pa.array(sorted(places), pa.int64()))


def is_finite(vectors: "pa.ChunkedArray") -> "npt.NDArray[np.bool_]":
    """Return which vectors of a column hold finite numbers only, shape (N,)."""
    import numpy as np
    import pyarrow.compute as pc

    if not len(vectors):
        return np.empty(0, bool)
    values = pc.list_flatten(vectors.combine_chunks()).to_numpy(zero_copy_only=False)
    return np.asarray(np.isfinite(values.reshape(-1, vectors.type.list_size)).all(axis=1))


def _deciding(column: Column, values: "pa.ChunkedArray") -> Iterator[int]:
    """Yield the places of the values that decide for a column, -1 where there is none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if values.null_count or pa.types.is_floating(values.type):
        yield pc.index(pc.is_null(values, nan_is_null=True), True).as_py()
    if pa.types.is_nested(column.type):
        if pa.types.is_fixed_size_list(column.type) and len(values):
            finite = is_finite(values)
            yield from (int(finite.argmin()), int(finite.argmax()))
        return
    if column.minimum is not None or column.maximum is not None:
        yield from (pc.index(values, extreme).as_py() for extreme in pc.min_max(values).values())
    if column.allowed:
        kinds = pc.unique(values).slice(0, len(column.allowed) + 2)  # one of them is not allowed, or missing
        yield from (pc.index(values, kind).as_py() for kind in kinds)


def _repeats(keys: "pa.Table") -> list[int]:
    """Return the places of keys that occurred before, and of their first occurrence, by 64-bit hashes."""
    if keys.num_columns == 1 and _rises(keys.column(0)):
        return []
    import numpy as np
    import pandas as pd

    from vlmine_dagster.resources import query_engine

    names = ", ".join(f'"{name}"' for name in keys.column_names)
    with query_engine.connect() as connection:
        connection.register("keys", keys)
        found = connection.sql(f"SELECT hash({names}) AS hash FROM keys").to_arrow_table()  # noqa: S608 - our own names
    hashes = found.column("hash").to_numpy()
    again = np.flatnonzero(pd.Series(hashes).duplicated())[:_MOST_REPEATS]
    return [*again.tolist(), *(int((hashes == hashes[place]).argmax()) for place in again)]


def _rises(values: "pa.ChunkedArray") -> bool:
    """Whether each value is above the one before it, as in what is sorted by a key: then none repeats."""
    import pyarrow.compute as pc

    if len(values) < 2:
        return True
    return bool(pc.all(pc.less(values.slice(0, len(values) - 1), values.slice(1)), skip_nulls=False).as_py())
