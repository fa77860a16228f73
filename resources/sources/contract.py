"""What every image source gives: shards, a fingerprint of each, and the images in it."""

import posixpath
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.resources.picture_formats import IMAGE_SUFFIXES

LOST_KEY = "(unreadable rest)"
"""Key of the one row that stands for everything behind a cut or damage in a shard's file."""

# Dagster refuses "..." and control characters in partition keys, reads | , [ ] as syntax in selections;
# DuckDB reads * ? [ ] { } as a glob, URLs give % # : a meaning, and the rest is no file name on some disk.
_FORBIDDEN = set('\\:*?"<>|,[]{}%#')
_FORMULA = ("=", "+", "-", "@")  # image ids begin with the shard's name, and mined.csv is opened in spreadsheets
_LONGEST_SEGMENT = 200  # bytes; 255 is the limit of most disks and a file being written carries a suffix


@dataclass(frozen=True)
class RawImage:
    """One encoded image, as found.

    Attributes:
        key: Unique within the shard.
        uri: Where the bytes lie: a path or URL, with `#member` or `#row` for what lies inside a file.
        data: The encoded bytes; may be empty.
        failure: Why there are no bytes (too large, a link, behind a cut); None if they were read.
    """

    key: str
    uri: str
    data: bytes
    failure: str | None = None


@dataclass(frozen=True)
class Glance:
    """What is known of a shard without reading its files.

    Attributes:
        state: Hash that changes when a file of the shard is touched.
        unread_bytes: How much `fingerprint` would read; 0 where the content's hash is known.
    """

    state: str
    unread_bytes: int


class ImageSource(Protocol):
    """Images in shards.

    A source sees the dataset as it was when it was first listed; open another one to see what came later.
    """

    def shards(self) -> list[str]:
        """Return the names of all shards, sorted.

        Raises:
            SourceError: the root is missing or holds no shards, or a name cannot be a partition key.
        """

    def fingerprint(self, shard: str) -> str:
        """Return a hash that changes with the content of a shard, and neither with dates nor with the root's name.

        Raises:
            SourceError: there is no such shard, or it cannot be read.
        """

    def glance(self, shard: str) -> Glance:
        """Return what is known of a shard without reading its files.

        Raises:
            SourceError: there is no such shard.
        """

    def read(self, shard: str, *, keys: Collection[str] | None = None) -> Iterator[RawImage]:
        """Yield the images of a shard one by one, in the order of the file.

        Args:
            shard: Name of the shard.
            keys: Only these images, where there are such; the bytes of others are not loaded.

        Yields:
            Each image found, also the unreadable ones, which say why. A file that breaks off in the middle yields
            all images before the damage and then one with `LOST_KEY`.

        Raises:
            SourceError: there is no such shard, or nothing of it can be read.
        """


def image_id(shard: str, key: str) -> str:
    """Return the id of an image; no two images of a source share one."""
    return f"{shard}/{key}"


def shard_of(image: str, shards: Collection[str]) -> str:
    """Return the shard of an image id; of many ids it is fast with a set of shards.

    Raises:
        SourceError: it lies in none of them.

    Examples:
        >>> shard_of("pool/shard-0001/a/17", ["pool/shard-0000", "pool/shard-0001"])
        'pool/shard-0001'
    """
    for shard in _parents(image):
        if shard in shards:
            return shard
    raise SourceError(
        f"image {image!r} lies in no shard of the dataset. An id is shard/key, as `vlmine top` prints it."
    )


def is_image(name: str) -> bool:
    """Whether a file or member name ends like an image and is not hidden."""
    return name.lower().endswith(IMAGE_SUFFIXES) and not posixpath.basename(name).startswith(".")


def clean_key(name: str) -> str:
    """Return a name as a relative path that stays inside any folder and is valid text.

    Examples:
        >>> clean_key("./a//b"), clean_key("/etc/c"), clean_key("../../d")
        ('a/b', 'etc/c', '__/__/d')
    """
    valid = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace").replace("\0", "")
    parts = ("__" if part == ".." else part for part in valid.split("/") if part not in ("", "."))
    return "/".join(parts) or "_"


class UniqueKeys:
    """Keys of one shard: a repeated name gets `~2`, `~3`, ... in the order of the file.

    Examples:
        >>> keys = UniqueKeys()
        >>> [keys.take(name) for name in ("a", "b", "a", "a")]
        ['a', 'b', 'a~2', 'a~3']
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._repeats: dict[str, int] = {}

    def take(self, name: str) -> str:
        """Return the cleaned name, made unique."""
        name = clean_key(name)
        key = name
        while key in self._taken:
            self._repeats[name] = self._repeats.get(name, 1) + 1
            key = f"{name}~{self._repeats[name]}"
        self._taken.add(key)
        return key


def too_large(n_bytes: int, max_bytes: int) -> str | None:
    """Return why an image of that size is not opened, or None."""
    if n_bytes <= max_bytes:
        return None
    return f"{n_bytes:,} bytes, more than dataset.max_bytes ({max_bytes:,}); not opened"


def check_shard_names(names: Sequence[str]) -> None:
    """Refuse names that cannot be partition keys and file names at once, or that make image ids ambiguous.

    Raises:
        SourceError: it names the first such file and what to rename.
    """
    known = set(names)
    for name in names:
        problem = _name_problem(name)
        if problem:
            raise SourceError(f"shard name {name!r} {problem}. Rename the file; shard names become partition keys.")
        for parent in _parents(name):
            if parent in known:
                raise SourceError(
                    f"shard {parent!r} and folder {parent + '/'!r} have one name, so their image ids could "
                    f"clash. Rename one of them."
                )


def _name_problem(name: str) -> str | None:
    bad = sorted({char for char in name if char in _FORBIDDEN or not char.isprintable()})
    if bad:
        return f"holds {' '.join(repr(char) for char in bad)}"
    if "..." in name:
        return "holds '...'"
    if name.startswith(_FORMULA):
        return f"begins with {name[0]!r}, which spreadsheets take for a formula and commands for an option"
    for part in name.split("/"):
        if part != part.strip() or part.endswith(".") or not part:
            return "begins or ends with a space, or ends with a dot"
        if len(part.encode()) > _LONGEST_SEGMENT:
            return f"is longer than {_LONGEST_SEGMENT} bytes"
    return None


def _parents(name: str) -> Iterator[str]:
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name


def require_shard(shard: str, known: Collection[str], root: str) -> None:
    """Refuse a shard that the dataset does not have.

    Raises:
        SourceError: it names a few that exist.
    """
    if shard not in known:
        some = ", ".join(sorted(known)[:5])
        raise SourceError(
            f"no shard {shard!r} under {root}. {len(known)} exist: {some}{', ...' if len(known) > 5 else ''}"
        )
