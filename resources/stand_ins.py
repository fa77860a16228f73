"""What is found in place of a file: pointers that nobody fetched, pages and errors that a server sent in its place."""

import re

_LONGEST = 512  # bytes that decide
_ANNEX = re.compile(rb"\A(?:\.\./)*(?:\.git)?/?annex/objects/\S+\s*\Z")
_ARCHIVES = {b"PK\x03\x04": "zip", b"Rar!\x1a\x07": "RAR", b"7z\xbc\xaf\x27\x1c": "7z"}
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
    return None if name is None else f"a {name} archive: unpack it first"
