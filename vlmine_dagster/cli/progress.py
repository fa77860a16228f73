"""Progress of a run in the terminal."""

import time
from contextlib import ExitStack
from typing import Self

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from vlmine_dagster.cli.terminal import console, plain
from vlmine_dagster.resources.progress import ALL_SHARDS, Step, listening

_TELL_EVERY_S = 30.0  # where no line can be drawn again: in a file, in the log of a container


class RunDisplay:
    """Progress of `vlmine run`: a line for each run at work, one for all of them, one that stays for what is done.

    Args:
        is_quiet: Show nothing.
    """

    def __init__(self, *, is_quiet: bool):
        self._is_quiet = is_quiet
        self._stack = ExitStack()
        out = console()
        self._progress = Progress(
            SpinnerColumn("line" if out.options.ascii_only else "dots"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[step]}"),
            console=out,
            transient=True,
            disable=is_quiet,
        )
        self._tasks = {0: self._progress.add_task("starting", total=None, step="")}
        self._overall = self._progress.add_task(ALL_SHARDS, total=None, step="", visible=False)
        self._shards: Step | None = None
        self._totals = Totals()
        self._lines: dict[int, tuple[str, float]] = {}
        self._done: list[str] = []
        self._told_at = time.monotonic()

    def __enter__(self) -> Self:
        self._stack.enter_context(self._progress)
        self._stack.enter_context(listening(self._on_step))
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is None:  # otherwise what was at work is not done
            for place in list(self._lines):
                self.on_done(place)
        self._print_done()
        self._stack.close()

    def on_run(self, assets: str, partition: str, place: int = 0) -> None:
        """Begin a line for a Dagster run."""
        self.on_done(place)
        self._print_done()
        where = "" if partition == "pool" else f"[dim]{plain(partition)}[/] "
        text = f"{where}{plain(assets)}"
        self._lines[place] = text, time.monotonic()
        if place not in self._tasks:
            self._tasks[place] = self._progress.add_task(text, total=None, step="")
        self._progress.update(self._tasks[place], description=text, step="", total=None, completed=0, visible=True)

    def on_step(self, step: Step, place: int = 0) -> None:
        """Show how far the run at a place has come."""
        self._totals.add(step, place)
        text = str(step).partition(": ")[2]
        self._progress.update(self._tasks[place], total=step.total, completed=step.done, step=text)
        self._show_overall()
        if not self._progress.console.is_terminal and time.monotonic() - self._told_at > _TELL_EVERY_S:
            self._told_at = time.monotonic()
            self._say(f"[dim]{plain(step)}[/]")

    def on_wait(self, reason: str, place: int = 0) -> None:
        """Print why a run waits."""
        if place in self._lines:
            self._say(f"[dim]{self._lines[place][0]} is {plain(reason)}[/]")

    def on_done(self, place: int = 0) -> None:
        """End the line of a place; it is printed with how far all have come, which is known a moment later."""
        if place in self._lines:
            text, started = self._lines.pop(place)
            self._done.append(f"{text} [dim]{time.monotonic() - started:.1f} s")
            self._progress.update(self._tasks[place], visible=place == 0)
        self._totals.leave(place)

    def _on_step(self, step: Step) -> None:
        if step.work != ALL_SHARDS:
            self.on_step(step)
            return
        self._shards = step
        self._show_overall()

    def _show_overall(self) -> None:
        if self._shards is not None:
            total, done = self._shards.total, self._shards.done
            self._progress.update(self._overall, total=total, completed=done, step=self._overall_text, visible=True)

    @property
    def _overall_text(self) -> str:
        return ", ".join(filter(None, [str(self._shards).partition(": ")[2], str(self._totals)]))

    def _print_done(self) -> None:
        overall = "" if self._shards is None else f", {self._overall_text}"
        for line in self._done:
            self._say(f"{line}{overall}[/]")
        if self._done and self._shards is not None and self._shards.done == self._shards.total:
            self._shards = None
            self._progress.update(self._overall, visible=False)
        self._done = []

    def _say(self, line: str) -> None:
        if not self._is_quiet:
            self._progress.console.print(line)


class Totals:
    """Sums over all runs: how fast they are now, what they cost and how much has failed so far."""

    def __init__(self) -> None:
        self._cost_usd, self._failed = 0.0, 0
        self._at_work: dict[int, Step] = {}

    def add(self, step: Step, place: int) -> None:
        """Take how far the run at a place has come."""
        if place in self._at_work and self._at_work[place].work != step.work:
            self.leave(place)
        self._at_work[place] = step

    def leave(self, place: int) -> None:
        """Keep the sums of a place at which nothing runs any more."""
        step = self._at_work.pop(place, None)
        if step is not None:
            self._cost_usd += step.cost_usd
            self._failed += step.failed

    def __str__(self) -> str:
        rates: dict[str, float] = {}
        for step in self._at_work.values():
            rates[step.unit] = rates.get(step.unit, 0.0) + step.rate
        parts = [f"{rate:,.0f} {unit}/s" for unit, rate in rates.items() if rate >= 0.5]
        cost_usd = self._cost_usd + sum(step.cost_usd for step in self._at_work.values())
        failed = self._failed + sum(step.failed for step in self._at_work.values())
        more = [f"${cost_usd:.4f}"] if cost_usd else []
        return ", ".join([*parts, *more, *([f"{failed:,} failed"] if failed else [])])
