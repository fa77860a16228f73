"""Settings of slices: parts of a pool, such as those of each weather, that share a budget."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, model_validator

from vlmine_dagster.settings.base import Settings

BY_KEYWORDS = "keywords"
"""What `by` says where keywords, and no column, tell slices apart."""

BY_SHARD = "shard"
"""What `by` says where shards are the slices."""

Floor = Annotated[int, Field(ge=1)]


class SliceSettings(Settings):
    """Slices of the pool: what splits the budget, and within what keywords are rare (docs/slices.md)."""

    by: Annotated[str, Field(min_length=1)]
    """Column whose values are the slices: of `dataset.attributes`, of Parquet, of JSON files beside the images, or
    values of the source; `shard` for the shards themselves; `keywords` with the list below."""
    keywords: tuple[str, ...] = ()
    """With `by: keywords`: a slice for each; an image belongs to the first of them that it has."""
    floor: Floor | dict[str, Floor] | None = None
    """Minimum number of selected images from each slice, if it has that many candidates; also by the name of a slice,
    such as {night: 50}."""
    within: bool = False
    """Whether keywords are counted within the slice: what is rare at night may be common by day."""
    bins: Annotated[int, Field(ge=2, le=100)] | None = None
    """Numbers are divided into this many slices of about the same size."""
    characters: Annotated[int, Field(ge=1)] | None = None
    """Only this many characters of a value count: 7 makes months of dates such as 2026-03-14."""

    @model_validator(mode="after")
    def _fits_together(self) -> "SliceSettings":
        if (self.by == BY_KEYWORDS) != bool(self.keywords):
            raise ValueError("slices: `by: keywords` and the list `keywords` belong together")
        if self.by == BY_KEYWORDS and (self.bins or self.characters):
            raise ValueError("slices: bins and characters are for columns, not for keywords")
        if self.bins and self.characters:
            raise ValueError("slices: set bins (of numbers) or characters (of text), not both")
        if len(set(self.keywords)) < len(self.keywords):
            raise ValueError("slices: a keyword is listed twice")
        return self

    @property
    def has_floor(self) -> bool:
        """Whether a slice is sure of some places."""
        return bool(self.floor)

    @property
    def needs_attributes(self) -> bool:
        """Whether columns, and not keywords, tell slices apart."""
        return self.by not in (BY_KEYWORDS, BY_SHARD)

    @property
    def reads_keywords(self) -> bool:
        """Whether keywords tell slices apart."""
        return self.by == BY_KEYWORDS

    @property
    def floors(self) -> int | Mapping[str, int]:
        """The floor of every slice, or by name; 0 where there is none."""
        return self.floor or 0
