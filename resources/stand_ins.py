"""What is found in place of a file: pointers that nobody fetched, what a server sent in its place, other formats."""

import re

_LONGEST = 512  # bytes that decide
_ANNEX = re.compile(rb"\A(?:\.\./)*(?:\.git)?/?annex/objects/\S+\s*\Z")
_ARCHIVES = {b"PK\x03\x04": "zip", b"Rar!\x1a\x07": "RAR", b"7z\xbc\xaf\x27\x1c": "7z"}
_PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
_OTHER_FILES = {
    b"\x89PNG\r\n\x1a\n\0\0\0\x04CgBI": "a PNG as Xcode rewrites it for iPhones: take the original, or convert it back",
    b"%PDF-": "a PDF document: write its pages as pictures",
    b"8BPS": "a Photoshop document: save it as PNG or TIFF",
    b"\xff\x0a": "a JPEG XL picture: convert it to PNG or JPEG",
    b"\0\0\0\x0cJXL \r\n\x87\n": "a JPEG XL picture: convert it to PNG or JPEG",
    b"FUJIFILMCCD-RAW": "a camera's raw file: develop it to JPEG or TIFF",
    b"\0\5\x16\7": "an AppleDouble file, which a Mac keeps beside another: leave it out by dataset.exclude",
    b"\x93NUMPY": "an array of NumPy: save it as PNG or TIFF",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file: write its pictures as files",
}
_BASE64 = re.compile(rb"\A(?:data:image/[\w.+-]{1,40};base64,|/9j/|iVBORw0KGgo|R0lGOD|UklGR)")
_PYTHON_BYTES = re.compile(rb"""\Ab['"](?:\\xff\\xd8|\\x89PNG|GIF8|RIFF)""")
_REPLACED = b"\xef\xbf\xbd"  # what stands in UTF-8 for bytes that were not text
_ERROR_CODE = re.compile(rb"<Code>(\w{1,40})</Code>")
_ERROR_OBJECT = re.compile(rb'\A\{\s*"(?:error|errors|message|detail|code|status)"\s*:')


def stand_in(beginning: bytes) -> str | None:
    """Say what a file holds that is neither a picture nor a tar nor Parquet, and what to do, or None.

    Args:
        beginning: Its first bytes; 512 are enough.

    Examples:
        >>> stand_in(b"version https://git-lfs.github.com/spec/v1")
        'a pointer of Git LFS: `git lfs pull` fetches the file itself'
    """
    text = beginning[:_LONGEST].lstrip(b"\xef\xbb\xbf \t\r\n")
    lower = text.lower()
    if text.startswith(b"version https://git-lfs.github.com/"):
        return "a pointer of Git LFS: `git lfs pull` fetches the file itself"
    if _ANNEX.match(text):
        return "a pointer of git-annex: `git annex get` fetches the file itself"
    if lower.startswith((b"<!doctype html", b"<html", b"<head")):
        return "a web page, which a server sent in place of the file"
    code = _ERROR_CODE.search(text)
    if code is not None and lower.startswith((b"<?xml", b"<error")):
        return f"an error of the store, {code[1].decode()}, saved in place of the file"
    if _ERROR_OBJECT.match(text):
        return "an answer in JSON, which a server sent in place of the file"
    name = next((name for magic, name in _ARCHIVES.items() if text.startswith(magic)), None)
    return _other_file(beginning[:_LONGEST]) if name is None else f"a {name} archive: unpack it first"


def _other_file(beginning: bytes) -> str | None:
    """Say which other file it is, or what was done to a picture's bytes on their way; None if neither is known."""
    packed = next((name for magic, name in _PACKED.items() if beginning.startswith(magic)), None)
    if packed is not None:
        return f"packed by {packed}, as some servers send files: unpack it"
    if _BASE64.match(beginning):
        return "text in base64: decode it"
    if _PYTHON_BYTES.match(beginning):
        return "bytes that were printed as Python shows them: write the bytes themselves"
    if beginning.startswith((_REPLACED, b"\x89PNG\n\x1a\n")):
        return "bytes that were copied as text, which destroyed them: fetch it again, in binary mode"
    if len(beginning) == _LONGEST and not any(beginning):
        return "zeros, as after a crash or a download that did not finish: fetch it again"
    return next((name for magic, name in _OTHER_FILES.items() if beginning.startswith(magic)), None)
