"""OpenAI's Batch API: half the price, answers within a day."""

import hashlib
import io
import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import TYPE_CHECKING, Any

from vlmine_dagster.domain.errors import ModelError
from vlmine_dagster.domain.tables import Outcome
from vlmine_dagster.resources.access import address_of
from vlmine_dagster.resources.endpoint import client_of
from vlmine_dagster.resources.lines import shown_line
from vlmine_dagster.resources.ordered import batches
from vlmine_dagster.resources.questions import ChatQuestion, Dialect
from vlmine_dagster.resources.refusals import Course, Refusal, refusal_in
from vlmine_dagster.resources.replies import Answers, Reply, Request
from vlmine_dagster.resources.responses import words_in
from vlmine_dagster.resources.retries import RetryPolicy, connection_words, refusal_of

if TYPE_CHECKING:
    from openai import OpenAI

    from vlmine_dagster.resources.cache import ReplyCache

_logger = logging.getLogger(__name__)

MOST_REQUESTS = 50_000
FIRST_POLL_S = 1.0
_LONGEST_POLL_S = 60.0
_LOST = "lost "
"""Before the id of a job that the service does not know: the next run that does not find it either begins a new one."""
_LATEST = 20  # jobs that are looked through for one whose answer was lost
_MOST_DIALECTS = 4  # a field each: limit, temperature, schema
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
        self._dialect = Dialect(has_schema=question.settings.json_schema == "always")
        self._first_dialect = self._dialect
        self._fetched: list[str] = []
        self._end = ""
        self.label = f"{question.label}, by batch"

    @property
    def where(self) -> str:
        """The endpoint's address."""
        return address_of(self._question.settings)

    @property
    def fingerprint(self) -> str:
        """That of the question: an answer of a batch is as good as one of a call."""
        return self._question.fingerprint

    def reply(self, requests: Iterable[Request], keep: Callable[[Answers], None]) -> Iterator[Answers]:
        """Yield (content, reply) for each request, a job at a time.

        Lines that are refused for a field that the model does not take are asked again in a job without it.

        Raises:
            ModelError: the endpoint takes no batches, the job failed as a whole, or its lines say that no other will be
                answered: the money is spent, the model is not there. What was answered is yielded before.
        """
        import openai

        try:
            with client_of(self._question.settings) as client:
                for part in batches(requests, self._most_requests):
                    answers = self._answers(client, part)
                    keep(answers)
                    self._forget()
                    yield answers
                    if self._end:
                        raise ModelError(f"{self.label}: {self._end}. All answers so far are kept; then run again.")
        except openai.APIError as error:
            raise ModelError(
                f"{self.label}: {_words(error)}. The job, if it was started, continues: run again to fetch it. "
                f"Without `batch: true` the endpoint is asked call by call."
            ) from None

    def worst_cost_usd(self, request: Request) -> float:
        """Return what a call may cost at the most."""
        return self._question.worst_cost_usd(request)

    def _answers(self, client: "OpenAI", part: list[Request]) -> list[tuple[str, Reply]]:
        """Return the replies of a job, and of a second one in place of those that want another field."""
        found: dict[str, Reply] = {}
        left = part
        for _ in range(_MOST_DIALECTS):
            sent = self._dialect
            found |= self._job(client, left, sent)
            if self._dialect == sent or self._end:
                break
            left = [request for request in left if _is_unread(found[request.content])]
        return list(found.items())

    def _job(self, client: "OpenAI", part: list[Request], sent: Dialect) -> dict[str, Reply]:
        digest = _digest(part, "" if sent == self._first_dialect else repr(sent))
        begun = time.monotonic()
        noted = self._cache.batch(self.fingerprint, digest)
        name = noted and noted.removeprefix(_LOST)
        job = None if name is None else self._found(client, name, digest, is_lost=name != noted)
        if job is None:
            name = self._begin(client, part)
            self._cache.note_batch(self.fingerprint, digest, name)
            job = self._wait(client, name)
        lines = [*self._lines(client, job.output_file_id), *self._lines(client, job.error_file_id)]
        if not lines:
            self._cache.note_batch(self.fingerprint, digest, None)
            raise ModelError(f"{self.label}: job {name} {job.status} without any answer. {_job_words(job)}")
        self._fetched.append(digest)
        answers = {line.get("custom_id"): line for line in lines}
        share = (time.monotonic() - begun) / len(part)
        return {r.content: self._reply(answers.get(r.content), r, sent, share) for r in part}

    def _found(self, client: "OpenAI", name: str, digest: str, *, is_lost: bool) -> Any:
        """Wait for a job that was begun before; None where the service does not know it, and that was told before.

        Raises:
            ModelError: the service does not know it.
        """
        import openai

        try:
            return self._wait(client, name)
        except openai.NotFoundError:
            if is_lost:
                _logger.warning("Job %s can no longer be found; starting a new one.", name)
                return None
            self._cache.note_batch(self.fingerprint, digest, f"{_LOST}{name}")
            raise ModelError(
                f"{self.label}: job {name}, which was started before, is not known at {self.where}. Another key or "
                f"project started it, or it is too old. With the key that started it, the next run fetches it; with "
                f"this one it starts a new job, which is paid for again."
            ) from None

    def _forget(self) -> None:
        """Forget jobs once their answers are kept."""
        for digest in self._fetched:
            self._cache.note_batch(self.fingerprint, digest, None)
        self._fetched = []

    def _begin(self, client: "OpenAI", part: list[Request]) -> str:
        lines = (
            json.dumps(
                {
                    "custom_id": request.content,
                    "method": "POST",
                    "url": "/v1/chat/completions",
                    "body": self._question.body(request.prompt, None, self._dialect),
                }
            )
            for request in part
        )
        content = io.BytesIO("\n".join(lines).encode())
        file = self._retries.run(
            lambda: client.files.create(file=("vlmine.jsonl", content.getvalue()), purpose="batch")
        )
        tries = count()

        def begin() -> Any:
            earlier = _begun_with(client, file.id) if next(tries) else None
            return earlier or client.batches.create(
                input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
            )

        return str(self._retries.run(begin).id)

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

    def _reply(self, line: dict[str, Any] | None, request: Request, sent: Dialect, latency_s: float) -> Reply:
        response = (line or {}).get("response") or {}
        body = response.get("body")
        if line is None or body is None:
            error = (line or {}).get("error")
            words = words_in(json.dumps(error).encode()) if error else "the batch job gave no answer"
            return Reply(None, Outcome.TIMED_OUT, shown_line(words))
        content = json.dumps(body).encode()
        reply = self._question.read(content, request, latency_s=latency_s)
        return self._refused(refusal_in(_status(response), {}, content), request, sent) if reply is None else reply

    def _refused(self, refusal: Refusal, request: Request, sent: Dialect) -> Reply:
        if refusal.course is Course.END:
            self._end = self._end or f"{refusal.meaning} ({refusal})"
        if refusal.course is not Course.LEAVE_OUT:
            return Reply(None, Outcome.TIMED_OUT, shown_line(str(refusal)))
        if self._dialect == sent:
            settings = self._question.settings
            body = self._question.body(request.prompt, None, sent)
            own = {name: value for name, value in body.items() if name not in settings.extra}
            self._dialect = sent.without(refusal.words, own, settings.json_schema == "auto") or sent
        return Reply(None, Outcome.REFUSED, shown_line(str(refusal)))


def _begun_with(client: "OpenAI", file_id: str) -> Any:
    """Return the job that was begun with a file though its answer was lost, None where none is listed."""
    import openai

    try:
        latest = client.batches.list(limit=_LATEST).data
    except openai.APIStatusError:  # not every service lists its jobs
        return None
    return next((job for job in latest if job.input_file_id == file_id), None)


def _is_unread(reply: Reply) -> bool:
    """Whether the service refused a line before the model read it; what a model refused is paid for."""
    return reply.outcome is Outcome.REFUSED and not reply.prompt_tokens


def _status(response: dict[str, Any]) -> int:
    status = response.get("status_code")
    return status if isinstance(status, int) else 500


def _job_words(job: Any) -> str:
    """Return why a job failed as a whole, in the service's words."""
    messages = [str(one.message) for one in (getattr(job.errors, "data", None) or ()) if one.message]
    return shown_line(" ".join(dict.fromkeys(messages)) or str(job.errors or "No reason is given."))


def _words(error: Any) -> str:
    import openai

    return str(refusal_of(error)) if isinstance(error, openai.APIStatusError) else connection_words(error)


def _digest(part: list[Request], way: str = "") -> str:
    return hashlib.sha256(
        "\n".join([*sorted(request.content for request in part), *([way] if way else [])]).encode()
    ).hexdigest()
