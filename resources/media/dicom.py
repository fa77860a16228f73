"""Medium `dicom`: a medical image, shown through its window."""

import io
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from vlmine_dagster.domain.errors import PictureError
from vlmine_dagster.resources.media.contract import Medium
from vlmine_dagster.settings.media import MediumPlugin, MediumSettings

_ASKED = "This is a medical image. Describe in two or three plain sentences what can be seen; give no diagnosis."


class DicomSettings(MediumSettings):
    """A medical image."""

    endings = (".dcm", ".dicom")
    prompts: ClassVar = {"describe-general-v1": _ASKED}

    kind: Literal["dicom"]
    """A DICOM file; of several frames the middle one is shown."""
    window: tuple[float, Annotated[float, Field(gt=0)]] | None = None
    """Centre and width of the window, such as [40, 400] for soft tissue in CT. Left out, the file's own, else from the
    1st to the 99th percentile."""


class Dicom(Medium):
    """A medical image."""

    noun = "image"

    def picture(self, item: bytes) -> bytes:
        """Return the pixels of a DICOM file through its window; MONOCHROME1 is inverted, as viewers do.

        Raises:
            PictureError: it cannot be read, or has no pixels.
        """
        import numpy as np
        from PIL import Image

        from vlmine_dagster.resources.pictures import ppm

        data = _read(item)
        if "PixelData" not in data:
            raise PictureError("the DICOM file has no pixels")
        try:
            pixels = data.pixel_array
            if int(data.get("NumberOfFrames", 1) or 1) > 1:
                pixels = pixels[len(pixels) // 2]
            if pixels.ndim == 3:
                return ppm(Image.fromarray(_colours(pixels, data)))
            return ppm(Image.fromarray(self._grey(np.asarray(pixels, np.float64), data)).convert("RGB"))
        except PictureError:
            raise
        except Exception as error:  # decoders of pydicom raise many kinds
            raise PictureError(f"the pixels of the DICOM file cannot be decoded: {error}") from error

    def _grey(self, pixels: Any, data: Any) -> Any:
        import numpy as np

        values = pixels * float(data.get("RescaleSlope", 1)) + float(data.get("RescaleIntercept", 0))
        centre, width = self._window(values, data)
        level = np.clip((values - (centre - width / 2)) / width, 0, 1)
        if data.get("PhotometricInterpretation") == "MONOCHROME1":
            level = 1 - level
        return (level * 255).astype(np.uint8)

    def _window(self, values: Any, data: Any) -> tuple[float, float]:
        import numpy as np

        if self.settings.window is not None:
            return (float(self.settings.window[0]), float(self.settings.window[1]))
        centre, width = (_first(data.get(name)) for name in ("WindowCenter", "WindowWidth"))
        if centre is not None and width:
            return centre, width
        low, high = np.percentile(values, [1, 99])
        return float(low + high) / 2, max(float(high - low), 1.0)


def _read(item: bytes) -> Any:
    try:
        import pydicom
    except ImportError as error:
        raise PictureError("DICOM files are read by pydicom: pip install 'vlmine-dagster[medical]'") from error
    try:
        return pydicom.dcmread(io.BytesIO(item))
    except Exception as error:  # it raises many kinds
        raise PictureError(f"no readable DICOM file: {error}") from error


def _first(value: Any) -> float | None:
    """Return the first of several windows."""
    if value is None or value == "":
        return None
    return float(value[0] if hasattr(value, "__len__") and not isinstance(value, str) else value)


def _colours(pixels: Any, data: Any) -> Any:
    import numpy as np
    from pydicom.pixels.processing import convert_color_space

    interpretation = str(data.get("PhotometricInterpretation", "RGB"))
    if interpretation.startswith("YBR"):
        pixels = convert_color_space(pixels, interpretation, "RGB")
    return np.asarray(pixels[..., :3], np.uint8)


PLUGIN = MediumPlugin(DicomSettings, lambda _bench, settings: Dicom(settings))
