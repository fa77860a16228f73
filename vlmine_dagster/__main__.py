"""The `vlmine` program, also as `python -m vlmine_dagster`."""

import gc
import os
import sys
import warnings

from vlmine_dagster.cli.main import main
from vlmine_dagster.domain import secrets


def run() -> None:
    """Run a command and end at once with its status.

    DuckDB's binding prints a page about leaked types when the interpreter is torn down; nothing is left to do then
    that would be worth it.
    """
    gc.set_threshold(50_000, 10, 10)  # importing makes objects by the hundred thousand, none of them garbage: 0.2 s
    if any(action == "error" for action, *_ in warnings.filters):  # PYTHONWARNINGS=error: libraries warn as they load
        warnings.simplefilter("default")
    _open_closed_streams()
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


def _output_problem() -> str | None:
    """Say why what was printed cannot be written, or None; a reader who has seen enough is no problem."""
    failure: OSError | None = getattr(sys.stdout, "failure", None)
    try:
        sys.stdout.flush()
    except OSError as error:
        failure = error
    return None if failure is None or isinstance(failure, BrokenPipeError) else failure.strerror or str(failure)


if __name__ == "__main__":
    run()
