"""Chat models behind an OpenAI-compatible endpoint, asked many at once."""

import asyncio
import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from vlmine_dagster.domain.errors import ModelError, PictureError
from vlmine_dagster.domain.tables import Outcome
from vlmine_dagster.resources.access import address_of, advice_on_path
from vlmine_dagster.resources.endpoint import raw_response, unreachable
from vlmine_dagster.resources.lines import shown_line
from vlmine_dagster.resources.ordered import core_count, map_in_order
from vlmine_dagster.resources.pictures import jpeg_for_model
from vlmine_dagster.resources.questions import ChatQuestion, Dialect
from vlmine_dagster.resources.refusals import Course, Refusal
from vlmine_dagster.resources.replies import Answers, Reply, Request
from vlmine_dagster.resources.responses import no_completion
from vlmine_dagster.resources.retries import FIRST_PAUSE_S, RetryPolicy, refusal_in_answer, refusal_of
from vlmine_dagster.resources.routes import Health, Route, Routes
from vlmine_dagster.resources.sounds import sound_format

_logger = logging.getLogger(__name__)
_MOST_THROTTLED = 30  # answers 429 to one call before it is given up
_FAILURES_BEFORE_GIVING_UP = 20
_MOST_MOVED = 100  # times that a call is made elsewhere because an endpoint is down
_GATHERED_S = 0.05  # answers are kept in groups: to write each down alone costs more than the call


class ChatModel:
    """A chat model that answers many requests at once.

    Retried with growing pauses are 429 (all calls pause as the endpoint asks, and fewer go at once), timeouts (fewer go
    at once), 5xx, broken connections, and bodies that are not a completion; an image that never gets an answer is
    `timed_out`. A completion whose answer cannot be read is not asked for again: it would cost the same and be the
    same. A field that the endpoint refuses is renamed or left out. A refused key or model ends the work at once, and so
    do many calls in a row without any answer. Tries that timed out count as paid for, by an estimate.

    Of several endpoints each call goes to that which is expected to answer it soonest; one that does not answer rests
    while others do, and its calls are made elsewhere.

    Args:
        question: What is asked.
        first_pause_s: Pause before the second try.

    Attributes:
        health: What became of the calls to each endpoint, once requests were answered.
    """

    def __init__(self, question: ChatQuestion, *, first_pause_s: float = FIRST_PAUSE_S):
        self._question = question
        self._first_pause_s = first_pause_s
        self.label = question.label
        self.health: list[Health] = []

    @property
    def where(self) -> str:
        """The endpoint's address."""
        return address_of(self._question.settings)

    @property
    def fingerprint(self) -> str:
        """That of the question."""
        return self._question.fingerprint

    def reply(self, requests: Iterable[Request], keep: Callable[[Answers], None]) -> Iterator[Answers]:
        """Yield (content, reply) as answers come; at most twice `concurrency` images are in memory.

        Where the work is broken off, what has come is kept, and calls under way are dropped.

        Raises:
            ModelError: the endpoint cannot be used; the message says why. Answers that came before were yielded.
        """
        prepared = map_in_order(self._prepared, requests, workers=core_count())
        with _Calls(self._question, self._first_pause_s, keep).running() as calls:
            most = 2 * self._question.settings.concurrency * len(calls.routes.all)
            for request, failure in prepared:
                if failure is not None:
                    group = [(request.content, Reply(None, Outcome.CORRUPT, failure))]
                    keep(group)
                    yield group
                    continue
                calls.start(request)
                while calls.is_ready(most):
                    yield calls.kept()
                if calls.defect is not None:
                    break
            while calls.is_ready(0):
                yield calls.kept()
            self.health = [route.health for route in calls.routes.all]
        if calls.defect is not None:
            raise calls.defect

    def worst_cost_usd(self, request: Request) -> float:
        """Return what a call may cost at the most."""
        return self._question.worst_cost_usd(request)

    def _prepared(self, request: Request) -> tuple[Request, str | None]:
        """Reduce the picture of a request, where it has one; with the reason where it cannot be read."""
        side = self._question.image_side
        if request.image is None or side is None or sound_format(request.image):
            return request, None
        try:
            image = jpeg_for_model(request.image, side=side, max_pixels=self._question.max_pixels)
        except PictureError as error:
            return request, str(error)
        return replace(request, image=image), None


class _Calls:
    """Calls in flight on an event loop of their own in a thread, and a second thread that keeps what they answer."""

    def __init__(self, question: ChatQuestion, first_pause_s: float, keep: Callable[[Answers], None]):
        self._question = question
        self._keep = keep
        self._retries = RetryPolicy(question.settings.max_attempts, first_pause_s)
        self._come: queue.SimpleQueue[tuple[str, Reply | None] | None] = queue.SimpleQueue()
        self._kept: queue.SimpleQueue[list[tuple[str, Reply | None]] | Exception] = queue.SimpleQueue()
        self._waiting = 0
        has_schema = question.wants_keywords and question.settings.json_schema != "never"
        self._dialect = Dialect(has_schema=has_schema)
        self._unanswered = 0
        self.defect: ModelError | None = None

    @contextmanager
    def running(self) -> Iterator["_Calls"]:
        """Start both threads; on leaving, drop what is in flight, keep what has come, and end them."""
        self.routes = Routes(self._question.settings)
        self._loop = asyncio.new_event_loop()
        asking = threading.Thread(target=self._loop.run_forever, name="vlmine-chat", daemon=True)
        keeping = threading.Thread(target=self._keep_all, name="vlmine-answers", daemon=True)
        asking.start()
        keeping.start()
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            asking.join()
            self._loop.close()
            self._come.put(None)
            keeping.join()

    def start(self, request: Request) -> None:
        """Send a request off."""
        self._waiting += 1
        asyncio.run_coroutine_threadsafe(self._answer(request), self._loop).add_done_callback(self._notice)

    def is_ready(self, most: int) -> bool:
        """Return whether more than `most` requests are under way, or answers have been kept."""
        return self._waiting > most or not self._kept.empty()

    def kept(self) -> Answers:
        """Wait until answers are kept, and return them.

        Raises:
            Exception: they cannot be kept.
        """
        found = self._kept.get()
        if isinstance(found, Exception):
            raise found
        self._waiting -= len(found)
        return _replies(found)

    def _keep_all(self) -> None:
        """Keep what comes, in groups, until nothing comes any more."""
        last = self._come.get()
        while last is not None:
            time.sleep(_GATHERED_S)  # the queue before the endpoint is long enough for that
            answers = [last]
            while not self._come.empty() and (last := self._come.get()) is not None:
                answers.append(last)
            try:
                self._keep(_replies(answers))
            except Exception as error:
                self._kept.put(error)
            else:
                self._kept.put(answers)
            last = last and self._come.get()

    def _notice(self, future: "Future[tuple[str, Reply | None]]") -> None:
        if future.cancelled():
            return
        error = future.exception()
        if error is not None:  # a mistake of ours: ends the work like an endpoint's defect
            self.defect = self.defect or ModelError(f"{self._question.label}: {shown_line(repr(error))}")
        self._come.put(("", None) if error is not None else future.result())

    async def _end(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for client in itertools.chain.from_iterable(route.clients for route in self.routes.all):
            await client.close()

    async def _answer(self, request: Request) -> tuple[str, Reply | None]:
        reply = await self._persist(request)
        if reply is not None:
            self._unanswered = 0 if reply.is_kept else self._unanswered + 1
            if self._unanswered >= _FAILURES_BEFORE_GIVING_UP + self._question.settings.concurrency:
                self._give_up(f"{self._unanswered} calls in a row without an answer; the last: {self._why(reply)}")
        return request.content, reply

    def _why(self, reply: Reply) -> str:
        """Return why there is no answer, and the setting that may help."""
        reason, settings = (reply.failure or "").rstrip("."), self._question.settings
        if "timeout_s" in reason:
            return f"{reason}, with {self.routes.limit} of concurrency {settings.concurrency} at once: raise timeout_s"
        if reply.outcome is Outcome.REFUSED and "(413:" in reason:
            return f"{reason}. Lower image_side, or raise the limit of the server or proxy that said so"
        if reply.outcome is Outcome.REFUSED:
            return f"{reason}. If it names a field, set it in `extra`; null takes one away"
        return reason

    async def _persist(self, request: Request) -> Reply | None:
        """Try until there is an answer or no hope; None where the work ends."""
        attempts = throttled = late = moved = 0
        miss = _Miss("")
        while attempts < self._retries.max_attempts and throttled < _MOST_THROTTLED:
            if self._is_over():
                return None
            async with self.routes.turn() as route:
                if self._is_over():
                    return None
                started = time.monotonic()
                found = await self._try(request, route)
            if isinstance(found, Reply):
                route.throttle.relax()
                route.note_answer(time.monotonic() - started)
                return replace(found, lost_usd=self._lost_usd(request, late) or 0.0)
            miss = found
            if miss.is_asked_otherwise or miss.is_refused_here:
                continue
            if miss.is_throttled:
                throttled += 1
                route.throttle.tighten(self._retries.pause_s(throttled, miss.pause_s))
                continue
            if miss.is_late:
                late += 1
                route.throttle.slow_down()
            route.note_failure(miss.reason)
            if not miss.is_late and moved < _MOST_MOVED and self.routes.has_other(route):
                moved += 1
                continue
            attempts += 1
            if attempts < self._retries.max_attempts:
                await asyncio.sleep(self._retries.pause_s(attempts, miss.pause_s))
        outcome = Outcome.UNPARSEABLE if miss.is_unreadable else Outcome.TIMED_OUT
        reason = f"no answer after {attempts + throttled + moved} tries; the last: {miss.reason}"
        cost = self._lost_usd(request, late)
        return Reply(None, outcome, reason, cost_usd=cost, is_estimated=bool(cost))

    def _lost_usd(self, request: Request, late: int) -> float | None:
        """Return what tries may have cost that timed out: a server may bill what nobody received."""
        each = self._question.unreceived_cost_usd(request) if late else 0.0
        return None if each is None else late * each

    def _is_over(self) -> bool:
        return self.defect is not None

    async def _try(self, request: Request, route: Route) -> "Reply | _Miss":
        import openai

        settings, started, dialect = self._question.settings, time.monotonic(), self._dialect
        body = self._question.body(request.prompt, request.image, dialect)
        try:
            async with asyncio.timeout(settings.timeout_s):
                response = await route.client().post("/chat/completions", body=body, cast_to=raw_response())
                content = await response.aread()
        except (TimeoutError, openai.APITimeoutError):
            return _Miss(f"no whole answer within timeout_s {settings.timeout_s:g}", is_late=True)
        except openai.APIStatusError as error:
            return self._refused(refusal_of(error), body, dialect, route)
        except openai.APIError as error:
            return _Miss(shown_line(unreachable(route.settings, error)))
        refusal = refusal_in_answer(response, content)
        if refusal is not None:
            return self._refused(refusal, body, dialect, route)
        reply = self._question.read(content, request, latency_s=time.monotonic() - started)
        if reply is None:
            return _Miss(shown_line(no_completion(content)), is_unreadable=True)
        return reply

    def _refused(self, refusal: Refusal, body: dict[str, Any], dialect: Dialect, route: Route) -> "Reply | _Miss":
        if refusal.course is Course.END:
            meaning = f"{refusal.meaning} ({refusal})"
            if refusal.is_about_path:
                meaning = f"{meaning}. {advice_on_path(address_of(route.settings))}".rstrip(". ")
            if any(not other.is_refused for other in self.routes.all if other is not route):
                route.refuse(meaning)
                return _Miss(refusal.words, is_refused_here=True)
            self._give_up(meaning)
            return _Miss(refusal.words)
        if refusal.course is Course.LEAVE_OUT:
            if self._asks_otherwise(refusal, body, dialect):
                return _Miss(refusal.words, is_asked_otherwise=True)
            return Reply(None, Outcome.REFUSED, f"the endpoint refused the request ({refusal})")
        return _Miss(str(refusal), pause_s=refusal.pause_s, is_throttled=refusal.course is Course.SLOW_DOWN)

    def _asks_otherwise(self, refusal: Refusal, body: dict[str, Any], dialect: Dialect) -> bool:
        """Change a field that the endpoint does not take; return whether there is another way to ask."""
        if dialect != self._dialect:  # another call was refused for it meanwhile
            return True
        settings = self._question.settings
        other = dialect.without(
            refusal.words, {k: v for k, v in body.items() if k not in settings.extra}, settings.json_schema == "auto"
        )
        if other is None:
            return False
        self._dialect = other
        if dialect.has_temperature and not other.has_temperature:
            _logger.warning(
                "%s does not accept a temperature, so its own is used instead of %g.",
                settings.model,
                settings.temperature,
            )
        return True

    def _give_up(self, reason: str) -> None:
        s = self._question.settings
        where = address_of(s)
        self.defect = self.defect or ModelError(
            f"{s.model} at {where}: {reason}. All answers so far are kept. Look at base_url, model and the key in "
            f"${s.api_key_env}; then run again."
        )


def _replies(found: Iterable[tuple[str, Reply | None]]) -> Answers:
    return [(content, reply) for content, reply in found if reply is not None]


@dataclass(frozen=True)
class _Miss:
    """A try without an answer."""

    reason: str
    pause_s: float | None = None
    is_throttled: bool = False
    is_asked_otherwise: bool = False
    is_unreadable: bool = False
    is_late: bool = False
    is_refused_here: bool = False
