"""Settings of parts that come as plug-ins: which kinds there are, and what each of them can do.

A part, such as a describer, is chosen in `vlmine.yaml` by its `kind`, which is the name of an entry point. The module
behind it holds the settings of that kind, what it can do, and how it is made. Nobody else asks for a kind: they ask
what the part can do.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar, cast, get_args

from pydantic import BaseModel
from pydantic_core import PydanticCustomError

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.domain.hints import close_to
from vlmine_dagster.domain.plugins import Registry
from vlmine_dagster.settings.base import Settings

KIND_PROBLEM = "kind_problem"
"""Type of pydantic's error where a kind is missing, unknown or broken."""


@dataclass(frozen=True)
class Finding:
    """What `vlmine doctor` found out about a part.

    Attributes:
        state: ok, warn (works, but look at it) or fail (will not work).
        found: What was found.
        advice: What to do, empty where nothing.
    """

    state: Literal["ok", "warn", "fail"]
    found: str
    advice: str = ""


class ProviderSettings(Settings):
    """Base of the settings of a part that comes as a plug-in; each kind of part is a subclass of its own."""

    plugins: ClassVar[Registry[Any]]
    default_kind: ClassVar[str | None] = None

    kind: str
    """Name of the plug-in."""

    @classmethod
    def of_kind(cls, content: Any) -> Any:
        """Return settings as their kind's own class; pydantic gets anything that is neither mapping nor settings.

        Raises:
            PydanticCustomError: the kind is missing, unknown or broken.
            ValidationError: a setting of the kind is wrong.
        """
        if isinstance(content, ProviderSettings) and type(content) is not cls:
            return content
        if isinstance(content, BaseModel):
            content = content.model_dump(exclude_unset=True)
        if not isinstance(content, Mapping):
            return content
        kind = content.get("kind", cls.default_kind)
        return cls.settings_of(kind).model_validate(dict(content) | {"kind": kind})

    @classmethod
    def settings_of(cls, kind: object) -> type[Self]:
        """Return the settings class of a kind.

        Raises:
            PydanticCustomError: the kind is missing, unknown or broken.
        """
        if kind is None:
            raise PydanticCustomError(KIND_PROBLEM, "is missing; it says which of several this is")
        names = cls.plugins.names
        if kind not in names:
            context = {"known": ", ".join(names), "kind": repr(kind), "near": close_to(str(kind), names)}
            raise PydanticCustomError(KIND_PROBLEM, "expected {known}, got {kind}{near}", context)
        try:
            return cast(type[Self], cls.plugins.get(str(kind)).settings)
        except ConfigError as error:
            raise PydanticCustomError(KIND_PROBLEM, "{problem}", {"problem": str(error)}) from error


S = TypeVar("S", bound=ProviderSettings)
Part = TypeVar("Part")


@dataclass(frozen=True)
class Provider(Generic[S, Part]):
    """One kind of part, as an entry point offers it.

    Attributes:
        settings: Its settings; their field `kind` is a Literal of the entry point's name.
        make: Makes the part from the workbench (`vlmine_dagster.resources.workbench.Workbench`) and the settings.
        look: Finds out for `vlmine doctor` whether the part would work, without paying for anything; None if there is
            nothing to look at. It may raise our errors instead of returning a failure.
    """

    settings: type[S]
    make: Callable[[Any, S], Part]
    look: Callable[[Any, S], Finding] | None = None

    base: ClassVar[type[ProviderSettings]] = ProviderSettings

    def __post_init__(self) -> None:
        if not issubclass(self.settings, self.base):
            raise ConfigError(f"{self.settings.__name__} is not a subclass of {self.base.__name__}")

    @property
    def kind(self) -> str:
        """The kind that the settings are for."""
        (kind,) = get_args(self.settings.model_fields["kind"].annotation)
        return str(kind)


def plugins_of(model: type[BaseModel]) -> "Mapping[str, Provider[Any, Any]] | None":
    """Return the kinds that work by name, where a model is the base of several; else None."""
    if issubclass(model, ProviderSettings) and "plugins" in vars(model):
        return model.plugins.all()
    return None


@dataclass(frozen=True)
class Capabilities:
    """What a describer or a keyworder can do and needs.

    Attributes:
        asks_model: Its answers come from a generative model and are kept by image and prompt; where one failed, asking
            again may help.
        asks_endpoint: It calls a service, which may cost money.
        needs_accelerator: It keeps an accelerator busy where there is one.
    """

    asks_model: bool = False
    asks_endpoint: bool = False
    needs_accelerator: bool = False

    @property
    def pool(self) -> Literal["accelerator", "api"] | None:
        """The Dagster pool that limits how many of its steps run at once."""
        if self.asks_endpoint:
            return "api"
        return "accelerator" if self.needs_accelerator else None


@dataclass(frozen=True)
class DescriberCapabilities(Capabilities):
    """What a describer can do and needs.

    Attributes:
        reads: What it is given of an image: the encoded `pixels`, the encoder's `encodings`, or its `name` alone.
        gives_tags: Its descriptions hold tags that keyworder `tags` takes.
        names_encoder_classes: Its tags are names of the encoder's classes.
    """

    reads: Literal["pixels", "encodings", "name"] = "pixels"
    gives_tags: bool = False
    names_encoder_classes: bool = False


@dataclass(frozen=True)
class KeyworderCapabilities(Capabilities):
    """What a keyworder can do and needs.

    Attributes:
        needs_tags: It takes the describer's tags and reads no text.
    """

    needs_tags: bool = False


class DescriberSettings(ProviderSettings):
    """Who describes an image."""

    @property
    def capabilities(self) -> DescriberCapabilities:
        """What the describer can do under these settings."""
        return DescriberCapabilities()


class KeyworderSettings(ProviderSettings):
    """Who turns a description into keywords."""

    @property
    def capabilities(self) -> KeyworderCapabilities:
        """What the keyworder can do under these settings."""
        return KeyworderCapabilities()


@dataclass(frozen=True)
class DescriberPlugin(Provider[S, Part]):
    """A kind of describer, for the entry-point group `vlmine.describers`."""

    base = DescriberSettings


@dataclass(frozen=True)
class KeyworderPlugin(Provider[S, Part]):
    """A kind of keyworder, for the entry-point group `vlmine.keyworders`."""

    base = KeyworderSettings


DescriberSettings.plugins = Registry("vlmine.describers", DescriberPlugin, noun="describer", named_by="kind")
KeyworderSettings.plugins = Registry("vlmine.keyworders", KeyworderPlugin, noun="keyworder", named_by="kind")
