"""JSON of any size, whose objects pass one by one.

Python's own decoder takes each object whole, so memory is bounded by the largest one, at twenty times the speed of a
parser of events.
"""

import codecs
import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, BinaryIO

from vlmine_dagster.resources.boxes.contract import BoxFile

_CHUNK = 1 << 20
_SPACE = re.compile(r"[\s\ufeff]*")
_DECODER = json.JSONDecoder()


def items(file: BoxFile, *lists: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the objects in some lists of a JSON file as they pass, each with the name of its list.

    Args:
        file: A file that holds an object, or a list.
        lists: Names of lists in that object; "" is the list that the file itself is.

    Raises:
        SourceError: it is not JSON, or is truncated.
    """
    with file.open() as stream:
        text = _Text(stream)
        try:
            for name, one in _top(text, frozenset(lists)):
                if isinstance(one, dict):
                    yield name, one
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise file.unreadable(f"it is not JSON, or is truncated ({str(error).splitlines()[0]})") from error


def start_of(head: bytes) -> bytes:
    """Return the first bytes of a file from its first character on."""
    return head.lstrip(b"\xef\xbb\xbf \t\r\n")


class _Text:
    """The rest of a file, as much of it as is needed."""

    def __init__(self, stream: BinaryIO):
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._rest, self._at = "", 0
        self._is_whole = False

    def next_character(self) -> str:
        """Return the next character that is not a space, and stay before it; "" at the end."""
        while True:
            found = _SPACE.match(self._rest, self._at)
            self._at = self._at if found is None else found.end()
            if self._at < len(self._rest) or not self._read_on():
                return self._rest[self._at : self._at + 1]

    def skip(self, expected: str) -> None:
        """Go past a character.

        Raises:
            JSONDecodeError: another one is next.
        """
        if self.next_character() != expected:
            raise json.JSONDecodeError(f"expected {expected!r}", self._rest[self._at : self._at + 20], 0)
        self._at += 1

    def value(self) -> Any:
        """Return the next value and go past it.

        Raises:
            JSONDecodeError: there is none.
        """
        self.next_character()
        while True:
            try:
                found, end = _DECODER.raw_decode(self._rest, self._at)
            except json.JSONDecodeError:
                if not self._read_on():
                    raise
                continue
            if end < len(self._rest) or not self._read_on():  # a number may go on in the next chunk
                self._at = end
                return found

    def _read_on(self) -> bool:
        """Read as much again as is held; return whether there was anything."""
        if self._is_whole:
            return False
        content = self._stream.read(max(_CHUNK, len(self._rest) - self._at))
        self._is_whole = not content
        self._rest = self._rest[self._at :] + self._decoder.decode(content, final=self._is_whole)
        self._at = 0
        return True


def _top(text: _Text, lists: Collection[str]) -> Iterator[tuple[str, Any]]:
    if text.next_character() == "[":
        yield from (("", one) for one in _members(text) if "" in lists)
        return
    for _ in _members_of_object(text):
        name = text.value()
        text.skip(":")
        if text.next_character() != "[":
            text.value()
            continue
        yield from ((name, one) for one in _members(text) if name in lists)


def _members(text: _Text) -> Iterator[Any]:
    """Yield the values of a list."""
    text.skip("[")
    while text.next_character() != "]":
        yield text.value()
        if text.next_character() != "]":
            text.skip(",")
    text.skip("]")


def _members_of_object(text: _Text) -> Iterator[None]:
    """Yield at the name of each member of an object; who is called back goes past name and value."""
    text.skip("{")
    while text.next_character() != "}":
        yield
        if text.next_character() != "}":
            text.skip(",")
    text.skip("}")
