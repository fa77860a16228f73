"""Finer classes that somebody gave to tracks."""

from collections.abc import Mapping
from pathlib import Path

from vlmine_dagster.domain.errors import ConfigError


def read_kinds(file: str) -> Mapping[str, str]:
    """Return the kind by track.

    Args:
        file: Parquet or CSV with the columns track_id and kind.

    Raises:
        ConfigError: it is missing, cannot be read, or lacks a column.
    """
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(file) if file.endswith((".parquet", ".pq")) else pyarrow.csv.read_csv(Path(file))
    except (pa.ArrowException, OSError) as error:
        raise ConfigError(f"dataset.kinds: {file} cannot be read: {error}. Give a Parquet or CSV file.") from error
    if not {"track_id", "kind"} <= set(rows.column_names):
        raise ConfigError(
            f"dataset.kinds: {file} has the columns {', '.join(rows.column_names)}; expected track_id and kind."
        )
    tracks, kinds = (rows.column(name).cast(pa.string()).to_pylist() for name in ("track_id", "kind"))
    return {track: kind for track, kind in zip(tracks, kinds, strict=True) if track and kind}
