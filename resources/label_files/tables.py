"""Label files that are tables: delimited text, Parquet, spreadsheets."""

import codecs
import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.resources.label_files.contract import Columns, LabelRow, plain_cell, rows_of_record, text_of

_MARKS = (  # UTF-32 before UTF-16, whose mark is the beginning of its own
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DELIMITERS = ",;\t|"


def decoded(content: bytes, *, where: str, encoding: str | None = None) -> str:
    """Return the text of a file: by its byte order mark, by the zeros of UTF-16, else UTF-8.

    Raises:
        SourceError: it is none of these, or not of the encoding that was given.
    """
    name = encoding or next((found for mark, found in _MARKS if content.startswith(mark)), "")
    if not name and b"\0" in content[:2]:  # the first letter of an ASCII header is half zero
        name = "utf-16-be" if content[:1] == b"\0" else "utf-16-le"
    name = name or "utf-8"
    try:
        return content.decode(name)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        what = "no UTF-8 text" if name == "utf-8" else f"no text in {name}"
        raise SourceError(
            f"{where} cannot be read: line {line}: {what}. Save the file as CSV in UTF-8, or name its "
            f"encoding, such as cp1252 (dataset.labels.encoding in vlmine.yaml, or labels import --encoding)."
        ) from error
    except LookupError as error:
        raise SourceError(f"{where}: no encoding is named {name!r}, such as utf-8 or cp1252. Correct it.") from error


def read_table(text: str, columns: Columns, *, where: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the line number and the stripped value of each role's column for each row of delimited text.

    Raises:
        SourceError: it is no such text, lacks a column, or a row is too short.
    """
    delimiter = _delimiter(text, columns)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        places = _required(_header(reader), columns, where=where)
        shortest = max(places[role] for role in columns.needed) + 1
        for row in reader:
            if not any(row):
                continue
            if len(row) < shortest:
                values = counted(len(row), "value")
                raise SourceError(f"{where}, line {reader.line_num}: {values}, expected at least {shortest}.")
            yield reader.line_num, {role: plain_cell(row[at]) if at < len(row) else "" for role, at in places.items()}
    except csv.Error as error:
        raise SourceError(f"{where}, line {reader.line_num}: no CSV: {error}. Fix the line.") from error


def rows_of_text(text: str, *, where: str, columns: Columns) -> Iterator[LabelRow]:
    """Yield the rows of delimited text."""
    for line, row in read_table(text, columns, where=where):
        label: Any = row.get("class_id", "")
        if label.startswith(("{", "[")):  # Label Studio's CSV: several choices, or shapes, are JSON in a cell
            label = _json_cell(label)
        yield from rows_of_record(f"line {line}", row.get("key", ""), row.get("split", ""), label)


def rows_of_cells(
    names: Sequence[str], rows: Iterable[Sequence[Any]], *, where: str, columns: Columns, first: int, unit: str
) -> Iterator[LabelRow]:
    """Yield the rows of a table of typed cells; `first` is the number of its first row, `unit` what rows are called."""
    places = _required(names, columns, where=where)
    for number, row in enumerate(rows, start=first):
        cells = {role: row[at] if at < len(row) else None for role, at in places.items()}
        if any(text_of(cell) for cell in cells.values()):
            key, split = text_of(cells.get("key")), text_of(cells.get("split"))
            yield from rows_of_record(f"{unit} {number}", key, split, cells.get("class_id"))


def rows_of_parquet(content: bytes, *, where: str, columns: Columns) -> Iterator[LabelRow]:
    """Yield the rows of a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(io.BytesIO(content))
        names = list(file.schema_arrow.names)
        places = _required(names, columns, where=where)
        chosen = [names[at] for at in sorted(set(places.values()))]
        classes = _class_labels(file.schema_arrow.metadata)
        count = 0
        for batch in file.iter_batches(columns=chosen):
            cells = zip(*(_named(batch.column(name).to_pylist(), classes.get(name)) for name in chosen), strict=True)
            yield from rows_of_cells(chosen, cells, where=where, columns=columns, first=count, unit="row")
            count += batch.num_rows
    except pa.ArrowException as error:
        raise SourceError(f"{where} cannot be read: {error}") from error


def _class_labels(metadata: Mapping[bytes, bytes] | None) -> dict[str, list[str]]:
    """Return the class names of columns that Hugging Face's `datasets` wrote as numbers (ClassLabel)."""
    try:
        features = json.loads((metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        return {name: one["names"] for name, one in features.items() if one.get("_type") == "ClassLabel"}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _named(cells: list[Any], names: Sequence[str] | None) -> list[Any]:
    if names is None:
        return cells
    return [names[cell] if isinstance(cell, int) and 0 <= cell < len(names) else None for cell in cells]


def rows_of_spreadsheet(content: bytes, *, where: str, columns: Columns) -> Iterator[LabelRow]:
    """Yield the rows of the first sheet of a spreadsheet that holds the columns."""
    import python_calamine as calamine

    try:
        book = calamine.CalamineWorkbook.from_filelike(io.BytesIO(content))
        sheets = [book.get_sheet_by_name(name).to_python(skip_empty_area=False) for name in book.sheet_names]
    except (calamine.CalamineError, ValueError) as error:
        raise SourceError(f"{where} cannot be read: {error}. Save it again, or as CSV.") from error
    tables = [rows for rows in sheets if rows]
    headers = [[text_of(cell) for cell in rows[0]] for rows in tables]
    if not tables:
        return iter(())
    fit = [place for place, names in enumerate(headers) if not columns.missing(columns.places(names))]
    at = fit[0] if fit else 0
    return rows_of_cells(headers[at], tables[at][1:], where=where, columns=columns, first=2, unit="row")


def _required(names: Sequence[str], columns: Columns, *, where: str) -> dict[str, int]:
    places = columns.places(names)
    missing = columns.missing(places)
    if missing:
        raise SourceError(f"{where}: {columns.complaint(missing, names)}")
    return places


def _header(reader: Iterator[list[str]]) -> list[str]:
    """Return the first row that holds anything; Excel's `sep=;` goes before it."""
    for row in reader:
        if any(cell.strip() for cell in row) and not "".join(row).lower().startswith("sep="):
            return [cell.strip() for cell in row]
    return []


def _delimiter(text: str, columns: Columns) -> str:
    """Return what separates the columns: what `sep=` names, else what makes most sense of the header."""
    lines = (line for line in io.StringIO(text) if line.strip())
    first = next(lines, "").strip("\r\n")
    if first.lower().startswith("sep=") and len(first) > len("sep="):
        return first[len("sep=")]

    def sense(delimiter: str) -> tuple[int, int]:
        names = next(csv.reader([first], delimiter=delimiter), [])
        return len(columns.places(names)), len(names)

    try:
        return max(_DELIMITERS, key=sense)
    except csv.Error:  # a line that no delimiter makes sense of; the reader says which
        return ","


def _json_cell(cell: str) -> Any:
    try:
        return json.loads(cell)
    except json.JSONDecodeError:
        return cell
