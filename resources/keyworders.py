"""Keyworders: what turns a description into keywords. Those that call a model live here; rules are in `mining`."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from resources.describers import Description
from vlmine_dagster.tables import Outcome


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
        cost_usd: Price in US dollars.
    """

    image_id: str
    keywords: tuple[str, ...]
    outcome: Outcome = Outcome.OK
    failure: str | None = None
    prompt_tokens: int = 0
    output_tokens: int = 0
    latency_s: float = 0.0
    cost_usd: float = 0.0


class Keyworder(Protocol):
    """What every keyworder keeps: one answer a description, in order, and no exception because of one."""

    @property
    def fingerprint(self) -> str:
        """Changes with everything that can change an answer: rules, model, prompt."""

    def extract(self, descriptions: Iterable[Description]) -> Iterator[KeywordAnswer]:
        """Yield one answer a description."""


class FunctionKeyworder:
    """A keyworder made of a function that looks at one description at a time.

    Args:
        function: Gives the keywords of a description.
        fingerprint: Changes when the function's answers may.
    """

    def __init__(self, function: Callable[[Description], Sequence[str]], *, fingerprint: str):
        self._function = function
        self.fingerprint = fingerprint

    def extract(self, descriptions: Iterable[Description]) -> Iterator[KeywordAnswer]:
        """Yield one answer a description; no keywords is the outcome `empty`."""
        for description in descriptions:
            keywords = tuple(self._function(description))
            if keywords:
                yield KeywordAnswer(description.image_id, keywords)
            else:
                reason = "the description yields no keyword"
                yield KeywordAnswer(description.image_id, (), Outcome.EMPTY, reason)
