"""What kind of dataset lies at a path: for `vlmine init`."""

import logging
import math
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.resources.picture_formats import IMAGE_SUFFIXES, known_format
from vlmine_dagster.resources.sources.contract import is_image
from vlmine_dagster.resources.sources.fingerprints import FingerprintCache
from vlmine_dagster.resources.sources.parquet import DAMAGE, PARQUET_SUFFIXES, holds_bytes, is_key_type, open_parquet
from vlmine_dagster.resources.sources.tree import FileTree
from vlmine_dagster.resources.sources.webdataset import TAR_SUFFIXES, WebDatasetSource
from vlmine_dagster.settings import DatasetSettings, LabelSettings

_logger = logging.getLogger(__name__)

IMAGES_A_SHARD = 2000
"""A folder tree is cut so that a shard has about this many: minutes of work on a CPU."""

_MOST_SHARDS = 1000
_IMAGE_COLUMNS = (
    "image",
    "img",
    "picture",
    "photo",
    "jpg",
    "jpeg",
    "png",
    "webp",
    "bytes",
    "image_bytes",
    "content",
    "data",
)
_KEY_COLUMNS = ("key", "__key__", "image_id", "id", "uid", "uuid", "file_name", "filename", "name", "path")


def detect(root: str) -> DatasetSettings:
    """Find out what kind of dataset lies at a path or URL.

    Tars with images win over Parquet files with an image column, and these over loose image files; what loses is
    logged. Labels are taken from `labels.csv` (and `classes.csv`) at the root or beside it; where pool rows carry
    a class and no row is a seed, they are taken for a benchmark's (`oracle`);
    a `labels.csv` that cannot be read as one is logged and left aside.

    Raises:
        SourceError: there is no folder, or no images in it; the message says what was looked for.
        ConfigError: the URL's protocol is unknown, or its driver is not installed.
    """
    _refuse_no_folder(root)
    tree = FileTree(root)
    tars = tree.paths(_ends_like(TAR_SUFFIXES))
    parquet = tree.paths(_ends_like(PARQUET_SUFFIXES))
    images = tree.paths(is_image)
    found = _webdataset(tree, tars) or _parquet(tree, parquet) or _folder(images)
    if found is None:
        raise SourceError(_nothing_found(root, tars=tars, parquet=parquet))
    _log_what_lost(found["kind"], parquet=parquet, images=images)
    return DatasetSettings(root=root, labels=_labels(root), **found)


def _refuse_no_folder(root: str) -> None:
    path = Path(root)
    if "://" in root or path.is_dir():
        return
    if path.exists():
        raise SourceError(
            f"{root} is a file. Give the folder that holds it (`vlmine init {path.parent}`): all tars, all Parquet "
            f"files or all images in it are the dataset."
        )
    raise SourceError(f"no folder {root}. Give the folder of the images; relative paths start here ({Path.cwd()}).")


def _ends_like(suffixes: tuple[str, ...]) -> Callable[[str], bool]:
    return lambda path: path.lower().endswith(suffixes)


def _webdataset(tree: FileTree, tars: list[str]) -> dict[str, Any] | None:
    if not tars:
        return None
    source = WebDatasetSource(
        tree, max_bytes=DatasetSettings.model_fields["max_bytes"].default, cache=FingerprintCache()
    )
    for shard in source.shards()[:3]:
        try:
            if any(raw.failure is None for raw in islice(source.read(shard), 10)):
                return {"kind": "webdataset"}
        except SourceError as error:
            _logger.warning("%s", error)
    return None


def _parquet(tree: FileTree, paths: list[str]) -> dict[str, Any] | None:
    for path in paths[:3]:
        try:
            with tree.open(path) as raw:
                columns = _columns(open_parquet(raw, tree.uri(path)))
        except (SourceError, *DAMAGE) as error:
            _logger.warning("%s: %s", tree.uri(path), error)
            continue
        if columns is not None:
            return {"kind": "parquet", **columns}
    return None


def _columns(file: pq.ParquetFile) -> dict[str, Any] | None:
    image_column = next((name for name in _image_candidates(file.schema_arrow) if _shows_image(file, name)), None)
    if image_column is None:
        return None
    return {"image_column": image_column, "key_column": _key_column(file)}


def _image_candidates(schema: pa.Schema) -> list[str]:
    """Columns that can hold images, those with a telling name first."""
    names = [field.name for field in schema if holds_bytes(field.type)]
    return sorted(names, key=lambda name: _IMAGE_COLUMNS.index(name) if name in _IMAGE_COLUMNS else len(_IMAGE_COLUMNS))


def _shows_image(file: pq.ParquetFile, column: str) -> bool:
    values = (_bytes_of(value) for value in _first_values(file, column, count=50))
    first = next((value for value in values if value), b"")
    return known_format(first) is not None


def _first_values(file: pq.ParquetFile, column: str, *, count: int) -> Iterator[Any]:
    batches = file.iter_batches(10, columns=[column])
    return islice((value.as_py() for batch in batches for value in batch.column(0)), count)


def _bytes_of(value: Any) -> bytes:
    return (value.get("bytes") if isinstance(value, dict) else value) or b""


def _key_column(file: pq.ParquetFile) -> str | None:
    """Return the first column with a telling name, a fitting type and neither gaps nor repeats."""
    for name in _KEY_COLUMNS:
        if name in file.schema_arrow.names and is_key_type(file.schema_arrow.field(name).type):
            values = file.read(columns=[name]).column(0)
            if values.null_count == 0 and len(values.unique()) == len(values):
                return name
    return None


def _folder(images: list[str]) -> dict[str, Any] | None:
    if not images:
        return None
    return {"kind": "folder", "shard_count": min(_MOST_SHARDS, math.ceil(len(images) / IMAGES_A_SHARD))}


def _labels(root: str) -> LabelSettings | None:
    from vlmine_dagster.resources.label_reading import read_file, read_label_rows

    for folder in (root.rstrip("/") or "/", root.rstrip("/").rpartition("/")[0] or "."):
        file = f"{folder.rstrip('/')}/labels.csv"
        if not UPath(file).exists():
            continue
        try:
            rows = read_label_rows(read_file(file, setting="the path"), LabelSettings(file=file), where=file)
        except SourceError as error:  # `labels.csv` is a common name: the file may be somebody else's
            _logger.warning("labels not used: %s", error)
            continue
        is_oracle = all(row.split != "seed" for row in rows) and any(row.split == "pool" and row.label for row in rows)
        classes = f"{folder.rstrip('/')}/classes.csv"
        return LabelSettings(file=file, classes=classes if UPath(classes).exists() else None, oracle=is_oracle)
    return None


def _log_what_lost(kind: str, *, parquet: list[str], images: list[str]) -> None:
    others = {
        "Parquet files": parquet if kind == "webdataset" else [],
        "loose images": images if kind != "folder" else [],
    }
    for what, paths in others.items():
        if paths:
            _logger.warning(
                "the dataset is taken as %s; %d %s beside it (%s, ...) are not part of it",
                kind,
                len(paths),
                what,
                paths[0],
            )


def _nothing_found(root: str, *, tars: list[str], parquet: list[str]) -> str:
    notes = ""
    if tars:
        notes += f" {len(tars)} tars are there, but the first three hold no image."
    if parquet:
        notes += f" {len(parquet)} Parquet files are there, but the first three have no column of encoded images."
    return (
        f"no images at {root}. Looked in it and below, hidden files left out, for: tars ({', '.join(TAR_SUFFIXES)}) "
        f"with image members; Parquet files with a column of image bytes or a struct of `bytes` and `path`; image "
        f"files ({', '.join(IMAGE_SUFFIXES)}).{notes} Give the folder that holds "
        f"one of these."
    )
