"""Settings of the second look: whether the keywords that put images on a list are in them at all."""

from typing import Annotated

from pydantic import Field, model_validator

from vlmine_dagster.settings.base import Settings
from vlmine_dagster.settings.describing import AnyDescriber


class GroundingSettings(Settings):
    """A second describer is asked whether the rare keyword that decides an image's place is in the picture."""

    describer: AnyDescriber
    """The model to ask, preferably not the one that describes: {kind: openai, model: ...} or {kind: transformers,
    model: ...}. Its own prompt and form of answer are not used."""
    prompt: str = "ground-keyword-v1"
    """Name of a prompt that comes with vlmine, or path of a text file of your own, with {keyword} where the keyword
    goes. It must ask for yes or no."""
    first: Annotated[int, Field(ge=1, le=1_000_000)] = 200
    """How many places from the top of each list have their keywords confirmed."""
    most: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """At most this many questions per list: images whose keyword is not confirmed sink, and those that move up in their
    place are asked about too. If left out, three times `first`."""

    @model_validator(mode="after")
    def _describer_sees_pictures(self) -> "GroundingSettings":
        can = self.describer.capabilities
        if not can.asks_model or can.reads != "pixels":
            raise ValueError(
                f"describer {self.describer.kind} answers no questions about pictures; take {{kind: openai}} or "
                f"{{kind: transformers}}"
            )
        return self

    @property
    def most_questions(self) -> int:
        """Questions per list at the most."""
        return 3 * self.first if self.most is None else self.most
