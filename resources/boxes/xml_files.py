"""XML of annotation tools, without document types and their entities."""

import re
from collections.abc import Iterator
from typing import IO, Any
from xml.etree import ElementTree

from vlmine_dagster.resources.boxes.contract import BoxFile

_ROOT = re.compile(rb"<([A-Za-z_][\w.-]*)")
_DECLARED = re.compile(rb"""^\s*<\?xml[^>]*encoding=["']([\w.-]+)["'][^>]*\?>""")


def root_tag(head: bytes) -> str:
    """Return the name of the first element in the first bytes of a file, "" where there is none.

    Examples:
        >>> root_tag(b'<?xml version="1.0"?><!-- made by <hand> --><annotation>')
        'annotation'
    """
    found = _ROOT.search(re.sub(rb"<!--.*?-->", b"", head, flags=re.DOTALL))
    return found.group(1).decode("ascii") if found else ""


def parsed(file: BoxFile) -> ElementTree.Element:
    """Return the root of a small XML file.

    Raises:
        SourceError: it is not XML, or declares a document type.
    """
    with file.open() as stream:
        content = stream.read()
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise file.unreadable("its XML declares a document type, which no tool's export does")
    try:
        return ElementTree.fromstring(_unicode(content))  # noqa: S314  # entities are refused above
    except (ElementTree.ParseError, LookupError, UnicodeDecodeError) as error:
        raise file.unreadable(f"it is not XML: {error}") from error


def _unicode(content: bytes) -> str | bytes:
    """Return XML as text where it declares an encoding that the parser may not know, such as GBK.

    Examples:
        >>> _unicode('<?xml version="1.0" encoding="gbk"?><name>\u732b</name>'.encode("gbk"))
        '<name>\u732b</name>'
    """
    declared = _DECLARED.match(content)
    if declared is None or declared.group(1).lower() in (b"utf-8", b"utf8"):
        return content
    return content[declared.end() :].decode(declared.group(1).decode("ascii"))


def elements(file: BoxFile, stream: IO[bytes], names: frozenset[str]) -> Iterator[ElementTree.Element]:
    """Yield the elements of some names right below the root of an XML file of any size, each freed after its use.

    Raises:
        SourceError: it is not XML, or declares a document type.
    """
    parser: Any = ElementTree.XMLPullParser(("start", "end"))
    depth, root = 0, None
    try:
        while chunk := stream.read(1 << 20):
            if b"<!DOCTYPE" in chunk or b"<!ENTITY" in chunk:
                raise file.unreadable("its XML declares a document type, which no tool's export does")
            parser.feed(chunk)
            for event, element in parser.read_events():
                depth += 1 if event == "start" else -1
                root = element if root is None else root
                if event == "end" and depth == 1:
                    if element.tag in names:
                        yield element
                    root.clear()
        parser.close()
    except ElementTree.ParseError as error:
        raise file.unreadable(f"it is not XML, or is truncated: {error}") from error
