"""The `vlmine` program, also as `python -m vlmine_dagster`."""

import gc
import os
import sys

from vlmine_dagster.cli.main import main
from vlmine_dagster.domain import secrets


def run() -> None:
    """Run a command and end at once with its status.

    DuckDB's binding prints a page about leaked types when the interpreter is torn down; nothing is left to do then
    that would be worth it.
    """
    gc.set_threshold(50_000, 10, 10)  # importing makes objects by the hundred thousand, none of them garbage: 0.2 s
    secrets.install(has_streams=True)
    status: object = 0
    try:
        main(prog_name="vlmine")
    except SystemExit as leaving:
        status = leaving.code
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status if isinstance(status, int) else int(status is not None))


if __name__ == "__main__":
    run()
