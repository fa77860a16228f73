"""The terminal: the console, foreign text made harmless, tables and JSON."""

import json
import shutil
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import click

from vlmine_dagster.resources.visible import visible_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_WIDE = 160  # columns, where the output is no terminal
SHOWN_FAILURES = 5


def console() -> "Console":
    """Return the console; a pipe gets room enough that nothing is cut."""
    from rich.console import Console

    columns = shutil.get_terminal_size((_WIDE, 24)).columns
    return Console(width=columns, highlight=False)


def plain(text: object) -> str:
    """Make text of unknown origin harmless in a terminal."""
    from rich.markup import escape

    return escape(visible_text(str(text)))


def print_json(value: Any) -> None:
    """Print a value for programs."""
    click.echo(json.dumps(value, default=str))


def table_of(columns: Mapping[str, Literal["left", "right"]], *, title: str | None = None) -> "Table":
    """Return an empty table without lines; `columns` says how each is aligned."""
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name, justify in columns.items():
        table.add_column(name, justify=justify)
    return table


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
