"""The `vlmine` program, also as `python -m vlmine_dagster`."""

import gc
import os
import resource
import sys
import warnings
from contextlib import suppress

from vlmine_dagster.cli.main import main
from vlmine_dagster.domain import secrets

_OPEN_FILES = 4096


def run() -> None:
    """Run a command and end at once with its status.

    DuckDB's binding prints a page about leaked types when the interpreter is torn down; nothing is left to do then
    that would be worth it.
    """
    gc.set_threshold(50_000, 10, 10)  # importing makes objects by the hundred thousand, none of them garbage: 0.2 s
    if any(action == "error" for action, *_ in warnings.filters):  # PYTHONWARNINGS=error: libraries warn as they load
        warnings.simplefilter("default")
    _open_closed_streams()
    _open_more_files()
    secrets.install(has_streams=True)
    status: object = 0
    try:
        main(prog_name="vlmine")
    except SystemExit as leaving:
        status = leaving.code
    except OSError as error:
        if error is not getattr(sys.stdout, "failure", None):
            raise
    if (problem := _output_problem()) is not None:
        sys.stderr.write(f"vlmine: the output cannot be written: {problem}. Make room, or send it elsewhere.\n")
        status = 1
    sys.stderr.flush()
    os._exit(status if isinstance(status, int) else int(status is not None))


def _open_closed_streams() -> None:
    """Give a program whose output or errors are closed, as by `>&-`, some that lead nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - till the process ends


def _open_more_files() -> None:
    """Let a process open as many files as it may, up to 4,096: macOS and some containers begin with 256 or fewer."""
    given, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if most == resource.RLIM_INFINITY else min(_OPEN_FILES, most)
    if given != resource.RLIM_INFINITY and given < wanted:
        with suppress(OSError, ValueError):  # some systems allow less than they say
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _output_problem() -> str | None:
    """Say why what was printed cannot be written, or None; a reader who has seen enough is not a problem."""
    failure: OSError | None = getattr(sys.stdout, "failure", None)
    try:
        sys.stdout.flush()
    except OSError as error:
        failure = error
    return None if failure is None or isinstance(failure, BrokenPipeError) else failure.strerror or str(failure)


if __name__ == "__main__":
    run()
