"""Clients of an OpenAI-compatible endpoint, and the pace at which it is asked."""

import asyncio
import time
from collections import deque
from collections.abc import Generator
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from vlmine_dagster.domain.errors import ModelError
from vlmine_dagster.resources.access import Access, access_to, address_of, certificate_variables
from vlmine_dagster.resources.retries import connection_words
from vlmine_dagster.settings import EndpointSettings

if TYPE_CHECKING:
    import ssl

    from openai import AsyncOpenAI, OpenAI

_CONNECTIONS_A_POOL = 8
_PATIENCE_S = 10.0
_SHARE_OF_PACE = 0.75


def async_clients(settings: EndpointSettings) -> "list[AsyncOpenAI]":
    """Return clients to take in turn: a pool of connections looks at all of them at each call, so pools are small."""
    import httpx2
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    access = access_to(settings)  # its certificates take 40 ms to read, so all share them
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    return [
        AsyncOpenAI(
            **_options(access, settings.timeout_s),
            http_client=DefaultAsyncHttpxClient(limits=limits, **_transport(access, settings.timeout_s)),
        )
        for _ in range(max(1, settings.concurrency // _CONNECTIONS_A_POOL))
    ]


def client_of(settings: EndpointSettings, *, timeout_s: float | None = None) -> "OpenAI":
    """Return a client for single calls; it tries nothing again by itself."""
    from openai import DefaultHttpxClient, OpenAI

    access, patience_s = access_to(settings), timeout_s or settings.timeout_s
    http_client = DefaultHttpxClient(**_transport(access, patience_s))
    return OpenAI(**_options(access, patience_s), http_client=http_client)


def listed_models(settings: EndpointSettings) -> list[str] | None:
    """Ask an endpoint which models it has, which costs nothing.

    Returns:
        Their names, None where it keeps no list.

    Raises:
        ModelError: there is no key, it is refused, or nobody answers at the address.
    """
    import openai

    where = address_of(settings)
    access = access_to(settings)
    try:
        with client_of(settings, timeout_s=_PATIENCE_S) as client:
            return [model.id for model in client.models.list()]
    except openai.AuthenticationError as error:
        key = "is refused" if access.has_key else "is not set, and the endpoint requires a key"
        raise ModelError(f"{where} answers, but {settings.api_key_env} {key}.") from error
    except openai.APIConnectionError as error:
        raise ModelError(unreachable(settings, error)) from error
    except (openai.OpenAIError, ValueError, TypeError, AttributeError):  # no list, or something else in its place
        return None


def unreachable(settings: EndpointSettings, error: BaseException) -> str:
    """Say that nobody answers, through which proxy was asked, and whose certificate was not believed."""
    proxy, words = access_to(settings).proxy, connection_words(error)
    through = "" if proxy is None else f" through the proxy {proxy}; hosts in $NO_PROXY bypass it"
    return f"nobody answers at {address_of(settings)}{through}: {words.rstrip('.')}.{_advice_on_encryption(words)}"


def _advice_on_encryption(words: str) -> str:
    if "WRONG_VERSION_NUMBER" in words or "record layer failure" in words:
        return " The server does not encrypt: write http:// for https:// in base_url."
    if "certificate" not in words.lower():
        return ""
    sources = ", ".join(f"${name}" for name in certificate_variables())
    trusted = f" (trusted now: {sources})" if sources else ""
    return f" Name the file of your company's certificates in $SSL_CERT_FILE{trusted}."


def _options(access: Access, timeout_s: float) -> dict[str, Any]:
    # Organization and project are headers too: what the environment holds for them is the user's, and may be empty.
    return {
        "api_key": access.key,
        "base_url": access.base_url,
        "default_query": access.query,
        "max_retries": 0,
        "timeout": timeout_s,
    }


_AZURE_OPENAI = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")


def _azure_key(access: Access) -> Any:
    """Return what sends a key as Azure OpenAI wants it; None elsewhere, and for a token of Azure's directory.

    Azure's virtual machines and Azure Machine Learning are other hosts of `azure.com`, and want it as all others do.
    """
    import httpx2

    is_azure = (urlsplit(access.base_url).hostname or "").lower().endswith(_AZURE_OPENAI)
    if not (is_azure and access.has_key) or access.key.startswith("eyJ"):
        return None

    class AzureKey(httpx2.Auth):
        def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
            request.headers.pop("Authorization", None)
            request.headers["api-key"] = access.key
            yield request

    return AzureKey()


def _transport(access: Access, timeout_s: float) -> dict[str, Any]:
    """Return how calls travel; the environment was read already, so the client reads it no more."""
    proxy = None if access.proxy is None else access.proxy.url
    verify = access.certificates or _usual_certificates()
    return {
        "timeout": timeout_s,
        "trust_env": False,
        "proxy": proxy,
        "verify": verify,
        "auth": _azure_key(access),
    }


@cache
def _usual_certificates() -> "ssl.SSLContext":
    """Return whom a client trusts by itself, for a server that answers http:// by a redirection to https://."""
    import httpx2

    return httpx2.create_ssl_context(trust_env=False)


def raw_response() -> Any:
    """Return the type that a client is asked for where its answer should be left as it came."""
    import httpx2

    return httpx2.Response


class Throttle:
    """Lets so many calls through at once: fewer after a 429 or a timeout, slowly more again with each answer.

    Args:
        most: Calls at once at the most.
        timeout_s: After how long a call is given up.
    """

    def __init__(self, most: int, timeout_s: float):
        self._most = self._in_time = float(most)
        self._timeout_s = timeout_s
        self._answered_at: deque[float] = deque()
        self._limit = float(most)
        self._in_flight = 0
        self._resume_at = 0.0
        self._slowed_at = float("-inf")
        self._queue: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> None:
        while True:
            pause = self._resume_at - time.monotonic()
            if pause > 0:
                await asyncio.sleep(pause)
            elif self._in_flight < int(self._limit):
                self._in_flight += 1
                return
            else:
                turn = asyncio.get_running_loop().create_future()
                self._queue.append(turn)
                await turn

    async def __aexit__(self, *_: object) -> None:
        self._in_flight -= 1
        self._wake()

    def tighten(self, pause_s: float) -> None:
        """Let half as many through, after a pause."""
        now = time.monotonic()
        if now >= self._resume_at:  # the calls that were under way are refused together: count them once
            self._limit = max(1.0, self._limit / 2)
        self._resume_at = max(self._resume_at, now + pause_s)

    def slow_down(self) -> None:
        """Let at most as many through as were answered within a timeout, less a quarter: more cannot be in time.

        A server with one place answers one call after another, so the last of many waits for all before it. Calls that
        were under way time out together and count once. Where nothing was answered, nothing is known: half as many.
        """
        now = time.monotonic()
        if now < self._slowed_at + self._timeout_s / 2:
            return
        in_time = sum(moment > now - self._timeout_s for moment in self._answered_at)
        if in_time:
            self._in_time = max(1.0, _SHARE_OF_PACE * in_time)
        self._limit, self._slowed_at = max(1.0, min(self._limit / 2, self._in_time)), now

    def relax(self) -> None:
        """Let a little more through: an answer came. Beyond what was in time, very little."""
        now = time.monotonic()
        self._answered_at.append(now)
        while self._answered_at[0] < now - self._timeout_s:
            self._answered_at.popleft()
        step = 1 / self._limit if self._limit < self._in_time else 1 / self._limit**3
        self._limit = min(self._most, self._limit + step)
        self._wake()

    @property
    def in_flight(self) -> int:
        """Calls that are under way."""
        return self._in_flight

    @property
    def has_room(self) -> bool:
        """Whether a call would be let through at once."""
        return self._in_flight < int(self._limit) and time.monotonic() >= self._resume_at

    @property
    def limit(self) -> int:
        """Calls that go at once now."""
        return int(self._limit)

    def _wake(self) -> None:
        for _ in range(int(self._limit) - self._in_flight):
            while self._queue:
                turn = self._queue.popleft()
                if not turn.done():
                    turn.set_result(None)
                    break
