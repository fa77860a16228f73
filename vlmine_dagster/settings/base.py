"""What all settings share."""

import hashlib
import json
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """Base of all settings: unknown keys are refused, values never change after loading."""

    # The docstring of each setting is its meaning. Pydantic would read them all at import, a tenth of a step's start;
    # `vlmine settings` does where it prints them.
    model_config = ConfigDict(extra="forbid", frozen=True)

    TUNING: ClassVar[frozenset[str]] = frozenset()
    """Settings that change how fast or by which way results come, and never the results."""

    def results_depend_on(self) -> dict[str, Any]:
        """Return the settings that can change a result."""
        return self.model_dump(mode="json", exclude=set(self.TUNING))


def _public(location: str) -> str:
    """Refuse an address that holds a user or password: settings are shown, logged and sent to MLflow."""
    if "@" in location.partition("://")[2].partition("/")[0]:
        raise ValueError("the address holds a user or password; put them into the environment (docs/operations.md)")
    return location


PublicLocation = Annotated[str, AfterValidator(_public)]


def _countable(budget: float) -> float:
    if budget > 1 and not budget.is_integer():
        raise ValueError(f"{budget:g} is neither a share of at most 1 nor a whole number of images")
    return budget


Budget = Annotated[float, Field(gt=0), AfterValidator(_countable)]
"""Share of the pool (at most 1) or number of images (above 1)."""


def settings_hash(*parts: Any) -> str:
    """Return 16 hex digits that change when any of the parts does: settings, strings, numbers, or lists of them."""
    plain = [part.model_dump(mode="json") if isinstance(part, BaseModel) else part for part in parts]
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()[:16]
