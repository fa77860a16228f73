"""JSON of any size, whose objects pass one by one."""

from collections.abc import Iterator, Mapping
from typing import Any

from vlmine_dagster.resources.boxes.contract import BoxFile

_CHUNK = 1 << 20


def items(file: BoxFile, *prefixes: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the objects below some prefixes, such as `images.item`, as they pass, each with its prefix.

    Raises:
        SourceError: it is no JSON, or breaks off.
    """
    import ijson

    found = {prefix: ijson.sendable_list() for prefix in prefixes}
    parsers = [ijson.items_coro(found[prefix], prefix, use_float=True) for prefix in prefixes]
    try:
        with file.open() as stream:
            while chunk := stream.read(_CHUNK):
                for parser in parsers:
                    parser.send(chunk)
                yield from _taken(found)
            for parser in parsers:
                parser.close()
            yield from _taken(found)
    except ijson.JSONError as error:
        raise file.unreadable(f"it is no JSON, or breaks off ({str(error).splitlines()[0]})") from error


def start_of(head: bytes) -> bytes:
    """Return the first bytes of a file from its first character on."""
    return head.lstrip(b"\xef\xbb\xbf \t\r\n")


def _taken(found: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for prefix, objects in found.items():
        yield from ((prefix, one) for one in objects if isinstance(one, dict))
        del objects[:]
