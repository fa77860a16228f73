"""Keyworder `openai`: a language model behind an OpenAI-compatible endpoint."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from vlmine_dagster.resources.keyworders import ModelKeyworder
from vlmine_dagster.settings import EndpointSettings
from vlmine_dagster.settings.providers import Finding, KeyworderCapabilities, KeyworderPlugin, KeyworderSettings

if TYPE_CHECKING:
    from vlmine_dagster.resources.replies import ReplyModel
    from vlmine_dagster.resources.workbench import Workbench


class OpenAIKeyworderSettings(EndpointSettings, KeyworderSettings):
    """Keywords by a language model behind an OpenAI-compatible endpoint."""

    kind: Literal["openai"]
    """Any chat model; a JSON schema is sent if the endpoint accepts one."""
    model: str = "gpt-3.5-turbo"
    """Name of the model at the endpoint."""
    prompt: str = "keywords-general-v1"
    """Name of a prompt that comes with vlmine, or path of a text file of your own."""
    json_schema: Literal["auto", "always", "never"] = "auto"
    """Whether to send a JSON schema; `auto` does until the endpoint refuses it."""
    max_output_tokens: Annotated[int, Field(ge=1, le=4096)] = 128
    """An answer that reaches it counts as truncated."""
    batch: bool = False
    """Use the Batch API: half the price, answers within 24 hours."""

    @property
    def capabilities(self) -> KeyworderCapabilities:
        """A model that runs elsewhere and may cost money."""
        return KeyworderCapabilities(asks_model=True, asks_endpoint=True)

    @property
    def is_batch(self) -> bool:
        """Whether answers are asked for at the price of batches."""
        return self.batch


def _make(bench: "Workbench", settings: OpenAIKeyworderSettings) -> ModelKeyworder:
    from vlmine_dagster.describing.providers import model_keyworder, price_for
    from vlmine_dagster.resources.batches import BatchModel
    from vlmine_dagster.resources.chat import ChatModel
    from vlmine_dagster.resources.prompts import load_prompt
    from vlmine_dagster.resources.questions import ChatQuestion

    prompt = load_prompt(bench.project, settings.prompt, takes_description=True)
    max_pixels = bench.project.settings.dataset.max_pixels
    question = ChatQuestion(settings, prompt, True, price_for(bench, settings), max_pixels)
    model: ReplyModel = BatchModel(question, bench.cache) if settings.batch else ChatModel(question)
    return model_keyworder(bench, model, prompt)


def _look(_bench: "Workbench", settings: OpenAIKeyworderSettings) -> Finding:
    from vlmine_dagster.describing.providers import look_at_endpoint

    return look_at_endpoint(settings)


PLUGIN = KeyworderPlugin(OpenAIKeyworderSettings, _make, _look)
