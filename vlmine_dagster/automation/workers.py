"""Several shards at once on this machine: processes, each of which makes one run after the other."""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection as pipes
from multiprocessing import get_context, parent_process
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

import dagster as dg

from vlmine_dagster.automation.dead_runs import fail_runs_of
from vlmine_dagster.automation.execution import Maker, Report, Watcher, Work
from vlmine_dagster.engine.stage import WORKER_TAG
from vlmine_dagster.resources.progress import Step

_PATIENCE_S = 20.0  # for a step that a signal asks to end
_STEP_EVERY_S = 0.1
_TRIES = 2
# Imported once, by the server that processes are forked from: each would spend seconds on it otherwise.
_PRELOADED = [
    "great_expectations.expectations",
    "great_expectations.render.renderer.site_builder",
    "vlmine_dagster.automation.history",
    "vlmine_dagster.automation.jobs",
    "vlmine_dagster.resources.extraction",
]


@dataclass
class _Worker:
    """A process and its end of the pipe.

    Attributes:
        process: The process.
        pipe: Sends work, receives steps and reports.
        work: What it is making, None while it waits.
        tries: How many processes have begun that work.
    """

    process: Any
    pipe: Any
    work: Work | None = None
    tries: int = 1


class Workers:
    """Makes as many runs at once as there are processes.

    A process is started when the first run needs it and lives as long as the command, so that weights load once. Where
    the machine has several GPUs, each process sees one of them. Ctrl-C reaches this process alone, which ends the
    others; they also end when it is gone. A run whose process was killed is made again by another, once.

    Args:
        settings_file: `vlmine.yaml`.
        count: Processes.
        instance: Dagster's instance; the processes open the same one.
        watcher: Receives what happens.
    """

    def __init__(self, settings_file: str, count: int, *, instance: dg.DagsterInstance, watcher: Watcher):
        self.places = count
        self._settings_file = settings_file
        self._instance = instance
        self._watcher = watcher
        self._workers: list[_Worker | None] = [None] * count
        self._handler: Any = None
        self._is_stopping = False
        self._context = get_context("forkserver")

    def __enter__(self) -> Self:
        self._context.set_forkserver_preload(_PRELOADED)
        if threading.current_thread() is threading.main_thread():
            self._handler = signal.signal(signal.SIGTERM, _interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in filter(None, self._workers):
            with suppress(OSError):
                worker.pipe.send(None)
        deadline = time.monotonic() + _PATIENCE_S
        for worker in filter(None, self._workers):
            worker.process.join(max(0.0, deadline - time.monotonic()))
            worker.process.kill()
            worker.pipe.close()
        self._workers = [None] * self.places
        if self._handler is not None:
            signal.signal(signal.SIGTERM, self._handler)

    def start(self, work: Work) -> None:
        """Give a run to a process that waits for one."""
        place = next(place for place, worker in enumerate(self._workers) if worker is None or worker.work is None)
        self._give(place, work, tries=1)

    def _give(self, place: int, work: Work, *, tries: int) -> None:
        worker = self._workers[place] or self._begun(place)
        self._workers[place] = worker
        worker.work, worker.tries = work, tries
        self._watcher.on_run(work.names, work.where, place)
        with suppress(OSError):  # it has died meanwhile: `wait` notices
            worker.pipe.send(work)

    def _begun(self, place: int) -> _Worker:
        ours, theirs = self._context.Pipe()
        environment = {**os.environ, **_own_device(place)}
        process = self._context.Process(target=_serve, args=(self._settings_file, environment, theirs), daemon=True)
        process.start()
        theirs.close()
        return _Worker(process, ours)

    def wait(self) -> tuple[Work, Report]:
        """Pass steps on until a run ends."""
        while True:
            ended = self._next_ended(None)
            if ended is not None:
                return ended

    def _next_ended(self, patience_s: float | None) -> tuple[Work, Report] | None:
        """Look at all that the processes have sent; return the first run that has ended, if any has."""
        busy = {worker.pipe: place for place, worker in enumerate(self._workers) if worker is not None and worker.work}
        ready: list[Any] = pipes.wait(list(busy), patience_s)
        for pipe in ready:
            place = busy[pipe]
            try:
                what, content = pipe.recv()
            except (EOFError, OSError):
                ended = self._lost(place)
                if ended is not None:
                    return ended
                continue
            if what == "step":
                self._watcher.on_step(content, place)
                continue
            return self._ended(place, what, content)
        return None

    def _ended(self, place: int, what: str, content: Any) -> tuple[Work, Report]:
        worker = self._workers[place]
        if worker is None or worker.work is None:
            raise RuntimeError("a process reports work that it was not given")
        work, worker.work = worker.work, None
        self._watcher.on_done(place)
        if what == "error":
            raise content
        return work, content

    def _lost(self, place: int) -> tuple[Work, Report] | None:
        """Begin the work of a process that is gone once more, or report it as failed."""
        worker = self._workers[place]
        if worker is None or worker.work is None:
            return None
        self._workers[place] = None
        worker.process.join(_PATIENCE_S)
        end = _end_of(worker.process.exitcode)
        made = fail_runs_of(self._instance, worker_name(worker.process.pid), f"The process that made this {end}.")
        work = worker.work
        if self._is_stopping:
            return work, Report(materialized=made, is_interrupted=True)
        if worker.tries < _TRIES:
            self._give(place, work, tries=worker.tries + 1)
            return None
        self._watcher.on_done(place)
        reason = (
            f"{work.names}[{work.where}]: the process that made this {end}, {_TRIES} times. If memory is short, run "
            f"with fewer workers or smaller shards."
        )
        return work, Report(materialized=made, failures=[(work.assets[0], reason)])

    def stop(self) -> list[tuple[Work, Report]]:
        """Ask every process to end its step, and wait for what came of it."""
        self._is_stopping = True
        for worker in filter(None, self._workers):
            if worker.work is not None and worker.process.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(worker.process.pid, signal.SIGINT)
        found: list[tuple[Work, Report]] = []
        deadline = time.monotonic() + _PATIENCE_S
        while any(worker is not None and worker.work for worker in self._workers) and time.monotonic() < deadline:
            ended = self._next_ended(_STEP_EVERY_S)
            if ended is not None:
                found.append(ended)
        for worker in filter(None, self._workers):
            if worker.work is not None:
                worker.process.kill()
                worker.process.join()
                fail_runs_of(self._instance, worker_name(worker.process.pid), "`vlmine run` was stopped.")
        return found


def worker_name(process_id: int | None) -> str:
    """Return what the runs of a process are tagged with."""
    return f"{socket.gethostname()}:{process_id}"


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _end_of(code: int | None) -> str:
    if code is not None and code < 0:
        return f"was killed by signal {-code}"
    return f"ended with status {code}"


def _own_device(place: int) -> Mapping[str, str]:
    """Return the variable that shows a process one GPU of several, by turns."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    folder = Path("/proc/driver/nvidia/gpus")
    count = len(list(folder.iterdir())) if given is None and folder.is_dir() else 0
    devices = [str(number) for number in range(count)] if given is None else [d for d in given.split(",") if d]
    return {"CUDA_VISIBLE_DEVICES": devices[place % len(devices)]} if len(devices) > 1 else {}


def _serve(settings_file: str, environment: Mapping[str, str], pipe: Any) -> None:
    """Make runs until nobody asks for more; the body of a process."""
    os.setpgid(0, 0)  # Ctrl-C in the terminal reaches the asking process alone
    os.environ.clear()
    os.environ.update(environment)
    with suppress(KeyboardInterrupt):
        threading.Thread(target=_end_with_parent, daemon=True).start()
        try:
            _make_all(settings_file, pipe)
        except (EOFError, OSError):
            pass  # who asked is gone
        except Exception as error:
            pipe.send(("error", error))
    sys.stderr.flush()
    os._exit(0)


def _make_all(settings_file: str, pipe: Any) -> None:
    from vlmine_dagster.automation.history import open_instance, quiet_libraries
    from vlmine_dagster.domain import secrets
    from vlmine_dagster.settings.project import Project

    secrets.install()
    work = pipe.recv()
    project = Project.load(settings_file or None)
    tags = {WORKER_TAG: worker_name(os.getpid())}
    with quiet_libraries(), open_instance(project) as instance, _steps_sent(pipe):
        maker = Maker(project, settings_file, instance)
        while work is not None:
            pipe.send(("report", maker.make(work, tags=tags)))
            work = pipe.recv()


@contextmanager
def _steps_sent(pipe: Any) -> Iterator[None]:
    from vlmine_dagster.resources.progress import listening

    with listening(seldom(lambda step: pipe.send(("step", step)))):
        yield


def seldom(tell: Callable[[Step], None]) -> Callable[[Step], None]:
    """Return a listener that passes ten steps a second on, and the last of each work."""
    told_at = 0.0

    def listen(step: Step) -> None:
        nonlocal told_at
        now = time.monotonic()
        if step.done == step.total or now - told_at >= _STEP_EVERY_S:
            told_at = now
            tell(step)

    return listen


def _end_with_parent() -> None:
    """End when the process that asks is gone: kindly first."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(_PATIENCE_S)
        os._exit(1)
