"""What every command shares: how errors end it, and the option `--json`."""

import errno
import os
import sqlite3
import sys
from typing import Any

import click

from vlmine_dagster.cli.terminal import prepare_streams, print_problem
from vlmine_dagster.domain.errors import VlmineError
from vlmine_dagster.domain.secrets import masked

INTERRUPTED = 130
"""Exit status of a command that Ctrl-C ended, as shells have it."""

_NEEDS_RIGHTS = "Give this user the right to it, or work in another folder; VLMINE_HOME moves what vlmine writes."
_NEEDS_ROOM = "Make room, or set VLMINE_HOME to a folder on another disk."
_NEEDS_FILES = "Allow more open files: `ulimit -n 4096`."
_OF_THE_PLACE = {
    errno.EACCES: _NEEDS_RIGHTS,
    errno.EPERM: _NEEDS_RIGHTS,
    errno.EROFS: _NEEDS_RIGHTS,
    errno.ENOSPC: _NEEDS_ROOM,
    errno.EDQUOT: _NEEDS_ROOM,
    errno.EFBIG: "Raise `ulimit -f`, or set VLMINE_HOME to a folder on another disk.",
    errno.EMFILE: _NEEDS_FILES,
    errno.ENFILE: _NEEDS_FILES,
}
"""What to do where a place, not vlmine, is at fault, by the error's number."""
_TELLING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EMFILE, errno.ENFILE)
"""Numbers that say enough without the name of a file."""
_OF_SQLITE = {
    "disk is full": _NEEDS_ROOM,
    "disk I/O error": f"{_NEEDS_ROOM} SQLite cannot lock files on some network disks.",
    "readonly database": _NEEDS_RIGHTS,
    "unable to open database file": _NEEDS_RIGHTS,
}
"""The same by what SQLite says."""

as_json = click.option("--json", "is_json", is_flag=True, help="Print JSON instead of a table.")


class ErrorReportingGroup(click.Group):
    """Prints our own errors, and those of a disk, as one line and leaves with 1; leaves with 130 after Ctrl-C."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for."""
        prepare_streams()
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            error.__dict__["message"] = masked(error.message)  # final for whoever inherits, not for what is shown
            raise
        except VlmineError as error:
            print_problem(f"vlmine: {error}")
            sys.exit(1)
        except KeyboardInterrupt:
            click.echo("Stopped. Finished work is kept.", err=True)
            sys.exit(INTERRUPTED)
        except Exception as error:
            problem = place_problem(error)
            if problem is None or error is getattr(sys.stdout, "failure", None):
                raise
            print_problem(f"vlmine: {problem}")
            sys.exit(1)


def place_problem(error: BaseException) -> str | None:
    """Say that a place cannot be used, and what to do; None where an error and its causes are about something else.

    Libraries wrap what the system says: SQLite's errors come by SQLAlchemy, and those by Dagster and MLflow.
    """
    seen: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and one not in seen:
        seen.append(one)
        if (
            isinstance(one, OSError)
            and one.errno in _OF_THE_PLACE
            and (one.filename is not None or one.errno in _TELLING)
        ):
            place = "" if one.filename is None else os.fsencode(one.filename).decode("utf-8", "backslashreplace") + ": "
            return masked(f"{place}{one.strerror}. {_OF_THE_PLACE[one.errno]}")
        if isinstance(one, sqlite3.Error):
            advice = next((advice for words, advice in _OF_SQLITE.items() if words in str(one)), None)
            if advice is not None:
                return masked(f"{one}. {advice}")
        one = one.__cause__ or one.__context__
    return None
