"""Keyworders: what turns a description into keywords. Those that call a model live here; rules are in `mining`."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from resources.describers import Description
from resources.prompts import PLACEHOLDER
from resources.replies import Reply, ReplyModel, Request, Spending, ask
from vlmine_dagster.project import settings_hash
from vlmine_dagster.tables import Outcome

if TYPE_CHECKING:
    from vlmine_dagster.mining.answers import Judgement

_LONGEST_DESCRIPTION = 20_000  # letters that are shown to a language model


@dataclass(frozen=True)
class KeywordAnswer:
    """The keywords of one image; an answer that is not ok has none.

    Attributes:
        image_id: The image.
        keywords: Normalised, no repeats.
        outcome: What became of it.
        failure: Why the outcome is not ok.
        prompt_tokens: Tokens read.
        output_tokens: Tokens written.
        latency_s: Seconds that the answer took.
        cost_usd: Price in US dollars, None where nobody knows it.
    """

    image_id: str
    keywords: tuple[str, ...]
    outcome: Outcome = Outcome.OK
    failure: str | None = None
    prompt_tokens: int = 0
    output_tokens: int = 0
    latency_s: float = 0.0
    cost_usd: float | None = 0.0


class Keyworder(Protocol):
    """What every keyworder keeps: one answer a description, in any order, and no exception because of one."""

    @property
    def fingerprint(self) -> str:
        """Changes with everything that can change an answer: rules, model, prompt."""

    def extract(
        self, descriptions: Sequence[Description], *, is_failure_retried: bool = False
    ) -> Iterator[KeywordAnswer]:
        """Yield one answer a description; with `is_failure_retried`, ask again where the kept answer is a failure."""


class FunctionKeyworder:
    """A keyworder made of a function that looks at one description at a time.

    Args:
        function: Gives the keywords of a description.
        fingerprint: Changes when the function's answers may.
    """

    def __init__(self, function: Callable[[Description], Sequence[str]], *, fingerprint: str):
        self._function = function
        self.fingerprint = fingerprint

    def extract(
        self, descriptions: Sequence[Description], *, is_failure_retried: bool = False
    ) -> Iterator[KeywordAnswer]:
        """Yield one answer a description; no keywords is the outcome `empty`."""
        for description in descriptions:
            keywords = tuple(self._function(description))
            if keywords:
                yield KeywordAnswer(description.image_id, keywords)
            else:
                reason = "the description yields no keyword"
                yield KeywordAnswer(description.image_id, (), Outcome.EMPTY, reason)


class ModelKeyworder:
    """Keywords by what a language model answers. Descriptions of one wording are asked about once.

    Args:
        model: Who is asked.
        prompt: The question, with `{description}` where the description goes.
        judge: Reads the keywords in the text of an answer.
        judge_name: Changes when the judge does.
        spending: Cache and limit.
    """

    def __init__(
        self,
        model: ReplyModel,
        *,
        prompt: str,
        judge: "Callable[[str], Judgement]",
        judge_name: str,
        spending: Spending,
    ):
        self.model = model
        self._prompt = prompt
        self._judge = judge
        self._judge_name = judge_name
        self._spending = spending

    @property
    def fingerprint(self) -> str:
        """Changes with the model's fingerprint and with how answers are read."""
        return settings_hash(self.model.fingerprint, self._judge_name)

    def extract(
        self, descriptions: Sequence[Description], *, is_failure_retried: bool = False
    ) -> Iterator[KeywordAnswer]:
        """Yield one answer a description as it comes, from the cache first.

        Raises:
            BudgetExceededError: the project's limit is reached.
            ModelError: the endpoint cannot be used.
        """
        texts: dict[str, str] = {}
        names: dict[str, list[str]] = {}
        for description in descriptions:
            text = (description.text or "")[:_LONGEST_DESCRIPTION]
            content = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
            texts[content] = text
            names.setdefault(content, []).append(description.image_id)

        def requests(contents: Sequence[str]) -> Iterator[Request]:
            for content in contents:
                yield Request(content, self._prompt.replace(PLACEHOLDER, texts[content]))

        def is_failure(reply: Reply) -> bool:
            return is_failure_retried and self._judged("", reply).outcome is not Outcome.OK

        for content, reply in ask(
            self.model, list(names), requests, spending=self._spending, is_wanted_again=is_failure
        ):
            first = self._judged(names[content][0], reply)
            yield first
            for name in names[content][1:]:
                yield replace(first, image_id=name, prompt_tokens=0, output_tokens=0, latency_s=0.0, cost_usd=0.0)

    def _judged(self, name: str, reply: Reply) -> KeywordAnswer:
        used = (reply.prompt_tokens, reply.output_tokens, reply.latency_s, reply.cost_usd)
        if reply.outcome is not Outcome.OK:
            return KeywordAnswer(name, (), reply.outcome, reply.failure, *used)
        found = self._judge(reply.text or "")
        return KeywordAnswer(name, found.keywords, Outcome(found.outcome), found.failure, *used)
