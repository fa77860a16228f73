"""Medium `bands`: a TIFF of many bands, such as a satellite's, of which three are shown."""

import io
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from vlmine_dagster.domain.errors import PictureError
from vlmine_dagster.resources.media.contract import Medium
from vlmine_dagster.settings.media import MediumPlugin, MediumSettings

_ASKED = "This picture was taken from above. Describe in two or three plain sentences what is on the ground."


class BandsSettings(MediumSettings):
    """A TIFF of many bands."""

    version = 2
    prompts: ClassVar = {"describe-general-v1": _ASKED}

    kind: Literal["bands"]
    """A TIFF of many bands in numbers of any type, such as a GeoTIFF of a satellite; name its files by
    dataset.image_endings: [tif]."""
    shown: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = (1, 2, 3)
    """Numbers of the bands that are shown as red, green and blue, from 1: [4, 3, 2] of Sentinel-2."""
    stretch: Annotated[float, Field(ge=0, lt=50)] = 2.0
    """Percent of the darkest and of the brightest values of a band that become black and full."""
    limits: tuple[float, float] | None = None
    """Values that are black and full in all pictures, such as [0, 3000] for reflectances; replaces stretch."""


class Bands(Medium):
    """A TIFF of many bands."""

    noun = "picture"

    def picture(self, item: bytes) -> bytes:
        """Return three bands as a picture; pixels without a value are black.

        Raises:
            PictureError: it cannot be read, or lacks a band.
        """
        import numpy as np
        from PIL import Image

        from vlmine_dagster.resources.pictures import ppm

        bands, unset = _bands(item)
        missing = [number for number in self.settings.shown if number > len(bands)]
        if missing:
            raise PictureError(f"there is no band {missing[0]}: the file has {len(bands)} (dataset.medium.shown)")
        chosen = [self._stretched(np.asarray(bands[number - 1]), unset) for number in self.settings.shown]
        return ppm(Image.fromarray(np.stack(chosen, axis=-1)))

    def _stretched(self, band: Any, unset: float | None) -> Any:
        import numpy as np

        from vlmine_dagster.resources.deep_pixels import is_set

        known = is_set(band, unset=unset)
        if not known.any():
            return np.zeros(band.shape, np.uint8)
        tail, values = self.settings.stretch, np.real(band).astype(np.float64)
        low, high = self.settings.limits or np.percentile(values[known], [tail, 100 - tail])
        level = (np.where(known, values, low) - low) / max(high - low, 1e-12)
        return (np.clip(level, 0, 1) * 255 * known).astype(np.uint8)


def _bands(item: bytes) -> tuple[Any, float | None]:
    """Return the bands of a TIFF, shape (bands, rows, columns), and the number that marks pixels without a value."""
    import tifffile

    from vlmine_dagster.resources.deep_pixels import declared_unset

    try:
        with tifffile.TiffFile(io.BytesIO(item)) as file:
            series = file.series[0]
            axes, found, unset = series.axes, series.asarray(), declared_unset(series.keyframe)
    except Exception as error:  # its decoders raise many kinds
        raise PictureError(f"no readable TIFF: {error}") from error
    for place in reversed(range(found.ndim)):
        if axes[place] not in "YX" and found.shape[place] == 1:
            found, axes = found.take(0, axis=place), axes[:place] + axes[place + 1 :]
    if "Y" not in axes or "X" not in axes or found.ndim > 3:
        raise PictureError(f"a TIFF of {found.ndim} axes ({axes}), expected bands, rows and columns")
    bands = axes.replace("Y", "").replace("X", "")
    order = [axes.index(axis) for axis in (*bands, "Y", "X")]
    turned = found.transpose(order)
    return (turned if bands else turned[None]), unset


PLUGIN = MediumPlugin(BandsSettings, lambda _bench, settings: Bands(settings))
