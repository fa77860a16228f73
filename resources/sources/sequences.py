"""Frames of recordings, recognized by the names of images or by columns beside them."""

import math
import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.resources.sources.contract import Moment, without_ending
from vlmine_dagster.settings.sequences import SequenceSettings

_LARGEST_FRAME = 2**63 - 1


def moment_of(settings: SequenceSettings | None, image_id: str, key: str) -> Moment | None:
    r"""Return of which recording an image is a frame by its name; None where its name is that of no frame.

    Args:
        settings: How frames are recognized; None recognizes none.
        image_id: Its id.
        key: Its key within the shard. The ending of a file's name is not matched.

    Examples:
        >>> drives = SequenceSettings(pattern=r"(?P<sequence>.+)_(?P<frame>\d+)", frames_per_s=10)
        >>> moment_of(drives, "shard-000/day/drive_0042.jpg", "day/drive_0042.jpg")
        Moment(sequence='day/drive', frame=42, time_s=4.2)
        >>> moment_of(drives, "shard-000/sunset.jpg", "sunset.jpg") is None
        True
    """
    if settings is None or settings.pattern is None:
        return None
    name = key if settings.name == "key" else image_id
    found = re.fullmatch(settings.pattern, without_ending(name))
    if found is None or not found["sequence"]:
        return None
    groups = found.groupdict()
    return _moment(settings, found["sequence"], groups.get("frame"), groups.get("timestamp"))


def moments_of_columns(columns: pa.Table, settings: SequenceSettings, *, where: str) -> list[Moment | None]:
    """Return of which recording each row is a frame, None where its sequence is empty.

    Args:
        columns: The columns that the settings name.
        settings: Which column is which.
        where: The file, for messages.

    Raises:
        ConfigError: a column has a type that does not fit.
    """
    given = {role: columns.column(name) for role, name in settings.columns.items()}
    sequences = _cast(given["sequence"], pa.string(), settings.columns["sequence"], where)
    nothing: Sequence[Any] = [None] * len(sequences)
    frames, times = nothing, nothing
    if "frame" in given:
        frames = _cast(given["frame"], pa.int64(), settings.columns["frame"], where)
    if "timestamp" in given:
        times = _times(given["timestamp"], settings, where)
    return [
        _moment(settings, sequence, frame, time) if sequence else None
        for sequence, frame, time in zip(sequences, frames, times, strict=True)
    ]


def sequence_counts(rows: pa.Table) -> dict[str, int]:
    """Return how many sequences and frames there are among rows of `images`, and how many images are of none."""
    named = rows.column("sequence_id")
    return {
        "sequences": len(named.drop_null().unique()),
        "frames": len(named) - named.null_count,
        "images of no sequence": named.null_count,
    }


def _moment(settings: SequenceSettings, sequence: str, frame: Any, time: Any) -> Moment:
    number = None if frame is None else int(frame)
    if number is not None and not 0 <= number <= _LARGEST_FRAME:
        number = None
    seconds = _seconds(time, settings.per_second)
    if seconds is None and number is not None and settings.frames_per_s is not None:
        seconds = number / settings.frames_per_s
    return Moment(sequence, number, seconds)


def _seconds(time: Any, per_second: int) -> float | None:
    """Return a time in seconds; None where it is not a finite number."""
    try:
        seconds = float(time) / per_second
    except (TypeError, ValueError):
        return None
    return seconds if math.isfinite(seconds) else None


def _times(column: pa.ChunkedArray, settings: SequenceSettings, where: str) -> Sequence[Any]:
    """Return times as numbers in the unit of the settings."""
    if pa.types.is_timestamp(column.type):
        numbers = column.cast(pa.timestamp("ns", column.type.tz)).cast(pa.int64()).to_pylist()
        return [None if number is None else number / 10**9 * settings.per_second for number in numbers]
    return _cast(column, pa.float64(), settings.columns["timestamp"], where)


def _cast(column: pa.ChunkedArray, type_: pa.DataType, name: str, where: str) -> Sequence[Any]:
    try:
        found: Sequence[Any] = column.cast(type_).to_pylist()
    except pa.ArrowException as error:
        raise ConfigError(
            f"{where}: column {name!r} (dataset.sequences.columns) has type {column.type}, expected what can be read "
            f"as {type_}: {error}"
        ) from error
    return found
