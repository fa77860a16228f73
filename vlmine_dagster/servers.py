"""`vlmine ui`: the Dagster and the MLflow web UI on one history."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from resources.addresses import DAGSTER_VARIABLE, MLFLOW_VARIABLE, keep_addresses
from resources.tracking import Tracking
from vlmine_dagster.errors import ConfigError
from vlmine_dagster.orphans import bury_orphans
from vlmine_dagster.project import SETTINGS_FILE, Project
from vlmine_dagster.runner import open_instance, prepare_dagster_home

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
    file = project.folder / Path(os.environ.get("VLMINE_PROJECT") or SETTINGS_FILE).name
    # Pages link to each other by these; behind a proxy they are set from outside.
    ours = {DAGSTER_VARIABLE: port, **({} if tracking.is_server else {MLFLOW_VARIABLE: mlflow_port})}
    addresses = {name: os.environ.get(name) or f"http://{host}:{number}" for name, number in ours.items()}
    keep_addresses(project, addresses)
    environment = {
        **os.environ,
        **addresses,
        "MLFLOW_BACKEND_STORE_URI": tracking.uri,  # an argument would show its password to all who list processes
        "DAGSTER_HOME": str(home),
        "VLMINE_PROJECT": str(file),
    }
    logs = project.state_folder("logs")
    commands = {"dagster": _dagster(host, port)}
    if not tracking.is_server:
        commands["mlflow"] = _mlflow(tracking, host, mlflow_port)
    processes = {name: _start(command, environment, logs / f"{name}.log") for name, command in commands.items()}
    stop = _StopSignal()
    try:
        ports = {"dagster": port, "mlflow": mlflow_port}
        for name, process in processes.items():
            if not _wait_for(host, ports[name], process, stop):
                say(f"{name} did not start; its last words are in {logs / f'{name}.log'}")
                return 0 if stop.came else 1
        say(f"Dagster  http://{host}:{port}")
        say(f"MLflow   {tracking.shown_uri if tracking.is_server else f'http://{host}:{mlflow_port}'}")
        say("Ctrl-C ends both.")
        while not stop.came and all(process.poll() is None for process in processes.values()):
            time.sleep(_WATCH_S)
        return 0 if stop.came else 1
    finally:
        _stop(list(processes.values()))


class _StopSignal:
    """Remembers that a signal asked us to end."""

    def __init__(self) -> None:
        self.came = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def _on_signal(self, _number: int, _frame: object) -> None:
        self.came = True


def _dagster(host: str, port: int) -> list[str]:
    module = ["-m", "vlmine_dagster.definitions"]
    return [sys.executable, "-m", "dagster", "dev", *module, "--host", host, "--port", str(port)]


def _mlflow(tracking: Tracking, host: str, port: int) -> list[str]:
    store = ["--artifacts-destination", tracking.artifacts_folder.as_uri()]
    return [sys.executable, "-m", "mlflow", "server", *store, "--host", host, "--port", str(port), "--workers", "1"]


def _start(command: list[str], environment: Mapping[str, str], log: Path) -> "subprocess.Popen[bytes]":
    # Each gets a process group of its own: `dagster dev` has children that outlive a signal to the parent.
    with log.open("wb") as output:
        return subprocess.Popen(  # noqa: S603 - our own command line
            command, env=dict(environment), stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )


def _wait_for(host: str, port: int, process: "subprocess.Popen[bytes]", stop: _StopSignal) -> bool:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None and not stop.came:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex((host, port)) == 0:
                return True
        time.sleep(0.3)
    return False


def _stop(processes: "list[subprocess.Popen[bytes]]") -> None:
    for number, patience in ((signal.SIGTERM, _STOP_S), (signal.SIGKILL, _STOP_S)):
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, number)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and any(process.poll() is None for process in processes):
            time.sleep(0.1)


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
