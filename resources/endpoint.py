"""How an OpenAI-compatible endpoint is reached: its address, its key, its clients, its pace."""

import asyncio
import email.utils
import os
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from vlmine_dagster.domain.errors import ModelError
from vlmine_dagster.resources.questions import ChatQuestion, EndpointModelSettings

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI

_LONGEST_RETRY_AFTER_S = 300.0
_CONNECTIONS_A_POOL = 8
_PATIENCE_S = 10.0


def async_clients(question: ChatQuestion) -> "list[AsyncOpenAI]":
    """Return clients to take in turn: a pool of connections looks at all of them at each call, so pools are small."""
    import httpx2
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    s = question.settings
    access = _access(s)
    trusted = httpx2.create_ssl_context()  # costs 40 ms, so all share it
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    return [
        AsyncOpenAI(
            **access,
            http_client=DefaultAsyncHttpxClient(limits=limits, timeout=s.timeout_s, verify=trusted),
            max_retries=0,
            timeout=s.timeout_s,
        )
        for _ in range(max(1, s.concurrency // _CONNECTIONS_A_POOL))
    ]


def client_of(question: ChatQuestion) -> "OpenAI":
    """Return a client for single calls, which tries again by itself."""
    from openai import OpenAI

    return OpenAI(**_access(question.settings), max_retries=question.settings.max_attempts)


def listed_models(settings: EndpointModelSettings) -> list[str] | None:
    """Ask an endpoint which models it has, which costs nothing.

    Returns:
        Their names, None where it keeps no list.

    Raises:
        ModelError: there is no key, it is refused, or nobody answers at the address.
    """
    import openai

    where = address_of(settings)
    try:
        with openai.OpenAI(**_access(settings), max_retries=0, timeout=_PATIENCE_S) as client:
            return [model.id for model in client.models.list()]
    except openai.AuthenticationError as error:
        key = "is refused" if os.environ.get(settings.api_key_env) else "is not set, and it wants a key"
        raise ModelError(f"{where} answers, but {settings.api_key_env} {key}.") from error
    except openai.APIConnectionError as error:
        raise ModelError(f"nobody answers at {where}: {error.__cause__ or error}.") from error
    except (openai.OpenAIError, ValueError, TypeError, AttributeError):  # no list, or something else in its place
        return None


def address_of(settings: EndpointModelSettings) -> str:
    """Return the address of the endpoint."""
    return settings.base_url or os.environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1"


def _access(s: EndpointModelSettings) -> dict[str, Any]:
    key = os.environ.get(s.api_key_env, "")
    base_url = s.base_url or os.environ.get("OPENAI_BASE_URL")
    if not key and base_url is None:
        raise ModelError(f"{s.model}: no key. Put it into the environment as {s.api_key_env}.")
    return {"api_key": key or "none", "base_url": base_url}


def raw_response() -> Any:
    """Return the type that a client is asked for where its answer should be left as it came."""
    import httpx2

    return httpx2.Response


def retry_after(headers: Any) -> float | None:
    """Return the pause that an endpoint asks for, in seconds."""
    with suppress(KeyError, ValueError):
        return min(float(str(headers["retry-after-ms"])) / 1000, _LONGEST_RETRY_AFTER_S)
    given = headers.get("retry-after")
    if given is None:
        return None
    try:
        pause = float(given)
    except ValueError:
        when = email.utils.parsedate_tz(given)
        pause = email.utils.mktime_tz(when) - time.time() if when is not None else 0.0
    return min(max(pause, 0.0), _LONGEST_RETRY_AFTER_S) or None


class Throttle:
    """Lets so many calls through at once: half as many after a 429, slowly more again with each answer."""

    def __init__(self, most: int):
        self._most = most
        self._limit = float(most)
        self._in_flight = 0
        self._resume_at = 0.0
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

    def relax(self) -> None:
        """Let a little more through."""
        self._limit = min(float(self._most), self._limit + 1 / self._limit)
        self._wake()

    def _wake(self) -> None:
        for _ in range(int(self._limit) - self._in_flight):
            while self._queue:
                turn = self._queue.popleft()
                if not turn.done():
                    turn.set_result(None)
                    break
