"""What is mined: whole images, or objects in them.

Code calls what is mined an item, its id `image_id`, and the table of all items `items`. Which table that is, and what
the id is called on disk, are facts of the kind of item, and known here alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

ITEMS = "items"
"""Under this name a stage reads the table of what is mined: `images` or `objects`."""

ITEM_TABLES = ("images", "objects")
"""Tables of items; each names its columns as they are on disk."""

UnitName = Literal["image", "object"]


@dataclass(frozen=True)
class ItemKind:
    """A kind of item.

    Attributes:
        name: What one is called.
        table: The table with one row per item.
        key: Column of its id on disk.
        parent: Column of the id of the image that it is part of; None where it is that image.
    """

    name: UnitName
    table: str
    key: str
    parent: str | None = None

    def part_of(self, item_id: str) -> str:
        """Return the id of the image that an item is part of: of an image its own.

        Examples:
            >>> OBJECT.part_of("pool/a/street.jpg#12"), IMAGE.part_of("pool/a/street#1.jpg")
            ('pool/a/street.jpg', 'pool/a/street#1.jpg')
        """
        return item_id if self.parent is None else item_id.rpartition("#")[0] or item_id

    @property
    def plural(self) -> str:
        """What several are called."""
        return f"{self.name}s"

    def renamed(self, table: str) -> Mapping[str, str]:
        """Return the columns of a table that have another name on disk than in code, name on disk by name in code.

        Examples:
            >>> OBJECT.renamed("keywords"), OBJECT.renamed("items"), IMAGE.renamed("items")
            ({'image_id': 'object_id'}, {'image_id': 'object_id', 'parent_id': 'image_id'}, {})
        """
        if self.parent is None or table in ITEM_TABLES:
            return {}
        return {"image_id": self.key, **({"parent_id": self.parent} if table == ITEMS else {})}

    def stored(self, table: str) -> str:
        """Return the name on disk of a table."""
        return self.table if table == ITEMS else table


IMAGE = ItemKind("image", table="images", key="image_id")
OBJECT = ItemKind("object", table="objects", key="object_id", parent="image_id")

KINDS: Mapping[UnitName, ItemKind] = {kind.name: kind for kind in (IMAGE, OBJECT)}
"""The kinds of items, by the setting `unit`."""
