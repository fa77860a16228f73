"""What a medium does: turns the bytes of an item into what people look at, encoders read and describers are sent."""

import hashlib
import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from vlmine_dagster.domain.errors import PictureError
from vlmine_dagster.domain.tables import Outcome
from vlmine_dagster.resources.ordered import core_count, map_in_order
from vlmine_dagster.settings.media import MediumSettings

if TYPE_CHECKING:
    from PIL import Image

    from vlmine_dagster.resources.pictures import PictureFacts
    from vlmine_dagster.resources.sources.contract import Glance, ImageSource, RawImage

_GREY_SIZE = (384, 288)
_EXAMPLE_SIZE = (320, 240)


class Medium(ABC):
    """A kind of item. A new one says how an item is shown; all else has a default.

    Items and what is made of them are bytes that say themselves what they are: pictures of any format that
    `picture_formats` knows, sounds that `sounds` knows. `pictures.ppm` makes such bytes of pixels.

    Args:
        settings: Its settings.

    Attributes:
        noun: What one is called.
        shows_itself: An item is a picture as it is, and everybody gets that.
        is_playable: `recording` returns something for people to listen to.
    """

    noun = "picture"
    shows_itself = False
    is_playable = False

    def __init__(self, settings: MediumSettings):
        self.settings: Any = settings

    @abstractmethod
    def picture(self, item: bytes) -> bytes:
        """Return the picture of an item that people see.

        Raises:
            PictureError: the item cannot be read; the message says why.
        """

    def encoder_input(self, item: bytes) -> bytes:
        """Return the picture of an item that the encoder and task models read; it raises what `picture` raises."""
        return self.picture(item)

    def request(self, item: bytes) -> bytes:
        """Return what a describer is sent of an item, a picture or a sound; it raises what `picture` raises."""
        return self.picture(item)

    def recording(self, _item: bytes) -> bytes:
        """Return a sound of an item that a browser can play, for the report."""
        return b""

    def example(self) -> bytes:
        """Return what `vlmine doctor` sends to a describer: a red circle beside a blue square."""
        return example_picture()

    def blank(self) -> bytes:
        """Return what a describer is sent to tell whether it sees anything: something without content, here grey."""
        return grey_picture()

    def digest(self, item: bytes) -> str:
        """Return the SHA-256 of an item, in hex; of all but photos also that of how it is shown."""
        return hashlib.sha256(self.settings.fingerprint.encode() + item).hexdigest()

    def facts(self, item: bytes, *, max_pixels: int, reduced_side: int | None = None) -> "PictureFacts":
        """Return whether an item can be shown, the size of its picture, and if a side is given, the picture reduced."""
        from vlmine_dagster.resources.pictures import PictureFacts, inspect_picture

        if not item:
            return PictureFacts(None, None, Outcome.EMPTY, "the file is empty (0 bytes)")
        try:
            return inspect_picture(self.picture(item), max_pixels=max_pixels, reduced_side=reduced_side)
        except PictureError as error:
            return PictureFacts(None, None, Outcome.CORRUPT, str(error))


@dataclass(frozen=True)
class RenderedSource:
    """A source whose items come as a medium renders them; one that cannot be rendered says why.

    Attributes:
        items: The items as the dataset has them.
        render: Makes of an item what is wanted.
    """

    items: "ImageSource"
    render: Callable[[bytes], bytes]

    def shards(self) -> list[str]:
        """Return the shards of the items."""
        return self.items.shards()

    def fingerprint(self, shard: str) -> str:
        """Return the hash of a shard's items."""
        return self.items.fingerprint(shard)

    def glance(self, shard: str) -> "Glance":
        """Return what is known of a shard without reading its files."""
        return self.items.glance(shard)

    def read(self, shard: str, *, keys: Collection[str] | None = None) -> "Iterator[RawImage]":
        """Yield a shard's items in the order of its files, rendered several at a time."""
        yield from map_in_order(self._rendered, self.items.read(shard, keys=keys), workers=core_count())

    def _rendered(self, raw: "RawImage") -> "RawImage":
        if raw.failure is not None:
            return raw
        try:
            return replace(raw, data=self.render(raw.data))
        except PictureError as error:
            return replace(raw, data=b"", failure=str(error))


@cache
def grey_picture() -> bytes:
    """Return a picture that shows nothing, as JPEG."""
    from PIL import Image

    return _jpeg(Image.new("RGB", _GREY_SIZE, (128, 128, 128)), quality=85)


@cache
def example_picture() -> bytes:
    """Return a red circle beside a blue square on white, as JPEG."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", _EXAMPLE_SIZE, "white")
    draw = ImageDraw.Draw(image)
    draw.ellipse((30, 60, 150, 180), fill="red")
    draw.rectangle((180, 70, 290, 180), fill="blue")
    return _jpeg(image, quality=90)


def _jpeg(image: "Image.Image", *, quality: int) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()
