"""Stamps of published files: what they hold, column by column, and what they were made from."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.domain.tables import TABLES, arrow_type

SUMMED = ("prompt_tokens", "output_tokens", "cost_usd")
"""Columns whose sums a stamp keeps."""


@dataclass(frozen=True)
class Stamp:
    """What a published file holds and what it was made from.

    Attributes:
        columns: SHA-256 of each column's values, in row order.
        inputs: Hash of everything that went in: settings, code version of the stage, columns read upstream.
        row_count: Rows in the file.
        source: Hash of what its rows were read from, apart from what was joined to them; empty where nothing is.
        totals: What people ask of answers: rows by outcome, and sums of tokens and money, where a table has them.
    """

    columns: Mapping[str, str]
    inputs: str
    row_count: int
    totals: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""

    def version(self, columns: Iterable[str] | None = None) -> str:
        """Return one hash over some columns, or over all; it changes when a value in them does."""
        chosen = sorted(self.columns if columns is None else columns)
        text = json.dumps([(name, self.columns.get(name)) for name in chosen])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def conform(table: str, rows: pa.Table) -> pa.Table:
    """Order and cast rows to a table's contract.

    Raises:
        ContractError: a declared column is missing, an undeclared one is there, or a cast loses information.
    """
    contract = TABLES[table]
    declared = [column.name for column in contract.columns]
    missing = [name for name in declared if name not in rows.column_names]
    extra = [name for name in rows.column_names if name not in declared]
    if missing or (extra and contract.opens_to is None):
        raise ContractError(
            f"{table}: missing columns {missing or 'none'}, undeclared columns {extra or 'none'}. "
            f"Declared: {', '.join(declared)}."
        )
    fields = [pa.field(name, arrow_type(str(contract.opens_to)), nullable=True) for name in extra]
    schema = pa.schema([*contract.schema, *fields])
    try:
        return rows.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise ContractError(f"{table}: {error}") from error


def column_hash(column: pa.ChunkedArray) -> str:
    """Return a hash of a column's values, in row order; neither chunking nor offsets matter."""
    # through their IPC form, as one contiguous batch
    batch = pa.table({"": pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)})
    sink = _HashSink()
    with pa.ipc.new_stream(pa.PythonFile(sink, mode="w"), batch.schema) as writer:
        writer.write_table(batch)
    return sink.digest.hexdigest()[:16]


def totals_of(rows: pa.Table) -> dict[str, Any]:
    """Return rows by outcome and the sums of what was used, so that a status needs no look into the file."""
    if "outcome" not in rows.column_names:
        return {}
    counts = rows.column("outcome").value_counts().to_pylist()
    used = [name for name in SUMMED if name in rows.column_names]
    sums = {name: pc.sum(rows.column(name)).as_py() or 0 for name in used}
    return {"outcomes": {count["values"]: count["counts"] for count in counts}, **sums}


class _HashSink:
    """A file that keeps nothing but a running SHA-256."""

    closed = False

    def __init__(self) -> None:
        self.digest = hashlib.sha256()

    def write(self, data: Any) -> int:
        self.digest.update(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing to close."""
