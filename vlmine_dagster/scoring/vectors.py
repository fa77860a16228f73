"""Vector columns of `embeddings` as arrays."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vlmine_dagster.domain.tables import EMBEDDINGS


def matrix(rows: pa.Table, column: str, dtype: npt.DTypeLike = np.float32) -> npt.NDArray[Any]:
    """Return a vector column as an array of shape (N, size).

    Args:
        rows: N rows of `embeddings`.
        column: Its name.
        dtype: float32; float16, in which vectors are stored, takes half the memory and is enough for a probe.
    """
    size = EMBEDDINGS.column(column).type.list_size
    if not rows.num_rows:
        return np.empty((0, size), dtype)
    flat = rows.column(column).combine_chunks().flatten()
    return np.asarray(flat.to_numpy(zero_copy_only=False), dtype=dtype).reshape(-1, size)


def vectors_by_id(rows: pa.Table, column: str) -> dict[str, npt.NDArray[np.float32]]:
    """Return the vector of each image, float32."""
    return dict(zip(rows.column("image_id").to_pylist(), matrix(rows, column), strict=True))
