"""Describers: what turns an image into words. Each kind is a module of `describing.describers`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from vlmine_dagster.domain.tables import Outcome
from vlmine_dagster.resources.media.contract import Medium
from vlmine_dagster.resources.media.photo import PHOTO
from vlmine_dagster.resources.replies import Asker, Reply, Request, Usage

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from vlmine_dagster.mining.answers import Judgement


@dataclass(frozen=True)
class Tag:
    """A name for something in an image, and the describer's probability of it, None where it gives none."""

    tag: str
    probability: float | None


@dataclass(frozen=True)
class DescriberInput:
    """One image to describe.

    Attributes:
        image_id: Its id.
        data: The encoded picture or sound, for a describer that reads pixels; else empty.
        tag_probabilities: Shape (C,), what the encoder saw of its C classes, for a describer that reads encodings; else
            None.
    """

    image_id: str
    data: bytes = b""
    tag_probabilities: "npt.NDArray[np.float32] | None" = None


@dataclass(frozen=True)
class Description(Usage):
    """One answer about an image. Only `ok` ones go on.

    Attributes:
        image_id: The image.
        text: What was said, None where nothing was.
        tags: The describer's own tags, likeliest first; None for a describer that has none.
        outcome: What became of the call.
        failure: Why the outcome is not ok.
    """

    image_id: str
    text: str | None
    tags: tuple[Tag, ...] | None = None
    outcome: Outcome = Outcome.OK
    failure: str | None = None


Load = Callable[[Sequence[str]], Iterator[DescriberInput]]
"""Reads some images, by id; those that are gone are left out."""


class Describer(Protocol):
    """What every describer keeps (see tests/resources/test_describers.py).

    It yields exactly one answer per image, in any order, and never raises because of one image. The same image gets the
    same answer whatever else is asked for.
    """

    @property
    def fingerprint(self) -> str:
        """Changes with everything that can change an answer: weights, prompt, decoding."""

    def describe(
        self, images: Mapping[str, str], load: Load, *, is_failure_retried: bool = False
    ) -> Iterator[Description]:
        """Yield one answer per image.

        Args:
            images: SHA-256 of the bytes, in hex, by image id.
            load: Reads the images that must be looked at.
            is_failure_retried: Ask again about images whose kept answer is a failure.
        """


class ModelDescriber:
    """Describes an image by what a vision-language model answers to a prompt; keywords in an answer become tags.

    Images with the same bytes are asked about once; the cost is on the row of one of them alone.

    Args:
        asker: Who is asked what.
        medium: What the images are.
    """

    def __init__(self, asker: Asker, medium: Medium = PHOTO):
        self._asker = asker
        self.medium = medium
        self.model = asker.model

    @property
    def fingerprint(self) -> str:
        """Changes with the model's fingerprint and with how answers are judged."""
        return self._asker.fingerprint

    def describe(
        self, images: Mapping[str, str], load: Load, *, is_failure_retried: bool = False
    ) -> Iterator[Description]:
        """Yield one answer per image as it comes, from the cache first.

        Raises:
            BudgetExceededError: the project's limit is reached.
            ModelError: the model or its endpoint cannot be used.
        """

        def requests(wanted: Mapping[str, str]) -> Iterator[Request]:
            for image in load(list(wanted.values())):
                yield Request(images[image.image_id], self._asker.prompt, image.data)

        left = dict.fromkeys(images)
        for name, reply, keywords in self._asker.ask(images, requests, is_failure_retried=is_failure_retried):
            del left[name]
            tags = tuple(Tag(keyword, None) for keyword in keywords) or None
            yield Description(name, reply.text, tags, reply.outcome, reply.failure, **reply.usage)
        for name in left:
            reason = "the image is no longer in the dataset: materialize images again"
            yield Description(name, None, outcome=Outcome.CORRUPT, failure=reason)

    def asking(self, judge: "Callable[[str], Judgement]", *, judge_name: str) -> Asker:
        """Return an asker of the same model, prompt and limit whose answers are judged in another way."""
        return replace(self._asker, judge=judge, judge_name=judge_name)

    @property
    def prompt(self) -> str:
        """What is asked about each image."""
        return self._asker.prompt

    def probe(self, name: str, image: bytes | None) -> Reply | None:
        """Ask the same about a picture that is not of the pool, or without any; None where that brings no answer.

        The answer is kept, and counts as spent, like every other.
        """
        return self._asker.probe(name, image)

    def try_once(self, image: bytes) -> Reply | None:
        """Ask about a picture, kept answers or not; None where max_cost_usd is reached."""
        return self._asker.try_once(Request("test picture", self._asker.prompt, image))

    def mark_unseen(self, reasons: Mapping[str, str]) -> None:
        """Write down in the cache, by SHA-256 of the image, why answers are none, so that they can be asked again."""
        self._asker.spending.cache.mark(self.model.fingerprint, reasons, outcome=Outcome.NOT_SEEN)

    def kept(self, contents: Sequence[str]) -> set[str]:
        """Return those of the images, by SHA-256, that cost nothing any more."""
        return self._asker.kept(contents)

    def restore(self, replies: Sequence[tuple[str, Reply]]) -> None:
        """Take back answers, by SHA-256 of the image, that were published before and are gone from the cache."""
        self._asker.spending.cache.restore(self.model.fingerprint, replies, label=self.model.label)
