"""What every image source gives: shards, a fingerprint of each, and the images in it."""

import posixpath
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.resources.picture_formats import IMAGE_SUFFIXES
from vlmine_dagster.resources.sources.shard_names import parents
from vlmine_dagster.settings.media import item_endings

LOST_KEY = "(unreadable rest)"
"""Key of the one row that stands for everything behind a cut or damage in a shard's file."""


@dataclass(frozen=True)
class Moment:
    """Of which recording an image is a frame, and which.

    Attributes:
        sequence: The recording, the same text in all shards.
        frame: Number of the frame within it, None where nobody says.
        time_s: When it was taken, in seconds on the recording's own clock, None where nobody says.
    """

    sequence: str
    frame: int | None = None
    time_s: float | None = None


@dataclass(frozen=True)
class RawImage:
    """One encoded image, as found.

    Attributes:
        key: Unique within the shard.
        uri: Where the bytes are: a path or URL, with `#member` or `#row` for what is inside a file.
        data: The encoded bytes; may be empty.
        failure: Why there are no bytes (too large, a link, behind a cut); None if they were read.
        moment: Of which recording it is a frame, where the source knows.
        attributes: What else the source says of it, such as the weather.
    """

    key: str
    uri: str
    data: bytes
    failure: str | None = None
    moment: Moment | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "uri", printable(self.uri))
        if self.failure is not None:
            object.__setattr__(self, "failure", printable(self.failure))


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


@runtime_checkable
class ListsIgnored(Protocol):
    """A source that knows which files lie below its root and are not used."""

    def ignored(self) -> dict[str, int]:
        """Return how many they are by kind; see `FileTree.unused`."""


def image_id(shard: str, key: str) -> str:
    """Return the id of an image; no two images of a source share one."""
    return f"{shard}/{key}"


def shard_of(image: str, shards: Collection[str]) -> str:
    """Return the shard of an image id; of many ids it is fast with a set of shards.

    Raises:
        SourceError: it is in none of them.

    Examples:
        >>> shard_of("pool/shard-0001/a/17", ["pool/shard-0000", "pool/shard-0001"])
        'pool/shard-0001'
    """
    for shard in parents(image):
        if shard in shards:
            return shard
    raise SourceError(f"image {image!r} is in no shard of the dataset. An id is shard/key, as `vlmine top` prints it.")


def is_image(name: str) -> bool:
    """Whether a file or member name ends like an image and is not hidden."""
    return name.lower().endswith(IMAGE_SUFFIXES) and not posixpath.basename(name).startswith(".")


def without_ending(name: str) -> str:
    """Return a name without the ending that it has as a file of some medium.

    Examples:
        >>> without_ending("a/1.JPG"), without_ending("v1.2")
        ('a/1', 'v1.2')
    """
    return posixpath.splitext(name)[0] if name.lower().endswith(item_endings()) else name


def clean_key(name: str) -> str:
    r"""Return a name as a relative path that stays inside any folder and is valid text on one line.

    Bytes that are not UTF-8 and control characters are written out (`\xe9`, `\x0a`), accents are composed (NFC).
    Whoever looks a key up cleans it in the same way.

    Examples:
        >>> clean_key("./a//b"), clean_key("/etc/c"), clean_key("../../d"), clean_key("two\nlines")
        ('a/b', 'etc/c', '__/__/d', 'two\\x0alines')
    """
    parts = ("__" if part == ".." else part for part in one_line(name).split("/") if part not in ("", "."))
    return "/".join(parts) or "_"


def one_line(name: str) -> str:
    """Return a name as keys have it: printable, accents composed (NFC); for names that are looked up."""
    return unicodedata.normalize("NFC", printable(name))


def printable(text: str) -> str:
    """Return text as valid UTF-8 on one line: other bytes and control characters are written out."""
    valid = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace").replace("\0", "")
    if valid.isprintable():
        return valid
    return "".join(f"\\x{ord(char):02x}" if unicodedata.category(char) == "Cc" else char for char in valid)


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
