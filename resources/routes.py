"""Several endpoints of one model: each call goes where it is answered soonest, and past those that are down."""

import asyncio
import itertools
import logging
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.resources.access import address_of
from vlmine_dagster.resources.endpoint import Throttle, async_clients
from vlmine_dagster.settings import EndpointSettings

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_logger = logging.getLogger(__name__)
_FAILURES_BEFORE_REST = 3
_FIRST_REST_S = 1.0
_LONGEST_REST_S = 60.0
_LOOK_EVERY_S = 0.25
_WEIGHT_OF_LAST = 0.1


@dataclass(frozen=True)
class Health:
    """What became of the calls to one endpoint.

    Attributes:
        endpoint: Its address, as it may be seen.
        answered: Calls that it answered.
        failed: Calls that it did not: refused connections, errors of the server, timeouts.
        per_second: Answers a second since the first call.
        latency_s: Mean seconds until an answer, the latest counting most.
        state: up, or why it gets no work.
    """

    endpoint: str
    answered: int
    failed: int
    per_second: float
    latency_s: float
    state: str

    def __str__(self) -> str:
        return (
            f"{self.endpoint}: {counted(self.answered, 'answer')}, {self.per_second:.3g}/s, {self.latency_s:.2f} s "
            f"each, {counted(self.failed, 'call')} failed, {self.state}"
        )


class Route:
    """One endpoint: its connections, its pace and its health.

    Args:
        settings: How to reach it; `base_url` is one address.
        may_rest: Whether others can do its work while it does not answer.
    """

    def __init__(self, settings: EndpointSettings, *, may_rest: bool):
        self.settings = settings
        self._may_rest = may_rest
        self.throttle = Throttle(settings.concurrency, settings.timeout_s)
        self.clients = async_clients(settings)
        self._turns = itertools.cycle(self.clients)
        self._answered = self._failed = self._in_a_row = self._rests = 0
        self._latency_s = self._rests_until = self._failed_at = 0.0
        self._refusal = self._reason = ""
        self._started = time.monotonic()

    def client(self) -> "AsyncOpenAI":
        """Return a client; they take turns."""
        return next(self._turns)

    @property
    def is_refused(self) -> bool:
        """Whether it takes no calls at all: a wrong key, a model that it does not have."""
        return bool(self._refusal)

    @property
    def is_up(self) -> bool:
        """Whether it answers, as far as is known."""
        return not self.is_refused and time.monotonic() >= self._rests_until

    @property
    def has_room(self) -> bool:
        """Whether a call would be sent at once; after a rest a single one has to be answered first."""
        return self.throttle.has_room and (self._rests == 0 or self.throttle.in_flight == 0)

    @property
    def expected_s(self) -> float:
        """Seconds until another call would be answered, by those before and those at work."""
        return self._latency_s * (1 + self.throttle.in_flight)

    def note_answer(self, latency_s: float) -> None:
        """Count an answer; one to a call from before the last failure does not say that the endpoint is back."""
        if time.monotonic() - latency_s >= self._failed_at:
            if self._rests:
                _logger.warning("%s answers again.", address_of(self.settings))
            self._in_a_row = self._rests = 0
        share = _WEIGHT_OF_LAST if self._answered else 1.0
        self._answered += 1
        self._latency_s += share * (latency_s - self._latency_s)

    def note_failure(self, reason: str) -> None:
        """Count a call without an answer; after a few in a row the endpoint rests, each time longer."""
        self._failed += 1
        self._in_a_row += 1
        self._failed_at = time.monotonic()
        if self._may_rest and self.is_up and (self._rests or self._in_a_row >= _FAILURES_BEFORE_REST):
            rest_s = min(_LONGEST_REST_S, _FIRST_REST_S * 2.0**self._rests)
            self._rests += 1
            self._rests_until, self._reason = time.monotonic() + rest_s, reason
            if self._rests == 1:
                _logger.warning("%s gets no work for now: %s", address_of(self.settings), reason)

    def refuse(self, reason: str) -> None:
        """Send nothing there any more."""
        if not self._refusal:
            _logger.warning("%s gets no more work: %s", address_of(self.settings), reason)
        self._refusal = reason

    @property
    def health(self) -> Health:
        """What became of its calls."""
        seconds = max(time.monotonic() - self._started, 1e-9)
        state = f"refused: {self._refusal}" if self._refusal else f"down: {self._reason}" if self._rests else "up"
        rate = self._answered / seconds
        return Health(address_of(self.settings), self._answered, self._failed, rate, self._latency_s, state)


class Routes:
    """The endpoints of a model; used from one event loop.

    Args:
        settings: How to reach them.
    """

    def __init__(self, settings: EndpointSettings):
        several = settings.each_endpoint
        self.all = tuple(Route(one, may_rest=len(several) > 1) for one in several)
        self._queue: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Route]:
        """Wait for an endpoint that takes a call; it is taken until the block ends."""
        route = self.all[0] if len(self.all) == 1 else await self._free()
        try:
            async with route.throttle:
                yield route
        finally:
            self._wake()

    def has_other(self, route: Route) -> bool:
        """Whether another endpoint is up."""
        return any(other.is_up for other in self.all if other is not route)

    @property
    def limit(self) -> int:
        """Calls that go at once now."""
        return sum(route.throttle.limit for route in self.all if not route.is_refused)

    async def _free(self) -> Route:
        while True:
            # Where none is up, all are tried: the work then ends by their failures, as with one endpoint.
            able = [route for route in self.all if route.is_up] or [r for r in self.all if not r.is_refused]
            free = [route for route in able or self.all if route.has_room]
            if free:
                return min(free, key=lambda route: route.expected_s)
            turn = asyncio.get_running_loop().create_future()
            self._queue.append(turn)
            try:
                async with asyncio.timeout(_LOOK_EVERY_S):  # a rest may be over
                    await turn
            except TimeoutError:
                pass

    def _wake(self) -> None:
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
