"""A table of numbers that is written by rows and read by columns, in a file of its own."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

Singles = npt.NDArray[np.float32]


class ColumnSpill:
    """Columns of N float32 each; one of them, or a block of rows, is in memory.

    The file goes when the block of `with` ends, however it does.

    Args:
        column_count: Columns.
        row_count: N.
        folder: Where the file is, 4 bytes per number; the system's folder for such files if None.

    Examples:
        >>> with ColumnSpill(2, 3) as spill:
        ...     spill.write(np.array([[1, 10], [2, 20]]))
        ...     spill.write(np.array([[3, 30]]))
        ...     [column.tolist() for column in spill.columns()]
        [[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]]
    """

    def __init__(self, column_count: int, row_count: int, folder: Path | None = None):
        self._column_count, self._row_count = column_count, row_count
        self._written = 0
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by __exit__

    def __enter__(self) -> "ColumnSpill":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, rows: npt.NDArray[np.floating]) -> None:
        """Write the next rows, shape (B, columns)."""
        for number, column in enumerate(np.ascontiguousarray(rows.T, dtype=np.float32)):
            self._file.seek(4 * (number * self._row_count + self._written))
            self._file.write(column.tobytes())
        self._written += len(rows)

    def columns(self) -> Iterator[Singles]:
        """Yield each column, shape (N,)."""
        self._file.seek(0)
        for _ in range(self._column_count):
            yield np.frombuffer(self._file.read(4 * self._row_count), dtype=np.float32)
