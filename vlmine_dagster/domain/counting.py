"""What keywords are counted by: images, or the recordings that they are frames of."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class CountedUnit:
    """What counts once per keyword, however many images show it.

    Attributes:
        noun: One of them.
        column: Column of `images` that is the same for all that count once; an image without a value counts for itself.
            None: every image does.
    """

    noun: str
    column: str | None = None

    def of(self, count: int | None) -> str:
        """Return a number of them in words.

        Examples:
            >>> COUNTED["image"].of(1), COUNTED["sequence"].of(1200), COUNTED["image"].of(None)
            ('1 image', '1,200 sequences', 'an unknown number of images')
        """
        if count is None:
            return f"an unknown number of {self.plural}"
        return f"1 {self.noun}" if count == 1 else f"{count:,} {self.plural}"

    @property
    def plural(self) -> str:
        """Several of them."""
        return f"{self.noun}s"


COUNTED: Mapping[str, CountedUnit] = {
    "image": CountedUnit("image"),
    "sequence": CountedUnit("sequence", "sequence_id"),
}
"""The units by the name that `count_by` gives them."""
