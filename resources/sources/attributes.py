"""What files say of images beside their pictures: values by name, as text, numbers, yes or no."""

import datetime
import decimal
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

BESIDE = ".json beside images"
"""As what files that hold attributes are counted among those that are not images."""

LONGEST_VALUE = 200
"""Characters; longer texts are captions, and no attribute."""

Scalar = str | int | float | bool


@runtime_checkable
class HoldsAttributes(Protocol):
    """A source whose files say more of an image than its picture."""

    def attributes(self, shard: str) -> Iterator[tuple[str, Mapping[str, Scalar] | None]]:
        """Yield key and values of images of a shard, None where they cannot be read; no picture is read.

        Raises:
            SourceError: there is no such shard, or nothing of it can be read.
        """

    def attributes_fingerprint(self, shard: str) -> str:
        """Return a hash that changes with what `attributes` reads."""


def plain_values(found: Mapping[str, Any], *, inside: str = "") -> dict[str, Scalar]:
    """Return the values that can be attributes: those within a mapping have dotted names, long texts are left out.

    Examples:
        >>> plain_values({"weather": "fog", "camera": {"id": 3, "raw": b"x"}, "tags": ["wet", "dark"], "gap": None})
        {'weather': 'fog', 'camera.id': 3, 'tags': 'wet, dark'}
    """
    values: dict[str, Scalar] = {}
    for name, value in found.items():
        if isinstance(value, Mapping):
            values |= plain_values(value, inside=f"{inside}{name}.")
            continue
        plain = _plain(value)
        if plain is not None:
            values[f"{inside}{name}"] = plain
    return values


def _plain(value: Any) -> Scalar | None:
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return str(value)
    if isinstance(value, list) and value and all(isinstance(one, str | int | float) for one in value):
        value = ", ".join(str(one) for one in value)
    if isinstance(value, str):
        text = value.strip()
        return text if 0 < len(text) <= LONGEST_VALUE else None
    if isinstance(value, float) and math.isnan(value):
        return None
    return value if isinstance(value, bool | int | float) else None


def values_of_json(data: bytes) -> dict[str, Scalar] | None:
    """Return the values of a JSON document that is one object; None where it is another thing, or damaged.

    Examples:
        >>> values_of_json(b'{"weather": "fog"}'), values_of_json(b"[1]"), values_of_json(b"{")
        ({'weather': 'fog'}, None, None)
    """
    try:
        found = json.loads(data)
    except ValueError:  # JSONDecodeError, or bytes that are not UTF-8
        return None
    return plain_values(found) if isinstance(found, dict) else None
