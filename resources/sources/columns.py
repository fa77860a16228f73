"""Which column of a Parquet file holds images, which their keys; and what a column holds instead."""

import base64
import binascii
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vlmine_dagster.resources.picture_formats import IMAGE_SUFFIXES, known_format

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
_ADDRESS = re.compile(r"^(https?|s3|gs|abfss?)://", re.IGNORECASE)
_LOOKED_AT = 50


def decoded_type(type_: pa.DataType) -> pa.DataType:
    """Return the type of the values of a column, which pandas' categories refer to by numbers."""
    return type_.value_type if pa.types.is_dictionary(type_) else type_


def holds_bytes(type_: pa.DataType) -> bool:
    """Whether a column of this type can hold encoded images: bytes, a struct with `bytes`, or a list of either."""
    type_ = decoded_type(type_)
    if is_byte_list(type_):
        return True
    if pa.types.is_struct(type_):
        return type_.get_field_index("bytes") >= 0 and holds_bytes(type_.field("bytes").type)
    if is_list(type_):
        return holds_bytes(type_.value_type)
    kinds = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view)
    return any(kind(type_) for kind in kinds)


def is_list(type_: pa.DataType) -> bool:
    """Whether a value of this type is a list of others."""
    kinds = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(kind(type_) for kind in kinds)


def is_byte_list(type_: pa.DataType) -> bool:
    """Whether a value of this type is a list of numbers from 0 to 255, as some write bytes."""
    return is_list(type_) and pa.types.is_uint8(type_.value_type)


def is_text(type_: pa.DataType) -> bool:
    """Whether a column of this type holds text."""
    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(kind(decoded_type(type_)) for kind in kinds)


def is_key_type(type_: pa.DataType) -> bool:
    """Whether a column of this type can hold keys."""
    return is_text(type_) or pa.types.is_integer(decoded_type(type_))


def decoded_text(text: str) -> bytes | None:
    r"""Return the bytes that text holds as base64, also as a data URL; None if it is not base64.

    Examples:
        >>> decoded_text("data:image/png;base64,iVBORw0K"), decoded_text("a cat!")
        (b'\x89PNG\r\n', None)
    """
    body = text.partition(",")[2] if text.startswith("data:") else text
    try:
        return base64.b64decode("".join(body.split()), validate=True)
    except (binascii.Error, ValueError):
        return None


def image_columns(file: pq.ParquetFile) -> list[str]:
    """Return the columns that show images, those with a telling name first."""
    return [name for name in _image_candidates(file.schema_arrow) if shows_image(file, name)]


def columns_without_images(file: pq.ParquetFile) -> str:
    """Return what the columns of a file without images hold, for people, and what to do."""
    addresses = [field.name for field in file.schema_arrow if is_text(field.type) and _shows_address(file, field.name)]
    if addresses:
        return (
            f"column {addresses[0]!r} contains addresses: fetch the images first (img2dataset writes WebDataset tars), "
            f"then give the folder of what was fetched"
        )
    place = next((found for field in file.schema_arrow if (found := _first_place(file, field))), None)
    if place is not None:
        return (
            f"column {place[0]!r} contains paths such as {place[1]!r} and no bytes: give the folder of these files, or "
            f"write their bytes into the table"
        )
    types = ", ".join(f"{field.name!r} ({field.type})" for field in file.schema_arrow)
    return f"no column contains encoded images; its columns: {types}"


def _image_candidates(schema: pa.Schema) -> list[str]:
    """Columns that can hold images, those with a telling name first."""
    names = [field.name for field in schema if holds_bytes(field.type) or is_text(field.type)]
    singular = {name: name.removesuffix("s").removesuffix("_base64") for name in names}
    return sorted(
        names,
        key=lambda name: (
            _IMAGE_COLUMNS.index(singular[name]) if singular[name] in _IMAGE_COLUMNS else len(_IMAGE_COLUMNS)
        ),
    )


def shows_image(file: pq.ParquetFile, column: str) -> bool:
    """Whether the first value of a column is an encoded image, as bytes or as base64."""
    values = (_bytes_of(value) for value in _first_values(file, column))
    first = next((value for value in values if value), b"")
    return known_format(first) is not None


def _shows_address(file: pq.ParquetFile, column: str) -> bool:
    first = next((value for value in _first_values(file, column) if value), "")
    return _ADDRESS.match(first) is not None


def _first_place(file: pq.ParquetFile, field: pa.Field) -> tuple[str, str] | None:
    """Return a column and the first path of an image file in it, None where it holds none."""
    is_struct = pa.types.is_struct(field.type) and field.type.get_field_index("path") >= 0
    if not (is_struct or is_text(field.type)):
        return None
    values = (value.get("path") if isinstance(value, dict) else value for value in _first_values(file, field.name))
    first = next((str(value) for value in values if value), "")
    return (field.name, first) if first.lower().endswith(IMAGE_SUFFIXES) else None


def _first_values(file: pq.ParquetFile, column: str) -> Iterator[Any]:
    batches = file.iter_batches(10, columns=[column])
    return islice((value.as_py() for batch in batches for value in batch.column(0)), _LOOKED_AT)


def _bytes_of(value: Any) -> bytes:
    if isinstance(value, list) and value and isinstance(value[0], int):
        return bytes(value) if all(isinstance(one, int) and 0 <= one < 256 for one in value) else b""
    if isinstance(value, list):
        return next((found for one in value if (found := _bytes_of(one))), b"")
    if isinstance(value, dict):
        return _bytes_of(value.get("bytes"))
    if isinstance(value, str):
        return decoded_text(value) or b""
    return value or b""


def key_column(file: pq.ParquetFile) -> str | None:
    """Return the first column with a telling name, a fitting type and neither gaps nor repeats."""
    for name in _KEY_COLUMNS:
        if name in file.schema_arrow.names and is_key_type(file.schema_arrow.field(name).type):
            values = file.read(columns=[name]).column(0)
            if values.null_count == 0 and len(values.unique()) == len(values):
                return name
    return None
