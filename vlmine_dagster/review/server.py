"""The page's server as a process: on this machine alone, behind a token."""

import secrets
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from vlmine_dagster.domain.errors import ConfigError

if TYPE_CHECKING:
    from vlmine_dagster.review.desk import Desk

HOST = "127.0.0.1"


def serve(desk: "Desk", *, experiment: str, port: int, reviewer: str, say: Callable[[str], None]) -> None:
    """Serve the page until Ctrl-C.

    Args:
        desk: What it works on.
        experiment: The list that is shown first.
        port: Port to listen on; 0 takes a free one.
        reviewer: Who judges, unless the page says otherwise.
        say: Called with the page's address once it can be opened.

    Raises:
        ConfigError: the port is taken.
    """
    import uvicorn

    from vlmine_dagster.review.app import review_app

    with listening(port) as listener:
        number = listener.getsockname()[1]
        token = secrets.token_urlsafe(24)
        hosts = (f"{HOST}:{number}", f"localhost:{number}")
        app = review_app(desk, experiment=experiment, token=token, hosts=hosts, reviewer=reviewer)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off"))
        say(f"http://{HOST}:{number}/{token}/")
        server.run(sockets=[listener])


def listening(port: int) -> socket.socket:
    """Return a socket that listens on this machine alone.

    Raises:
        ConfigError: the port is taken.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        raise ConfigError(f"port {port} is taken. Stop the program that uses it, or choose another --port.") from error
    listener.listen()
    return listener
