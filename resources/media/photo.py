"""Medium `photo`: an encoded picture, which everybody gets as it is."""

from typing import Literal

from vlmine_dagster.resources.media.contract import Medium
from vlmine_dagster.resources.picture_formats import IMAGE_SUFFIXES
from vlmine_dagster.settings.media import MediumPlugin, MediumSettings


class PhotoSettings(MediumSettings):
    """An encoded picture."""

    endings = IMAGE_SUFFIXES
    is_photographed = True

    kind: Literal["photo"]
    """A picture in a file of its own, a tar, a column or a video: JPEG, PNG, TIFF, HEIC and others."""

    @property
    def fingerprint(self) -> str:
        """Nothing: what is read of a photo depends on its bytes alone."""
        return ""


class Photo(Medium):
    """An encoded picture."""

    shows_itself = True

    def picture(self, item: bytes) -> bytes:
        """Return the item."""
        return item


PHOTO = Photo(PhotoSettings(kind="photo"))

PLUGIN = MediumPlugin(PhotoSettings, lambda _bench, _settings: PHOTO)
