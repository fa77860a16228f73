"""Asking models: what is asked, what comes back, and how no answer is paid for twice."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Protocol

from vlmine_dagster.domain.errors import BudgetExceededError, ModelError
from vlmine_dagster.domain.tables import Outcome
from vlmine_dagster.resources.ordered import batches
from vlmine_dagster.settings import settings_hash

if TYPE_CHECKING:
    from vlmine_dagster.mining.answers import Judgement
    from vlmine_dagster.resources.cache import ReplyCache

_LOOKED_UP_AT_ONCE = 500


@dataclass(frozen=True)
class Request:
    """One question to a model.

    Attributes:
        content: Hash of what is asked about: the image's bytes, or the description.
        prompt: The text of the question.
        image: Encoded bytes of the image, None for a question about a text.
    """

    content: str
    prompt: str
    image: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What an answer about an image took.

    Attributes:
        prompt_tokens: Tokens read.
        output_tokens: Tokens written.
        latency_s: Seconds that the answer took.
        cost_usd: Price in US dollars, None if it is unknown.
        is_estimated: Whether tokens and price are estimates, because the server does not say what it used.
    """

    prompt_tokens: int = 0
    output_tokens: int = 0
    latency_s: float = 0.0
    cost_usd: float | None = 0.0
    is_estimated: bool = False


@dataclass(frozen=True)
class Reply(Usage):
    """What a model answered, before anyone has judged the text.

    Attributes:
        text: The answer, None where there is none.
        outcome: ok; truncated, refused or empty by the model's own word; timed_out without an answer; corrupt where the
            image could not be sent.
        failure: Why the outcome is not ok.
        lost_usd: What earlier tries may have cost that timed out, an estimate: a server may bill what nobody received.
    """

    text: str | None
    outcome: Outcome = Outcome.OK
    failure: str | None = None
    lost_usd: float = field(default=0.0, kw_only=True)

    @property
    def usage(self) -> dict[str, Any]:
        """What `Usage` has, by name and in its order."""
        return {one.name: getattr(self, one.name) for one in fields(Usage)}

    @property
    def is_kept(self) -> bool:
        """Whether asking again would be paying again: an answer came, or tokens were used."""
        return self.text is not None or self.prompt_tokens + self.output_tokens > 0


Answers = Sequence[tuple[str, Reply]]
"""Answers that came together, with the content that each is about."""


class ReplyModel(Protocol):
    """A model that answers questions: a local one, an endpoint, a batch service."""

    label: str
    """Name for people, such as `openai gpt-4o-mini, describe-general-v1`."""

    @property
    def where(self) -> str:
        """Where it runs: an address, or device and number format."""

    @property
    def fingerprint(self) -> str:
        """Changes with everything that can change an answer: model revision, prompt, decoding, image size."""

    def reply(self, requests: Iterable[Request], keep: Callable[[Answers], None]) -> Iterator[Answers]:
        """Yield groups of (content, reply), one for each request, in any order, as answers come.

        Each group goes to `keep` first. Where calls are paid for, that happens in a thread of its own: Ctrl-C and
        errors elsewhere do not reach it. Nothing is raised because of one request.
        """

    def worst_cost_usd(self, request: Request) -> float:
        """Return what a call may cost at the most, in US dollars; 0 where nothing is paid or the price is unknown."""


@dataclass(frozen=True)
class Spending:
    """How far the project may go.

    Attributes:
        cache: Knows what was spent.
        max_cost_usd: Limit in US dollars, None for none.
    """

    cache: "ReplyCache"
    max_cost_usd: float | None = None


def ask(
    model: ReplyModel,
    contents: Sequence[str],
    requests: Callable[[Sequence[str]], Iterator[Request]],
    *,
    spending: Spending,
    is_wanted_again: Callable[[Reply], bool] = lambda _reply: False,
) -> Iterator[tuple[str, Reply]]:
    """Answer from the cache what is there, ask for the rest, and keep each answer as it comes.

    Args:
        model: Who is asked.
        contents: Hashes of what is asked about, without repeats.
        requests: Makes the requests for those that must be asked.
        spending: Cache and limit.
        is_wanted_again: Whether a kept answer is to be asked for once more.

    Yields:
        (content, reply), once each, in any order.

    Raises:
        BudgetExceededError: the limit is reached. All that was paid for is in the cache.
    """
    cache = spending.cache
    missing: list[str] = []
    for chunk in batches(contents, _LOOKED_UP_AT_ONCE):
        known = cache.find(model.fingerprint, chunk)
        for content in chunk:
            reply = known.get(content)
            if reply is None or is_wanted_again(reply):
                missing.append(content)
            else:
                yield content, reply
    if not missing:
        return
    limit = _SpendingLimit(spending, model)
    for group in model.reply(limit.guard(requests(missing)), limit.keep):
        yield from group
    limit.raise_if_overspent(done=len(contents) - len(missing), total=len(contents))


@dataclass(frozen=True)
class Asker:
    """A model with its prompt, and a judge of its answers: what describers and keyworders that ask have in common.

    Attributes:
        model: Who is asked.
        prompt: The question.
        judge: Says what the text of an answer is worth, and which keywords it names.
        judge_name: Changes when the judge does.
        spending: Cache and limit.
    """

    model: ReplyModel
    prompt: str
    judge: "Callable[[str], Judgement]"
    judge_name: str
    spending: Spending

    @property
    def fingerprint(self) -> str:
        """Changes with the model's fingerprint and with how answers are judged."""
        return settings_hash(self.model.fingerprint, self.judge_name)

    def kept(self, contents: Sequence[str]) -> set[str]:
        """Return the contents whose answer is in the cache."""
        cache, variant = self.spending.cache, self.model.fingerprint
        return {name for chunk in batches(contents, _LOOKED_UP_AT_ONCE) for name in cache.find(variant, chunk)}

    def ask(
        self,
        contents: Mapping[str, str],
        requests: Callable[[Mapping[str, str]], Iterator[Request]],
        *,
        is_failure_retried: bool = False,
    ) -> Iterator[tuple[str, Reply, tuple[str, ...]]]:
        """Ask about each content once, however many have it; what an answer cost stands with the first of them alone.

        Args:
            contents: Hash of what is asked about, by the name of who wants to know.
            requests: Makes the requests for contents, given with the name of the first who has each.
            is_failure_retried: Ask again where the kept answer is a failure.

        Yields:
            (name, judged reply, keywords), once a name whose content was asked about, in any order.

        Raises:
            BudgetExceededError: the project's limit is reached.
            ModelError: the model or its endpoint cannot be used.
        """
        names: dict[str, list[str]] = {}
        for name, content in contents.items():
            names.setdefault(content, []).append(name)

        def is_failure(reply: Reply) -> bool:
            return is_failure_retried and self._judged(reply)[0].outcome is not Outcome.OK

        for content, reply in ask(
            self.model,
            list(names),
            lambda missing: requests({content: names[content][0] for content in missing}),
            spending=self.spending,
            is_wanted_again=is_failure,
        ):
            judged, keywords = self._judged(reply)
            first, *others = names[content]
            yield first, judged, keywords
            free = replace(judged, prompt_tokens=0, output_tokens=0, latency_s=0.0, cost_usd=0.0)
            yield from ((name, free, keywords) for name in others)

    def probe(self, content: str, image: bytes | None) -> Reply | None:
        """Ask about something beside the pool, once; None where nobody answers or the limit is reached."""
        requests = [Request(content, self.prompt, image)]
        try:
            found = list(ask(self.model, [content], lambda _missing: iter(requests), spending=self.spending))
        except (BudgetExceededError, ModelError):
            return None
        return self._judged(found[0][1])[0] if found else None

    def try_once(self, request: Request) -> Reply | None:
        """Ask a question whether it was asked before or not; None where the limit is reached.

        Raises:
            ModelError: the model or its endpoint cannot be used.
        """
        try:
            found = list(
                ask(
                    self.model,
                    [request.content],
                    lambda _missing: iter([request]),
                    spending=self.spending,
                    is_wanted_again=lambda _reply: True,
                )
            )
        except BudgetExceededError:
            return None
        return self._judged(found[0][1])[0]

    def _judged(self, reply: Reply) -> tuple[Reply, tuple[str, ...]]:
        if reply.outcome is not Outcome.OK:
            return reply, ()
        found = self.judge(reply.text or "")
        text = reply.text if found.text is None else found.text
        return replace(reply, text=text, outcome=Outcome(found.outcome), failure=found.failure), found.keywords


class _SpendingLimit:
    """Lets requests through as long as the limit is sure to hold for those on their way, and keeps what they cost."""

    def __init__(self, spending: Spending, model: ReplyModel):
        self._spending = spending
        self._model = model
        self._asked = self._answered = self._priced = 0
        self._paid = 0.0
        self._refused_usd: float | None = None
        self._lock = threading.Lock()  # an answer counts as on its way or as paid for, never as both

    def guard(self, requests: Iterator[Request]) -> Iterator[Request]:
        for request in requests:
            with self._lock:
                call_usd = self._paid / self._priced if self._priced else self._model.worst_cost_usd(request)
                if self._would_overspend(call_usd):
                    self._refused_usd = call_usd
                    return
                self._asked += 1
            yield request

    def keep(self, group: Answers) -> None:
        with self._lock:
            self._spending.cache.put(self._model.fingerprint, group, label=self._model.label)
            self._answered += len(group)
            costs = [cost for _, reply in group if (cost := (reply.cost_usd or 0.0) + reply.lost_usd)]
            self._priced += len(costs)
            self._paid += sum(costs)

    def raise_if_overspent(self, *, done: int, total: int) -> None:
        if self._refused_usd is not None:
            spent = self._spending.cache.spent_usd()
            raise BudgetExceededError(
                f"stopped: ${spent:.4f} of max_cost_usd ${self._spending.max_cost_usd:g} are spent, "
                f"{done + self._answered:,} of {total:,} answers are there, and the next call may cost "
                f"${self._refused_usd:.4f}. Paid answers are kept: raise max_cost_usd in vlmine.yaml and run "
                f"again to continue from here."
            )

    def _would_overspend(self, call_usd: float) -> bool:
        limit = self._spending.max_cost_usd
        if limit is None or call_usd == 0.0:
            return False
        on_the_way = self._asked - self._answered
        return self._spending.cache.spent_usd() + (on_the_way + 1) * call_usd > limit
