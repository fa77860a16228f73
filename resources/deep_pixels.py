"""Pixels with more than 8 bits a channel, as 8 bits: radiographs, microscopes, satellites, depth cameras."""

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, PngImagePlugin, TiffImagePlugin

from vlmine_dagster.domain.errors import PictureError

_DEPTHS = (8, 10, 12, 14, 16)
"""Bits that sensors give; they stand in 16 without being stretched."""

_UNSET_ABOVE = 1e30  # what programs write where they have no value lies beyond: -3.4e38, 1e37
GDAL_NODATA = 42113
_BITS_PER_SAMPLE = 258
_MOST_BYTES_A_PIXEL = 64


def to_8_bits(image: Image.Image, *, unset: float | None = None) -> Image.Image:
    """Return a picture of one channel (16 bits, 32 bits or floating point) with 8 bits; see `stretched`."""
    return Image.fromarray(stretched(np.asarray(image), unset=unset))


def stretched(values: npt.NDArray[Any], *, unset: float | None = None) -> npt.NDArray[np.uint8]:
    """Return values with 8 bits.

    Whole numbers from 0 to 65,535 become v * 255 / (2^b - 1), rounded, with b the fewest of 8, 10, 12, 14 and 16 bits
    that hold the largest: 12 bits in a file of 16 are not black. Others are stretched from the smallest to the largest.

    Args:
        values: Any shape and real type. NaN, infinity and what lies beyond 1e30 have no value and become 0.
        unset: A number that marks pixels without a value.

    Returns:
        The same shape, 0 to 255.

    Examples:
        >>> stretched(np.array([0, 4095], np.uint16)), stretched(np.array([-1.0, np.nan, 1.0]))
        (array([  0, 255], dtype=uint8), array([  0,   0, 255], dtype=uint8))
    """
    numbers = values.astype(np.float64)
    known = is_set(values, unset=unset)
    if not known.any():
        return np.zeros(values.shape, np.uint8)
    low, high = float(numbers[known].min()), float(numbers[known].max())
    if values.dtype.kind in "iub" and low >= 0 and high < 2 ** _DEPTHS[-1]:
        low, high = 0.0, float(next(2**bits for bits in _DEPTHS if high < 2**bits) - 1)
    scaled = (np.where(known, numbers, low) - low) / ((high - low) or 1.0) * 255.0
    return np.round(scaled).clip(0, 255).astype(np.uint8)


def is_set(values: npt.NDArray[Any], *, unset: float | None = None) -> npt.NDArray[np.bool_]:
    """Return where values are values: not NaN, infinite, beyond 1e30 or the number that marks what has none.

    Examples:
        >>> is_set(np.array([0, 1, np.nan, -3.4e38, -9999]), unset=-9999)
        array([ True,  True, False, False, False])
    """
    found: npt.NDArray[np.bool_] = np.isfinite(values) & (np.abs(values) < np.float64(_UNSET_ABOVE))
    return found if unset is None else found & (values != unset)


def declared_unset(page: Any) -> float | None:
    """Return the number by which a page of tifffile's marks pixels without a value; None if it names none."""
    return _number(page.tags[GDAL_NODATA].value) if GDAL_NODATA in page.tags else None


def deep_png_colours(image: PngImagePlugin.PngImageFile, data: bytes) -> Image.Image:
    """Decode a PNG; one with 16 bits a colour of which the highest are never used is stretched.

    Pillow keeps the upper 8 of 16 bits of a colour, and of grey that has an alpha channel.
    """
    raw_mode = image.tile[0][3] if image.tile else None
    image.load()
    lower_of = _LOWER_BITS.get(str(raw_mode))
    if lower_of is None:
        return image
    upper = np.asarray(image)
    colour_count = upper.shape[2] - (image.mode in ("LA", "RGBA"))
    if int(upper[..., :colour_count].max()) >= 64:  # 15 or 16 bits
        return image
    values = upper[..., :colour_count].astype(np.uint16) << 8 | lower_of(data)[..., :colour_count]
    stretched_image = Image.fromarray(np.concatenate([stretched(values), upper[..., colour_count:]], axis=2))
    stretched_image.info.update({name: image.info[name] for name in ("exif",) if name in image.info})
    return stretched_image


def _lower_bits_of_colours(data: bytes) -> npt.NDArray[np.uint8]:
    """Return the lower 8 of 16 bits: read as little-endian, Pillow keeps these."""
    lower = PngImagePlugin.PngImageFile(io.BytesIO(data))
    lower.tile = [tile._replace(args=str(tile.args).replace("16B", "16L")) for tile in lower.tile]
    lower.load()
    return np.asarray(lower)


def _lower_bits_of_grey(data: bytes) -> npt.NDArray[np.uint8]:
    """Return the lower 8 of 16 bits of grey with alpha, whose 4 bytes a pixel are read as four channels of 8 bits."""
    header = data[12:24] + b"\x08\x06" + data[26:29]
    relabelled = data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]
    four = PngImagePlugin.PngImageFile(io.BytesIO(relabelled))
    four.load()
    return np.asarray(four)[..., 1:2]


_LOWER_BITS: dict[str, Callable[[bytes], npt.NDArray[np.uint8]]] = {
    "RGB;16B": _lower_bits_of_colours,
    "RGBA;16B": _lower_bits_of_colours,
    "LA;16B": _lower_bits_of_grey,
}
"""How the bits that Pillow leaves out are had, by what it calls the pixels of a file."""


def unset_value(image: Image.Image) -> float | None:
    """Return the number by which a TIFF of a map marks pixels without a value; None if there is none."""
    return _number(image.tag_v2.get(GDAL_NODATA)) if isinstance(image, TiffImagePlugin.TiffImageFile) else None


def _number(text: object) -> float | None:
    """Return what GDAL wrote as the number of pixels without a value, None where it is none."""
    try:
        return float(str(text).strip("\0 "))
    except ValueError:
        return None


def has_deep_colours(image: TiffImagePlugin.TiffImageFile) -> bool:
    """Whether a TIFF has three colours or more, and more than 8 bits for each."""
    bits = image.tag_v2.get(_BITS_PER_SAMPLE, (8,))
    return len(bits) >= 3 and max(bits) > 8


def deep_tiff(data: bytes, *, max_pixels: int) -> Image.Image | None:
    """Decode what Pillow cannot decode of TIFFs: colours of 16 bits or floating point, planes, many bands.

    Of many bands the first three are taken for red, green and blue.

    Returns:
        A picture with 8 bits a channel; None where this reader fails too.

    Raises:
        PictureError: there are too many pixels.
    """
    import tifffile

    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = file.pages.first
            height, width = page.imagelength, page.imagewidth
            is_allowed = width * height <= max_pixels and page.nbytes <= width * height * _MOST_BYTES_A_PIXEL
            if is_allowed:
                return _picture_of(page)
    except Exception:  # any bytes may come, and decoders raise nearly anything
        return None
    raise PictureError(
        f"{width:,} x {height:,} pixels with {page.samplesperpixel} channels, more than dataset.max_pixels "
        f"({max_pixels:,}) or {_MOST_BYTES_A_PIXEL} bytes for each; not decoded"
    )


def _picture_of(page: Any) -> Image.Image | None:
    values = page.asarray()
    if page.planarconfig == 2 and values.ndim == 3:
        values = np.moveaxis(values, 0, -1)
    if page.imagedepth > 1 or values.ndim not in (2, 3):
        return None
    if values.ndim == 3:
        values = values[:, :, : 3 if values.shape[2] >= 3 else 1].squeeze()
    eight = stretched(values, unset=declared_unset(page))
    if page.photometric == 0:  # the smallest value is white
        eight = 255 - eight
    image = Image.fromarray(eight)
    if "Orientation" in page.tags:
        image.getexif()[0x0112] = int(page.tags["Orientation"].value)
    return image


def lab_to_rgb(image: Image.Image) -> Image.Image:
    """Convert a picture from CIELAB to sRGB."""
    from PIL import ImageCms

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    if converted is None:
        raise PictureError("no conversion from CIELAB")
    return converted
