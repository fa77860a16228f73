"""Describer `transformers`: a local vision-language or audio-language model."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from vlmine_dagster.resources.checkpoints import placed
from vlmine_dagster.resources.describers import ModelDescriber
from vlmine_dagster.settings.providers import DescriberCapabilities, DescriberPlugin, DescriberSettings

if TYPE_CHECKING:
    from vlmine_dagster.resources.workbench import Workbench


class TransformersSettings(DescriberSettings):
    """Describe an image or a sound by a local vision-language or audio-language model."""

    TUNING = frozenset({"batch_size", "device"})

    kind: Literal["transformers"]
    """Any image-text-to-text checkpoint of transformers, by its own processor and chat template; for sounds
    (dataset.medium: {kind: audio, send: sound}) an audio-text-to-text one, such as Qwen2-Audio."""
    model: str
    """Hub id such as llava-hf/llava-1.5-7b-hf, or a local folder. Code from the hub is never run."""
    revision: str | None = None
    """Commit of a hub id. Left out, the newest one is taken once and kept in the home, so that answers stay alike."""
    prompt: str = "describe-general-v1"
    """Name of a prompt that comes with vlmine, or path of a text file of your own."""
    answer: Literal["description", "keywords"] = "description"
    """`keywords`: ask for keywords directly, as JSON; then use keyworder `tags` and a prompt for it."""
    max_output_tokens: Annotated[int, Field(ge=1, le=4096)] = 96
    """An answer that reaches it counts as truncated."""
    batch_size: Annotated[int, Field(ge=1, le=512)] = 8
    """Images per step; halved when memory runs out."""
    image_side: Annotated[int, Field(ge=16, le=4096)] = 1024
    """Larger images are reduced to this longest side, in pixels, before the model's own processor sees them."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """`auto`: bfloat16 on an accelerator, float32 elsewhere."""
    device: str = "auto"
    """`auto` takes an accelerator where there is one; else a torch device such as cuda:1 or cpu."""
    language: str | None = "en"
    """Answers in another language are unparseable; null lets all pass."""

    @property
    def capabilities(self) -> DescriberCapabilities:
        """A model that runs here; asked for keywords, it gives tags."""
        return DescriberCapabilities(asks_model=True, needs_accelerator=True, gives_tags=self.answer == "keywords")


def _make(bench: "Workbench", settings: TransformersSettings) -> ModelDescriber:
    from vlmine_dagster.describing.providers import model_describer
    from vlmine_dagster.resources.local_model import LocalModel
    from vlmine_dagster.resources.prompts import load_prompt

    model = settings.model_copy(update={"model": placed(settings.model, bench.project.folder)})
    prompt, max_pixels = load_prompt(bench.project, settings.prompt), bench.project.settings.dataset.max_pixels
    local = LocalModel(model, prompt=prompt, folder=bench.models_folder, max_pixels=max_pixels)
    return model_describer(bench, local, prompt, answer=settings.answer, language=settings.language)


PLUGIN = DescriberPlugin(TransformersSettings, _make)
