"""Names of files as names of shards: partition keys of Dagster, file names of the lake and beginnings of image ids."""

import hashlib
import unicodedata
from collections.abc import Collection, Iterator, Mapping

# Dagster refuses "..." and control characters in partition keys, reads | , [ ] as syntax in selections;
# DuckDB reads * ? [ ] { } as a glob, URLs give % # : a meaning, and the rest is not a file name on some disk.
_FORBIDDEN = frozenset('\\:*?"<>|,[]{}%#')
_FORMULA = ("=", "+", "-", "@")  # image ids begin with the shard's name, and mined.csv is opened in spreadsheets
_LONGEST_SEGMENT = 200  # bytes; 255 is the limit of most disks and a file being written carries a suffix
_KEPT_OF_LONG = 180


def shard_name(path: str) -> str:
    """Return the shard name of a relative path without its extension.

    What a partition key cannot hold is written as `~` and two hexadecimal digits for each of its bytes; what is longer
    than a file name may be ends in a hash. Accents are composed (NFC).

    Examples:
        >>> shard_name("day 1/2024-05-01T10:30:00"), shard_name("=a,b..."), shard_name("train/part-00000-of-00010")
        ('day 1/2024-05-01T10~3A30~3A00', '~3Da~2Cb..~2E', 'train/part-00000-of-00010')
    """
    text = unicodedata.normalize("NFC", path)
    if text.startswith(_FORMULA):
        text = _escaped(text[0]) + text[1:]
    text = "".join(_escaped(char) if _is_forbidden(char) else char for char in text)
    text = text.replace("...", f"..{_escaped('.')}")
    return "/".join(_segment(part) for part in text.split("/"))


def without_clashes(names: Mapping[str, str]) -> dict[str, str]:
    """Return paths by shard name, such that no shard is named like a folder of shards: their image ids could clash.

    Args:
        names: Path by shard name; a shard `train` beside shards `train/...` becomes `train~tar`, after its ending.
    """
    folders = {parent for name in names for parent in parents(name)}
    renamed = {f"{name}~{path.rpartition('.')[2]}" if name in folders else name: path for name, path in names.items()}
    return dict(sorted(renamed.items()))


def parents(name: str) -> Iterator[str]:
    """Yield the folders above a name, the nearest first."""
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name


def nearest(shard: str, known: Collection[str]) -> str | None:
    """Return the shard that is meant by a file's own name, or None.

    Examples:
        >>> nearest("10:30", ["10~3A30"])
        '10~3A30'
    """
    return next((name for name in (shard, shard_name(shard)) if name in known), None)


def _is_forbidden(char: str) -> bool:
    return char in _FORBIDDEN or not (char.isprintable() or char == " ")


def _escaped(char: str) -> str:
    return "".join(f"~{byte:02X}" for byte in char.encode("utf-8", "surrogateescape"))


def _segment(part: str) -> str:
    if part != part.lstrip():
        part = _escaped(part[0]) + part[1:]
    if part != part.rstrip() or part.endswith("."):
        part = part[:-1] + _escaped(part[-1])
    encoded = part.encode()
    if len(encoded) <= _LONGEST_SEGMENT:
        return part
    return f"{encoded[:_KEPT_OF_LONG].decode(errors='ignore')}~{hashlib.sha256(encoded).hexdigest()[:12]}"
