"""The one retry policy of everything that asks a server."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from vlmine_dagster.domain.secrets import masked
from vlmine_dagster.resources.lines import shown_line
from vlmine_dagster.resources.refusals import Course, Refusal, refusal_in
from vlmine_dagster.resources.responses import error_status

if TYPE_CHECKING:
    from openai import APIStatusError

FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class RetryPolicy:
    """How often and after which pauses something is tried again.

    Pauses double from `first_pause_s` up to 30 s, each shortened at random by up to half, so that calls that failed
    together do not come back together. A pause that the server asks for goes first.

    Attributes:
        max_attempts: Tries before it is given up.
        first_pause_s: Pause before the second try.
    """

    max_attempts: int
    first_pause_s: float = FIRST_PAUSE_S

    def pause_s(self, tries: int, asked_s: float | None = None) -> float:
        """Return the pause after so many failed tries."""
        if asked_s:
            return asked_s
        longest = min(_LONGEST_PAUSE_S, self.first_pause_s * 2 ** (max(tries, 1) - 1))
        return float(longest * random.uniform(0.5, 1.0))

    def run(self, call: Callable[[], Answer]) -> Answer:
        """Make a call of the openai client, again after errors that may pass by themselves.

        Raises:
            openai.APIError: the last of them, or the first that will not pass.
        """
        import openai

        tries = 0
        while True:
            asked_s = None
            try:
                return call()
            except openai.APIConnectionError:
                if tries + 1 >= self.max_attempts:
                    raise
            except openai.APIStatusError as error:
                refusal = refusal_of(error)
                if tries + 1 >= self.max_attempts or refusal.course not in (Course.WAIT, Course.SLOW_DOWN):
                    raise
                asked_s = refusal.pause_s
            tries += 1
            time.sleep(self.pause_s(tries, asked_s))


def refusal_of(error: "APIStatusError") -> Refusal:
    """Return what the openai client's error about a status means."""
    response = error.response
    return _moved(response) or refusal_in(int(error.status_code), response.headers, response.content)


def refusal_in_answer(response: Any, content: bytes) -> Refusal | None:
    """Return what is wrong with a response of status 200: an error within it, or an answer from elsewhere."""
    status = error_status(content)
    return _moved(response) or (None if status is None else refusal_in(status, response.headers, content))


def _moved(response: Any) -> Refusal | None:
    """Tell a call that redirections sent on without its question: with status 301 and 302 a POST becomes a GET."""
    if not response.history or response.request.method == response.history[0].request.method:
        return None
    there = masked(str(response.url).partition("?")[0].removesuffix("/chat/completions"))
    return Refusal(Course.END, int(response.history[0].status_code), f"redirected to {there}", "base_url is another")


def connection_words(error: BaseException) -> str:
    """Return the words of an error that has no status: the deepest cause that says anything."""
    words = ""
    cause: BaseException | None = error
    while cause is not None:
        words = str(cause) or words
        cause = cause.__cause__ or cause.__context__
    return shown_line(words or type(error).__name__)
