"""Pictures of objects: crops, cut from their images when they are asked for, and never written to disk."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from vlmine_dagster.domain.errors import PictureError
from vlmine_dagster.domain.items import OBJECT
from vlmine_dagster.resources.lake import Lake
from vlmine_dagster.resources.ordered import core_count, map_in_order
from vlmine_dagster.resources.pictures import decode_picture, ppm
from vlmine_dagster.resources.sources import ImageSource, RawImage, image_id
from vlmine_dagster.resources.sources.contract import Glance

_COLUMNS = ("object_id", "image_id", "x", "y", "width", "height", "outcome")


@dataclass(frozen=True)
class Crop:
    """Where an object is in its image.

    Attributes:
        key: The object's key within the shard.
        x: Left edge in pixels of the upright picture.
        y: Top edge.
        width: Width.
        height: Height.
    """

    key: str
    x: float
    y: float
    width: float
    height: float

    def corners(self, size: tuple[int, int], context: float) -> tuple[int, int, int, int]:
        """Return left, top, right and bottom of the crop in whole pixels, the margin included, within the picture.

        Args:
            size: Width and height of the picture.
            context: Margin on each side, as a share of the box's width and height.

        Examples:
            >>> Crop("a", 10, 20, 40, 10).corners((60, 100), 0.5)
            (0, 15, 60, 35)
        """
        across, down = self.width * context, self.height * context
        left, top = max(0, round(self.x - across)), max(0, round(self.y - down))
        right, bottom = round(self.x + self.width + across), round(self.y + self.height + down)
        return left, top, max(left + 1, min(right, size[0])), max(top + 1, min(bottom, size[1]))


class CropSource:
    """The objects of a project as a source of pictures, in the shards of their images.

    An image is read and decoded once, however many objects of it are asked for.

    Args:
        images: The images.
        lake: Holds `objects`: their ids, images and boxes.
        context: Margin around a box that belongs to its crop, as a share of the box's sides.
        max_pixels: Larger images are not decoded.
    """

    def __init__(self, images: ImageSource, lake: Lake, *, context: float, max_pixels: int):
        self._images, self._lake = images, lake
        self._context, self._max_pixels = context, max_pixels

    def shards(self) -> list[str]:
        """Return the shards of the images."""
        return self._images.shards()

    def fingerprint(self, shard: str) -> str:
        """Return the hash of a shard's images."""
        return self._images.fingerprint(shard)

    def glance(self, shard: str) -> Glance:
        """Return what is known of a shard without reading its files."""
        return self._images.glance(shard)

    def read(self, shard: str, *, keys: Collection[str] | None = None) -> Iterator[RawImage]:
        """Yield the crops of a shard's objects, image by image, as uncompressed pictures.

        Args:
            shard: The shard.
            keys: Only these objects; all that are ok if None.

        Yields:
            Each crop; one of an image that cannot be read says why.

        Raises:
            MissingInputError: `objects` of the shard is missing.
        """
        crops = self._crops(shard, keys)

        def cut(raw: RawImage) -> list[RawImage]:
            return self._cut(raw, crops[raw.key])

        if crops:
            for cuts in map_in_order(cut, self._images.read(shard, keys=crops), workers=core_count()):
                yield from cuts

    def _crops(self, shard: str, keys: Collection[str] | None) -> dict[str, list[Crop]]:
        """Return the objects that are asked for, by the key of their image."""
        wanted = None if keys is None else set(keys)
        found: dict[str, list[Crop]] = {}
        start = len(image_id(shard, ""))
        for row in self._lake.read(OBJECT.table, shard, columns=_COLUMNS).to_pylist():
            key = row["object_id"][start:]
            if row["outcome"] == "ok" and (wanted is None or key in wanted):
                box = [row[name] for name in ("x", "y", "width", "height")]
                found.setdefault(row["image_id"][start:], []).append(Crop(key, *box))
        return found

    def _cut(self, raw: RawImage, crops: Sequence[Crop]) -> list[RawImage]:
        try:
            if raw.failure is not None:
                raise PictureError(raw.failure)
            picture = decode_picture(raw.data, max_pixels=self._max_pixels)
        except PictureError as error:
            return [RawImage(crop.key, raw.uri, b"", str(error)) for crop in crops]
        return [
            RawImage(crop.key, box_uri(raw.uri, crop), ppm(picture.crop(crop.corners(picture.size, self._context))))
            for crop in crops
        ]


def box_uri(uri: str, crop: Any) -> str:
    """Return the address of a box in an image, as W3C's media fragments write it.

    Examples:
        >>> box_uri("a.jpg", Crop("a#1", 10.25, 20, 40, 10))
        'a.jpg#xywh=10.25,20,40,10'
    """
    return f"{uri}#xywh={crop.x:.6g},{crop.y:.6g},{crop.width:.6g},{crop.height:.6g}"
