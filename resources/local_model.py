"""Vision-language and audio-language models on this machine, by transformers."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from vlmine_dagster.domain.errors import ModelError, PictureError
from vlmine_dagster.domain.tables import Outcome
from vlmine_dagster.resources.checkpoints import LOADING_ERRORS, Checkpoint, device_of, not_loaded
from vlmine_dagster.resources.ordered import batches, core_count, map_in_order
from vlmine_dagster.resources.pictures import decode_picture
from vlmine_dagster.resources.replies import Answers, Reply, Request
from vlmine_dagster.resources.samples import Samples, read_samples
from vlmine_dagster.resources.sounds import sound_format
from vlmine_dagster.settings import settings_hash

if TYPE_CHECKING:
    from vlmine_dagster.describing.describers.transformers import TransformersSettings

_LLAVA_PROMPT = "USER: <image>\n{prompt} ASSISTANT:"
_loaded_lock = threading.Lock()
_loaded: dict[tuple[str, ...], "_Loaded"] = {}


@dataclass(frozen=True)
class _Loaded:
    """A model in memory."""

    model: Any
    processor: Any
    device: str
    dtype: str


class LocalModel:
    """Any image-text-to-text or audio-text-to-text checkpoint, by its own processor and chat template; greedy.

    Images and sounds are decoded, reduced and tokenized ahead in threads while the model is at work. Where memory runs
    out the batch is halved for good. Code from the hub is never run.

    Args:
        settings: Which model and how.
        prompt: The prompt's text.
        folder: Where the hub revision and the hashes of a local checkpoint's files are written down.
        max_pixels: Larger images are not decoded.
    """

    def __init__(self, settings: "TransformersSettings", *, prompt: str, folder: Path, max_pixels: int):
        self._settings = settings
        self._prompt = prompt
        self._checkpoint = Checkpoint(settings.model, settings.revision, folder)
        self._max_pixels = max_pixels
        self._batch_size = settings.batch_size
        self.label = f"transformers {settings.model}, {settings.prompt}"

    @property
    def fingerprint(self) -> str:
        """Changes with weights, prompt, decoding and image size."""
        s = self._settings
        name = "" if self._checkpoint.is_local else s.model  # a folder may move: its content counts
        return settings_hash(
            "local 1",
            name,
            self._checkpoint.revision,
            self._prompt,
            s.max_output_tokens,
            s.image_side,
            s.dtype,
            s.answer,
        )

    @property
    def where(self) -> str:
        """Device and number format; "not loaded" as long as nobody needed it."""
        loaded = _loaded.get(self._key)
        return f"{loaded.dtype} on {loaded.device}, batches of {self._batch_size}" if loaded else "not loaded"

    def reply(self, requests: Iterable[Request], keep: Callable[[Answers], None]) -> Iterator[Answers]:
        """Yield (content, reply), a batch at a time.

        Raises:
            ModelError: the model cannot be loaded, or not even one image fits into memory.
        """
        for group in self._groups(requests):
            keep(group)
            yield group

    def _groups(self, requests: Iterable[Request]) -> Iterator[Answers]:
        loaded: _Loaded | None = None
        prepared = map_in_order(self._opened, requests, workers=core_count())
        with ThreadPoolExecutor(1) as ahead:
            waiting = None
            for batch in batches(prepared, self._settings.batch_size):
                bad = [(request.content, failure) for request, failure in batch if isinstance(failure, str)]
                yield [(name, Reply(None, Outcome.CORRUPT, failure)) for name, failure in bad]
                good = [(request, picture) for request, picture in batch if not isinstance(picture, str)]
                if not good:
                    continue
                loaded = loaded or self._load(is_sound=isinstance(good[0][1], Samples))
                following = (good, ahead.submit(self._inputs, loaded, good))
                if waiting is not None:
                    yield self._answers(loaded, *waiting)
                waiting = following
            if waiting is not None and loaded is not None:
                yield self._answers(loaded, *waiting)

    @staticmethod
    def worst_cost_usd(_request: Request) -> float:
        """Return 0: nobody sends a bill."""
        return 0.0

    def _opened(self, request: Request) -> tuple[Request, "Image.Image | Samples | str"]:
        side, data = self._settings.image_side, request.image or b""
        try:
            if sound_format(data):
                return replace(request, image=None), read_samples(data)
            picture = decode_picture(data, max_pixels=self._max_pixels, smallest_side=side)
        except PictureError as error:
            return request, str(error)
        if max(picture.size) > side:
            picture.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
        return replace(request, image=None), picture

    def _answers(self, loaded: _Loaded, good: Sequence[tuple[Request, Any]], inputs: Any) -> list[tuple[str, Reply]]:
        started = time.monotonic()
        if len(good) > self._batch_size:  # memory ran out since this batch was made
            replies = self._in_parts(loaded, good)
        else:
            replies = self._generate(loaded, good, inputs.result())
        share = (time.monotonic() - started) / len(good)
        return [
            (request.content, replace(reply, latency_s=share))
            for (request, _), reply in zip(good, replies, strict=True)
        ]

    def _in_parts(self, loaded: _Loaded, good: Sequence[tuple[Request, Any]]) -> list[Reply]:
        found: list[Reply] = []
        while len(found) < len(good):
            part = good[len(found) : len(found) + self._batch_size]
            found += self._generate(loaded, part, self._inputs(loaded, part))
        return found

    def _generate(self, loaded: _Loaded, good: Sequence[tuple[Request, Any]], inputs: Any) -> list[Reply]:
        import torch

        try:
            with torch.inference_mode():
                given = inputs.to(loaded.device)
                for name, value in given.items():
                    if torch.is_floating_point(value):
                        given[name] = value.to(loaded.model.dtype)
                tokens = loaded.model.generate(
                    **given, max_new_tokens=self._settings.max_output_tokens, do_sample=False, num_beams=1
                )
        except torch.OutOfMemoryError as error:
            if len(good) == 1:
                raise ModelError(
                    f"{self._settings.model}: not even one image fits into the memory of {loaded.device}. Choose a "
                    f"smaller model, a smaller image_side, or another device."
                ) from error
            self._batch_size = max(1, len(good) // 2)
            torch.cuda.empty_cache()
            return self._in_parts(loaded, good)
        return self._read(loaded, given, tokens.cpu())

    def _read(self, loaded: _Loaded, inputs: Any, tokens: Any) -> list[Reply]:
        start = inputs["input_ids"].shape[1]
        prompt_tokens = inputs["attention_mask"].sum(dim=1).tolist()
        config = loaded.model.generation_config
        ends = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
        replies = []
        for row, prompt_count in zip(tokens[:, start:].tolist(), prompt_tokens, strict=True):
            stop = next((place for place, token in enumerate(row) if token in ends), None)
            answer_tokens = row if stop is None else row[:stop]
            text = loaded.processor.tokenizer.decode(answer_tokens, skip_special_tokens=True).strip()
            replies.append(self._judged(text, int(prompt_count), len(answer_tokens), has_ended=stop is not None))
        return replies

    def _judged(self, text: str, prompt_tokens: int, output_tokens: int, *, has_ended: bool) -> Reply:
        reply = Reply(text, prompt_tokens=prompt_tokens, output_tokens=output_tokens)
        if not has_ended and output_tokens >= self._settings.max_output_tokens:
            reason = f"cut at max_output_tokens {self._settings.max_output_tokens}"
            return replace(reply, outcome=Outcome.TRUNCATED, failure=reason)
        if not text:
            return replace(reply, outcome=Outcome.EMPTY, failure="the answer is empty")
        return reply

    def _inputs(self, loaded: _Loaded, good: Sequence[tuple[Request, Any]]) -> Any:
        is_sound = isinstance(good[0][1], Samples)
        reader = getattr(loaded.processor, "feature_extractor" if is_sound else "image_processor", None)
        if reader is None:
            raise ModelError(self._unfit(is_sound=is_sound))
        part = "audio" if is_sound else "image"
        texts = [self._text(loaded.processor, request.prompt or self._prompt, part) for request, _ in good]
        if not is_sound:
            pictures = [[picture] for _, picture in good]
            return loaded.processor(images=pictures, text=texts, padding=True, return_tensors="pt")
        rate = int(reader.sampling_rate)
        sounds = [sound.at_rate(rate) for _, sound in good]
        return loaded.processor(audio=sounds, text=texts, sampling_rate=rate, padding=True, return_tensors="pt")

    def _unfit(self, *, is_sound: bool) -> str:
        what, needed = ("sounds", "an audio-text-to-text") if is_sound else ("pictures", "an image-text-to-text")
        advice = "spectrogram" if is_sound else "sound"
        return (
            f"{self._settings.model} takes no {what}. Choose {needed} checkpoint, or for sounds set dataset.medium to "
            f"{{kind: audio, send: {advice}}}."
        )

    @staticmethod
    def _text(processor: Any, prompt: str, part: str) -> str:
        if not getattr(processor, "chat_template", None):
            return _LLAVA_PROMPT.format(prompt=prompt)
        content = [{"type": part}, {"type": "text", "text": prompt}]
        message = [{"role": "user", "content": content}]
        return str(processor.apply_chat_template(message, add_generation_prompt=True, tokenize=False))

    def _load(self, *, is_sound: bool = False) -> _Loaded:
        """Load the model, once per process."""
        with _loaded_lock:
            if self._key not in _loaded:
                _loaded.clear()  # two models at once seldom fit
                _loaded[self._key] = self._read_checkpoint("audio" if is_sound else "image")
            return _loaded[self._key]

    @property
    def _key(self) -> tuple[str, ...]:
        return (self._settings.model, self._checkpoint.revision, self._settings.dtype, self._settings.device)

    def _read_checkpoint(self, what: str) -> _Loaded:
        import torch
        from transformers import AutoModelForMultimodalLM, AutoProcessor
        from transformers.utils import logging

        if self._checkpoint.is_local:  # what is fetched from the hub takes minutes and keeps its bar
            logging.disable_progress_bar()
        device = device_of(self._settings.device)
        dtype = self._settings.dtype
        if dtype == "auto":
            dtype = "float32" if device == "cpu" else "bfloat16"
        weights = {"dtype": getattr(torch, dtype), "use_safetensors": True}  # a pickle can run code
        try:
            processor = AutoProcessor.from_pretrained(self._checkpoint.source, **self._checkpoint.how)
            model = AutoModelForMultimodalLM.from_pretrained(self._checkpoint.source, **weights, **self._checkpoint.how)
            model.to(device)
        except LOADING_ERRORS as error:
            kind = f"an {what}-text-to-text model on {device}"
            raise not_loaded(self._settings.model, kind, error) from error
        processor.tokenizer.padding_side = "left"
        if processor.tokenizer.pad_token is None:
            processor.tokenizer.pad_token = processor.tokenizer.eos_token
        model.generation_config.pad_token_id = processor.tokenizer.pad_token_id
        return _Loaded(model.eval(), processor, device, dtype)
