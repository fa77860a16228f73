"""Describer `openai`: a vision-language model behind an OpenAI-compatible endpoint."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from vlmine_dagster.resources.describers import ModelDescriber
from vlmine_dagster.settings import EndpointSettings
from vlmine_dagster.settings.providers import DescriberCapabilities, DescriberPlugin, DescriberSettings, Finding

if TYPE_CHECKING:
    from vlmine_dagster.resources.workbench import Workbench


class OpenAIDescriberSettings(EndpointSettings, DescriberSettings):
    """Describe an image by a vision-language model behind an OpenAI-compatible endpoint."""

    kind: Literal["openai"]
    """OpenAI, vLLM, llama.cpp, `transformers serve`: chat completions with images as data URLs."""
    model: str
    """Name of the model at the endpoint."""
    prompt: str = "describe-general-v1"
    """Name of a prompt that comes with vlmine, or path of a text file of your own."""
    answer: Literal["description", "keywords"] = "description"
    """`keywords`: ask for keywords directly, as JSON; then use keyworder `tags` and a prompt for it."""
    json_schema: Literal["auto", "always", "never"] = "auto"
    """Whether to send a JSON schema with answer `keywords`; `auto` does until the endpoint refuses it."""
    max_output_tokens: Annotated[int, Field(ge=1, le=4096)] = 96
    """An answer that reaches it counts as truncated."""
    image_side: Annotated[int, Field(ge=16, le=4096)] = 512
    """Larger images are reduced to this longest side, in pixels, before they are sent."""
    language: str | None = "en"
    """Answers in another language are unparseable; null lets all pass."""

    @property
    def capabilities(self) -> DescriberCapabilities:
        """A model that runs elsewhere and may cost money; asked for keywords, it gives tags."""
        return DescriberCapabilities(asks_model=True, asks_endpoint=True, gives_tags=self.answer == "keywords")

    @property
    def sent_side(self) -> int:
        """Longest side of an image that is sent."""
        return self.image_side


def _make(bench: "Workbench", settings: OpenAIDescriberSettings) -> ModelDescriber:
    from vlmine_dagster.describing.providers import model_describer, price_for
    from vlmine_dagster.resources.chat import ChatModel
    from vlmine_dagster.resources.prompts import load_prompt
    from vlmine_dagster.resources.questions import ChatQuestion

    prompt, max_pixels = load_prompt(bench.project, settings.prompt), bench.project.settings.dataset.max_pixels
    wants_keywords = settings.answer == "keywords"
    model = ChatModel(ChatQuestion(settings, prompt, wants_keywords, price_for(bench, settings), max_pixels))
    return model_describer(bench, model, prompt, answer=settings.answer, language=settings.language)


def _look(_bench: "Workbench", settings: OpenAIDescriberSettings) -> Finding:
    from vlmine_dagster.describing.providers import look_at_endpoint

    return look_at_endpoint(settings)


PLUGIN = DescriberPlugin(OpenAIDescriberSettings, _make, _look)
