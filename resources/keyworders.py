"""Keyworders: what turns a description into keywords. Each kind is a module of `describing.keyworders`."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from vlmine_dagster.domain.tables import Outcome
from vlmine_dagster.resources.describers import Description
from vlmine_dagster.resources.prompts import PLACEHOLDER
from vlmine_dagster.resources.replies import Asker, Reply, Request, Usage

RULES_VERSION = 2  # raised when rules or tags may give other keywords
_LONGEST_DESCRIPTION = 20_000  # characters that are shown to a language model


@dataclass(frozen=True)
class KeywordAnswer(Usage):
    """The keywords of one image; an answer that is not ok has none.

    Attributes:
        image_id: The image.
        keywords: Normalized, no repeats.
        outcome: What became of it.
        failure: Why the outcome is not ok.
    """

    image_id: str
    keywords: tuple[str, ...]
    outcome: Outcome = Outcome.OK
    failure: str | None = None


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
        asker: Who is asked what; its prompt holds `{description}` where the description goes.
    """

    def __init__(self, asker: Asker):
        self._asker = asker
        self.model = asker.model

    @property
    def fingerprint(self) -> str:
        """Changes with the model's fingerprint and with how answers are read."""
        return self._asker.fingerprint

    def missing(self, descriptions: Sequence[Description]) -> list[Description]:
        """Return the descriptions that would be asked about: one of each wording without an answer in the cache."""
        one_each = {_content(_shown(description)): description for description in descriptions}
        kept = self._asker.kept(list(one_each))
        return [description for content, description in one_each.items() if content not in kept]

    def try_once(self, description: str) -> Reply | None:
        """Ask about a description, kept answers or not; None where max_cost_usd is reached."""
        return self._asker.try_once(Request("test", self._asker.prompt.replace(PLACEHOLDER, description)))

    def extract(
        self, descriptions: Sequence[Description], *, is_failure_retried: bool = False
    ) -> Iterator[KeywordAnswer]:
        """Yield one answer a description as it comes, from the cache first.

        Raises:
            BudgetExceededError: the project's limit is reached.
            ModelError: the endpoint cannot be used.
        """
        texts = {d.image_id: _shown(d) for d in descriptions}
        contents = {name: _content(text) for name, text in texts.items()}

        def requests(wanted: Mapping[str, str]) -> Iterator[Request]:
            for content, name in wanted.items():
                yield Request(content, self._asker.prompt.replace(PLACEHOLDER, texts[name]))

        for name, reply, keywords in self._asker.ask(contents, requests, is_failure_retried=is_failure_retried):
            yield KeywordAnswer(name, keywords, reply.outcome, reply.failure, **reply.usage)


def _shown(description: Description) -> str:
    return (description.text or "")[:_LONGEST_DESCRIPTION]


def _content(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
