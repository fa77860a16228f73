"""A user's own model: its checkpoint, as it is or to be fine-tuned, or its predictions."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import nn

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import ModelError
from vlmine_dagster.learning.dropout import dropout_passes
from vlmine_dagster.learning.networks import FineTuned
from vlmine_dagster.learning.prediction import best_device

if TYPE_CHECKING:
    from pyarrow import RecordBatch
    from pyarrow.parquet import ParquetFile

_SUM_TOLERANCE = 1e-3
_ROWS_A_BLOCK = 4096
_READ_BYTES = 1 << 16
_PANDAS_INDEX = "__index_level_"

Floats = npt.NDArray[np.float64]


class Checkpoint:
    """A local transformers image-classification checkpoint.

    Args:
        processor: Its image processor.
        network: Its network.
        dropout: Share that all its dropout layers drop in a pass; None leaves each at its own.
    """

    def __init__(self, processor: Any, network: Any, *, dropout: float | None = None):
        self._processor = processor
        self._network = network.eval()
        for layer in network.modules():
            if isinstance(layer, nn.Dropout) and dropout is not None:
                layer.p = dropout

    @property
    def classes(self) -> tuple[str, ...]:
        """The C class names, in the order of the probabilities."""
        names = self._network.config.id2label
        return tuple(str(names[number]) for number in sorted(names))

    def predict(self, pictures: Sequence[Image.Image]) -> Floats:
        """Return class probabilities of shape (N, C), float64."""
        if not pictures:
            return np.empty((0, len(self.classes)))
        device = best_device()
        inputs = self._processor(images=list(pictures), return_tensors="pt").to(device)
        with torch.inference_mode():
            logits = self._network.to(device)(**inputs).logits
        return np.asarray(logits.double().softmax(1).cpu().numpy())

    def passes(self, pictures: Sequence[Image.Image], count: int) -> Floats:
        """Return class probabilities of shape (count, N, C), float64, by Monte Carlo dropout.

        Raises:
            ModelError: no dropout layer drops anything.
        """
        return dropout_passes(self._network, partial(self.predict, pictures), count)


def load_checkpoint(folder: str, *, dropout: float | None = None) -> Checkpoint:
    """Open a checkpoint folder by its own image processor; nothing is downloaded and no remote code is run.

    Args:
        folder: The checkpoint.
        dropout: Share that all its dropout layers drop in a pass; None leaves each at its own.

    Raises:
        ModelError: it is not an image-classification checkpoint.
    """
    processor, network = _open(folder)
    return Checkpoint(processor, network, dropout=dropout)


def _open(folder: str, **changes: Any) -> tuple[Any, Any]:
    from transformers import AutoImageProcessor, AutoModelForImageClassification
    from transformers.utils import logging

    logging.disable_progress_bar()  # a local file takes a moment, and its bar would cut through ours
    try:
        processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        network = AutoModelForImageClassification.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_safetensors=True, **changes
        )
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"path {folder} is not a local image-classification checkpoint with safetensors weights: {error}"
        ) from error
    return processor, network


def open_for_fine_tuning(folder: str, class_count: int) -> FineTuned:
    """Open a checkpoint with a head for so many classes; one that has as many already keeps its head.

    Pictures are squeezed to its input size, without the crop that its processor might take.

    Raises:
        ModelError: it is not an image-classification checkpoint.
    """
    try:
        processor, network = _open(folder, num_labels=class_count, ignore_mismatched_sizes=True)
        colours = {"mean": list(processor.image_mean), "deviation": list(processor.image_std)}
        return FineTuned(network, **colours, side=_side(processor))
    except (AttributeError, TypeError) as error:
        raise ModelError(
            f"checkpoint {folder}: the image-processor config has no size, mean or standard deviation: {error}"
        ) from error


def _side(processor: Any) -> int:
    size = getattr(processor, "crop_size", None) or processor.size
    return int(size.get("height") or size["shortest_edge"])


def prediction_classes(path: str) -> tuple[str, ...]:
    """Return the C class names of a user's own class probabilities.

    Args:
        path: Parquet file with the column image_id and one column per class.

    Raises:
        ModelError: the file cannot be read, has no image_id, fewer than two classes, or pandas' row index among them.
    """
    with _open_predictions(path) as file:
        return _classes(path, file)


def _classes(path: str, file: "ParquetFile") -> tuple[str, ...]:
    names = file.schema_arrow.names
    if "image_id" not in names:
        raise ValueError(f"its columns are {', '.join(names)}"[:200])
    if any(name.startswith(_PANDAS_INDEX) for name in names):
        raise ModelError(
            f"task_model.path {path}: it contains pandas' row index as a column. Write it with index=False."
        )
    classes = tuple(name for name in names if name != "image_id")
    if len(classes) < 2:
        raise ModelError(f"task_model.path {path}: {counted(len(classes), 'class column')}, expected at least 2.")
    return classes


def read_predictions(path: str, image_ids: Sequence[str]) -> Iterator[tuple[list[str], Floats]]:
    """Read a user's own class probabilities, some thousand rows at a time: the file may be larger than memory.

    Row groups without a wanted image are passed over, so files that keep a shard's rows together are read once in all.

    Args:
        path: Parquet file with the column image_id and one column per class.
        image_ids: The N images that are wanted.

    Yields:
        In the order of the file, ids of some wanted images and their probabilities, a row each and a column for each
        of `prediction_classes`, float64. Images that the file lacks never come.

    Raises:
        ModelError: the file cannot be read, has no image_id or fewer than two classes, has a wanted image twice, or a
            wanted row is not a probability distribution.
    """
    import pandas as pd
    import pyarrow as pa

    wanted = pd.Index(list(image_ids), dtype="object")  # hashed once: Arrow would do it again for every block
    times_found = np.zeros(len(wanted), dtype=np.int8)
    with _open_predictions(path) as file:
        classes = _classes(path, file)
        for group in _groups_between(file, min(image_ids, default=""), max(image_ids, default="")):
            ids = file.read_row_group(group, ["image_id"]).column(0).cast(pa.string())
            places = np.asarray(wanted.get_indexer(ids.to_pandas()), dtype=np.int64)
            if (places < 0).all():
                continue
            start = 0
            for block in file.iter_batches(_ROWS_A_BLOCK, row_groups=[group], columns=classes):
                theirs = places[start : start + block.num_rows]
                start += block.num_rows
                found, theirs = block.filter(pa.array(theirs >= 0)), theirs[theirs >= 0]
                names = [image_ids[place] for place in theirs]
                np.add.at(times_found, theirs, 1)
                if (times_found[theirs] > 1).any():
                    name = names[int((times_found[theirs] > 1).argmax())]
                    raise ModelError(f"task_model.path {path}: {name!r} is in it twice. Write one row per image.")
                yield names, _probabilities(path, names, found)


def _groups_between(file: "ParquetFile", first: str, last: str) -> Iterator[int]:
    """Yield the row groups that may hold ids from `first` to `last`, by what the file says of its parts."""
    column = file.schema_arrow.names.index("image_id")
    for group in range(file.num_row_groups):
        statistics = file.metadata.row_group(group).column(column).statistics
        has_bounds = statistics is not None and statistics.has_min_max and isinstance(statistics.min, str)
        if not has_bounds or (statistics.min <= last and statistics.max >= first):
            yield group


@contextmanager
def _open_predictions(path: str) -> Iterator["ParquetFile"]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, buffer_size=_READ_BYTES, pre_buffer=False) as file:
            yield file
    except (OSError, ValueError, pa.ArrowException) as error:
        raise ModelError(
            f"task_model.path {path} cannot be read as Parquet with image_id and one column per class: {error}"
        ) from error


def _probabilities(path: str, image_ids: Sequence[str], rows: "RecordBatch") -> Floats:
    given = np.column_stack([column.to_numpy(zero_copy_only=False).astype(np.float64) for column in rows.columns])
    bad = ~np.isfinite(given).all(axis=1) | (given < 0).any(axis=1) | (abs(given.sum(axis=1) - 1) > _SUM_TOLERANCE)
    if bad.any():
        place = int(bad.argmax())
        raise ModelError(
            f"task_model.path {path}: the row of {image_ids[place]!r} is not a probability distribution (it sums to "
            f"{given[place].sum():g}). Write softmax outputs."
        )
    return np.asarray(given)
