"""Servers as processes of one command: started side by side, waited for, and ended together."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from vlmine_dagster.domain.errors import ConfigError

_START_S = 300.0
_STOP_S = 10.0
_LOOK_EVERY_S = 0.1
_WATCH_S = 1.0


class NotStartedError(Exception):
    """A server ended before it was up; the text says which, its last line, and where its log is."""


@dataclass(frozen=True)
class Server:
    """A process of a command.

    Attributes:
        name: For people, and of its log.
        command: Its command line after the interpreter.
        address: Where it listens: (host, port), or the path of a socket; None for one that listens nowhere.
    """

    name: str
    command: Sequence[str]
    address: tuple[str, int] | str | None


class Servers:
    """Processes that end together; a signal to end comes to all of them.

    Args:
        environment: Of every process.
        logs: Folder of their logs.
    """

    def __init__(self, environment: Mapping[str, str], logs: Path):
        self._environment, self._logs = dict(environment), logs
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.is_stopped = False
        """Whether a signal asked to end."""

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        stop(list(self._processes.values()))

    def _on_signal(self, _number: int, _frame: object) -> None:
        self.is_stopped = True

    def start(self, server: Server) -> None:
        """Start a server, unless a signal to end has come."""
        if self.is_stopped:
            return
        # Each gets a process group of its own: servers have children that outlive a signal to the parent.
        with self._log(server).open("wb") as output:
            self._processes[server.name] = subprocess.Popen(  # noqa: S603 - our own command line
                [sys.executable, *server.command],
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_for(self, server: Server) -> None:
        """Wait until a server that was started listens, or until a signal to end comes.

        Raises:
            NotStartedError: it ended, or took too long.
        """
        deadline = time.monotonic() + _START_S
        while not self.is_stopped and not _listens(server.address):
            if self._processes[server.name].poll() is not None or time.monotonic() > deadline:
                raise NotStartedError(self._last_words(server))
            time.sleep(_LOOK_EVERY_S)

    def finish(self, job: Server) -> None:
        """Wait until a process has done its work; or until a signal to end comes.

        Raises:
            NotStartedError: it failed.
        """
        while not self.is_stopped and self._processes[job.name].poll() is None:
            time.sleep(_LOOK_EVERY_S)
        if not self.is_stopped and self._processes.pop(job.name).returncode:
            raise NotStartedError(self._last_words(job))

    def watch(self) -> bool:
        """Wait until a server ends or a signal comes; return whether it was a signal."""
        while not self.is_stopped and all(process.poll() is None for process in self._processes.values()):
            time.sleep(_WATCH_S)
        return self.is_stopped

    def _log(self, server: Server) -> Path:
        return self._logs / f"{server.name}.log"

    def _last_words(self, server: Server) -> str:
        log = self._log(server)
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["no output"]
        return f"{server.name} did not start: {lines[-1]} (log: {log})"


def _listens(address: tuple[str, int] | str | None) -> bool:
    with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET) as probe:
        probe.settimeout(1)
        return address is not None and probe.connect_ex(address) == 0


def stop(processes: "Sequence[subprocess.Popen[bytes]]") -> None:
    """End processes and their children: kindly, and after ten seconds by force."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in processes:
            _signal(process, number)
        deadline = time.monotonic() + _STOP_S
        while time.monotonic() < deadline and any(_signal(process, 0) for process in processes):
            time.sleep(_LOOK_EVERY_S)


def _signal(process: "subprocess.Popen[bytes]", number: int) -> bool:
    """Signal a process and its children, which may outlive it; return whether any was alive."""
    process.poll()  # a dead one that nobody has waited for would count as alive
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return False
    return True


def refuse_taken(host: str, port: int) -> None:
    """Refuse a port on which something listens already.

    Raises:
        ConfigError: the port cannot be used.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"port {port} on {host} cannot be used ({error.strerror}). Choose others: vlmine ui --port 3001 "
                f"--mlflow-port 5001"
            ) from error
