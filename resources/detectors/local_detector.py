"""Detection checkpoints on this machine, by transformers."""

import inspect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import ModelError, PictureError
from vlmine_dagster.resources.checkpoints import LOADING_ERRORS, Checkpoint, device_of, not_loaded
from vlmine_dagster.resources.detectors.contract import Detection
from vlmine_dagster.resources.ordered import batches, core_count, map_in_order
from vlmine_dagster.resources.pictures import decode_picture
from vlmine_dagster.settings import settings_hash

if TYPE_CHECKING:
    from vlmine_dagster.resources.detectors.transformers import TransformersDetectorSettings


@dataclass(frozen=True)
class _Loaded:
    """A model in memory."""

    model: Any
    processor: Any
    device: str


class LocalDetector:
    """Any detection checkpoint by its own processor; a zero-shot one looks for the prompts of the settings.

    Pictures are decoded upright, ahead in threads. Where memory runs out the batch is halved for good. Code from the
    hub is never run.

    Args:
        settings: Which model and how; prompts that are read elsewhere have been read.
        name: What the settings call the model.
        folder: Where the hub revision and the hashes of a local checkpoint's files are written down.
        max_pixels: Larger images are not decoded.
    """

    def __init__(self, settings: "TransformersDetectorSettings", *, name: str, folder: Path, max_pixels: int):
        self._settings = settings
        self._prompts = settings.prompts if isinstance(settings.prompts, tuple) else ()
        self._name = name
        self._checkpoint = Checkpoint(settings.model, settings.revision, folder)
        self._max_pixels = max_pixels
        self._batch_size = settings.batch_size

    @property
    def label(self) -> str:
        """What it is, for people."""
        return f"detector {self._name}"

    @property
    def fingerprint(self) -> str:
        """Changes with weights, prompts and threshold."""
        s = self._settings
        name = "" if self._checkpoint.is_local else s.model  # a folder may move: its content counts
        return settings_hash("detector 1", name, self._checkpoint.revision, list(self._prompts), s.threshold, s.dtype)

    @property
    def kind(self) -> str:
        """What kind of detector the checkpoint is, in words.

        Raises:
            ModelError: it is none, cannot be reached, or lacks prompts.
        """
        return f"zero-shot, {counted(len(self._prompts), 'prompt')}" if self._is_zero_shot else "classes of its own"

    def detect(self, images: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, Sequence[Detection] | str]]:
        """Yield (image_id, objects), best first; why an image cannot be read in place of its objects.

        Raises:
            ModelError: the model cannot be loaded, or not even one image fits into memory.
        """
        opened = map_in_order(self._opened, images, workers=core_count())
        for batch in batches(opened, self._settings.batch_size):
            yield from ((name, picture) for name, picture in batch if isinstance(picture, str))
            good = [(name, picture) for name, picture in batch if not isinstance(picture, str)]
            while good:
                part, good = good[: self._batch_size], good[self._batch_size :]
                found = self._found([picture for _, picture in part])
                yield from zip((name for name, _ in part), found, strict=True)

    def _opened(self, image: tuple[str, bytes]) -> "tuple[str, Image.Image | str]":
        name, data = image
        try:
            return name, decode_picture(data, max_pixels=self._max_pixels)
        except PictureError as error:
            return name, str(error)

    def _found(self, pictures: Sequence[Image.Image]) -> list[list[Detection]]:
        import torch

        loaded = self._loaded
        try:
            with torch.inference_mode():
                inputs = self._inputs(pictures).to(loaded.device)
                for name, value in inputs.items():
                    if torch.is_floating_point(value):
                        inputs[name] = value.to(loaded.model.dtype)
                outputs = loaded.model(**inputs)
        except torch.OutOfMemoryError as error:
            if len(pictures) == 1:
                raise ModelError(
                    f"{self._name}: not even one image fits into the memory of {loaded.device}. Choose a smaller "
                    f"model or another device."
                ) from error
            self._batch_size = max(1, len(pictures) // 2)
            torch.cuda.empty_cache()
            half = self._batch_size
            return [one for at in range(0, len(pictures), half) for one in self._found(pictures[at : at + half])]
        sizes = [(picture.height, picture.width) for picture in pictures]
        return [_best_first(one, self._names(one)) for one in self._read(outputs, inputs, sizes)]

    def _inputs(self, pictures: Sequence[Image.Image]) -> Any:
        prompts = list(self._prompts)
        texts = {"text": [prompts] * len(pictures), "padding": True} if self._is_zero_shot else {}
        return self._loaded.processor(images=list(pictures), return_tensors="pt", **texts)

    def _read(self, outputs: Any, inputs: Any, sizes: Sequence[tuple[int, int]]) -> list[dict[str, Any]]:
        """Return scores, boxes by corners, and labels of each picture, as the processor reads the model's output."""
        common = {"threshold": self._settings.threshold, "target_sizes": list(sizes)}
        processor = self._loaded.processor
        if not self._is_zero_shot:
            return list(processor.post_process_object_detection(outputs, **common))
        read = processor.post_process_grounded_object_detection
        common["text_labels"] = [list(self._prompts)] * len(sizes)
        if "input_ids" in inspect.signature(read).parameters:
            common["input_ids"] = inputs["input_ids"]
        return list(read(outputs, **common))

    def _names(self, found: dict[str, Any]) -> list[str]:
        if self._is_zero_shot:
            return [str(name) for name in found["text_labels"]]
        classes = self._loaded.model.config.id2label
        return [str(classes.get(int(number), int(number))) for number in found["labels"]]

    @cached_property
    def _is_zero_shot(self) -> bool:
        from transformers import AutoConfig
        from transformers.models.auto.modeling_auto import (
            MODEL_FOR_OBJECT_DETECTION_MAPPING,
            MODEL_FOR_ZERO_SHOT_OBJECT_DETECTION_MAPPING,
        )

        try:
            config = AutoConfig.from_pretrained(self._checkpoint.source, **self._checkpoint.how)
        except LOADING_ERRORS as error:
            raise self._not_loaded(error) from error
        if type(config) in MODEL_FOR_ZERO_SHOT_OBJECT_DETECTION_MAPPING:
            if not self._prompts:
                raise ModelError(
                    f"{self._name} is a zero-shot detector: it finds what it is asked for. Set "
                    f"objects.detector.prompts to names of objects, such as rare keywords."
                )
            return True
        if type(config) not in MODEL_FOR_OBJECT_DETECTION_MAPPING:
            raise self._not_loaded(f"a model of type {config.model_type} finds no objects")
        return False

    @cached_property
    def _loaded(self) -> _Loaded:
        import torch
        from transformers import AutoModelForObjectDetection, AutoModelForZeroShotObjectDetection, AutoProcessor
        from transformers.utils import logging

        if self._checkpoint.is_local:  # what is fetched from the hub takes minutes and keeps its bar
            logging.disable_progress_bar()
        family = AutoModelForZeroShotObjectDetection if self._is_zero_shot else AutoModelForObjectDetection
        device = device_of(self._settings.device)
        dtype = self._settings.dtype
        if dtype == "auto":
            dtype = "float32" if device == "cpu" else "bfloat16"
        weights = {"dtype": getattr(torch, dtype), "use_safetensors": True}  # a pickle can run code
        try:
            processor = AutoProcessor.from_pretrained(self._checkpoint.source, **self._checkpoint.how)
            model = family.from_pretrained(self._checkpoint.source, **weights, **self._checkpoint.how)
            return _Loaded(model.to(device).eval(), processor, device)
        except LOADING_ERRORS as error:
            raise self._not_loaded(error) from error

    def _not_loaded(self, reason: object) -> ModelError:
        return not_loaded(self._name, "a detector", reason)


def _best_first(found: dict[str, Any], names: Sequence[str]) -> list[Detection]:
    boxes, scores = found["boxes"].float().tolist(), found["scores"].float().tolist()
    objects = [
        Detection((left, top, right - left, bottom - top), name, score)
        for (left, top, right, bottom), name, score in zip(boxes, names, scores, strict=True)
    ]
    return sorted(objects, key=lambda one: (-round(one.score, 6), one.box))
