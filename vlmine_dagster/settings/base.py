"""What all settings share."""

import hashlib
import json
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator


class Settings(BaseModel):
    """Base of all settings: unknown keys are refused, values never change after loading."""

    # The docstring of each setting is its meaning. Pydantic would read them all at import, a tenth of a step's start;
    # `vlmine settings` does where it prints them.
    model_config = ConfigDict(extra="forbid", frozen=True)

    TUNING: ClassVar[frozenset[str]] = frozenset()
    """Settings that change how fast or in which way results are made, never the results."""

    def results_depend_on(self) -> dict[str, Any]:
        """Return the settings that can change a result."""
        return self.model_dump(mode="json", exclude=set(self.TUNING))


def _public(location: str) -> str:
    """Refuse an address that holds a user or password: settings are shown, logged and sent to MLflow."""
    if "@" in location.partition("://")[2].partition("/")[0]:
        raise ValueError(
            "the address holds a user or password; put them into environment variables (docs/operations.md)"
        )
    return location


PublicLocation = Annotated[str, AfterValidator(_public)]


def _countable(budget: float) -> float:
    if budget > 1 and not budget.is_integer():
        raise ValueError(f"{budget:g} is neither a share of at most 1 nor a whole number of images")
    return budget


Budget = Annotated[float, Field(gt=0), AfterValidator(_countable)]
"""Share of the pool (at most 1) or number of images (above 1)."""


class CountedBudget(Settings):
    """A budget of objects by what it takes to label them: exactly one of the three."""

    images: Annotated[int, Field(ge=1)] | None = None
    """Images to look at; all objects of an image count as one."""
    objects: Annotated[int, Field(ge=1)] | None = None
    """Objects."""
    boxes: Annotated[int, Field(ge=1)] | None = None
    """Boxes to draw: an image counts as many as it has objects to be mined."""

    @model_validator(mode="after")
    def _one_of_three(self) -> "CountedBudget":
        if len(self.model_dump(exclude_none=True)) != 1:
            raise ValueError("budget: set one of images, objects and boxes, such as {boxes: 5000}")
        return self

    @property
    def counted(self) -> tuple[Literal["images", "objects", "boxes"], int]:
        """What is counted, and how many of it there are to spend."""
        if self.images is not None:
            return "images", self.images
        return ("boxes", self.boxes) if self.boxes is not None else ("objects", self.objects or 0)


def _budget_form(given: Any) -> str:
    return "counted" if isinstance(given, (dict, CountedBudget)) else "plain"


AnyBudget = Annotated[
    Annotated[Budget, Tag("plain")] | Annotated[CountedBudget, Tag("counted")], Discriminator(_budget_form)
]
"""A share, a number, or a limit on the labelling of objects."""


def settings_hash(*parts: Any) -> str:
    """Return 16 hex digits that change when any of the parts does: settings, strings, numbers, or lists of them."""
    plain = [part.model_dump(mode="json") if isinstance(part, BaseModel) else part for part in parts]
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()[:16]
