"""How fast a LLaVA-1.5-7B with random weights describes images of 336 pixels, and how much of its device that uses.

    python -m benchmarks.local_model --images 256 --batch-size 32

Weights are random, so the words are noise, but the work is that of the real model: 60 tokens an image, whatever they
are. Without an accelerator pass --tiny, which only shows that the benchmark runs.
"""

import io
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image

from vlmine_dagster.describing.describers.transformers import TransformersSettings
from vlmine_dagster.resources.local_model import LocalModel
from vlmine_dagster.resources.replies import Request

SIDE, PATCH, OUTPUT_TOKENS = 336, 14, 60
_TEMPLATE = (
    "USER: {% for part in messages[0]['content'] %}{% if part['type'] == 'image' %}<image>\n"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %} ASSISTANT:"
)


def write_checkpoint(folder: Path, *, is_tiny: bool) -> int:
    """Write a checkpoint with random weights and the real processor; return its number of parameters."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        PreTrainedTokenizerFast,
    )

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))  # noqa: S106 - a token, not a password
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(), decoders.ByteLevel()
    special = ["<unk>", "<s>", "</s>", "<pad>", "<image>"]
    tokenizer.train_from_iterator(["describe this photo"], trainers.BpeTrainer(vocab_size=300, special_tokens=special))
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", pad_token="<pad>")  # noqa: S106
    size = {"height": SIDE, "width": SIDE}
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size=size),
        tokenizer=fast,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token="<image>",  # noqa: S106
        chat_template=_TEMPLATE,
    )
    layers: dict[str, Any] = {"num_hidden_layers": 2} if is_tiny else {}
    vision = CLIPVisionConfig(
        **(
            {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2, **layers}
            if is_tiny
            else {"hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16, "num_hidden_layers": 24}
        ),
        image_size=SIDE,
        patch_size=PATCH,
    )
    text = LlamaConfig(
        **({"hidden_size": 48, "intermediate_size": 64, "num_attention_heads": 4, **layers} if is_tiny else {}),
        vocab_size=32064,
        max_position_embeddings=4096,
    )
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_index=4, image_seq_length=576)
    torch.set_default_dtype(torch.bfloat16)
    model = LlavaForConditionalGeneration(config)
    torch.set_default_dtype(torch.float32)
    model.generation_config.eos_token_id = -1  # nobody ends early
    model.generation_config.max_length = None
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return sum(parameter.numel() for parameter in model.parameters())


def photos(count: int) -> Iterator[Request]:
    """Yield JPEGs of 500 x 375 pixels."""
    for number in range(count):
        low = np.random.default_rng(number).integers(0, 255, (24, 32, 3), np.uint8)
        file = io.BytesIO()
        Image.fromarray(low).resize((500, 375), Image.Resampling.BICUBIC).save(file, "JPEG", quality=85)
        yield Request(str(number), "", file.getvalue())


@click.command()
@click.option("--images", "count", default=256, show_default=True)
@click.option("--batch-size", default=32, show_default=True)
@click.option("--peak-tflops", default=989.0, show_default=True, help="Dense bf16 peak of the device.")
@click.option("--tiny", "is_tiny", is_flag=True, help="A toy of the same shape, for a machine without accelerator.")
def main(count: int, batch_size: int, peak_tflops: float, is_tiny: bool) -> None:
    """Print images/s, the share of time in which the device computes, and model FLOP use."""
    import torch

    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "llava"
        parameters = write_checkpoint(folder, is_tiny=is_tiny)
        settings = TransformersSettings(
            kind="transformers", model=str(folder), max_output_tokens=OUTPUT_TOKENS, batch_size=batch_size
        )
        model = LocalModel(settings, prompt="Describe this photo.", folder=Path(home), max_pixels=10**8)
        list(model.reply(photos(batch_size), lambda _group: None))
        requests = list(photos(count))
        started = time.perf_counter()
        found = [reply for group in model.reply(requests, lambda _group: None) for _, reply in group]
        seconds = time.perf_counter() - started
    busy = sum(reply.latency_s for reply in found) / seconds
    tokens = np.mean([reply.prompt_tokens + reply.output_tokens for reply in found])
    use = 2 * parameters * tokens * count / seconds / (peak_tflops * 1e12)
    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no accelerator"
    print(f"{device}, {model.where}, {parameters / 1e9:.2f} billion parameters, {tokens:.0f} tokens an image")
    print("| images/s | share of time in generate | model FLOP use |\n| ---: | ---: | ---: |")
    print(f"| {count / seconds:.1f} | {busy:.2f} | {use:.3f} |")


if __name__ == "__main__":
    main()
