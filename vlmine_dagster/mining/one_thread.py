"""Linear algebra whose threads would wait for each other longer than they work."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from threadpoolctl import threadpool_limits

P = ParamSpec("P")
R = TypeVar("R")


def on_one_thread(function: Callable[P, R]) -> Callable[P, R]:
    """Let numpy's linear algebra use one thread while a function runs.

    Decompositions hand small pieces from thread to thread, and OpenBLAS spins while it waits: beside one busy core the
    eigenvectors of 1,280 features took 12.4 processor seconds on two threads, .6 on one, and on idle cores two threads
    gain a third. Products of large matrices are left alone.
    """

    @wraps(function)
    def alone(*args: P.args, **kwargs: P.kwargs) -> R:
        with threadpool_limits(limits=1, user_api="blas"):
            return function(*args, **kwargs)

    return alone
