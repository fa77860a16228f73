"""What a contract of a table is: what one row means, and what holds for each column."""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pyarrow as pa

Partition = Literal["shard", "pool", "experiment"]
Severity = Literal["critical", "warning"]

WHOLE_POOL = "pool"
"""The only partition of a table that covers the whole pool."""

TAGS_TYPE = "struct<tag: string, probability: float32>[]"


@dataclass(frozen=True)
class Column:
    """One column and what must hold for every value in it.

    Attributes:
        name: Column name, units in the name.
        type_name: Arrow type, by name (see `arrow_type`): nothing heavy is loaded to declare a table.
        description: One line for people.
        nullable: Whether a value may be missing.
        minimum: Smallest allowed value, inclusive.
        maximum: Largest allowed value, inclusive.
        allowed: The only values allowed, if not empty.
    """

    name: str
    type_name: str
    description: str
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] = ()

    @property
    def type(self) -> "pa.DataType":
        """Arrow type."""
        return arrow_type(self.type_name)


@dataclass(frozen=True)
class Table:
    """The contract of one table.

    Attributes:
        name: The table's and its asset's name.
        partition: What one Parquet file of it holds: a shard, the whole pool or an experiment.
        row: What one row is.
        columns: The columns, in order.
        key: Columns that together are unique within a file.
        opens_to: Type name of extra columns whose names are not known before the run (the signals of an experiment).
    """

    name: str
    partition: Partition
    row: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    opens_to: str | None = None

    @property
    def schema(self) -> "pa.Schema":
        """Arrow schema of the declared columns."""
        import pyarrow as pa

        return pa.schema([pa.field(c.name, c.type, nullable=c.nullable) for c in self.columns])

    def column(self, name: str) -> Column:
        """Return a column by name.

        Raises:
            KeyError: the table has no such column.
        """
        return next(c for c in self.columns if c.name == name)


@cache
def arrow_type(name: str) -> "pa.DataType":
    """Return the Arrow type of a name.

    Examples:
        >>> arrow_type("int64"), arrow_type("float16[4]")
        (DataType(int64), FixedSizeListType(fixed_size_list<item: halffloat>[4]))
    """
    import pyarrow as pa

    if name == TAGS_TYPE:
        return pa.list_(pa.struct([pa.field("tag", pa.string()), pa.field("probability", pa.float32())]))
    item, is_vector, size = name.rstrip("]").partition("[")
    return pa.list_(arrow_type(item), int(size)) if is_vector else pa.type_for_alias(name)
