"""Progress of a run in the terminal."""

import time
from contextlib import ExitStack
from typing import Self

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from vlmine_dagster.cli.terminal import console, plain
from vlmine_dagster.resources.progress import ALL_SHARDS, Step, listening


class RunDisplay:
    """Progress of `vlmine run`: one line for what is being made, one that stays for what is done.

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
        self._task = self._progress.add_task("starting", total=None, step="")
        self._overall = self._progress.add_task(ALL_SHARDS, total=None, step="", visible=False)
        self._overall_text = ""
        self._current: str | None = None
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        self._stack.enter_context(self._progress)
        self._stack.enter_context(listening(self._on_step))
        return self

    def __exit__(self, *_: object) -> None:
        self._close_line()
        self._stack.close()

    def on_run(self, assets: str, partition: str) -> None:
        """Begin a line for a Dagster run."""
        self._close_line()
        where = "" if partition == "pool" else f"[dim]{plain(partition)}[/] "
        self._current, self._started = f"{where}{plain(assets)}", time.monotonic()
        self._progress.update(self._task, description=self._current, step="", total=None, completed=0)

    def _on_step(self, step: Step) -> None:
        text = str(step).partition(": ")[2]
        if step.work == ALL_SHARDS:
            self._overall_text = f", {text}"
            self._progress.update(self._overall, total=step.total, completed=step.done, step=text, visible=True)
            return
        self._progress.update(self._task, total=step.total, completed=step.done, step=text)

    def _close_line(self) -> None:
        if self._current is not None and not self._is_quiet:
            seconds = time.monotonic() - self._started
            self._progress.console.print(f"{self._current} [dim]{seconds:.1f} s{self._overall_text}[/]")
        self._current, self._overall_text = None, ""
