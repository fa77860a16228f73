"""`vlmine ui`: the Dagster and the MLflow web UI on one history."""

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vlmine_dagster.cli.servers import NotStartedError, Server, Servers, refuse_taken

if TYPE_CHECKING:
    from vlmine_dagster.resources.tracking import Tracking
    from vlmine_dagster.settings.project import Project

_DEFINITIONS = "vlmine_dagster.definitions"
_DAEMON = "from importlib.metadata import entry_points as e; e(group='console_scripts')['dagster-daemon'].load()()"


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=3000, show_default=True, help="Port of the Dagster UI.")
@click.option("--mlflow-port", default=5000, show_default=True, help="Port of the MLflow UI.")
def ui(host: str, port: int, mlflow_port: int) -> None:
    """Start the Dagster and the MLflow web UI on one history, and print their addresses."""
    from vlmine_dagster.settings.project import Project

    sys.exit(serve(Project.load(), host=host, port=port, mlflow_port=mlflow_port, say=click.echo))


def serve(project: "Project", *, host: str, port: int, mlflow_port: int, say: Callable[[str], None]) -> int:
    """Run both web UIs until one ends or a signal comes.

    This process stays small: whatever needs Dagster or MLflow happens in another.

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
    from vlmine_dagster.resources.tracking import Tracking

    tracking = Tracking(project)
    for number in (port,) if tracking.is_server else (port, mlflow_port):
        refuse_taken(host, number)
    environment = _environment(project, tracking, host=host, port=port, mlflow_port=mlflow_port)
    # The path of a socket may have 107 characters.
    with (
        tempfile.TemporaryDirectory(prefix="vlmine-") as folder,
        Servers(environment, project.state_folder("logs")) as servers,
    ):
        try:
            runs_url = _start(servers, Path(folder), tracking, host=host, port=port, mlflow_port=mlflow_port)
        except NotStartedError as error:
            say(str(error))
            return 1
        if runs_url:
            say(f"Dagster  http://{host}:{port}")
            say(f"MLflow   {runs_url}")
            say("Ctrl-C ends both.")
        return 0 if servers.watch() else 1


def _environment(project: "Project", tracking: "Tracking", *, host: str, port: int, mlflow_port: int) -> dict[str, str]:
    """Return what the servers find in their environment, and keep the addresses by which pages link to each other."""
    from vlmine_dagster.resources.addresses import DAGSTER_VARIABLE, MLFLOW_VARIABLE, keep_addresses

    ours = {DAGSTER_VARIABLE: port, **({} if tracking.is_server else {MLFLOW_VARIABLE: mlflow_port})}
    # Behind a proxy the addresses are set from outside.
    addresses = {name: os.environ.get(name) or f"http://{host}:{number}" for name, number in ours.items()}
    keep_addresses(project, addresses)
    own = {"DAGSTER_HOME": str(project.dagster_home), "VLMINE_PROJECT": str(project.folder / project.file.name)}
    return {**os.environ, **addresses, **own}


def _start(servers: Servers, folder: Path, tracking: "Tracking", *, host: str, port: int, mlflow_port: int) -> str:
    """Start everything, side by side as far as one needs not wait for another.

    Returns:
        Address of the project's runs in MLflow; empty if a signal came before everything was up.

    Raises:
        NotStartedError: one of them ended.
    """
    mlflow = _mlflow(folder / "runs", host, mlflow_port, is_remote=tracking.is_server)
    home, code, webserver, daemon = _dagster(folder, host, port)
    servers.start(mlflow)
    servers.start(home)
    servers.finish(home)  # before the daemon starts anything
    servers.start(code)
    servers.wait_for(code)  # until then the web UI and the daemon would show an error
    servers.start(webserver)
    servers.start(daemon)
    servers.wait_for(webserver)
    servers.finish(mlflow) if tracking.is_server else servers.wait_for(mlflow)
    return "" if servers.is_stopped else (folder / "runs").read_text(encoding="utf-8")


def _mlflow(file: Path, host: str, port: int, *, is_remote: bool) -> Server:
    command = ["-m", "vlmine_dagster.resources.mlflow_server", host, str(port), str(file)]
    return Server("mlflow", command, None if is_remote else (host, port))


def _dagster(folder: Path, host: str, port: int) -> tuple[Server, Server, Server, Server]:
    """Return what prepares Dagster's home, the code server, and the web UI and the daemon, which both ask it.

    `dagster dev` would start the last three, but is for local development only.
    """
    import yaml

    code, workspace = str(folder / "code"), folder / "workspace.yaml"
    # Schedules that were switched on in the UI are known by the name of the location, which must stay.
    location = {"socket": code, "location_name": _DEFINITIONS}
    workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": location}]}), encoding="utf-8")
    reads = ["--workspace", str(workspace)]
    return (
        Server("dagster-home", ["-m", "vlmine_dagster.cli.dagster_home"], None),
        Server("code", ["-m", "dagster", "code-server", "start", "-m", _DEFINITIONS, "--socket", code], code),
        Server("dagster", ["-m", "dagster_webserver", *reads, "--host", host, "--port", str(port)], (host, port)),
        Server("daemon", ["-c", _DAEMON, "run", *reads], None),
    )
