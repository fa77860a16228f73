"""Label files as spreadsheets and tools write them: one reader for `dataset.labels` and for `vlmine labels import`."""

import gzip
import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import PurePosixPath

from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.resources.label_files.archives import rows_of_tar, rows_of_yolo
from vlmine_dagster.resources.label_files.contract import Columns, LabelRow
from vlmine_dagster.resources.label_files.exports import rows_of_json, rows_of_xml
from vlmine_dagster.resources.label_files.tables import (
    decoded,
    rows_of_parquet,
    rows_of_spreadsheet,
    rows_of_text,
)

__all__ = ["Columns", "LabelRow", "read_label_file"]

_LARGEST = 2**31  # bytes of a label file in an archive
_SPREADSHEETS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
_OLD_SPREADSHEET = b"\xd0\xcf\x11\xe0"  # OLE2, the container of .xls
_MEMBERS = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".xml", ".parquet", *_SPREADSHEETS)


def read_label_file(content: bytes, *, where: str, columns: Columns, encoding: str | None = None) -> Iterator[LabelRow]:
    """Yield the rows of a label file of any format that is read; its first bytes decide which that is.

    Delimited text (commas, semicolons, tabs or bars; UTF-8, UTF-16 or UTF-32), JSON Lines, Parquet, spreadsheets
    (.xlsx, .xls, .ods), Label Studio's JSON, JSON-MIN and CSV, CVAT's and Datumaro's exports, COCO, FiftyOne's
    image-classification JSON and datasets, WebDataset's tars, YOLO's archives; each also compressed by gzip, or alone
    in a zip archive.

    Args:
        content: The bytes of the file.
        where: Its path or URL, for messages; its ending decides nothing, but a binary format that it promises must
            be there.
        columns: The columns that are wanted, and how else they may be named.
        encoding: Encoding of text, such as cp1252; found out if None.

    Raises:
        SourceError: the file is of no format that is read, cannot be read, or lacks a column.
    """
    if content.startswith(b"\x1f\x8b"):
        content = _gunzipped(content, where=where)
        where = where.removesuffix(".gz")
    if content.startswith(b"PK\x03\x04") and not _is_spreadsheet(content, where):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if (rows := rows_of_yolo(archive, where=where)) is not None:
                return rows
        content, where = _only_member(content, where=where)
    return _rows(content, where=where, columns=columns, encoding=encoding)


def _rows(content: bytes, *, where: str, columns: Columns, encoding: str | None) -> Iterator[LabelRow]:
    suffix = PurePosixPath(where.lower()).suffix
    if content.startswith(b"PAR1"):
        return rows_of_parquet(content, where=where, columns=columns)
    if content[257:262] == b"ustar":
        return rows_of_tar(content, where=where)
    if content.startswith((b"PK\x03\x04", _OLD_SPREADSHEET)):
        return rows_of_spreadsheet(content, where=where, columns=columns)
    if suffix == ".parquet" or suffix in _SPREADSHEETS:
        raise SourceError(f"{where} cannot be read: its first bytes are not those of a {suffix} file. Export it again.")
    text = decoded(content, where=where, encoding=encoding)
    start = text.lstrip()[:1]
    if suffix == ".xml" or start == "<":
        return rows_of_xml(text, where=where)
    if suffix in (".json", ".jsonl", ".ndjson") or _begins_like_json(text):
        return rows_of_json(_parsed(text, where=where), where=where, columns=columns)
    return rows_of_text(text, where=where, columns=columns)


def _begins_like_json(text: str) -> bool:
    return re.match(r'\s*(\{\s*["}]|\[\s*[\[{\]])', text) is not None


def _parsed(text: str, *, where: str) -> object:
    """Return the content of a JSON document, or the list of objects of JSON Lines."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        try:
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        except json.JSONDecodeError:
            raise SourceError(f"{where} cannot be read: it is not JSON: {error}. Export it again.") from error


def _gunzipped(content: bytes, *, where: str) -> bytes:
    try:
        with gzip.open(io.BytesIO(content)) as stream:
            found = stream.read(_LARGEST + 1)
    except (OSError, EOFError) as error:
        raise SourceError(f"{where} cannot be read: {error}. Fetch or make the file again.") from error
    return _bounded(found, where=where)


def _bounded(found: bytes, *, where: str) -> bytes:
    if len(found) > _LARGEST:
        raise SourceError(f"{where} cannot be read: it unpacks to more than 2 GiB. Unpack it and give the label file.")
    return found


def _is_spreadsheet(content: bytes, where: str) -> bool:
    """Tell a spreadsheet, which is a zip archive too, from an archive that holds a label file."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = set(archive.namelist())
    except zipfile.BadZipFile as error:
        raise SourceError(f"{where} cannot be read: {error}. Fetch or make the file again.") from error
    return "[Content_Types].xml" in names or {"mimetype", "content.xml"} <= names


def _only_member(content: bytes, *, where: str) -> tuple[bytes, str]:
    """Return the one label file in a zip archive, as CVAT and Label Studio hand out their exports."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [name for name in archive.namelist() if _is_member(name)]
        members = [name for name in members if PurePosixPath(name).name == "samples.json"] or members  # FiftyOne's
        if len(members) != 1:
            some = f": {', '.join(members[:5])}" if members else ""
            raise SourceError(
                f"{where} cannot be read: an archive must contain one label file, this one contains "
                f"{len(members)}{some}. Unpack it and give the file."
            )
        try:
            with archive.open(members[0]) as stream:
                return _bounded(stream.read(_LARGEST + 1), where=where), f"{where}/{members[0]}"
        except (RuntimeError, OSError, zipfile.BadZipFile) as error:  # RuntimeError: it is encrypted
            raise SourceError(f"{where} cannot be read: {error}. Unpack it and give the label file.") from error


def _is_member(name: str) -> bool:
    path = PurePosixPath(name)
    is_hidden = any(part.startswith((".", "__")) for part in path.parts)
    return path.suffix.lower() in _MEMBERS and not is_hidden
