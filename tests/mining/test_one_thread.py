"""Decompositions run on one thread."""

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from vlmine_dagster.mining import main_axes as of_axes
from vlmine_dagster.mining.one_thread import on_one_thread


def _blas_threads():
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}


def test_a_function_on_one_thread_leaves_the_threads_of_others_as_they_were():
    np.eye(2) @ np.eye(2)
    with threadpool_limits(limits=2, user_api="blas"):
        assert on_one_thread(_blas_threads)() == {1}
        assert _blas_threads() == {2}


def test_main_axes_are_found_on_one_thread(monkeypatch):
    seen = []
    eigh = np.linalg.eigh
    monkeypatch.setattr(np.linalg, "eigh", lambda matrix: (seen.append(_blas_threads()), eigh(matrix))[1])
    with threadpool_limits(limits=2, user_api="blas"):
        of_axes.main_axes(np.random.default_rng(0).normal(size=(50, 4)))
    assert seen == [{1}]
