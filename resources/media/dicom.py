"""Medium `dicom`: a medical image, shown through its window."""

import io
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from vlmine_dagster.domain.errors import PictureError
from vlmine_dagster.resources.media.contract import Medium
from vlmine_dagster.settings.media import MediumPlugin, MediumSettings

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

_ASKED = "This is a medical image. Describe in two or three plain sentences what can be seen; give no diagnosis."
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


class DicomSettings(MediumSettings):
    """A medical image."""

    version = 2
    endings = (".dcm", ".dicom", ".ima")
    signature = (128, b"DICM")
    index_files = ("DICOMDIR",)
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
        from PIL import Image

        from vlmine_dagster.resources.pictures import ppm

        data = _read(item)
        if not any(name in data for name in _PIXELS):
            raise PictureError("the DICOM file has no pixels")
        try:
            frame = max(1, int(data.get("NumberOfFrames", 1) or 1)) // 2
            return ppm(Image.fromarray(self._shown(data, frame)).convert("RGB"))
        except PictureError:
            raise
        except Exception as error:  # decoders of pydicom raise many kinds
            raise PictureError(f"the pixels of the DICOM file cannot be decoded: {error}") from error

    def _shown(self, data: Any, frame: int) -> "npt.NDArray[np.uint8]":
        from pydicom.pixels.processing import apply_color_lut
        from pydicom.pixels.utils import pixel_array

        from vlmine_dagster.resources.dicom_codecs import register

        register()
        pixels = pixel_array(data, index=frame)  # colours come as RGB
        if data.get("PhotometricInterpretation") == "PALETTE COLOR":
            colours = apply_color_lut(pixels, data)
            return _eight_bits(colours[..., :3], 8 * colours.itemsize)
        if pixels.ndim == 3:
            return _eight_bits(pixels[..., :3], int(data.BitsStored))
        return self._grey(pixels, data, frame)

    def _grey(self, pixels: Any, data: Any, frame: int) -> "npt.NDArray[np.uint8]":
        import numpy as np
        from pydicom.pixels.processing import apply_modality_lut

        group = _functional_group(data, frame, "PixelValueTransformationSequence")
        if "ModalityLUTSequence" in group:
            values = np.asarray(apply_modality_lut(pixels, group), np.float64)
        else:
            slope, intercept = (_number(group.get(name)) for name in ("RescaleSlope", "RescaleIntercept"))
            values = np.asarray(pixels, np.float64) * (1 if slope is None else slope) + (intercept or 0)
        unset = _number(data.get("PixelPaddingValue"))
        is_set = np.isfinite(values) & (True if unset is None else pixels != unset)
        level = self._level(values, is_set, _functional_group(data, frame, "FrameVOILUTSequence"))
        if data.get("PhotometricInterpretation") == "MONOCHROME1":
            level = 1 - level
        return (np.nan_to_num(level) * 255).astype(np.uint8)

    def _level(self, values: "Floats", is_set: Any, group: Any) -> "Floats":
        """Return brightness from 0 to 1: through the setting's window, else the file's table or window."""
        import numpy as np
        from pydicom.pixels.processing import apply_voi

        centre, width = self.settings.window or (_number(group.get("WindowCenter")), _number(group.get("WindowWidth")))
        if self.settings.window is None and "VOILUTSequence" in group:
            bits = int(group.VOILUTSequence[0].LUTDescriptor[2])
            seen: Floats = apply_voi(values.astype(np.int64), group).astype(np.float64)
            return seen / (2.0**bits - 1)
        if centre is None or not width or width <= 0:
            low, high = np.percentile(values[is_set], [1, 99]) if is_set.any() else (0.0, 1.0)
            centre, width = float(low + high) / 2, float(high - low) or 1.0
        elif self.settings.window is None and group.get("VOILUTFunction") == "SIGMOID":
            curve: Floats = 1 / (1 + np.exp(-4 * (values - centre) / width))
            return curve
        return np.asarray(np.clip((values - (centre - width / 2)) / width, 0, 1), np.float64)


def _read(item: bytes) -> Any:
    """Return a DICOM file; one without preamble, as some archives write it, too."""
    try:
        import pydicom
    except ImportError as error:
        raise PictureError("DICOM files are read by pydicom: pip install 'vlmine-dagster[medical]'") from error
    try:
        try:
            return pydicom.dcmread(io.BytesIO(item))
        except pydicom.errors.InvalidDicomError:
            data = pydicom.dcmread(io.BytesIO(item), force=True)
            if "SOPClassUID" not in data:
                raise
            if not data.file_meta.get("TransferSyntaxUID"):
                data.file_meta.TransferSyntaxUID = _encoding_of(data)
            return data
    except Exception as error:  # it raises many kinds
        raise PictureError(f"no readable DICOM file: {error}") from error


def _encoding_of(data: Any) -> Any:
    """Return the transfer syntax in which the elements of a file that names none were read."""
    from pydicom import uid

    is_implicit, is_little = data.original_encoding
    if is_implicit:
        return uid.ImplicitVRLittleEndian
    return uid.ExplicitVRLittleEndian if is_little else uid.ExplicitVRBigEndian


def _functional_group(data: Any, frame: int, name: str) -> Any:
    """Return what holds the attributes of a frame: its own or the shared functional group, else the file itself."""
    places = (("PerFrameFunctionalGroupsSequence", frame), ("SharedFunctionalGroupsSequence", 0))
    for sequence, place in places:
        groups = data.get(sequence) or []
        if place < len(groups) and groups[place].get(name):
            return groups[place][name][0]
    return data


def _number(value: Any) -> float | None:
    """Return the first of several numbers; None where there is none."""
    if value is None or value == "":
        return None
    if hasattr(value, "__len__") and not isinstance(value, str):
        return float(value[0]) if len(value) else None
    return float(value)


def _eight_bits(values: Any, bits: int) -> "npt.NDArray[np.uint8]":
    import numpy as np

    if bits <= 8:
        return np.asarray(values, np.uint8)
    return np.asarray(np.asarray(values, np.float64) * (255 / (2.0**bits - 1)), np.float64).round().astype(np.uint8)


PLUGIN = MediumPlugin(DicomSettings, lambda _bench, settings: Dicom(settings))
