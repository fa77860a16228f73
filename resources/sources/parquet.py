"""Parquet files with an image column, read row group by row group."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import ConfigError, SourceError
from vlmine_dagster.resources.sources.attributes import Scalar, plain_values
from vlmine_dagster.resources.sources.columns import (
    decoded_text,
    holds_bytes,
    is_byte_list,
    is_key_type,
    is_list,
    is_text,
    shows_image,
)
from vlmine_dagster.resources.sources.contract import LOST_KEY, Moment, RawImage, UniqueKeys, too_large
from vlmine_dagster.resources.sources.fingerprints import FingerprintCache
from vlmine_dagster.resources.sources.sequences import moments_of_columns
from vlmine_dagster.resources.sources.shard_files import FileShards, ShardFiles
from vlmine_dagster.resources.sources.tree import FileTree
from vlmine_dagster.resources.stand_ins import stand_in
from vlmine_dagster.settings.sequences import SequenceSettings

PARQUET_SUFFIXES = (".parquet", ".parq", ".pq")

DAMAGE = (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError)
"""What pyarrow raises at damaged bytes; errors of the store come as SourceError."""

_ROWS_AT_ONCE = 32
# Bytes. Without it pyarrow holds a row group's whole column; with it about two pages, and writers put up to 1,024
# values on one: 400 instead of 600 MB for row groups of 1,000 images of 200 kB.
_BUFFER = 1 << 20


class ParquetSource(FileShards):
    """Parquet files with the encoded bytes of one image per row; each file is a shard.

    A key is the value of the key column, or the row number in six digits. A repeated key gets `~2`, `~3` in the
    order of the file. A row without bytes is an empty image. Of a list of images the first has the row's key, the
    next `key/2`, `key/3`.

    Args:
        tree: The files.
        image_column: Column with bytes, base64, a struct of `bytes` and `path` as the Hugging Face hub has it, or lists
            of these.
        key_column: Column with text or whole numbers; None numbers the rows.
        max_bytes: Larger images are refused.
        cache: Fingerprints of an earlier time.
        sequences: Which columns say of which recording a row is a frame; None where none do.
    """

    def __init__(
        self,
        tree: FileTree,
        *,
        image_column: str,
        key_column: str | None,
        max_bytes: int,
        cache: FingerprintCache,
        sequences: SequenceSettings | None = None,
    ):
        self._files = ShardFiles(tree, suffixes=PARQUET_SUFFIXES, cache=cache)
        self._image_column = image_column
        self._key_column = key_column
        self._max_bytes = max_bytes
        self._sequences = sequences if sequences is not None and sequences.columns else None

    @contextmanager
    def open(self, shard: str) -> Iterator[pq.ParquetFile]:
        """Open a shard's file."""
        path = self._files.path(shard)
        with self._files.tree.open(path) as raw:
            yield open_parquet(raw, self._files.tree.uri(path))

    def row_keys(self, shard: str) -> list[str]:
        """Return the key of each row of a shard; no image is read."""
        with self.open(shard) as file:
            return list(self._keys_by_row(file, self._files.tree.uri(self._files.path(shard)), None).values())

    def attributes(self, shard: str) -> Iterator[tuple[str, Mapping[str, Scalar] | None]]:
        """Yield key and values of the rows of a file, of all columns but those of images and keys.

        Raises:
            SourceError: there is no such shard, or it is not Parquet.
        """
        uri = self._files.tree.uri(self._files.path(shard))
        with self.open(shard) as file:
            others = {self._image_column, self._key_column}
            names = [one.name for one in file.schema_arrow if one.name not in others and not holds_bytes(one.type)]
            keys = iter(self._keys_by_row(file, uri, None).values())
            try:
                for batch in file.iter_batches(columns=names) if names else ():
                    for values in batch.to_pylist():
                        yield next(keys), plain_values(values)
            except DAMAGE as error:
                raise _damaged(uri, error) from error

    def read(self, shard: str, *, keys: Collection[str] | None = None) -> Iterator[RawImage]:
        """Yield the images of a file in its order; see `ImageSource.read`.

        Raises:
            SourceError: there is no such shard, or it is not Parquet.
            ConfigError: it lacks the image or key column, or one has a type that does not fit.
        """
        path = self._files.path(shard)
        uri = self._files.tree.uri(path)
        with self._files.tree.open(path) as raw:
            file = open_parquet(raw, uri)
            self._check_columns(file, uri)
            key_of = self._keys_by_row(file, uri, keys)
            moments = self._moments(file, uri)
            read = 0
            try:
                for row, value in self._values(file, key_of):
                    images = self._images(key_of[row], f"{uri}#{row}", value)
                    wanted = (image for image in images if keys is None or image.key in keys)
                    yield from (replace(image, moment=moments[row]) for image in wanted) if moments else wanted
                    read += 1
            except DAMAGE as error:
                if keys is None or LOST_KEY in keys:
                    yield RawImage(LOST_KEY, uri, b"", _lost(error, read))

    def _check_columns(self, file: pq.ParquetFile, uri: str) -> None:
        schema = file.schema_arrow
        moments = {} if self._sequences is None else self._sequences.columns
        settings = {"image_column": self._image_column, "key_column": self._key_column}
        for setting, name in [
            *settings.items(),
            *((f"sequences.columns.{role}", name) for role, name in moments.items()),
        ]:
            if name is not None and name not in schema.names:
                raise ConfigError(
                    f"{uri} has no column {name!r} (dataset.{setting}). Its columns: {', '.join(schema.names)}."
                )
        image_type = schema.field(self._image_column).type
        if not (holds_bytes(image_type) or (is_text(image_type) and shows_image(file, self._image_column))):
            raise ConfigError(
                f"{uri}: column {self._image_column!r} (dataset.image_column) has type {image_type}; expected bytes, "
                f"base64, a struct with a field `bytes`, or a list of these."
            )

    def _moments(self, file: pq.ParquetFile, uri: str) -> list[Moment | None]:
        """Return of which recording each row is a frame; nothing where no columns say so."""
        if self._sequences is None:
            return []
        try:
            columns = file.read(columns=list(self._sequences.columns.values()))
        except DAMAGE as error:
            raise _damaged(uri, error) from error
        return moments_of_columns(columns, self._sequences, where=uri)

    def _keys_by_row(self, file: pq.ParquetFile, uri: str, keys: Collection[str] | None) -> dict[int, str]:
        names = UniqueKeys()
        wanted = None if keys is None else {*keys, *(key.rpartition("/")[0] for key in keys)}
        found = ((row, names.take(name)) for row, name in enumerate(self._names(file, uri)))
        return {row: key for row, key in found if wanted is None or key in wanted}

    def _names(self, file: pq.ParquetFile, uri: str) -> Iterator[str]:
        numbers = (f"{row:06d}" for row in range(file.metadata.num_rows))
        if self._key_column is None:
            yield from numbers
            return
        type_ = file.schema_arrow.field(self._key_column).type
        if not is_key_type(type_):
            raise ConfigError(
                f"{uri}: column {self._key_column!r} (dataset.key_column) has type {type_}; "
                f"expected text or whole numbers."
            )
        try:
            values = file.read(columns=[self._key_column]).column(0).cast(pa.string()).to_pylist()
        except DAMAGE as error:
            raise _damaged(uri, error) from error
        if len(values) != file.metadata.num_rows:
            raise _damaged(uri, ValueError(f"{len(values):,} keys for {file.metadata.num_rows:,} rows"))
        for number, value in zip(numbers, values, strict=True):
            yield value or number

    def _values(self, file: pq.ParquetFile, key_of: dict[int, str]) -> Iterator[tuple[int, Any]]:
        first = 0
        for group in range(file.num_row_groups):
            rows = range(first, first + file.metadata.row_group(group).num_rows)
            first = rows.stop
            left = sum(row in key_of for row in rows)
            if left:
                yield from self._group_values(file, group, rows, key_of, left=left)

    def _group_values(
        self, file: pq.ParquetFile, group: int, rows: range, key_of: dict[int, str], *, left: int
    ) -> Iterator[tuple[int, Any]]:
        row = rows.start
        for batch in file.iter_batches(_ROWS_AT_ONCE, row_groups=[group], columns=[self._image_column]):
            for value in batch.column(0):
                if row in key_of:
                    yield row, value
                    left -= 1
                row += 1
            if not left:
                return

    def _images(self, key: str, uri: str, value: Any) -> Iterator[RawImage]:
        value = value.value if pa.types.is_dictionary(value.type) else value
        are_several = is_list(value.type) and not is_byte_list(value.type)
        values = list(value.values) if are_several and value.is_valid else [value]
        if not values or (are_several and not value.is_valid):
            yield RawImage(key, uri, b"")
            return
        for number, one in enumerate(values, start=1):
            place = "" if number == 1 else f"/{number}"
            yield self._image(f"{key}{place}", f"{uri}{place}", one)

    def _image(self, key: str, uri: str, value: Any) -> RawImage:
        path = None
        if pa.types.is_struct(value.type) and value.is_valid:
            path = value["path"].as_py() if "path" in value else None
            value = value["bytes"]
        if not value.is_valid:
            failure = f"the row contains the path {path!r} and no bytes" if path else None
            return RawImage(key, uri, b"", failure)
        if is_text(value.type):
            return self._from_text(key, uri, value.as_py())
        if is_byte_list(value.type):
            value = pa.scalar(value.values.fill_null(0).to_numpy(zero_copy_only=False).tobytes())
        buffer = value.as_buffer()
        problem = too_large(buffer.size, self._max_bytes)
        return RawImage(key, uri, b"" if problem else buffer.to_pybytes(), problem)

    def _from_text(self, key: str, uri: str, text: str) -> RawImage:
        problem = too_large(len(text) * 3 // 4, self._max_bytes)
        data = b"" if problem else decoded_text(text)
        if data is None:
            problem = f"the row contains text that is not base64: {text[:40]!r}"
        return RawImage(key, uri, data or b"", problem)


def open_parquet(raw: Any, uri: str) -> pq.ParquetFile:
    """Open a Parquet file for reading with little memory.

    Raises:
        SourceError: it is not Parquet, or is damaged.
    """
    try:
        file = pq.ParquetFile(raw, buffer_size=_BUFFER, pre_buffer=False)
        groups = (file.metadata.row_group(index).num_rows for index in range(file.num_row_groups))
        row_count = sum(groups)
    except DAMAGE as error:
        raise _damaged(uri, _what_lies_there(raw) or error) from error
    if row_count != file.metadata.num_rows:
        raise _damaged(uri, ValueError(f"{file.metadata.num_rows:,} rows, but its row groups have {row_count:,}"))
    return file


def _what_lies_there(raw: Any) -> str | None:
    raw.seek(0)
    instead = stand_in(raw.read(512))
    return None if instead is None else f"it is {instead}"


def _damaged(uri: str, error: Exception | str) -> SourceError:
    return SourceError(
        f"{uri} is not a readable Parquet file: {error}. Fetch or make it again, or move it out of the dataset."
    )


def _lost(error: Exception, read: int) -> str:
    there = counted(read, "image")
    return f"the Parquet file is damaged: {error}. Read before it: {there}; the rest is lost. Fetch it again."
