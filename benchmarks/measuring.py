"""What a command takes: seconds, processor time and peak memory, measured from outside; and where it was measured."""

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from vlmine_dagster.resources.ordered import core_count

_KILOBYTE = 1024

# Linux counts what the parent holds into a new process's peak, so a small process stands between the two.
_BETWEEN = """
import os, resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
used = resource.getrusage(resource.RUSAGE_CHILDREN)
os.write(int(sys.argv[1]), f"{used.ru_utime + used.ru_stime} {used.ru_maxrss}".encode())
sys.exit(code if code >= 0 else 128 - code)
"""


@dataclass(frozen=True)
class Cost:
    """What a command took.

    Attributes:
        seconds: Wall-clock time.
        cpu_seconds: Time on processors, of it and of its children; less noisy beside other work.
        peak_mb: Largest resident memory of its largest process, in MB.
        output: What it said.
    """

    seconds: float
    cpu_seconds: float
    peak_mb: float
    output: str = ""


def cost_of(command: Sequence[str], *, env: Mapping[str, str] | None = None, folder: Path | None = None) -> Cost:
    """Run a command and return what it took.

    Raises:
        RuntimeError: it failed; the message holds the end of what it said.
    """
    started = time.perf_counter()
    reading, writing = os.pipe()
    done = subprocess.run(
        [sys.executable, "-S", "-c", _BETWEEN, str(writing), *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env=None if env is None else {**os.environ, **env},
        pass_fds=[writing],
        check=False,
    )
    seconds = time.perf_counter() - started
    os.close(writing)
    with os.fdopen(reading) as report:
        used = report.read().split()
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-3000:]}")
    cpu_seconds, peak = map(float, used)
    return Cost(seconds, cpu_seconds, peak * _KILOBYTE / 1e6, done.stdout)


def own_peak_mb() -> float:
    """Return the peak of resident memory of this process, in MB.

    Not `getrusage`'s, which on Linux begins with what the parent held when it started this process.
    """
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * _KILOBYTE / 1e6


@dataclass(frozen=True)
class Resident:
    """A process and the memory that it holds.

    Attributes:
        pid: Its id.
        mb: Resident memory in MB; what processes share counts for each.
        command: Its command line.
    """

    pid: int
    mb: float
    command: str


def process_tree(pid: int) -> list[Resident]:
    """Return a process and all that descend from it, as far as they are alive (Linux)."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with suppress(OSError):  # it may end meanwhile
                parent = int((folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(folder.name))
    found, left = [], [pid]
    while left:
        one = left.pop()
        left += children.get(one, [])
        with suppress(OSError):
            pages = int(Path(f"/proc/{one}/statm").read_text(encoding="ascii").split()[1])
            command = Path(f"/proc/{one}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            found.append(Resident(one, pages * os.sysconf("SC_PAGE_SIZE") / 1e6, command))
    return found


def in_turns(work: Mapping[str, Callable[[], Cost]], *, rounds: int) -> dict[str, list[Cost]]:
    """Measure several things turn by turn, so that noise hurts all; the first round is dropped."""
    found: dict[str, list[Cost]] = {name: [] for name in work}
    for place in range(rounds + 1):
        for name, measure in work.items():
            cost = measure()
            if place:
                found[name].append(cost)
    return found


def middle(costs: Sequence[Cost]) -> Cost:
    """Return the medians."""
    return Cost(*(median(getattr(cost, name) for cost in costs) for name in ("seconds", "cpu_seconds", "peak_mb")))


def machine(*packages: str) -> str:
    """Return the line that stands above every table: processor, cores, memory, versions."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    python = f"Python {platform.python_version()}"
    return f"{_processor()}, {core_count()} cores, {memory:.0f} GB; {python}{', ' if versions else ''}{versions}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def in_quotes(path: Path) -> str:
    """Return a path as SQL takes it between single quotes."""
    return str(path).replace("'", "''")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a Markdown table; the first column is text, the others numbers."""
    print(f"| {' | '.join(columns)} |")
    print(f"| --- |{' ---: |' * (len(columns) - 1)}")
    for row in rows:
        print(f"| {' | '.join(str(cell) for cell in row)} |")
    sys.stdout.flush()


def took(work: Callable[[], object]) -> tuple[float, float]:
    """Return seconds and processor seconds of some work."""
    started, spent = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - started, time.process_time() - spent


def rates_of(
    ways: Mapping[str, Callable[[], object]], count: int, *, rounds: int
) -> dict[str, list[tuple[float, float]]]:
    """Return items a second and processor milliseconds an item of each way, turn by turn, so that noise hurts all.

    Args:
        ways: Each does the same work on `count` items.
        count: Items.
        rounds: Turns.
    """
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            seconds, cpu_seconds = took(way)
            found[name].append((count / seconds, cpu_seconds / count * 1e3))
    return found
