"""Progress of long work: a line in the log at a sane rate, and every step to whoever listens."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

ALL_SHARDS = "all shards"
"""The work whose units are shards; each shard has progress of its own."""
_LOG_EVERY_S = 15.0


@dataclass(frozen=True)
class Step:
    """How far some work has come.

    Attributes:
        work: What is done, such as `embeddings[pool/shard-0001]`.
        unit: What is counted, in the plural.
        done: Units done.
        total: Units in all, None where unknown.
        seconds: Time since the start.
        note: More to show: failures, dollars.
        failed: Units that failed.
        cost_usd: US dollars spent.
    """

    work: str
    unit: str
    done: int
    total: int | None
    seconds: float
    note: str = ""
    failed: int = 0
    cost_usd: float = 0.0

    @property
    def rate(self) -> float:
        """Units a second."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    def __str__(self) -> str:
        of = "" if self.total is None else f" of {self.total:,}"
        eta = ""
        if self.total is not None and self.rate > 0 and self.done < self.total:
            eta = f", {duration((self.total - self.done) / self.rate)} left"
        note = f", {self.note}" if self.note else ""
        rate = f"{self.rate:,.0f}" if self.rate >= 10 else f"{self.rate:.2g}"
        return f"{self.work}: {self.done:,}{of} {self.unit}, {rate} {self.unit}/s{eta}{note}"


_STEP = re.compile(
    r"(?P<work>\w+\[.+\]): (?P<done>[\d,]+)(?: of (?P<total>[\d,]+))? (?P<unit>\w+), "
    r"(?P<rate>[\d.,e+-]+) \w+/s(?P<rest>.*)"
)
_COST = re.compile(r"\$([\d.]+)")
_FAILED = re.compile(r"([\d,]+) failed")


def read_step(line: str) -> Step | None:
    """Return the step that a line of the log tells, None where it tells none; what it rounds stays rounded.

    Examples:
        >>> import dataclasses
        >>> step = Step("descriptions[pool/a]", "images", 1300, 4000, 10.0, "about $0.1200, 3 failed", 3, 0.12)
        >>> read_step(str(step)) == dataclasses.replace(step, note="")
        True
        >>> read_step("embeddings are there")
    """
    found = _STEP.fullmatch(line)
    if found is None:
        return None
    done, total = _number(found["done"]), found["total"]
    rate = float(found["rate"].replace(",", ""))
    cost, failed = _COST.search(found["rest"]), _FAILED.search(found["rest"])
    return Step(
        found["work"],
        found["unit"],
        done,
        None if total is None else _number(total),
        done / rate if rate else 0.0,
        failed=0 if failed is None else _number(failed[1]),
        cost_usd=0.0 if cost is None else float(cost[1]),
    )


def _number(text: str) -> int:
    return int(text.replace(",", ""))


Listener = Callable[[Step], None]
_listener: ContextVar[Listener | None] = ContextVar("vlmine_progress", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Send every step of the work within to a listener."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


class Progress:
    """Counts work.

    Args:
        work: What is done.
        log: A logger, or None.
        total: Units in all, None where unknown.
        unit: What is counted, in the plural.
    """

    def __init__(self, work: str, *, log: Any = None, total: int | None = None, unit: str = "images"):
        self._work, self._log, self._total, self._unit = work, log, total, unit
        self._started = self._logged = time.monotonic()
        self._done = 0

    @property
    def rate(self) -> float:
        """Units a second since the start."""
        return round(self._done / max(time.monotonic() - self._started, 1e-9), 1)

    def add(self, count: int, note: str = "", *, failed: int = 0, cost_usd: float = 0.0) -> None:
        """Report that `count` more units are done.

        Args:
            count: Units.
            note: More to show.
            failed: Units that have failed so far.
            cost_usd: US dollars spent so far.
        """
        self._done += count
        now = time.monotonic()
        seconds = now - self._started
        step = Step(self._work, self._unit, self._done, self._total, seconds, note, failed, cost_usd)
        listener = _listener.get()
        if listener is not None:
            listener(step)
        if self._log is not None and now - self._logged >= _LOG_EVERY_S:
            self._logged = now
            self._log.info(str(step))


def duration(seconds: float) -> str:
    """Return a time for people.

    Examples:
        >>> duration(3725)
        '1 h 02 min'
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
