"""Processes that tests start."""

from collections.abc import Sequence
from multiprocessing.process import BaseProcess


def run_together(children: Sequence[BaseProcess]) -> list[int | None]:
    """Start processes, wait for all, return their exit codes; none outlives a test that gave up."""
    for child in children:
        child.daemon = True
        child.start()
    try:
        for child in children:
            child.join()
    finally:
        for child in children:
            child.kill()
    return [child.exitcode for child in children]
