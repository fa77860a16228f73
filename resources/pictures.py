"""Encoded bytes to RGB pictures: any mode, any orientation, and an outcome with a reason for those that fail."""

import base64
import io
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFile, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from vlmine_dagster.domain.errors import PictureError
from vlmine_dagster.domain.tables import Outcome
from vlmine_dagster.resources.deep_pixels import (
    deep_png_colours,
    deep_tiff,
    has_deep_colours,
    lab_to_rgb,
    to_8_bits,
    unset_value,
)
from vlmine_dagster.resources.picture_formats import format_of
from vlmine_dagster.resources.picture_repairs import lacks_end_mark, with_end_mark, without_odd_metadata

_ORIENTATION_TAG = 0x0112
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPS_SIDES = (5, 6, 7, 8)
_REDUCIBLE = ("RGB", "L", "RGBA", "LA", "CMYK", "YCbCr")

_THUMBNAIL_QUALITY = 82
_MODEL_QUALITY = 90

_quiet_lock = threading.Lock()


@dataclass(frozen=True, eq=False)
class PictureFacts:
    """What is known of an image after decoding it.

    Attributes:
        width: Pixels, after EXIF rotation; None where the image cannot be read.
        height: Pixels, after EXIF rotation; None where the image cannot be read.
        outcome: OK, EMPTY (no bytes) or CORRUPT.
        failure: Why the outcome is not OK, for people; None if it is.
        reduced: Shape (H, W, 3), uint8, RGB, the upright picture reduced, where that was asked for and can be had.
    """

    width: int | None
    height: int | None
    outcome: Outcome
    failure: str | None = None
    reduced: npt.NDArray[np.uint8] | None = None


def inspect_picture(data: bytes, *, max_pixels: int, reduced_side: int | None = None) -> PictureFacts:
    """Decode an image wholly and say what became of it; no bytes make this raise.

    Of a JPEG every bit is read, but only an eighth of each side is reconstructed: 3 instead of 17 ms for 2 megapixels.

    Args:
        data: The encoded image.
        max_pixels: An image with more pixels is CORRUPT, and is not decoded.
        reduced_side: Longest side of the reduced picture; None: none is wanted. A smaller picture keeps its size.
    """
    if not data:
        return PictureFacts(None, None, Outcome.EMPTY, "the file is empty (0 bytes)")
    try:
        image, full_size = _decode(data, max_pixels=max_pixels, draft_side=reduced_side or 1)
    except PictureError as error:
        return PictureFacts(None, None, Outcome.CORRUPT, str(error))
    width, height = full_size
    if _orientation(image) in _SWAPS_SIDES:
        width, height = height, width
    reduced = None if reduced_side is None else _reduced(image, reduced_side)
    return PictureFacts(width, height, Outcome.OK, reduced=reduced)


def _reduced(image: Image.Image, side: int) -> npt.NDArray[np.uint8] | None:
    """Return the pixels of a decoded picture, its longer side at most `side`; None where it cannot be converted."""
    try:
        small = image if image.mode in _REDUCIBLE else _to_rgb(image)
        factor = max(small.size) / side
        if factor > 1:
            size = (max(1, round(small.width / factor)), max(1, round(small.height / factor)))
            small = small.resize(size, Image.Resampling.BOX, reducing_gap=2.0)
        turn = _TRANSPOSE.get(_orientation(image))
        rgb = _to_rgb(small)
        return np.asarray(rgb if turn is None else rgb.transpose(turn))
    except Exception:  # conversions have their own ways to fail; the picture itself was read
        return None


def decode_picture(data: bytes, *, max_pixels: int, smallest_side: int | None = None) -> Image.Image:
    """Decode an image to RGB, upright.

    Transparency is laid on white; where all is transparent, the colours below are shown. Of an animation the first
    frame is taken, of several pictures in one file the main one. `deep_pixels` reduces more than 8 bits to 8.

    Args:
        data: The encoded image.
        max_pixels: An image with more pixels is refused before it is decoded.
        smallest_side: A JPEG may come back reduced to 1/2, 1/4 or 1/8 as long as both sides keep this many pixels; it
            decodes faster. None keeps the size.

    Raises:
        PictureError: there are no bytes, they are not an image of a known format, or break off; the message says which.
    """
    if not data:
        raise PictureError("the file is empty (0 bytes)")
    image, _ = _decode(data, max_pixels=max_pixels, draft_side=smallest_side)
    try:
        turn = _TRANSPOSE.get(_orientation(image))
        rgb = _to_rgb(image)
        upright = rgb if turn is None else rgb.transpose(turn)
        upright.info.clear()  # else its EXIF data would turn it once more elsewhere
        return upright
    except Exception as error:  # any bytes may come, and conversions have their own ways to fail
        raise PictureError(f"the picture cannot be converted to RGB: {_reason(error)}") from error


def exif_orientation(data: bytes, *, max_pixels: int) -> int:
    """Return how an encoded image is turned to be upright, as EXIF has it: 1 (not at all, or it says nothing) to 8.

    Raises:
        PictureError: the image cannot be read.
    """
    return _orientation(_decode(data, max_pixels=max_pixels, draft_side=1)[0])


def compressed(data: bytes) -> bytes:
    """Return an encoded picture, as a PNG if it is not compressed: frames, tiles and crops are not, when just cut."""
    if not data.startswith((b"BM", b"P6")):
        return data
    file = io.BytesIO()
    with Image.open(io.BytesIO(data), formats=["BMP", "PPM"]) as picture:
        picture.save(file, "PNG")
    return file.getvalue()


def ppm(picture: Image.Image) -> bytes:
    """Return an RGB picture as PPM: its pixels as they are, which costs nothing to write or read."""
    return f"P6 {picture.width} {picture.height} 255\n".encode("ascii") + picture.tobytes()


def picture_suffix(data: bytes) -> str:
    """Return the ending of a file name that fits an encoded image.

    Raises:
        PictureError: it is of no known format.

    Examples:
        >>> picture_suffix(bytes.fromhex("ffd8ff"))
        '.jpg'
    """
    return format_of(data).suffixes[0]


def jpeg_for_model(data: bytes, *, side: int, max_pixels: int) -> bytes:
    """Return an image as an upright JPEG whose longest side is at most `side` pixels; one that is so already stays.

    Raises:
        PictureError: the image cannot be read.
    """
    if data.startswith(b"\xff\xd8\xff") and _is_small_jpeg(data, side):
        return data
    picture = decode_picture(data, max_pixels=max_pixels, smallest_side=side)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_MODEL_QUALITY)
    return file.getvalue()


def _is_small_jpeg(data: bytes, side: int) -> bool:
    try:
        header = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
    except Exception as error:  # any bytes may come, and decoders raise nearly anything
        raise PictureError(f"not a readable JPEG: {_reason(error)}") from error
    is_plain = header.mode in ("RGB", "L") and _orientation(header) == 1 and not lacks_end_mark(data)
    return is_plain and max(header.size) <= side


def thumbnail_jpeg(image: Image.Image, size: int) -> bytes:
    """Return a picture as a JPEG that fits into a square of `size` pixels; smaller ones keep their size."""
    small = image.convert("RGB")
    small.thumbnail((size, size), Image.Resampling.LANCZOS, reducing_gap=2.0)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=_THUMBNAIL_QUALITY, optimize=True)
    return file.getvalue()


def thumbnail_data_url(image: Image.Image, size: int) -> str:
    """Return the JPEG of `thumbnail_jpeg` as a data URL."""
    return "data:image/jpeg;base64," + base64.b64encode(thumbnail_jpeg(image, size)).decode("ascii")


def with_box(image: Image.Image, x: float, y: float, width: float, height: float) -> Image.Image:
    """Return a copy of a picture with a box drawn: two lines, light and dark, that show on any ground."""
    copy = image.convert("RGB")
    line = max(2, round(max(image.size) / 160))
    draw = ImageDraw.Draw(copy)
    for out, colour in ((2 * line, "black"), (line, "yellow")):
        draw.rectangle((x - out, y - out, x + width + out, y + height + out), outline=colour, width=line)
    return copy


class _TooManyPixelsError(PictureError):
    """The picture is larger than allowed; nothing else is wrong with it."""


def _decode(data: bytes, *, max_pixels: int, draft_side: int | None) -> tuple[Image.Image, tuple[int, int]]:
    """Return the decoded image and its full size, before any EXIF rotation."""
    form = format_of(data)
    try:
        return _decode_as_is(data, form.name, max_pixels=max_pixels, draft_side=draft_side)
    except _TooManyPixelsError:
        raise
    except PictureError:
        plain = without_odd_metadata(form.name, data)
        if plain is None:
            raise
    return _decode_as_is(plain, form.name, max_pixels=max_pixels, draft_side=draft_side)


def _decode_as_is(
    data: bytes, name: str, *, max_pixels: int, draft_side: int | None
) -> tuple[Image.Image, tuple[int, int]]:
    try:
        with _quiet():
            image = format_of(data).open_class()(io.BytesIO(data))
    except Exception as error:  # any bytes may come, and decoders raise nearly anything
        deep = deep_tiff(data, max_pixels=max_pixels) if name == "TIFF" else None
        if deep is not None:
            return deep, deep.size
        raise PictureError(f"not a readable {name}: {_reason(error)}") from error
    width, height = image.size
    if width * height > max_pixels:
        raise _TooManyPixelsError(
            f"{width:,} x {height:,} pixels, more than dataset.max_pixels ({max_pixels:,}); not decoded"
        )
    try:
        return _load(image, data, draft_side=draft_side)
    except Exception as error:  # as above
        raise PictureError(f"the {name} is cut or damaged: {_reason(error)}") from error


def _load(image: ImageFile.ImageFile, data: bytes, *, draft_side: int | None) -> tuple[Image.Image, tuple[int, int]]:
    full_size = image.size
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        if lacks_end_mark(data):
            image = _ended_jpeg(data)
        if draft_side is not None:
            image.draft(None, (draft_side, draft_side))
        image.load()
        return image, full_size
    if isinstance(image, PngImagePlugin.PngImageFile):
        return deep_png_colours(image, data), full_size
    if isinstance(image, WebPImagePlugin.WebPImageFile):
        image.load()
        return image, full_size
    with _quiet():  # the other plugins may warn while they decode
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            return _load_tiff(image, data, max_pixels=full_size[0] * full_size[1])
        image.load()
    return image, image.size


def _ended_jpeg(data: bytes) -> JpegImagePlugin.JpegImageFile:
    ended = with_end_mark(data)
    if ended is None:
        raise PictureError("image file is truncated: pixels are missing")
    return JpegImagePlugin.JpegImageFile(io.BytesIO(ended))


def _load_tiff(
    image: TiffImagePlugin.TiffImageFile, data: bytes, *, max_pixels: int
) -> tuple[Image.Image, tuple[int, int]]:
    deep = deep_tiff(data, max_pixels=max_pixels) if has_deep_colours(image) else None
    if deep is not None:
        return deep, deep.size
    image.load()  # a TIFF turns itself upright
    return image, image.size


@contextmanager
def _quiet() -> Iterator[None]:
    # `catch_warnings` changes the whole process, so only one thread at a time may be in it. What runs in here holds
    # the interpreter's lock anyway: headers of all formats, and the pixels of rare ones.
    with _quiet_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _orientation(image: Image.Image) -> int:
    try:
        with _quiet():
            return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # a picture with damaged EXIF data is a good picture that nobody turned
        return 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return to_8_bits(image, unset=unset_value(image)).convert("RGB")
    if image.mode == "LAB":
        return lab_to_rgb(image)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        if rgba.getchannel("A").getextrema() != (0, 0):  # else the channel was never set: there is a picture below
            return _on_white(rgba)
    return image.convert("RGB")  # a copy, which lets go of the decoder and the encoded bytes


def _on_white(image: Image.Image) -> Image.Image:
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "it needs more memory than there is"
    if isinstance(error, (struct.error, zlib.error, IndexError, EOFError)):
        return f"the data is truncated or invalid ({error or type(error).__name__})"
    return str(error) or type(error).__name__
