"""Features of one's own in place of the encoder's: vectors of a file, or of an image model of transformers."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.encoders import ENCODER
from vlmine_dagster.domain.errors import ConfigError, ModelError, PictureError
from vlmine_dagster.resources.checkpoints import (
    LOADING_ERRORS,
    Checkpoint,
    device_of,
    file_fingerprint,
    not_loaded,
    placed,
)
from vlmine_dagster.resources.media.contract import grey_picture
from vlmine_dagster.resources.ordered import batches, core_count, map_in_order
from vlmine_dagster.resources.sources.fingerprints import FingerprintCache
from vlmine_dagster.settings.base import settings_hash

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as pads
    from PIL import Image

    from vlmine_dagster.resources.encoder import Encodings
    from vlmine_dagster.settings.describing import FeatureSettings
    from vlmine_dagster.settings.project import Project

Floats = npt.NDArray[np.float32]
Load = Callable[[Sequence[str]], Iterable[tuple[str, bytes]]]
"""Yields (image_id, encoded bytes) of some images; those that are gone are left out."""


class Features(Protocol):
    """Vectors of images, all of one length."""

    @property
    def fingerprint(self) -> str:
        """Changes with whatever changes a vector."""
        ...

    @property
    def what(self) -> str:
        """What they are of, for messages."""
        ...

    def vectors(self, image_ids: Sequence[str], load: Load, *, max_pixels: int) -> Iterator[tuple[list[str], Floats]]:
        """Yield ids and vectors, shape (B, D), of some images, in any order; those that have none are left out."""
        ...

    def look(self) -> str:
        """Return what they are, as far as one can tell before a run; raise what a run would raise."""
        ...


class FeatureFile:
    """The vectors of a Parquet file with the columns image_id and embedding.

    Args:
        location: The file.
        cache_folder: Where its hash is written down.
    """

    def __init__(self, location: str, cache_folder: Path):
        self._file = Path(location)
        self._cache_folder = cache_folder

    @property
    def what(self) -> str:
        """The file."""
        return f"features.path {self._file}"

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the file's content.

        Raises:
            ConfigError: there is no such file.
        """
        self._require()
        cache = FingerprintCache(self._cache_folder / "fingerprints.tsv")
        return settings_hash("features of a file 1", file_fingerprint(self._file, cache))

    def vectors(self, image_ids: Sequence[str], _load: Load, *, max_pixels: int) -> Iterator[tuple[list[str], Floats]]:
        """Yield the vectors of images that the file has; row groups without any of them are passed over.

        Raises:
            ModelError: the file cannot be read, lacks a column, has an image twice, or vectors that are none.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        seen: set[str] = set()
        wanted = pc.field("image_id").isin(pa.array(image_ids, pa.string()))
        with self._opened() as rows:
            for batch in rows.scanner(columns=["image_id", "embedding"], filter=wanted).to_batches():
                names = batch.column("image_id").to_pylist()
                twice = seen.intersection(names) or {name for name, count in Counter(names).items() if count > 1}
                if twice:
                    raise ModelError(f"{self.what}: {min(twice)!r} is in it twice. Write one row per image.")
                seen.update(names)
                if names:
                    yield names, self._matrix(names, batch.column("embedding"))

    def look(self) -> str:
        """Return how many vectors there are, and of what length.

        Raises:
            ConfigError: there is no such file.
            ModelError: it cannot be read, or lacks a column.
        """
        self._require()
        with self._opened() as rows:
            _refuse_other_lengths(self.what, self._length)
            return f"{counted(rows.count_rows(), 'vector')} of {counted(self._length, 'number')} in {self._file}"

    def _require(self) -> None:
        if not self._file.is_file():
            raise ConfigError(f"features.path: there is no {self._file}. Correct it in vlmine.yaml.")

    @contextmanager
    def _opened(self) -> "Iterator[pads.Dataset]":
        import pyarrow as pa
        import pyarrow.dataset as pads

        try:
            rows = pads.dataset(self._file, format="parquet")
            _refuse_other_columns(rows.schema)
            yield rows
        except (OSError, ValueError, pa.ArrowException) as error:
            reason = " ".join(str(error).split())[:200]
            raise ModelError(
                f"{self.what} cannot be read as Parquet with the columns image_id and embedding: {reason}"
            ) from error

    def _matrix(self, names: Sequence[str], column: "pa.Array") -> Floats:
        import pyarrow.compute as pc

        lengths = np.asarray(pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False))
        odd = np.flatnonzero(lengths != self._length)
        if len(odd):
            raise ModelError(
                f"{self.what}: the vector of {names[odd[0]]!r} has {lengths[odd[0]]:,} numbers, the first of the file "
                f"{self._length:,}. Write vectors of one model."
            )
        flat = column.flatten().to_numpy(zero_copy_only=False)
        return np.asarray(flat, dtype=np.float32).reshape(len(names), self._length)

    @cached_property
    def _length(self) -> int:
        with self._opened() as rows:
            first = rows.head(1, columns=["embedding"]).column(0).to_pylist()
        return len(first[0] or ()) if first else 0


def _refuse_other_columns(schema: "pa.Schema") -> None:
    """Refuse a table without ids as text, or without lists of numbers.

    Raises:
        ValueError: it is one.
    """
    from pyarrow import types

    for name in ("image_id", "embedding"):
        if name not in schema.names:
            raise ValueError(f"it has no column {name}; its columns are {', '.join(schema.names)}")
    ids, vectors = (schema.field(name).type for name in ("image_id", "embedding"))
    text = ids.value_type if types.is_dictionary(ids) else ids
    if not (types.is_string(text) or types.is_large_string(text)):
        raise ValueError(f"image_id is {ids}, expected text")
    is_list = types.is_list(vectors) or types.is_large_list(vectors) or types.is_fixed_size_list(vectors)
    if not is_list or not (types.is_floating(vectors.value_type) or types.is_integer(vectors.value_type)):
        raise ValueError(f"embedding is {vectors}, expected a list of numbers")


class FeatureModel:
    """What an image model of transformers makes of pictures: CLIP, SigLIP, DINOv2, ViT, ResNet.

    A model with image features of its own, as CLIP's, is asked for these; of others its pooled output counts, and where
    there is none the mean of the last layer. Code from the hub is never run.

    Args:
        settings: Which model.
        folder: Where the hub revision and hashes of a local checkpoint are written down.
    """

    def __init__(self, settings: "FeatureSettings", *, model: str, folder: Path):
        self._settings = settings
        self._checkpoint = Checkpoint(model, settings.revision, folder)

    @property
    def what(self) -> str:
        """The model."""
        return f"features.model {self._settings.model}"

    @cached_property
    def fingerprint(self) -> str:
        """The commit of the model, or the hash of its files."""
        return settings_hash("features of a model 1", self._settings.model, self._checkpoint.revision)

    def vectors(self, image_ids: Sequence[str], load: Load, *, max_pixels: int) -> Iterator[tuple[list[str], Floats]]:
        """Yield the vectors of images that can be decoded, a batch at a time.

        Raises:
            ModelError: the model cannot be loaded, or is none of pictures.
        """
        import torch

        from vlmine_dagster.resources.pictures import decode_picture

        def decoded(image: tuple[str, bytes]) -> tuple[str, "Image.Image | None"]:
            try:
                return image[0], decode_picture(image[1], max_pixels=max_pixels)
            except PictureError:
                return image[0], None

        processor, model, device = self._loaded
        pictures = (found for found in map_in_order(decoded, load(image_ids), workers=core_count()) if found[1])
        for batch in batches(pictures, self._settings.batch_size):
            inputs = processor(images=[picture for _, picture in batch], return_tensors="pt").to(device)
            with torch.inference_mode():
                found = _pooled(model, inputs)
            yield [name for name, _ in batch], found.float().cpu().numpy().reshape(len(batch), -1)

    def look(self) -> str:
        """Return the length of the vectors and where the model runs, from one grey picture.

        Raises:
            ModelError: the model cannot be loaded, or is none of pictures.
        """
        ((_, vector),) = self.vectors(["grey"], lambda _names: [("grey", grey_picture())], max_pixels=10**6)
        _refuse_other_lengths(self.what, vector.shape[1])
        return f"{self._settings.model}: vectors of {vector.shape[1]:,} numbers, on {self._loaded[2]}"

    @cached_property
    def _loaded(self) -> tuple[Any, Any, str]:
        from transformers import AutoImageProcessor, AutoModel
        from transformers.utils import logging

        if self._checkpoint.is_local:  # what is fetched from the hub takes minutes and keeps its bar
            logging.disable_progress_bar()
        source, how, device = self._checkpoint.source, self._checkpoint.how, device_of(self._settings.device)
        try:
            processor = AutoImageProcessor.from_pretrained(source, **how)
            model = AutoModel.from_pretrained(source, use_safetensors=True, **how).to(device)
        except LOADING_ERRORS as error:
            raise not_loaded(self.what, f"an image model on {device}", error) from error
        return processor, model.eval(), device


def _pooled(model: Any, inputs: Any) -> Any:
    pixels = {"pixel_values": inputs["pixel_values"]}
    if hasattr(model, "get_image_features"):
        found = model.get_image_features(**pixels)
        return getattr(found, "pooler_output", found)
    found = model(**pixels)
    pooled = getattr(found, "pooler_output", None)
    return found.last_hidden_state.mean(dim=1) if pooled is None else pooled


def _refuse_other_lengths(what: str, length: int) -> None:
    if not 0 < length <= ENCODER.embedding_size:
        raise ModelError(
            f"{what} gives vectors of {length:,} numbers; 1 to {ENCODER.embedding_size:,} can be kept. Take a smaller "
            f"model, or reduce them to their main axes."
        )


def features_of(project: "Project") -> Features | None:
    """Return the features that a project has in place of the encoder's, None where it has none of its own."""
    settings = project.settings.features
    if settings is None:
        return None
    folder = project.state_folder("models")
    if settings.path is not None:
        return FeatureFile(project.resolve(settings.path), folder)
    return FeatureModel(settings, model=placed(settings.model or "", project.folder), folder=folder)


def with_features(
    found: "Encodings",
    features: Features,
    load: Load,
    *,
    max_pixels: int,
    on_progress: Callable[[int], None] = lambda _count: None,
) -> "Encodings":
    """Return what the encoder saw with features of one's own: shorter ones end in zeros, which changes no distance.

    Args:
        found: What the encoder saw.
        features: Whose vectors take the place of the encoder's.
        load: Reads the pictures again, for those who look at them.
        max_pixels: Larger pictures are not decoded.
        on_progress: Called with the number of images done since the last call.

    Raises:
        ModelError: an image has none, vectors are longer than the table can keep, or contain NaN.
    """
    size = ENCODER.embedding_size
    places = {name: place for place, name in enumerate(found.image_ids)}
    embeddings = np.zeros((len(places), size), np.float16)
    has_one = np.zeros(len(places), dtype=bool)
    for names, vectors in features.vectors(found.image_ids, load, max_pixels=max_pixels):
        length = vectors.shape[1]
        _refuse_other_lengths(features.what, length)
        with np.errstate(over="ignore"):
            halves = vectors.astype(np.float16)
        is_finite = np.isfinite(halves).all(axis=1)
        if not is_finite.all():
            name = names[int(is_finite.argmin())]
            raise ModelError(f"{features.what}: the vector of {name!r} contains NaN or values above 65,504.")
        is_something = halves.any(axis=1)
        if not is_something.all():  # some tools write zeros where they failed, and nothing is lonelier than those
            name = names[int(is_something.argmin())]
            raise ModelError(
                f"{features.what}: the vector of {name!r} contains only zeros. Give the image a vector, or leave it "
                f"out by `dataset.exclude`."
            )
        at = [places[name] for name in names]
        embeddings[at, :length] = halves
        has_one[at] = True
        on_progress(len(names))
    if not has_one.all():
        name = found.image_ids[int(has_one.argmin())]
        raise ModelError(
            f"{features.what} has no vector of {(~has_one).sum():,} of {len(places):,} images, such as {name}. "
            f"Each image that can be opened needs one; `dataset.exclude` leaves images out."
        )
    return replace(found, embeddings=embeddings)
