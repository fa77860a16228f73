"""What keywords are counted by: items, or the images, tracks and recordings that they are part of; and what is not."""

from collections.abc import Mapping
from dataclasses import dataclass

LEFT_OUT = "-"
"""What a keyword is merged into that counts for nothing."""


def counted(count: int, one: str, several: str = "") -> str:
    """Return a number with its noun, and with the verb that goes with it.

    Args:
        count: How many there are.
        one: What one of them is called.
        several: What several are called; empty: with an s.

    Examples:
        >>> counted(1, "image"), counted(1200, "image"), counted(0, "class is", "classes are")
        ('1 image', '1,200 images', '0 classes are')
    """
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"


@dataclass(frozen=True)
class CountedUnit:
    """What counts once per keyword, however many images show it.

    Attributes:
        noun: One of them.
        column: Column of the items that is the same for all that count once; an item without a value counts for itself.
            None: every item does.
        within: Column that must be the same too: trackers number the tracks of every recording from 0 or 1.
    """

    noun: str
    column: str | None = None
    within: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the items that say what counts once."""
        return tuple(name for name in (self.column, self.within) if name is not None)

    def key_in(self, table: str) -> str:
        """Return an SQL expression that is the same for the rows of a table of items that count once, else NULL.

        Examples:
            >>> COUNTED["sequence"].key_in("items"), COUNTED["image"].key_in("items")
            ('items.sequence_id', 'NULL::VARCHAR')
        """
        if self.column is None:
            return "NULL::VARCHAR"
        key = f"{table}.{self.column}"
        return key if self.within is None else f"coalesce({table}.{self.within}, '') || chr(31) || {key}"

    def of(self, count: int | None) -> str:
        """Return a number of them in words.

        Examples:
            >>> COUNTED["image"].of(1), COUNTED["sequence"].of(1200), COUNTED["image"].of(None)
            ('1 image', '1,200 sequences', 'an unknown number of images')
        """
        if count is None:
            return f"an unknown number of {self.plural}"
        return counted(count, self.noun)

    @property
    def plural(self) -> str:
        """Several of them."""
        return f"{self.noun}s"


COUNTED: Mapping[str, CountedUnit] = {
    "image": CountedUnit("image"),
    "object": CountedUnit("object"),
    "track": CountedUnit("track", "track_id", within="sequence_id"),
    "sequence": CountedUnit("sequence", "sequence_id"),
}
"""The units by the name that `count_by` gives them."""


def counted_unit(name: str, *, item: str) -> CountedUnit:
    """Return the unit of a name, among items of a kind: objects count once per image by what they are part of.

    Examples:
        >>> counted_unit("image", item="object").columns, counted_unit("object", item="object").columns
        (('parent_id',), ())
    """
    return CountedUnit("image", "parent_id") if (name, item) == ("image", "object") else COUNTED[name]
