"""Formats of encoded pictures: how each begins, how its files are named, and which decoder reads it.

The decoders are called directly: `PIL.Image.open` would warn or refuse by a limit that is global to the process, and
would try forty other formats, some of which start programs.
"""

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlmine_dagster.domain.errors import PictureError
from vlmine_dagster.resources.stand_ins import stand_in

if TYPE_CHECKING:
    from PIL import ImageFile

_BRANDS_AT = 8  # bytes of an ISO media file before its brands: the size of the first box, and `ftyp`
_LONGEST_BRANDS = 256
_HEIF_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"))


@dataclass(frozen=True)
class PictureFormat:
    """One format.

    Attributes:
        name: As people call it.
        beginnings: First bytes, any of which marks the format.
        suffixes: Endings of file names in lower case, the usual one first.
        decoder: Module and class that reads it, imported when the first such picture comes.
    """

    name: str
    beginnings: tuple[bytes, ...]
    suffixes: tuple[str, ...]
    decoder: tuple[str, str]

    def open_class(self) -> "type[ImageFile.ImageFile]":
        """Return the class that decodes pictures of this format.

        Raises:
            PictureError: its package is not installed.
        """
        module, name = self.decoder
        try:
            found: type[ImageFile.ImageFile] = getattr(importlib.import_module(module), name)
        except ImportError as error:
            package = module.partition(".")[0].replace("_", "-")
            raise PictureError(
                f"not decoded: {self.name} needs the package {package}, which is not installed"
            ) from error
        return found


_JPEG_2000 = (b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n")
_JPEG_2000_SUFFIXES = (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx")
_PNM = (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6", b"Pf")
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

FORMATS = (
    PictureFormat(
        "JPEG",
        (b"\xff\xd8\xff",),
        (".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".jif", ".mpo"),
        ("PIL.JpegImagePlugin", "JpegImageFile"),
    ),
    PictureFormat("PNG", (b"\x89PNG\r\n\x1a\n",), (".png", ".apng"), ("PIL.PngImagePlugin", "PngImageFile")),
    PictureFormat("WebP", (b"RIFF",), (".webp",), ("PIL.WebPImagePlugin", "WebPImageFile")),
    PictureFormat("GIF", (b"GIF87a", b"GIF89a"), (".gif",), ("PIL.GifImagePlugin", "GifImageFile")),
    PictureFormat("TIFF", _TIFF, (".tif", ".tiff"), ("PIL.TiffImagePlugin", "TiffImageFile")),
    PictureFormat("BMP", (b"BM",), (".bmp",), ("PIL.BmpImagePlugin", "BmpImageFile")),
    PictureFormat("PPM", _PNM, (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"), ("PIL.PpmImagePlugin", "PpmImageFile")),
    PictureFormat("JPEG 2000", _JPEG_2000, _JPEG_2000_SUFFIXES, ("PIL.Jpeg2KImagePlugin", "Jpeg2KImageFile")),
    PictureFormat("AVIF", (), (".avif", ".avifs"), ("PIL.AvifImagePlugin", "AvifImageFile")),
    PictureFormat("HEIC", (), (".heic", ".heif", ".hif"), ("pi_heif", "HeifImageFile")),
)

IMAGE_SUFFIXES = tuple(suffix for form in FORMATS for suffix in form.suffixes)
"""Endings of the names of image files, in lower case."""


def format_of(data: bytes) -> PictureFormat:
    """Return the format of an encoded picture; its first bytes decide, never its name.

    Raises:
        PictureError: it is not one of the known formats.

    Examples:
        >>> format_of(bytes.fromhex("ffd8ffe0")).name
        'JPEG'
    """
    form = known_format(data)
    if form is None:
        if (instead := stand_in(data)) is not None:
            raise PictureError(f"no image: it is {instead}")
        known = ", ".join(form.name for form in FORMATS)
        raise PictureError(f"no image: it begins with {data[:8]!r}, which is not one of {known}")
    return form


def known_format(data: bytes) -> PictureFormat | None:
    """Return the format of an encoded picture from its first 256 bytes, or None."""
    if data[4:8] == b"ftyp":
        return _iso_media_format(data)
    if data.startswith(b"RIFF") and data[8:12] != b"WEBP":  # videos and sounds begin so too
        return None
    if data[12:16] == b"CgBI":  # what Xcode makes of a PNG, which no decoder of PNGs reads
        return None
    return next((form for form in FORMATS if form.beginnings and data.startswith(form.beginnings)), None)


def _iso_media_format(data: bytes) -> PictureFormat | None:
    size = min(int.from_bytes(data[:4], "big"), _LONGEST_BRANDS)
    brands = {data[start : start + 4] for start in range(_BRANDS_AT, size, 4)}
    if brands & {b"avif", b"avis"}:
        return _named("AVIF")
    return _named("HEIC") if brands & _HEIF_BRANDS else None


def _named(name: str) -> PictureFormat:
    return next(form for form in FORMATS if form.name == name)
