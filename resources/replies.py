"""Asking models: what is asked, what comes back, and how no answer is paid for twice."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from resources.ordered import batches
from vlmine_dagster.errors import BudgetExceededError
from vlmine_dagster.tables import Outcome

if TYPE_CHECKING:
    from resources.cache import ReplyCache

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


@dataclass(frozen=True)
class Reply:
    """What a model answered, before anyone has judged the text.

    Attributes:
        text: The answer, None where there is none.
        outcome: ok; truncated, refused or empty by the model's own word; timed_out without an answer; corrupt where the
            image could not be sent.
        failure: Why the outcome is not ok.
        prompt_tokens: Tokens read.
        output_tokens: Tokens written.
        latency_s: Seconds that the answer took.
        cost_usd: Price in US dollars, None where nobody knows the model's price.
    """

    text: str | None
    outcome: Outcome = Outcome.OK
    failure: str | None = None
    prompt_tokens: int = 0
    output_tokens: int = 0
    latency_s: float = 0.0
    cost_usd: float | None = 0.0

    @property
    def is_kept(self) -> bool:
        """Whether asking again would be paying again: an answer came, or tokens were used."""
        return self.text is not None or self.prompt_tokens + self.output_tokens > 0


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

    def reply(self, requests: Iterable[Request]) -> Iterator[Sequence[tuple[str, Reply]]]:
        """Yield groups of (content, reply), one for each request, in any order, as answers come.

        Nothing is raised because of one request.
        """

    def worst_cost_usd(self, request: Request) -> float:
        """Return what a call may cost at the most, in US dollars; 0 where nothing is paid or nobody knows."""


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
    purse = _Purse(spending, model)
    for group in model.reply(purse.guard(requests(missing))):
        cache.put(model.fingerprint, group, label=model.label)
        purse.settle(group)
        yield from group
    purse.complain(done=len(contents) - len(missing), total=len(contents))


class _Purse:
    """Lets requests through as long as the limit is sure to hold for those on their way."""

    def __init__(self, spending: Spending, model: ReplyModel):
        self._spending = spending
        self._model = model
        self._asked = self._answered = 0
        self._paid = 0.0
        self._is_empty = False

    def guard(self, requests: Iterator[Request]) -> Iterator[Request]:
        for request in requests:
            if self._would_overspend(request):
                self._is_empty = True
                return
            self._asked += 1
            yield request

    def settle(self, group: Sequence[tuple[str, Reply]]) -> None:
        self._answered += len(group)
        self._paid += sum(reply.cost_usd or 0.0 for _, reply in group)

    def complain(self, *, done: int, total: int) -> None:
        if self._is_empty:
            spent = self._spending.cache.spent_usd()
            raise BudgetExceededError(
                f"stopped: ${spent:.4f} of max_cost_usd ${self._spending.max_cost_usd:g} are spent, "
                f"{done + self._answered:,} of {total:,} answers are there. All that was paid for is kept: raise "
                f"max_cost_usd in vlmine.yaml and run again, it goes on from here."
            )

    def _would_overspend(self, request: Request) -> bool:
        limit = self._spending.max_cost_usd
        if limit is None:
            return False
        a_call = self._paid / self._answered if self._answered else self._model.worst_cost_usd(request)
        on_the_way = self._asked - self._answered
        spent = self._spending.cache.spent_usd()
        return spent >= limit or (on_the_way > 0 and spent + (on_the_way + 1) * a_call > limit)
