"""Who may ask the page's server: a browser window on this machine that knows the token, and no other site in it."""

import secrets
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 64 * 1024
"""Largest request that is read."""

_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class Guard:
    """Lets a request through if its path begins with the token and it comes from this address.

    The token is in the path and not in a cookie: cookies of 127.0.0.1 go to every port of the machine. The Host header
    must be our own, so that a name of someone else's that points to 127.0.0.1 reaches nothing. A browser says in
    `Origin` and `Sec-Fetch-Site` which site asks; another one is refused whatever it knows.

    Args:
        app: What is guarded; it sees paths without the token.
        token: The first part of every path.
        hosts: Values of the Host header that are ours.
    """

    def __init__(self, app: "ASGIApp", *, token: str, hosts: Collection[str]):
        self._app, self._token, self._hosts = app, token, frozenset(hosts)

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer one request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        problem = self._problem(scope)
        if problem:
            await _refuse(send, problem)
            return
        path = scope["path"][len(self._token) + 1 :]
        inner = {**scope, "path": path, "raw_path": path.encode(), "root_path": ""}
        await self._app(inner, receive, _with_headers(send))

    def _problem(self, scope: "Scope") -> str:
        """Return why a request is refused, nothing if it is not."""
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        given = scope["path"].partition("/")[2].partition("/")[0]
        is_json = headers.get("content-type", "").partition(";")[0] == "application/json"
        refused = {
            "Open the page by the address that `vlmine review` printed.": headers.get("host", "") not in self._hosts,
            "Requests from other sites are not allowed.": self._is_foreign(scope["method"], headers),
            "The token in the address is missing or old. Copy the address that `vlmine review` printed.": (
                not secrets.compare_digest(given.encode("utf-8", "replace"), self._token.encode())
            ),
            "Send JSON.": scope["method"] == "POST" and not is_json,
            f"Send at most {MOST_BYTES:,} bytes, and declare Content-Length.": _is_too_large(headers),
        }
        return next((reason for reason, is_so in refused.items() if is_so), "")

    def _is_foreign(self, method: str, headers: Mapping[str, str]) -> bool:
        """Return whether another site asks; that a link to the page is followed is no such thing."""
        origin = headers.get("origin")
        if origin is not None and origin not in {f"http://{host}" for host in self._hosts}:
            return True
        is_opened = (method, headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) == (
            "GET",
            "navigate",
            "document",
        )
        return not is_opened and headers.get("sec-fetch-site", "none") not in ("none", "same-origin")


def _is_too_large(headers: Mapping[str, str]) -> bool:
    length = headers.get("content-length", "0")
    return "transfer-encoding" in headers or not length.isdecimal() or int(length) > MOST_BYTES


def _with_headers(send: "Send") -> "Send":
    async def sending(message: "Message") -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [
                *message["headers"],
                *((name.encode(), value.encode()) for name, value in _HEADERS.items()),
            ]
        await send(message)

    return sending


async def _refuse(send: "Send", problem: str) -> None:
    text = problem.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(text)).encode())]
    sending = _with_headers(send)
    await sending({"type": "http.response.start", "status": 403, "headers": headers})
    await sending({"type": "http.response.body", "body": text})
