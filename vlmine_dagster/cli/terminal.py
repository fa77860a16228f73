"""The terminal: what it can show, foreign text made harmless, tables and JSON."""

import codecs
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import click

from vlmine_dagster.resources.visible import visible_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

SHOWN_FAILURES = 5
_NARROWEST = 40  # columns
_LEAST_TEXT = 24  # columns that the longest word of a text keeps in a table, however narrow the terminal
_USUAL = 80  # columns, where a terminal does not say how many it has: those that containers and recorders make
_UNLIMITED = 100_000  # columns, where the output is not a terminal
_SHORTEST_NAME = 24
_SPELLED = str.maketrans({"…": "...", "·": "-", "±": "+-", "×": "x", "–": "-", "—": "-", "→": "->", "’": "'"})  # noqa: RUF001
_ENCODING_ERRORS = "vlmine"


def prepare_streams() -> None:
    """Let output never fail on a character that the terminal's encoding lacks: it is spelled out."""
    codecs.register_error(_ENCODING_ERRORS, _spell)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_ENCODING_ERRORS)


def _spell(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(_SPELLED)
    return text.encode("ascii", "backslashreplace").decode("ascii"), error.end


def console() -> "Console":
    """Return the console. Outside a terminal, unless COLUMNS limits it, nothing is wrapped or cut."""
    from rich.console import Console

    return Console(width=_width(), highlight=False)


def _width() -> int:
    usual = _USUAL if getattr(sys.stdout, "isatty", bool)() else _UNLIMITED
    return max(_NARROWEST, shutil.get_terminal_size((usual, 24)).columns)


def plain(text: object) -> str:
    """Make text of unknown origin harmless in a terminal."""
    from rich.markup import escape

    return escape(visible_text(str(text)))


def short_name(text: str) -> str:
    """Leave out the middle of a name that would take more than two fifths of the terminal.

    The end stays, by which `vlmine explain` finds an image.
    """
    limit = max(_SHORTEST_NAME, _width() * 2 // 5)
    if len(text) <= limit:
        return text
    head = limit // 3
    return f"{text[:head]}…{text[head + 1 - limit :]}"


def print_problem(text: str, *, colour: str = "red") -> None:
    """Print a problem to standard error, in colour where the terminal has and wants any."""
    is_plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    click.secho(visible_text(text), fg=None if is_plain else colour, err=True)


def print_look(text: str) -> None:
    """Print what someone should look at, though nothing failed."""
    console().print(f"[yellow]look[/]    {plain(text)}")


def print_json(value: Any) -> None:
    """Print a value for programs."""
    click.echo(json.dumps(value, default=str))


def table_of(columns: Mapping[str, Literal["left", "right"]], *, title: str | None = None) -> "Table":
    """Return an empty table without lines; `columns` aligns each: text to the left, numbers to the right."""
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name, justify in columns.items():
        table.add_column(name, justify=justify, overflow="fold", no_wrap=justify == "right")
    return table


def print_table(table: "Table") -> None:
    """Print a table, its text columns squeezed into the terminal's width; numbers are never broken.

    Where that is still too wide, the terminal wraps the lines; Rich would leave out columns instead. Lines end with
    their text: the spaces after it, as many as the longest cell, would be wrapped into empty lines by what shows logs.
    """
    out = console()
    sizes = [[out.measure(cell) for cell in (column.header, *column.cells)] for column in table.columns]
    widest = [max(size.maximum for size in cells) for cells in sizes]
    least = [
        full if column.no_wrap else min(max(size.minimum for size in cells), _LEAST_TEXT)
        for column, cells, full in zip(table.columns, sizes, widest, strict=True)
    ]
    gaps = 2 * (len(widest) - 1)
    for column, width in zip(table.columns, _squeezed(widest, least, out.width - gaps), strict=True):
        column.width = width
    out.width = max(out.width, sum(column.width or 0 for column in table.columns) + gaps)
    with out.capture() as drawn:
        out.print(table)
    click.echo("\n".join(line.rstrip() for line in drawn.get().splitlines()), color=True)


def _squeezed(widest: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Return widths that fit into the room as far as none falls below its least; the widest give way first."""
    widths = list(widest)
    while sum(widths) > room:
        place = max(range(len(widths)), key=lambda k: (widths[k] > least[k], widths[k]))
        if widths[place] <= least[place]:
            break
        widths[place] -= 1
    return widths


def grid(title: str, rows: Sequence[Mapping[str, str]]) -> "Table":
    """Return rows of one set of columns as a table; the first column is a name, the others are numbers."""
    names = [plain(name) for name in (rows[0] if rows else ())]
    table = table_of({name: "right" if place else "left" for place, name in enumerate(names)}, title=plain(title))
    for row in rows:
        table.add_row(*(plain(cell) for cell in row.values()))
    return table


def print_sentences(sentences: Sequence[str]) -> None:
    """Print a line per sentence, marked as an item of a list."""
    for sentence in sentences:
        console().print(f"- {plain(sentence)}")


def print_more_failures(out: "Console", asset: str, failure_count: int) -> None:
    """Say how many failures of an asset are not shown, and where all are."""
    if failure_count > SHOWN_FAILURES:
        out.print(f"  and {failure_count - SHOWN_FAILURES:,} more of {plain(asset)}: `vlmine status --json`")
