"""The attributes of images: of a file that is keyed by them, of files beside them, and what their source says."""

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.domain.tables import ATTRIBUTES
from vlmine_dagster.resources.label_files.contract import KEY_NAMES, composed, plain_cell, plain_name
from vlmine_dagster.resources.label_files.tables import decoded
from vlmine_dagster.resources.sources import ImageSource
from vlmine_dagster.resources.sources.attributes import HoldsAttributes, Scalar, plain_values
from vlmine_dagster.resources.sources.contract import without_ending

_KEYS = ("key", *KEY_NAMES)
_DELIMITERS = ",;\t|"

Values = Mapping[str, Scalar]


@dataclass(frozen=True)
class AttributeFile:
    """A file with one row per image.

    Attributes:
        rows: Values by the key of an image, composed (NFC).
        digest: Hash of its content.
    """

    rows: Mapping[str, Values]
    digest: str

    def of(self, image_id: str, key: str) -> Values:
        """Return what the file says of an image, by its id, its key, or either without the file's ending."""
        for name in (image_id, key, without_ending(image_id), without_ending(key)):
            if (found := self.rows.get(composed(name))) is not None:
                return found
        return {}


def attribute_file(where: str) -> AttributeFile:
    """Return a file of attributes; while size and time of change stay, it is read once per process.

    Raises:
        SourceError: it is missing, cannot be read, has no column of keys, or names an image twice.
    """
    try:
        state = UPath(where).stat()
    except FileNotFoundError as error:
        raise SourceError(f"no file {where}. Correct dataset.attributes in vlmine.yaml.") from error
    except Exception as error:  # each store has its own exceptions
        raise _unreadable(where, error) from error
    return _read(where, state.st_size, getattr(state, "st_mtime", 0))


@lru_cache(maxsize=2)
def _read(where: str, _size: int, _changed: float) -> AttributeFile:
    try:
        content = UPath(where).read_bytes()
        rows = _parquet_rows(content) if content.startswith(b"PAR1") else _text_rows(content, where)
    except (OSError, pa.ArrowException, csv.Error) as error:
        raise _unreadable(where, error) from error
    found: dict[str, Values] = {}
    for line, (key, values) in enumerate(_keyed(rows, where), start=2):
        if key in found:
            raise SourceError(f"{where}, row {line}: key {key!r} appears twice. Remove one of the two.")
        found[key] = values
    return AttributeFile(found, hashlib.sha256(content).hexdigest()[:16])


def _unreadable(where: str, error: Exception) -> SourceError:
    return SourceError(f"{where} cannot be read: {error}. Check dataset.attributes in vlmine.yaml and your rights.")


def _text_rows(content: bytes, where: str) -> Iterator[Mapping[str, Any]]:
    text = decoded(content, where=where)
    header = next((line for line in text.splitlines() if line.strip()), "")
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(_DELIMITERS, key=header.count))
    for row in reader:
        yield {name.strip(): plain_cell(value) for name, value in row.items() if name and isinstance(value, str)}


def _parquet_rows(content: bytes) -> Iterator[Mapping[str, Any]]:
    for batch in pq.ParquetFile(io.BytesIO(content)).iter_batches():
        yield from batch.to_pylist()


def _keyed(rows: Iterable[Mapping[str, Any]], where: str) -> Iterator[tuple[str, Values]]:
    column = None
    for row in rows:
        if column is None:
            plain = {plain_name(name): name for name in row}
            column = next((plain[name] for name in _KEYS if name in plain), None)
            if column is None:
                raise SourceError(
                    f"{where}: no column key. Its columns: {', '.join(row) or 'none'}; expected one called key, "
                    f"image_id or file_name that names images as `vlmine top` does, with their shard or without."
                )
        key = row[column]
        if key not in (None, ""):
            yield composed(str(key)), plain_values({name: value for name, value in row.items() if name != column})


def attributes_beside(source: ImageSource, shard: str) -> tuple[dict[str, Values], list[str]]:
    """Return what files beside the images of a shard say, by key, and the keys of those that cannot be read."""
    found = dict(source.attributes(shard)) if isinstance(source, HoldsAttributes) else {}
    readable = {key: values for key, values in found.items() if values is not None}
    return readable, [key for key in found if key not in readable]


def attribute_rows(
    items: pa.Table,
    *,
    shard: str,
    parents: Mapping[str, str | None],
    beside: Mapping[str, Values],
    file: AttributeFile | None,
) -> pa.Table:
    """Return the attributes of the items of a shard.

    Of several that say something of one name, the file goes first, then the object's own, the files beside the images,
    and what the source says of the image.

    Args:
        items: `image_id` and `attributes` (JSON) of the items.
        shard: The shard.
        parents: The image's own `attributes` by its id, for items that are part of one; for images the same rows.
        beside: What files beside the images say, by key (`attributes_beside`).
        file: The file of the project, None without one.

    Returns:
        Rows of `attributes`, in the order of the items.
    """
    rows = []
    for name, own in zip(items.column("image_id").to_pylist(), items.column("attributes").to_pylist(), strict=True):
        image = name if name in parents else name.rpartition("#")[0]
        key = image[len(shard) + 1 :]
        values = {
            **_parsed(parents.get(image)),
            **(beside.get(key) or beside.get(key.rpartition("/")[0]) or {}),
            **_parsed(own),
            **({} if file is None else file.of(image, key)),
        }
        text = json.dumps(values, ensure_ascii=False, sort_keys=True) if values else None
        rows.append({"image_id": name, "attributes": text})
    return pa.Table.from_pylist(rows, ATTRIBUTES.schema)


def _parsed(text: str | None) -> Values:
    return plain_values(json.loads(text)) if text else {}
