"""Which Parquet files of a data set hold images, in which column, and which are left out: for `vlmine init`."""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.domain.files import literal_pattern
from vlmine_dagster.resources.sources.columns import (
    image_columns,
    is_key_type,
    is_text,
    key_column,
    shows_image,
)
from vlmine_dagster.resources.sources.parquet import DAMAGE, open_parquet
from vlmine_dagster.resources.sources.samples import spread
from vlmine_dagster.resources.sources.tree import FileTree

_logger = logging.getLogger(__name__)

_MOST_SEARCHED = 20  # files with rows in which images are looked for
_MOST_FOOTERS = 500  # files of which the footer is read
_AT_ONCE = 16


def settings_of_tables(tree: FileTree, paths: Sequence[str]) -> tuple[dict[str, Any], list[str]] | None:
    """Return the settings by which Parquet files are read, and what was decided, for people; None without images.

    Files without rows tell nothing, and files without the image column, or with paths in it, hold no images: these are
    left out.
    """
    for path, file in _tables_with_rows(tree, paths):
        try:
            with_images = image_columns(file)
            key = key_column(file) if with_images else None
        except (SourceError, *DAMAGE) as error:  # its footer is whole, its pages are not
            _logger.warning("%s: %s", tree.uri(path), error)
            continue
        if not with_images:
            continue
        column, *others = with_images
        schemas = _schemas(tree, paths)
        is_of_text = is_text(file.schema_arrow.field(column).type)
        without = [
            other
            for other, schema in schemas.items()
            if column not in schema.names
            or (is_text(schema.field(column).type) is not is_of_text and not _shows_image(tree, other, column))
        ]
        notes = [_note_on_columns(path, others), _note_on_files(without, column)]
        if key is not None and not _is_key_everywhere(key, schemas, without):
            notes.append(f"column {key!r} is not a key of all files, so rows are numbered.")
            key = None
        left_out = {"exclude": tuple(map(literal_pattern, without))} if without else {}
        return {"image_column": column, "key_column": key, **left_out}, [note for note in notes if note]
    return None


def _tables_with_rows(tree: FileTree, paths: Sequence[str]) -> Iterator[tuple[str, pq.ParquetFile]]:
    """Yield files that have rows, first from everywhere in a list; broken ones are logged."""
    first = spread(paths, _MOST_SEARCHED)
    count = 0
    for path in list(dict.fromkeys([*first, *paths]))[:_MOST_FOOTERS]:
        try:
            with tree.open(path) as raw:
                file = open_parquet(raw, tree.uri(path))
                if file.metadata.num_rows:
                    count += 1
                    yield path, file
        except SourceError as error:
            _logger.warning("%s", error)
        except DAMAGE as error:
            _logger.warning("%s: %s", tree.uri(path), error)
        if count == _MOST_SEARCHED:
            return


def _schemas(tree: FileTree, paths: Sequence[str]) -> dict[str, pa.Schema]:
    """Return the schemas of files, of very many of some from everywhere; of broken files there is none."""

    def schema(path: str) -> pa.Schema | None:
        with suppress(SourceError, *DAMAGE), tree.open(path) as raw:
            return open_parquet(raw, tree.uri(path)).schema_arrow
        return None

    some = spread(paths, _MOST_FOOTERS)
    with ThreadPoolExecutor(_AT_ONCE) as pool:  # a store takes a while to answer
        return {path: found for path, found in zip(some, pool.map(schema, some), strict=True) if found is not None}


def _shows_image(tree: FileTree, path: str, column: str) -> bool:
    """Whether a file holds images in a column; True where it cannot be read, so that the run says why."""
    with suppress(SourceError, *DAMAGE), tree.open(path) as raw:
        return shows_image(open_parquet(raw, tree.uri(path)), column)
    return True


def _is_key_everywhere(key: str, schemas: Mapping[str, pa.Schema], without: Collection[str]) -> bool:
    with_images = (schema for path, schema in schemas.items() if path not in without)
    return all(key in schema.names and is_key_type(schema.field(key).type) for schema in with_images)


def _note_on_columns(path: str, others: Sequence[str]) -> str | None:
    if not others:
        return None
    names = ", ".join(map(repr, others))
    return f"in {path}, {names} hold{'s' if len(others) == 1 else ''} images too; dataset.image_column chooses one."


def _note_on_files(without: Sequence[str], column: str) -> str | None:
    if not without:
        return None
    some = f"{', '.join(without[:3])}{', ...' if len(without) > 3 else ''}"
    files = "file" if len(without) == 1 else "files"
    return f"left out: {len(without):,} Parquet {files} without images in column {column!r} ({some}; dataset.exclude)."
