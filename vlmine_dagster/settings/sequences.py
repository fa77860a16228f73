"""Settings of sequences: which images are frames of one recording, in which order, and when each was taken."""

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from vlmine_dagster.settings.base import Settings

_GROUPS = ("sequence", "frame", "timestamp")

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


class SequenceSettings(Settings):
    """How frames are recognized: by their names, or by columns of the data set."""

    pattern: str | None = None
    """Regular expression over the whole name of an image without its ending, with the group `sequence` and perhaps
    `frame` (a whole number) and `timestamp` (a number): '(?P<sequence>.+)_(?P<frame>\\d+)'. An image that it does not
    match belongs to no sequence."""
    name: Literal["key", "image_id"] = "key"
    """What the pattern is matched with. The key is unique within a shard; take image_id if only the shard, such as the
    tar of a drive, distinguishes equal names."""
    columns: dict[Literal["sequence", "frame", "timestamp"], Annotated[str, Field(min_length=1)]] = Field(
        default_factory=dict
    )
    """Columns with the same information, such as {sequence: drive, frame: index, timestamp: time}; for Parquet."""
    timestamp_unit: Literal["s", "ms", "us", "ns"] = "s"
    """Unit of timestamps that are plain numbers."""
    frames_per_s: Annotated[float, Field(gt=0, le=100_000)] | None = None
    """Frame rate: frames that have a number and no timestamp get number / frames_per_s as theirs."""

    @property
    def per_second(self) -> int:
        """Units of a timestamp in a second."""
        return _PER_SECOND[self.timestamp_unit]

    @field_validator("pattern")
    @classmethod
    def _pattern_names_a_sequence(cls, pattern: str | None) -> str | None:
        if pattern is None:
            return None
        try:
            groups = re.compile(pattern).groupindex
        except re.error as error:
            raise ValueError(f"{pattern!r} is not a regular expression: {error}") from error
        if "sequence" not in groups:
            raise ValueError(
                f"{pattern!r} lacks the group (?P<sequence>...), which names the recording that it belongs to"
            )
        strange = next((name for name in groups if name not in _GROUPS), None)
        if strange is not None:
            raise ValueError(f"{pattern!r} has the group {strange!r}; expected {', '.join(_GROUPS)}")
        return pattern

    @model_validator(mode="after")
    def _one_way(self) -> "SequenceSettings":
        if (self.pattern is None) == (not self.columns):
            raise ValueError("sequences: set pattern or columns, one of the two")
        if self.columns and "sequence" not in self.columns:
            raise ValueError("sequences: columns lack `sequence`, which names the recording that an image belongs to")
        return self
