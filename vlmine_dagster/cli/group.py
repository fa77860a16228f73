"""What every command shares: how errors end it, and the option `--json`."""

import errno
import os
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
_OF_THE_PLACE = {
    errno.EACCES: _NEEDS_RIGHTS,
    errno.EPERM: _NEEDS_RIGHTS,
    errno.EROFS: _NEEDS_RIGHTS,
    errno.ENOSPC: _NEEDS_ROOM,
    errno.EDQUOT: _NEEDS_ROOM,
}
"""What to do where a place, not vlmine, is at fault, by the error's number."""

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
        except OSError as error:
            if error.errno not in _OF_THE_PLACE or error.filename is None:
                raise
            place = os.fsencode(error.filename).decode("utf-8", "backslashreplace")
            print_problem(f"vlmine: {place}: {error.strerror}. {_OF_THE_PLACE[error.errno]}")
            sys.exit(1)
        except KeyboardInterrupt:
            click.echo("Stopped. Finished work is kept.", err=True)
            sys.exit(INTERRUPTED)
