"""`vlmine ui`: the Dagster and the MLflow web UI on one history."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from vlmine_dagster.automation.dead_runs import bury_orphans
from vlmine_dagster.automation.runner import open_instance, prepare_dagster_home
from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.resources.addresses import DAGSTER_VARIABLE, MLFLOW_VARIABLE, keep_addresses
from vlmine_dagster.resources.tracking import Tracking
from vlmine_dagster.settings.project import SETTINGS_FILE, Project

_DEFINITIONS = "vlmine_dagster.definitions"
_START_S = 300.0
_STOP_S = 10.0
_WATCH_S = 1.0


def serve(project: Project, *, host: str, port: int, mlflow_port: int, say: Callable[[str], None]) -> int:
    """Run both web UIs until one ends or a signal comes.

    Args:
        project: The project.
        host: Address to listen on.
        port: Port of the Dagster UI.
        mlflow_port: Port of the MLflow UI.
        say: Prints a line.

    Returns:
        Exit status: 0 after a signal, else 1.

    Raises:
        ConfigError: a port is taken.
    """
    tracking = Tracking(project)
    for number in (port,) if tracking.is_server else (port, mlflow_port):
        _refuse_taken(host, number)
    tracking.connect()
    home = prepare_dagster_home(project)
    with open_instance(project) as instance:
        bury_orphans(instance)
    environment = {
        **_addresses(project, tracking, host=host, port=port, mlflow_port=mlflow_port),
        "MLFLOW_BACKEND_STORE_URI": tracking.uri,  # an argument would show its password to all who list processes
        "DAGSTER_HOME": str(home),
        "VLMINE_PROJECT": str(project.folder / Path(os.environ.get("VLMINE_PROJECT") or SETTINGS_FILE).name),
    }
    said = [
        f"Dagster  http://{host}:{port}",
        f"MLflow   {tracking.shown_uri if tracking.is_server else f'http://{host}:{mlflow_port}'}",
        "Ctrl-C ends both.",
    ]
    with tempfile.TemporaryDirectory(prefix="vlmine-") as folder:  # the path of a socket may have 107 letters
        code, *others = _dagster(Path(folder), host, port)
        if not tracking.is_server:
            others.append(_mlflow(tracking, host, mlflow_port))
        # Dagster's web UI and daemon show an error until the code is there.
        return _run([[code], others], {**os.environ, **environment}, project.state_folder("logs"), said=said, say=say)


def _addresses(project: Project, tracking: Tracking, *, host: str, port: int, mlflow_port: int) -> dict[str, str]:
    """Return and keep the addresses by which pages link to each other; behind a proxy they are set from outside."""
    ours = {DAGSTER_VARIABLE: port, **({} if tracking.is_server else {MLFLOW_VARIABLE: mlflow_port})}
    addresses = {name: os.environ.get(name) or f"http://{host}:{number}" for name, number in ours.items()}
    keep_addresses(project, addresses)
    return addresses


def _run(
    groups: "Sequence[Sequence[_Server]]",
    environment: Mapping[str, str],
    logs: Path,
    *,
    said: Sequence[str],
    say: Callable[[str], None],
) -> int:
    """Start servers, a group once the one before listens, and wait until one ends or a signal comes."""
    stop, processes = _StopSignal(), list[subprocess.Popen[bytes]]()
    try:
        for group in groups:
            started = [_start(server, environment, logs) for server in group]
            processes += started
            for server, process in zip(group, started, strict=True):
                if not _wait_for(server, process, stop):
                    say(f"{server.name} did not start; its last words are in {logs / server.log}")
                    return 0 if stop.came else 1
        for line in said:
            say(line)
        while not stop.came and all(process.poll() is None for process in processes):
            time.sleep(_WATCH_S)
        return 0 if stop.came else 1
    finally:
        _stop(processes)


@dataclass(frozen=True)
class _Server:
    """A process of `vlmine ui`.

    Attributes:
        name: For people, and of its log.
        command: Its command line, after the interpreter.
        address: Where it listens: (host, port), or the path of a socket; None where it does not.
    """

    name: str
    command: Sequence[str]
    address: tuple[str, int] | str | None

    @property
    def log(self) -> str:
        """Name of its log."""
        return f"{self.name}.log"


class _StopSignal:
    """Remembers that a signal asked us to end."""

    def __init__(self) -> None:
        self.came = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def _on_signal(self, _number: int, _frame: object) -> None:
        self.came = True


def _dagster(folder: Path, host: str, port: int) -> list[_Server]:
    """Return the code server, which comes first, and the web UI and the daemon, which both ask it.

    `dagster dev` would start the three, but is for local development only.
    """
    code, workspace = str(folder / "code"), folder / "workspace.yaml"
    # Schedules that were switched on in the UI are known by the name of the location, which must stay.
    location = {"socket": code, "location_name": _DEFINITIONS}
    workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": location}]}), encoding="utf-8")
    asks = ["--workspace", str(workspace)]
    return [
        _Server("code", ["dagster", "code-server", "start", "-m", _DEFINITIONS, "--socket", code], code),
        _Server("dagster", ["dagster_webserver", *asks, "--host", host, "--port", str(port)], (host, port)),
        _Server("daemon", ["dagster._daemon", "run", *asks], None),
    ]


def _mlflow(tracking: Tracking, host: str, port: int) -> _Server:
    store = ["--artifacts-destination", tracking.artifacts_folder.as_uri()]
    where = ["--host", host, "--port", str(port)]
    return _Server("mlflow", ["mlflow", "server", *store, *where, "--workers", "1"], (host, port))


def _start(server: _Server, environment: Mapping[str, str], logs: Path) -> "subprocess.Popen[bytes]":
    # Each gets a process group of its own: servers have children that outlive a signal to the parent.
    with (logs / server.log).open("wb") as output:
        return subprocess.Popen(  # noqa: S603 - our own command line
            [sys.executable, "-m", *server.command],
            env=dict(environment),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _wait_for(server: _Server, process: "subprocess.Popen[bytes]", stop: _StopSignal) -> bool:
    if server.address is None:
        return process.poll() is None
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None and not stop.came:
        with socket.socket(socket.AF_UNIX if isinstance(server.address, str) else socket.AF_INET) as probe:
            probe.settimeout(1)
            if probe.connect_ex(server.address) == 0:
                return True
        time.sleep(0.3)
    return False


def _stop(processes: "Sequence[subprocess.Popen[bytes]]") -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in processes:
            _signal(process, number)
        deadline = time.monotonic() + _STOP_S
        while time.monotonic() < deadline and any(_signal(process, 0) for process in processes):
            time.sleep(0.1)


def _signal(process: "subprocess.Popen[bytes]", number: int) -> bool:
    """Signal a server and its children, which may outlive it; return whether there was anybody."""
    process.poll()  # one that is dead and not waited for would be somebody
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return False
    return True


def _refuse_taken(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"port {port} on {host} cannot be used ({error.strerror}). Choose others: vlmine ui --port 3001 "
                f"--mlflow-port 5001"
            ) from error
