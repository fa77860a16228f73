"""Chat models behind an OpenAI-compatible endpoint, asked many at once."""

import asyncio
import base64
import email.utils
import itertools
import json
import os
import queue
import random
import re
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from resources.ordered import core_count, map_in_order
from resources.pictures import jpeg_for_model
from resources.prices import Price
from resources.replies import Reply, Request
from vlmine_dagster.errors import ModelError, PictureError
from vlmine_dagster.settings import OpenAIDescriberSettings, OpenAIKeyworderSettings, settings_hash
from vlmine_dagster.tables import Outcome

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI

FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_LONGEST_RETRY_AFTER_S = 300.0
_MOST_THROTTLED = 30  # answers 429 to one call before it is given up
_RUNAWAY_LETTERS = 12  # an output token has about 4; an answer with 12 letters a token allowed ignores the limit
_FATAL = {
    401: "the key is refused",
    403: "the key may not use this model",
    404: "there is no such model or path",
}
_FAILURES_BEFORE_GIVING_UP = 20
_LONGEST_REASON = 300
_TOKENS_AN_IMAGE = 1500
_CONNECTIONS_A_POOL = 8
_GATHERED_S = 0.1  # answers are handed on in groups: to write each down alone costs more than the call
_SECRET = re.compile(r"(sk-|Bearer\s+)[\w.\-*]{4,}", re.IGNORECASE)

KEYWORD_SCHEMA = {
    "type": "object",
    "properties": {"keywords": {"type": "array", "items": {"type": "string"}, "maxItems": 10}},
    "required": ["keywords"],
    "additionalProperties": False,
}
EndpointModelSettings = OpenAIDescriberSettings | OpenAIKeyworderSettings


@dataclass(frozen=True)
class ChatQuestion:
    """What is the same for every call of a stage.

    Attributes:
        settings: Model, endpoint, decoding.
        prompt: The prompt's text, before anything is put into it.
        wants_keywords: Whether the answer is a JSON list of keywords.
        price: The model's price, None where nobody knows it.
        max_pixels: Larger images are not decoded.
    """

    settings: EndpointModelSettings
    prompt: str
    wants_keywords: bool
    price: Price | None
    max_pixels: int

    @property
    def label(self) -> str:
        """Name for people."""
        return f"openai {self.settings.model}, {self.settings.prompt}"

    @property
    def image_side(self) -> int | None:
        """Longest side of an image that is sent, None where none is."""
        return self.settings.image_side if isinstance(self.settings, OpenAIDescriberSettings) else None

    @property
    def fingerprint(self) -> str:
        """Changes with everything that can change an answer; not with the address, the key, or how fast one asks."""
        s = self.settings
        decoding = [s.temperature, s.max_output_tokens, s.extra, s.json_schema if self.wants_keywords else None]
        return settings_hash("chat 1", s.model, s.revision, self.prompt, decoding, self.image_side, self.wants_keywords)

    def body(self, prompt: str, image: bytes | None, *, with_schema: bool) -> dict[str, Any]:
        """Return the JSON body of a call."""
        s = self.settings
        content: Any = prompt
        if image is not None:
            url = f"data:{_mime(image)};base64,{base64.b64encode(image).decode('ascii')}"
            content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": prompt}]
        body: dict[str, Any] = {
            "model": s.model,
            "messages": [{"role": "user", "content": content}],
            "temperature": s.temperature,
            "max_tokens": s.max_output_tokens,
        }
        if with_schema:
            schema = {"name": "keywords", "strict": True, "schema": KEYWORD_SCHEMA}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return {name: value for name, value in {**body, **s.extra}.items() if value is not None}

    def worst_cost_usd(self, request: Request) -> float:
        """Return the price of the longest answer, with three letters a token read and 1,500 tokens an image."""
        if self.price is None:
            return 0.0
        read = len(request.prompt) // 3 + (_TOKENS_AN_IMAGE if request.image is not None else 0)
        return self.price.of(read, self.settings.max_output_tokens)

    def read(self, content: bytes, *, latency_s: float) -> Reply | None:
        """Return the reply in a response's body; None where the body is no chat completion."""
        try:
            found = json.loads(content)
            choice = found["choices"][0]
            message, finish = choice["message"], choice.get("finish_reason")
            text, refusal = message.get("content"), message.get("refusal")
            usage = found.get("usage") or {}
            tokens = int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return None
        if text is not None and not isinstance(text, str):
            return None
        key = os.environ.get(self.settings.api_key_env)
        if text and key:  # an endpoint that echoes its caller's key must not write it into the tables
            text = text.replace(key, "***")
        cost = None if self.price is None else self.price.of(*tokens)
        paid = Reply(text, Outcome.OK, None, *tokens, latency_s, cost)
        return self._judged(paid, refusal=refusal, finish=finish)

    def _judged(self, reply: Reply, *, refusal: Any, finish: Any) -> Reply:
        limit = self.settings.max_output_tokens
        text = reply.text or ""
        if refusal or finish == "content_filter":
            return replace(reply, outcome=Outcome.REFUSED, failure=masked(f"the model refused: {refusal or finish}"))
        if not text.strip():
            return replace(reply, outcome=Outcome.EMPTY, failure="the answer is empty")
        if finish == "length":
            return replace(reply, outcome=Outcome.TRUNCATED, failure=f"cut at max_output_tokens {limit}")
        if len(text) > limit * _RUNAWAY_LETTERS:
            reason = f"{len(text):,} letters, far beyond max_output_tokens {limit}"
            return replace(reply, text=text[: limit * _RUNAWAY_LETTERS], outcome=Outcome.TRUNCATED, failure=reason)
        return reply


def masked(text: str) -> str:
    """Return a text from outside in one short line, free of keys."""
    for name, value in os.environ.items():
        if len(value) >= 8 and re.search(r"key|token|secret|password", name, re.IGNORECASE):
            text = text.replace(value, "***")
    line = " ".join("".join(c if c.isprintable() else " " for c in _SECRET.sub(r"\1***", text)).split())
    return line if len(line) <= _LONGEST_REASON else f"{line[:_LONGEST_REASON]}..."


class ChatModel:
    """A chat model that answers many requests at once.

    Retried with growing pauses are 429 (all calls pause as the endpoint asks, and fewer go at once), 5xx, broken
    connections, timeouts and bodies that are no completion; an image that never gets an answer is `timed_out`. A
    refused key or model ends the work at once, and so do many calls in a row without any answer.

    Args:
        question: What is asked.
        first_pause_s: Pause before the second try.
    """

    def __init__(self, question: ChatQuestion, *, first_pause_s: float = FIRST_PAUSE_S):
        self._question = question
        self._first_pause_s = first_pause_s
        self.label = question.label

    @property
    def where(self) -> str:
        """The endpoint's address."""
        return address_of(self._question)

    @property
    def fingerprint(self) -> str:
        """That of the question."""
        return self._question.fingerprint

    def reply(self, requests: Iterable[Request]) -> Iterator[list[tuple[str, Reply]]]:
        """Yield (content, reply) as answers come; at most twice `concurrency` images are in memory.

        Raises:
            ModelError: the endpoint cannot be used; the message says why. Answers that came before were yielded.
        """
        prepared = map_in_order(self._prepared, requests, workers=core_count())
        with _Calls(self._question, self._first_pause_s).running() as calls:
            for request, failure in prepared:
                if failure is not None:
                    yield [(request.content, Reply(None, Outcome.CORRUPT, failure))]
                    continue
                calls.start(request)
                if calls.is_ready(keep=2 * self._question.settings.concurrency):
                    yield calls.finished()
                if calls.defect is not None:
                    break
            while calls.is_ready(keep=0):
                yield calls.finished()
        if calls.defect is not None:
            raise calls.defect

    def worst_cost_usd(self, request: Request) -> float:
        """Return what a call may cost at the most."""
        return self._question.worst_cost_usd(request)

    def _prepared(self, request: Request) -> tuple[Request, str | None]:
        """Reduce the image of a request; with the reason where it cannot be read."""
        side = self._question.image_side
        if request.image is None or side is None:
            return request, None
        try:
            image = jpeg_for_model(request.image, side=side, max_pixels=self._question.max_pixels)
        except PictureError as error:
            return request, str(error)
        return replace(request, image=image), None


class _Calls:
    """Calls in flight, on an event loop of their own in a thread."""

    def __init__(self, question: ChatQuestion, first_pause_s: float):
        self._question = question
        self._first_pause_s = first_pause_s
        self._done: queue.SimpleQueue[tuple[str, Reply | None]] = queue.SimpleQueue()
        self._waiting = 0
        self._has_schema = question.wants_keywords and question.settings.json_schema != "never"
        self._unanswered = 0
        self._fetched_at = time.monotonic()
        self.defect: ModelError | None = None

    @contextmanager
    def running(self) -> Iterator["_Calls"]:
        """Start the loop; on leaving, drop what is in flight and end it."""
        self._clients = _clients(self._question)
        self._turns = itertools.cycle(self._clients)
        self._loop = asyncio.new_event_loop()
        self._throttle = _Throttle(self._question.settings.concurrency)
        thread = threading.Thread(target=self._loop.run_forever, name="vlmine-chat", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop.close()

    def start(self, request: Request) -> None:
        """Send a request off."""
        self._waiting += 1
        asyncio.run_coroutine_threadsafe(self._answer(request), self._loop).add_done_callback(self._notice)

    def is_ready(self, *, keep: int) -> bool:
        """Return whether more than `keep` calls are under way, or answers have lain here for a while."""
        has_old = not self._done.empty() and time.monotonic() - self._fetched_at > _GATHERED_S
        return self._waiting > keep or has_old

    def finished(self) -> list[tuple[str, Reply]]:
        """Wait for an answer, and return all that have come."""
        found = [self._done.get()]
        time.sleep(_GATHERED_S / 2)  # the queue before the endpoint is long enough for that
        with suppress(queue.Empty):
            while True:
                found.append(self._done.get_nowait())
        self._waiting -= len(found)
        self._fetched_at = time.monotonic()
        return [(content, reply) for content, reply in found if reply is not None]

    def _notice(self, future: "Future[tuple[str, Reply | None]]") -> None:
        if future.cancelled():
            return
        error = future.exception()
        if error is not None:  # a mistake of ours: ends the work like an endpoint's defect
            self.defect = self.defect or ModelError(f"{self._question.label}: {masked(repr(error))}")
        self._done.put(("", None) if error is not None else future.result())

    async def _end(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for client in self._clients:
            await client.close()

    async def _answer(self, request: Request) -> tuple[str, Reply | None]:
        reply = await self._persist(request)
        if reply is not None:
            self._unanswered = 0 if reply.is_kept else self._unanswered + 1
            if self._unanswered >= _FAILURES_BEFORE_GIVING_UP + self._question.settings.concurrency:
                self._give_up(f"{self._unanswered} calls in a row without an answer; the last: {reply.failure}")
        return request.content, reply

    async def _persist(self, request: Request) -> Reply | None:
        """Try until there is an answer or no hope; None where the work ends."""
        attempts = throttled = 0
        miss = _Miss("")
        while attempts < self._question.settings.max_attempts and throttled < _MOST_THROTTLED:
            if self._is_over():
                return None
            async with self._throttle:
                if self._is_over():
                    return None
                found = await self._try(request)
            if isinstance(found, Reply):
                self._throttle.relax()
                return found
            miss = found
            if found.is_schema_refused and self._has_schema:
                self._has_schema = False
                continue
            if found.is_throttled:
                throttled += 1
                self._throttle.tighten(found.pause_s or self._pause(throttled))
            else:
                attempts += 1
                if attempts < self._question.settings.max_attempts:
                    await asyncio.sleep(found.pause_s or self._pause(attempts))
        outcome = Outcome.UNPARSEABLE if miss.is_unreadable else Outcome.TIMED_OUT
        return Reply(None, outcome, f"no answer after {attempts + throttled} tries; the last: {miss.reason}")

    def _is_over(self) -> bool:
        return self.defect is not None

    def _pause(self, tries: int) -> float:
        longest = min(_LONGEST_PAUSE_S, self._first_pause_s * 2 ** (tries - 1))
        return float(longest * random.uniform(0.5, 1.0))

    async def _try(self, request: Request) -> "Reply | _Miss":
        import openai

        started = time.monotonic()
        body = self._question.body(request.prompt, request.image, with_schema=self._has_schema)
        try:
            async with asyncio.timeout(self._question.settings.timeout_s):
                response = await next(self._turns).post("/chat/completions", body=body, cast_to=_raw_response())
                content = await response.aread()
        except TimeoutError:
            return _Miss(f"no whole answer within {self._question.settings.timeout_s:g} s")
        except openai.APIStatusError as error:
            return self._refused(error)
        except openai.APIError as error:
            return _Miss(masked(f"{type(error).__name__}: {error.__cause__ or error}"))
        reply = self._question.read(content, latency_s=time.monotonic() - started)
        if reply is None:
            shown = content[:80].decode("utf-8", "replace")
            return _Miss(masked(f"the answer is no chat completion: {shown!r}"), is_unreadable=True)
        return reply

    def _refused(self, error: Any) -> "Reply | _Miss":
        told = error.body.get("message") if isinstance(error.body, dict) else None
        status, text = int(error.status_code), masked(str(told or error.message))
        if status == 429:
            if error.code == "insufficient_quota":
                self._give_up(f"the account has no money left ({text})")
            return _Miss(f"429: {text}", pause_s=_retry_after(error.response.headers), is_throttled=True)
        if status in _FATAL:
            self._give_up(f"{_FATAL[status]} ({status}: {text})")
            return _Miss(text)
        if status >= 500 or status in (408, 409):
            return _Miss(f"{status}: {text}", pause_s=_retry_after(error.response.headers))
        names_schema = any(name in text.lower() for name in ("response_format", "json_schema", "schema"))
        if names_schema and self._question.settings.json_schema == "auto":
            return _Miss(text, is_schema_refused=True)
        return Reply(None, Outcome.REFUSED, f"the endpoint refused the request ({status}: {text})")

    def _give_up(self, reason: str) -> None:
        s = self._question.settings
        where = address_of(self._question)
        self.defect = self.defect or ModelError(
            f"{s.model} at {where}: {reason}. All answers so far are kept. Look at base_url, model and the key in "
            f"${s.api_key_env}; then run again."
        )


@dataclass(frozen=True)
class _Miss:
    """A try without an answer."""

    reason: str
    pause_s: float | None = None
    is_throttled: bool = False
    is_schema_refused: bool = False
    is_unreadable: bool = False


class _Throttle:
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
        now = time.monotonic()
        if now >= self._resume_at:  # the calls that were under way are refused together: count them once
            self._limit = max(1.0, self._limit / 2)
        self._resume_at = max(self._resume_at, now + pause_s)

    def relax(self) -> None:
        self._limit = min(float(self._most), self._limit + 1 / self._limit)
        self._wake()

    def _wake(self) -> None:
        for _ in range(int(self._limit) - self._in_flight):
            while self._queue:
                turn = self._queue.popleft()
                if not turn.done():
                    turn.set_result(None)
                    break


def _clients(question: ChatQuestion) -> "list[AsyncOpenAI]":
    """Return clients to take in turn: a pool of connections looks at all of them at each call, so pools are small."""
    import httpx2
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    s = question.settings
    access = _access(question)
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

    return OpenAI(**_access(question), max_retries=question.settings.max_attempts)


def address_of(question: ChatQuestion) -> str:
    """Return the address of the endpoint."""
    return question.settings.base_url or os.environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1"


def _access(question: ChatQuestion) -> dict[str, Any]:
    s = question.settings
    key = os.environ.get(s.api_key_env, "")
    base_url = s.base_url or os.environ.get("OPENAI_BASE_URL")
    if not key and base_url is None:
        raise ModelError(f"{s.model}: no key. Put it into the environment as {s.api_key_env}.")
    return {"api_key": key or "none", "base_url": base_url}


def _raw_response() -> Any:
    import httpx2

    return httpx2.Response


def _retry_after(headers: Any) -> float | None:
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


def _mime(image: bytes) -> str:
    return "image/png" if image.startswith(b"\x89PNG") else "image/jpeg"
