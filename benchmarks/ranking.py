"""Non-dominated fronts: ours against moocore, pymoo and paretoset on the same points, turn by turn in one run.

Two signals are ranked by moocore here too.

    python -m benchmarks.ranking --points 10000 --points 100000 --signals 2 --signals 3 --signals 6
    python -m benchmarks.ranking --kind independent --kind anticorrelated

pymoo and paretoset (`pip install -c constraints.txt -e '.[bench]'`) compare points in pairs, and are left out above
`--peer-points`. paretoset knows only the first front: it is taken away, and asked again. All must find the same fronts.
"""

import importlib.util
import time
from collections.abc import Callable, Mapping
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from benchmarks.measuring import machine, print_table
from vlmine_dagster.mining.pareto import non_dominated_fronts

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Ranker = Callable[[Floats], Integers]


def signals_that_agree(count: int, width: int, noise: float = 1.0) -> Floats:
    """Draw signals that share a part and add noise of their own, the first one tied like image counts are."""
    draw = np.random.default_rng(count + width)
    return _tied(draw.normal(size=(count, 1)) + noise * draw.normal(size=(count, width)))


def independent_signals(count: int, width: int, _noise: float = 1.0) -> Floats:
    """Draw signals that know nothing of each other: fronts are few and large, and more signals make them larger."""
    return _tied(np.random.default_rng(count + width).normal(size=(count, width)))


def anticorrelated_signals(count: int, width: int, noise: float = 1.0) -> Floats:
    """Draw signals whose sum hardly differs between images, so that who is good in one is bad in the others."""
    draw = np.random.default_rng(count + width)
    points = draw.normal(size=(count, width))
    return _tied(points - points.mean(axis=1, keepdims=True) + 0.1 * noise * draw.normal(size=(count, 1)))


def _tied(points: Floats) -> Floats:
    points[:, 0] = 1 / np.ceil(np.exp(4 - 2 * points[:, 0]))
    return points


KINDS: Mapping[str, Callable[[int, int, float], Floats]] = {
    "agreeing": signals_that_agree,
    "independent": independent_signals,
    "anticorrelated": anticorrelated_signals,
}
"""How signals go together, the most favourable to mining first."""


def by_moocore(points: Floats) -> Integers:
    """Rank by moocore alone."""
    import moocore

    return np.asarray(moocore.pareto_rank(points, maximise=True), dtype=np.int64) + 1


def by_pymoo(points: Floats) -> Integers:
    """Rank by pymoo's efficient non-dominated sort (ENS)."""
    from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

    _, rank = NonDominatedSorting(method="efficient_non_dominated_sort").do(-points, return_rank=True)
    return np.asarray(rank, dtype=np.int64) + 1


def by_paretoset(points: Floats) -> Integers:
    """Peel fronts off by paretoset; equal points are told to share one."""
    from paretoset import paretoset

    fronts = np.zeros(len(points), np.int64)
    left, front = np.arange(len(points)), 0
    while len(left):
        front += 1
        is_best = paretoset(points[left], sense=["max"] * points.shape[1], distinct=False)
        fronts[left[is_best]] = front
        left = left[~is_best]
    return fronts


PEERS: Mapping[str, Ranker] = {"pymoo": by_pymoo, "paretoset": by_paretoset}
"""Efficient non-dominated sort, and peeling."""


def is_installed(library: str) -> bool:
    """Whether a library can be imported."""
    return importlib.util.find_spec(library) is not None


def seconds_of(ranker: Ranker, points: Floats, expected: Integers | None) -> tuple[float, float, Integers]:
    """Return processor seconds, wall seconds and fronts.

    Raises:
        SystemExit: the fronts are not the expected ones.
    """
    waiting, started = time.perf_counter(), time.process_time()
    fronts = ranker(points)
    seconds, waited = time.process_time() - started, time.perf_counter() - waiting
    if expected is not None and not np.array_equal(fronts, expected):
        raise SystemExit(f"{ranker.__name__} finds other fronts")
    return seconds, waited, fronts


def compare(
    count: int, width: int, *, kind: str = "agreeing", noise: float = 1.0, rounds: int, peer_points: int
) -> list[Any]:
    """Return a row of the table: medians of processor seconds and of wall time, and our ratio to moocore in both."""
    points = KINDS[kind](count, width, noise)
    ours, bare, waited, waited_bare = [], [], [], []
    for _ in range(rounds):
        seconds, wall, fronts = seconds_of(non_dominated_fronts, points, None)
        ours.append(seconds)
        waited.append(wall)
        seconds, wall, _ = seconds_of(by_moocore, points, fronts)
        bare.append(seconds)
        waited_bare.append(wall)
    peers = []
    for name, ranker in PEERS.items():
        if count > peer_points:
            peers.append("not tried")
        elif not is_installed(name):
            peers.append("not installed")
        else:
            peers.append(f"{seconds_of(ranker, points, fronts)[0]:.2f}")
    mine, theirs = float(np.median(ours)), float(np.median(bare))
    ratio = f"{mine / theirs:.2f}" if theirs else "-"
    both = f"{np.median(waited):.2f} / {np.median(waited_bare):.2f}"
    return [f"{count:,} x {width}, {kind}", int(fronts.max()), f"{mine:.2f}", f"{theirs:.2f}", ratio, both, *peers]


@click.command()
@click.option("--points", "counts", multiple=True, type=int, default=(10_000, 100_000), show_default=True)
@click.option("--signals", "widths", multiple=True, type=int, default=(2, 3, 4, 6), show_default=True)
@click.option(
    "--kind", "kinds", multiple=True, type=click.Choice(list(KINDS)), default=("agreeing",), show_default=True
)
@click.option("--noise", default=1.0, show_default=True, help="What is a signal's own, in units of what all share.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--peer-points", default=10_000, show_default=True, help="The most that pymoo and paretoset are asked.")
def main(
    *,
    counts: tuple[int, ...],
    widths: tuple[int, ...],
    kinds: tuple[str, ...],
    noise: float,
    rounds: int,
    peer_points: int,
) -> None:
    """Print a Markdown table of processor seconds."""
    there = [name for name in PEERS if is_installed(name)]
    for ranker in (non_dominated_fronts, by_moocore, *(PEERS[name] for name in there)):
        ranker(signals_that_agree(50, 3))  # imports and compilation are not counted
    print(f"{machine('moocore', 'numpy', *there)}; processor seconds, median of {rounds}\n")
    rows = [
        compare(count, width, kind=kind, noise=noise, rounds=rounds, peer_points=peer_points)
        for kind in kinds
        for count in counts
        for width in widths
    ]
    heads = ("points x signals", "fronts", "vlmine", "moocore", "vlmine / moocore", "wall s, vlmine / moocore", *PEERS)
    print_table(heads, rows)


if __name__ == "__main__":
    main()
