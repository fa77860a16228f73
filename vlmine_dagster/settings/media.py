"""Settings of the medium: what an item of the dataset is, such as a photo."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, ClassVar, cast

from pydantic import BeforeValidator, SerializeAsAny

from vlmine_dagster.domain.plugins import Registry
from vlmine_dagster.settings.base import settings_hash
from vlmine_dagster.settings.providers import Part, Provider, ProviderSettings, S


class MediumSettings(ProviderSettings):
    """What an item is and how it is shown; every medium adds its own settings."""

    version: ClassVar[int] = 1
    """Raised when the same settings show the same item differently."""

    endings: ClassVar[tuple[str, ...]] = ()
    """Endings of the names of its files, lower case, with the dot."""

    signature: ClassVar[tuple[int, bytes] | None] = None
    """Where its files have which bytes, for media whose files often have no ending."""

    index_files: ClassVar[tuple[str, ...]] = ()
    """Names of files without an ending that list others and are not items."""

    is_photographed: ClassVar[bool] = False
    """Cameras take its pictures, so that a blurred, black or empty one is junk (docs/junk.md)."""

    prompts: ClassVar[Mapping[str, str]] = {}
    """Texts that are asked in place of prompts of vlmine, which speak of images; by their names."""

    @classmethod
    def of_kind(cls, content: Any) -> Any:
        """Return settings as their kind's own class; a medium without settings may be given by its name."""
        return super().of_kind({"kind": content} if isinstance(content, str) else content)

    @classmethod
    def is_signed(cls, data: bytes) -> bool:
        """Whether a file has the signature of the medium."""
        return cls.signature is not None and data[cls.signature[0] :].startswith(cls.signature[1])

    @property
    def fingerprint(self) -> str:
        """Changes with everything that changes how an item is shown, and so with what anyone reads of it."""
        return settings_hash("medium", self.version, self.results_depend_on())


@dataclass(frozen=True)
class MediumPlugin(Provider[S, Part]):
    """A medium, for the entry-point group `vlmine.media`.

    `make` gets the workbench and the settings, and returns a `Medium` (`vlmine_dagster.resources.media.contract`).
    """

    base = MediumSettings


MediumSettings.plugins = Registry("vlmine.media", MediumPlugin, noun="medium", plural="media", named_by="kind")

AnyMedium = Annotated[MediumSettings, SerializeAsAny(), BeforeValidator(MediumSettings.of_kind)]
"""The settings of any medium."""


def usual_medium() -> MediumSettings:
    """Return the settings of photos."""
    return cast(MediumSettings, MediumSettings.of_kind("photo"))


@cache
def item_endings() -> tuple[str, ...]:
    """Return the endings of the names of files of all media."""
    media = MediumSettings.plugins.all().values()
    return tuple(ending for plugin in media for ending in plugin.settings.endings)
