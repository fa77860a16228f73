# ruff: noqa: S310 - the address is of our own server
"""`vlmine ui` as a process of its own, and the GraphQL that the pages of its Dagster UI send."""

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

PATIENCE_S = 300
_STOP_S = 60

_REPOSITORY = "{repositoriesOrError{... on RepositoryConnection{nodes{name location{name}}}}}"
_RUN = "query($id:ID!){runOrError(runId:$id){... on Run{status}}}"
_ENDS = ("SUCCESS", "FAILURE", "CANCELED")


class WebUis(NamedTuple):
    """The web UIs while they are served.

    Attributes:
        pid: The process of `vlmine ui`.
        dagster_port: Of the Dagster UI.
        mlflow_port: Of the MLflow UI.
        runs_url: The address that is printed for MLflow.
    """

    pid: int
    dagster_port: int
    mlflow_port: int
    runs_url: str


@contextmanager
def web_uis(folder: Path) -> "Iterator[WebUis]":
    """Serve a project's web UIs until the block ends; both answer."""
    ports = free_port(), free_port()
    command = [sys.executable, "-m", "vlmine_dagster", "ui", "--port", str(ports[0]), "--mlflow-port", str(ports[1])]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline().strip() == f"Dagster  http://127.0.0.1:{ports[0]}"
            yield WebUis(process.pid, *ports, process.stdout.readline().removeprefix("MLflow   ").strip())
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                assert process.wait(timeout=_STOP_S) == 0
            finally:
                process.kill()


class Page:
    """What a page of the Dagster UI asks its server.

    Args:
        port: Of the Dagster UI.
    """

    def __init__(self, port: int):
        self.port = port
        self._url = f"http://127.0.0.1:{port}/graphql"
        found = self.ask(_REPOSITORY)["repositoriesOrError"]["nodes"][0]
        self.repository = {
            "repositoryName": found["name"],
            "repositoryLocationName": found["location"]["name"],
        }

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """Return the data of an answer."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(self._url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            content = json.load(answer)
        assert "errors" not in content, content["errors"]
        return content["data"]

    def end_of(self, run_id: str) -> str:
        """Wait for a run; return its status."""

        def end() -> str | None:
            status = self.ask(_RUN, id=run_id)["runOrError"]["status"]
            return status if status in _ENDS else None

        return until(end)


def until(look: Callable[[], Any]) -> Any:
    """Return what `look` gives as soon as it gives something."""
    end = time.monotonic() + PATIENCE_S
    while not (found := look()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.3)
    return found


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
