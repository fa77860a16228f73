"""JPEG-LS, lossless and 12-bit JPEG and JPEG 2000 for pydicom, by imagecodecs: what CT, MR and X-ray archives store."""

import threading
from functools import cache
from typing import Any

from pydicom import uid
from pydicom.pixels.common import PhotometricInterpretation

_DECODERS = {
    uid.JPEGExtended12Bit: "jpeg8_decode",
    uid.JPEGLossless: "jpegsof3_decode",
    uid.JPEGLosslessSV1: "jpegsof3_decode",
    uid.JPEGLSLossless: "jpegls_decode",
    uid.JPEGLSNearLossless: "jpegls_decode",
    uid.JPEG2000Lossless: "jpeg2k_decode",
    uid.JPEG2000: "jpeg2k_decode",
}
_LABEL = "vlmine"
_registering = threading.Lock()

DECODER_DEPENDENCIES = dict.fromkeys(_DECODERS, ("imagecodecs",))
"""What pydicom says is missing, by transfer syntax."""


def register() -> None:
    """Offer these decoders to pydicom, after its own, once in a process; any number of threads may ask for it."""
    with _registering:
        _register()


@cache
def _register() -> None:
    from pydicom.pixels.decoders.base import get_decoder

    for syntax in _DECODERS:
        get_decoder(syntax).add_plugin(_LABEL, (__name__, "decoded_frame"))


def is_available(_syntax: str) -> bool:
    """Whether imagecodecs is installed; asked by pydicom."""
    from importlib.util import find_spec

    return find_spec("imagecodecs") is not None


def decoded_frame(data: bytes, runner: Any) -> bytes:
    """Return the pixels of an encoded frame, and tell pydicom's runner how they are laid out."""
    import imagecodecs
    import numpy as np

    decode = getattr(imagecodecs, _DECODERS[runner.transfer_syntax])
    pixels = np.ascontiguousarray(decode(data))
    runner.set_option("bits_allocated", 8 * pixels.itemsize)
    if pixels.ndim > 2:
        runner.set_option("planar_configuration", 0)
        if runner.transfer_syntax in (uid.JPEG2000Lossless, uid.JPEG2000):
            runner.set_option("photometric_interpretation", PhotometricInterpretation.RGB)
    return pixels.astype(pixels.dtype.newbyteorder("<"), copy=False).tobytes()
