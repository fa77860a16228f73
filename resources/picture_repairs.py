"""Pictures that any viewer shows completely although a decoder refuses them: odd metadata, a missing end mark."""

import io
import struct
import zlib
from collections.abc import Iterator

from PIL import JpegImagePlugin

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT = (b"tRNS", b"eXIf")  # of the chunks that a decoder may leave out, those that change what is seen

_SOI, _EOI = b"\xff\xd8", b"\xff\xd9"
_START_OF_SCAN, _RESTART_INTERVAL, _END = 0xDA, 0xDD, 0xD9
_FRAMES = frozenset((0xC0, 0xC1, 0xC2, 0xC9, 0xCA))
_PROGRESSIVE = frozenset((0xC2, 0xCA))
_METADATA = frozenset((*range(0xE2, 0xEE), 0xEF, 0xFE))  # not EXIF (APP1), nor the colour space (APP0, APP14)
_COEFFICIENTS = 64
_FEW_ZEROS = 8
# Bits that follow a picture which is not over are read as its pixels; bits that differ from the first on show it.
_FILLERS = (b"\x00\x55" * 64, b"\xaa\xfe" * 64, b"\x5c\x13" * 64, b"\xf1\x0e" * 64)


def without_odd_metadata(format_name: str, data: bytes) -> bytes | None:
    """Return a PNG or JPEG without the metadata that keep a decoder from its pixels; None where there are none."""
    if format_name == "PNG":
        return _essential_png(data)
    return _essential_jpeg(data) if format_name == "JPEG" else None


def lacks_end_mark(data: bytes) -> bool:
    """Whether a JPEG breaks off, perhaps behind its last pixel, or goes on with zeros."""
    return not data.endswith(_EOI) and not any(marker == _END for marker, _, _ in _jpeg_segments(data))


def with_end_mark(data: bytes) -> bytes | None:
    """Return a JPEG that lacks its end mark with one; None if pixels are missing too.

    Of a download that did not finish many zeros may stand for what is missing; a few may be the last pixels.
    """
    content = data.rstrip(b"\0")
    zeros = len(data) - len(content)
    if content.endswith(b"\xff"):  # followed by zero it is a byte of the picture, alone the first half of a mark
        content = content + b"\0" if zeros else content[:-1]
    candidates = [content, data] if 0 < zeros <= _FEW_ZEROS else [content]
    return next((whole + _EOI for whole in candidates if _is_complete(whole)), None)


def _essential_png(data: bytes) -> bytes | None:
    """Return a PNG without chunks of metadata; None if it has none."""
    kept = [_PNG_SIGNATURE]
    is_changed = False
    for name, body, checksum in _png_chunks(data):
        is_metadata = bool(name[0] & 0x20)  # a small first letter: a decoder may go without it
        if is_metadata and (name not in _PNG_KEPT or checksum != zlib.crc32(name + body)):
            is_changed = True
        else:
            kept.append(struct.pack(">I", len(body)) + name + body + struct.pack(">I", checksum))
    return b"".join(kept) if is_changed else None


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes, int]]:
    position = len(_PNG_SIGNATURE)
    while len(data) >= position + 12:
        (size,) = struct.unpack_from(">I", data, position)
        end = position + 8 + size
        if end + 4 > len(data):
            return
        yield data[position + 4 : position + 8], data[position + 8 : end], int.from_bytes(data[end : end + 4], "big")
        position = end + 4


def _essential_jpeg(data: bytes) -> bytes | None:
    """Return a JPEG without metadata; None if it has none."""
    kept = [_SOI]
    for marker, begin, end in _jpeg_segments(data):
        if marker == _START_OF_SCAN:
            return b"".join((*kept, data[begin:])) if sum(map(len, kept)) < begin else None
        if marker not in _METADATA:
            kept.append(data[begin:end])
    return None


def _is_complete(data: bytes) -> bool:
    """Whether nothing is missing of a JPEG but its end mark: its pixels do not depend on what follows."""
    try:
        if not (_has_all_scans(data) and _has_all_intervals(data)):
            return False
        first, *others = (_pixels(data + filler + _EOI) for filler in _FILLERS)
    except Exception:  # any bytes may come, and decoders raise nearly anything
        return False
    return all(other == first for other in others)


def _pixels(data: bytes) -> bytes:
    image = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
    image.load()
    return image.tobytes()


def _has_all_scans(data: bytes) -> bool:
    """Whether the scans of a progressive JPEG bring every bit of every coefficient of every component."""
    components: set[int] = set()
    missing: set[tuple[int, int]] = set()
    for marker, begin, end in _jpeg_segments(data):
        body = data[begin + 4 : end]
        if marker in _FRAMES:
            components = {body[6 + 3 * index] for index in range(body[5])}
            if marker in _PROGRESSIVE:
                missing = {(component, place) for component in components for place in range(_COEFFICIENTS)}
        elif marker == _START_OF_SCAN and missing:
            count = body[0]
            first, last, bits = body[1 + 2 * count : 4 + 2 * count]
            if bits & 15 == 0:  # the lowest bit is in it
                here = {body[1 + 2 * index] for index in range(count)}
                missing -= {(component, place) for component in here for place in range(first, last + 1)}
    return bool(components) and not missing


def _has_all_intervals(data: bytes) -> bool:
    """Whether the last scan of a JPEG has as many restart marks as it announces; true where it announces none."""
    frame: bytes = b""
    scan: bytes = b""
    interval, scan_end = 0, len(data)
    for marker, begin, end in _jpeg_segments(data):
        body = data[begin + 4 : end]
        if marker in _FRAMES:
            frame = body
        elif marker == _RESTART_INTERVAL:
            interval = int.from_bytes(body[:2], "big")
        elif marker == _START_OF_SCAN:
            scan, scan_end = body, end
    if not interval:
        return True
    marks = sum(data.count(bytes((0xFF, 0xD0 + number)), scan_end) for number in range(8))
    return marks >= -(-_unit_count(frame, scan) // interval) - 1


def _unit_count(frame: bytes, scan: bytes) -> int:
    """Return how many units a scan has: blocks of its one component, or of all components together."""
    height, width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    sampling = {frame[6 + 3 * i]: (frame[7 + 3 * i] >> 4, frame[7 + 3 * i] & 15) for i in range(frame[5])}
    widest = max(across for across, _ in sampling.values())
    highest = max(down for _, down in sampling.values())
    across, down = (1, 1) if scan[0] > 1 else sampling[scan[1]]
    if scan[0] > 1:
        return -(-width // (8 * widest)) * -(-height // (8 * highest))
    return -(-width * across // (8 * widest)) * -(-height * down // (8 * highest))


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (marker, first byte, byte after the last) of the segments up to the end mark; pixels lie between them."""
    position = len(_SOI)
    while position + 2 <= len(data):
        if data[position] != 0xFF:
            position = data.find(b"\xff", position)
            if position < 0:
                return
            continue
        marker = data[position + 1]
        if marker in (0x00, 0x01, *range(0xD0, 0xD8)):
            position += 2
        elif marker == 0xFF:
            position += 1
        elif marker == _END:
            yield marker, position, position + 2
            return
        else:
            end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
            if end > len(data):
                return
            yield marker, position, end
            position = end
