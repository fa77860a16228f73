"""OpenAI's Batch API: half the price, answers within a day."""

import hashlib
import io
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from vlmine_dagster.domain.errors import ModelError
from vlmine_dagster.domain.tables import Outcome
from vlmine_dagster.resources.access import address_of
from vlmine_dagster.resources.endpoint import client_of
from vlmine_dagster.resources.lines import shown_line
from vlmine_dagster.resources.ordered import batches
from vlmine_dagster.resources.questions import ChatQuestion, Dialect
from vlmine_dagster.resources.replies import Reply, Request
from vlmine_dagster.resources.responses import words_in
from vlmine_dagster.resources.retries import RetryPolicy, connection_words, refusal_of

if TYPE_CHECKING:
    from openai import OpenAI

    from vlmine_dagster.resources.cache import ReplyCache

MOST_REQUESTS = 50_000
FIRST_POLL_S = 1.0
_LONGEST_POLL_S = 60.0
_ENDED = ("completed", "failed", "expired", "cancelled")


class BatchModel:
    """A chat model that is asked by batch jobs.

    The id of a job is written down before it is waited for: a killed run finds its job again instead of paying for
    another one. Answers that a job lacks (it expired, or they failed) are `timed_out` and can be retried.

    Args:
        question: What is asked.
        cache: Where ids of jobs are written down.
        first_poll_s: First pause between two looks at a job; pauses grow to a minute.
        most_requests: Requests a job.
    """

    def __init__(
        self,
        question: ChatQuestion,
        cache: "ReplyCache",
        *,
        first_poll_s: float = FIRST_POLL_S,
        most_requests: int = MOST_REQUESTS,
    ):
        self._question = question
        self._cache = cache
        self._first_poll_s = first_poll_s
        self._most_requests = most_requests
        self._retries = RetryPolicy(question.settings.max_attempts)
        self.label = f"{question.label}, by batch"

    @property
    def where(self) -> str:
        """The endpoint's address."""
        return address_of(self._question.settings)

    @property
    def fingerprint(self) -> str:
        """That of the question: an answer of a batch is as good as one of a call."""
        return self._question.fingerprint

    def reply(self, requests: Iterable[Request]) -> Iterator[Sequence[tuple[str, Reply]]]:
        """Yield (content, reply) for each request, a job at a time.

        Raises:
            ModelError: the endpoint takes no batches, or the job failed as a whole.
        """
        import openai

        try:
            with client_of(self._question.settings) as client:
                for part in batches(requests, self._most_requests):
                    yield self._job(client, part)
                    self._forget(part)
        except openai.APIError as error:
            raise ModelError(
                f"{self.label}: {_words(error)}. The job, if it was begun, goes on: run again to fetch it. "
                f"Without `batch: true` the endpoint is asked call by call."
            ) from None

    def worst_cost_usd(self, request: Request) -> float:
        """Return what a call may cost at the most."""
        return self._question.worst_cost_usd(request)

    def _job(self, client: "OpenAI", part: list[Request]) -> list[tuple[str, Reply]]:
        digest = _digest(part)
        begun = time.monotonic()
        name = self._cache.batch(self.fingerprint, digest)
        if name is None:
            name = self._begin(client, part)
            self._cache.note_batch(self.fingerprint, digest, name)
        job = self._wait(client, name)
        lines = [*self._lines(client, job.output_file_id), *self._lines(client, job.error_file_id)]
        if not lines:
            self._cache.note_batch(self.fingerprint, digest, None)
            raise ModelError(f"{self.label}: job {name} {job.status} without any answer. {shown_line(str(job.errors))}")
        answers = {line.get("custom_id"): line for line in lines}
        share = (time.monotonic() - begun) / len(part)
        return [(request.content, self._reply(answers.get(request.content), request, share)) for request in part]

    def _forget(self, part: list[Request]) -> None:
        """Forget a job once its answers are kept."""
        self._cache.note_batch(self.fingerprint, _digest(part), None)

    def _begin(self, client: "OpenAI", part: list[Request]) -> str:
        dialect = Dialect(has_schema=self._question.settings.json_schema == "always")
        lines = (
            json.dumps(
                {
                    "custom_id": request.content,
                    "method": "POST",
                    "url": "/v1/chat/completions",
                    "body": self._question.body(request.prompt, None, dialect),
                }
            )
            for request in part
        )
        content = io.BytesIO("\n".join(lines).encode())
        file = self._retries.run(
            lambda: client.files.create(file=("vlmine.jsonl", content.getvalue()), purpose="batch")
        )
        job = self._retries.run(
            lambda: client.batches.create(
                input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
            )
        )
        return str(job.id)

    def _wait(self, client: "OpenAI", name: str) -> Any:
        pause = self._first_poll_s
        while True:
            job = self._retries.run(lambda: client.batches.retrieve(name))
            if job.status in _ENDED:
                return job
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_POLL_S)

    def _lines(self, client: "OpenAI", file: str | None) -> list[dict[str, Any]]:
        if file is None:
            return []
        found = []
        for line in self._retries.run(lambda: client.files.content(file)).text.splitlines():
            try:
                value = json.loads(line)
            except ValueError:
                continue
            if isinstance(value, dict):
                found.append(value)
        return found

    def _reply(self, line: dict[str, Any] | None, request: Request, latency_s: float) -> Reply:
        response = (line or {}).get("response") or {}
        body = response.get("body")
        if line is None or body is None:
            reason = shown_line(str((line or {}).get("error") or "the batch job gave no answer"))
            return Reply(None, Outcome.TIMED_OUT, reason)
        reply = self._question.read(json.dumps(body).encode(), request, latency_s=latency_s)
        if reply is None:
            refused = response.get("status_code") == 400
            outcome = Outcome.REFUSED if refused else Outcome.TIMED_OUT
            words = words_in(json.dumps(body).encode())
            return Reply(None, outcome, shown_line(f"{response.get('status_code')}: {words}"))
        return reply


def _words(error: Any) -> str:
    import openai

    return str(refusal_of(error)) if isinstance(error, openai.APIStatusError) else connection_words(error)


def _digest(part: list[Request]) -> str:
    return hashlib.sha256("\n".join(sorted(request.content for request in part)).encode()).hexdigest()
