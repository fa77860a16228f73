"""Describers: what turns an image into words. The ImageNet tagger runs anywhere."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import numpy.typing as npt

from vlmine_dagster.project import DescriberSettings, TaggerSettings, settings_hash
from vlmine_dagster.tables import Outcome

if TYPE_CHECKING:
    from resources.encoder import Encoder


@dataclass(frozen=True)
class Tag:
    """A name for something in an image, and the describer's probability of it."""

    tag: str
    probability: float


@dataclass(frozen=True)
class DescriberInput:
    """One image to describe.

    Attributes:
        image_id: Its id.
        sha256: SHA-256 of its bytes, in hex; answers are cached by it.
        data: The encoded bytes; empty for a describer that reads encodings.
        tag_probabilities: Shape (1000,), what the encoder saw; None for a describer that reads pixels.
    """

    image_id: str
    sha256: str
    data: bytes = b""
    tag_probabilities: npt.NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Description:
    """One answer about an image. Only `ok` ones go on.

    Attributes:
        image_id: The image.
        text: What was said, None where nothing was.
        tags: The describer's own tags, likeliest first; None for a describer that has none.
        outcome: What became of the call.
        failure: Why the outcome is not ok.
        prompt_tokens: Tokens read.
        output_tokens: Tokens written.
        latency_s: Seconds that the answer took.
        cost_usd: Price in US dollars.
    """

    image_id: str
    text: str | None
    tags: tuple[Tag, ...] | None = None
    outcome: Outcome = Outcome.OK
    failure: str | None = None
    prompt_tokens: int = 0
    output_tokens: int = 0
    latency_s: float = 0.0
    cost_usd: float = 0.0


class Describer(Protocol):
    """What every describer keeps (see tests/resources/test_describers.py).

    It yields exactly one answer an image, in the order of the images, and never raises because of one image. The same
    images give the same answers whatever else is in the stream.
    """

    needs: Literal["pixels", "encodings"]
    """Whether `data` or `tag_probabilities` is filled in."""

    @property
    def fingerprint(self) -> str:
        """Changes with everything that can change an answer: weights, prompt, decoding."""

    def describe(self, images: Iterable[DescriberInput]) -> Iterator[Description]:
        """Yield one answer an image."""


class Tagger:
    """Describes an image by the ImageNet classes that the encoder sees in it.

    Args:
        encoder: The encoder; only its class names and fingerprint are used here.
        settings: How many tags, and from what probability on.
    """

    needs: Literal["pixels", "encodings"] = "encodings"

    def __init__(self, encoder: "Encoder", settings: TaggerSettings):
        self._encoder = encoder
        self._settings = settings

    @property
    def fingerprint(self) -> str:
        """Changes with the weights, the classes, the number of tags and the threshold."""
        return settings_hash("tagger 1", self._encoder.fingerprint, self._encoder.classes, self._settings)

    def describe(self, images: Iterable[DescriberInput]) -> Iterator[Description]:
        """Yield a sentence and its tags for each image, from the encoder's probabilities."""
        for image in images:
            if image.tag_probabilities is None:
                reason = "the encoder could not read the image"
                yield Description(image.image_id, None, outcome=Outcome.CORRUPT, failure=reason)
            else:
                tags = self._tags(image.tag_probabilities)
                yield Description(image.image_id, _sentence(tags), tags)

    def _tags(self, probabilities: npt.NDArray[np.float32]) -> tuple[Tag, ...]:
        likeliest = np.argsort(-probabilities, kind="stable")[: self._settings.top]
        tags = [Tag(self._encoder.classes[place], float(probabilities[place])) for place in likeliest]
        return tuple(tag for k, tag in enumerate(tags) if k == 0 or tag.probability >= self._settings.min_probability)


def build_describer(settings: DescriberSettings, *, encoder: Callable[[], "Encoder"]) -> Describer:
    """Return the describer that the settings name.

    Args:
        settings: The `describer` part of `vlmine.yaml`.
        encoder: Gives the image encoder to those that need it.
    """
    return Tagger(encoder(), settings)


def _sentence(tags: tuple[Tag, ...]) -> str:
    names = [tag.tag for tag in tags]
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
    return f"A photo of {listed}."
