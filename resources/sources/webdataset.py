"""WebDataset tars, read as a stream: nothing is unpacked, no link or path inside a tar is ever followed."""

import bz2
import gzip
import lzma
import posixpath
import tarfile
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, BinaryIO, cast

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.resources.sources.attributes import Scalar, values_of_json
from vlmine_dagster.resources.sources.contract import LOST_KEY, RawImage, UniqueKeys, is_image, too_large
from vlmine_dagster.resources.sources.fingerprints import FingerprintCache
from vlmine_dagster.resources.sources.shard_files import FileShards, ShardFiles
from vlmine_dagster.resources.sources.tree import FileTree
from vlmine_dagster.resources.stand_ins import stand_in

TAR_SUFFIXES = (".tar.gz", ".tar.bz2", ".tar.xz", ".tar", ".tgz", ".tbz2", ".txz")

_PACKINGS: dict[bytes, Callable[[Any], Any]] = {
    b"\x1f\x8b": lambda raw: gzip.GzipFile(fileobj=raw),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
}
_CHUNK = 1 << 20
_LONGEST_HEADER = 1 << 20  # bytes; PAX headers hold names and dates
_LONGEST_PADDING = 1 << 20  # bytes of zeros behind the end mark; tar pads to 10 KiB
_FARTHEST = 1 << 44  # bytes; no file is larger, and some stores cannot even seek there
_READS_PAST_END = 64  # tarfile may loop on a damaged sparse header for ever


class WebDatasetSource(FileShards):
    """Tars whose members are images and what belongs to them; each tar is a shard.

    A key is a member's path up to the first dot of its base name. Where a key repeats within a tar (`7.left.jpg`,
    `7.right.jpg`), the first image keeps it and the later ones get `~2`, `~3` in the order of the tar. A tar that
    is cut or damaged yields all images before the damage and then one unreadable image with `LOST_KEY`.

    Args:
        tree: The files.
        max_bytes: Larger members are not read.
        cache: Fingerprints of an earlier time.
    """

    def __init__(self, tree: FileTree, *, max_bytes: int, cache: FingerprintCache):
        self._files = ShardFiles(tree, suffixes=TAR_SUFFIXES, cache=cache)
        self._max_bytes = max_bytes

    def read(self, shard: str, *, keys: Collection[str] | None = None) -> Iterator[RawImage]:
        """Yield the images of a tar in its order; see `ImageSource.read`."""
        return self._read(shard, keys, self._files.tree.choice.is_image_member)

    def read_members(self, shard: str, is_wanted: Callable[[str], bool]) -> Iterator[RawImage]:
        """Yield other members of a tar, by their names, with the keys of the samples that they belong to."""
        return self._read(shard, None, is_wanted)

    def attributes(self, shard: str) -> Iterator[tuple[str, Mapping[str, Scalar] | None]]:
        """Yield key and values of the JSON members of a tar; see `HoldsAttributes.attributes`."""
        for member in self.read_members(shard, lambda name: name.lower().endswith(".json")):
            yield member.key, values_of_json(member.data) if member.failure is None else None

    def _read(self, shard: str, keys: Collection[str] | None, is_wanted: Callable[[str], bool]) -> Iterator[RawImage]:
        path = self._files.path(shard)
        uri = self._files.tree.uri(path)
        with self._files.tree.open(path) as raw:
            content = unpacked(cast(BinaryIO, raw), uri)
            yield from read_tar(content, uri, max_bytes=self._max_bytes, keys=keys, is_image=is_wanted)


def unpacked(raw: BinaryIO, uri: str) -> BinaryIO:
    """Return a tar as it is before any packing; its first bytes decide, not its name.

    Raises:
        SourceError: it is packed by zstd.
    """
    beginning = raw.read(6)
    raw.seek(0)
    if beginning.startswith(b"\x28\xb5\x2f\xfd"):
        raise SourceError(f"{uri} is packed by zstd, which is not read. Unpack it, or pack it with gzip.")
    for magic, opener in _PACKINGS.items():
        if beginning.startswith(magic):
            return cast(BinaryIO, opener(raw))
    return raw


def read_tar(
    content: BinaryIO,
    uri: str,
    *,
    max_bytes: int,
    keys: Collection[str] | None = None,
    is_image: Callable[[str], bool] = is_image,
) -> Iterator[RawImage]:
    """Yield the images of a tar, forward only and one at a time in memory.

    Args:
        content: The tar, unpacked.
        uri: Its path or URL, for the images' own.
        max_bytes: Larger members are not read.
        keys: Only these images; reading ends when all are found.
        is_image: Whether a member of that name is an image.

    Yields:
        The images, and for a tar that breaks off one more with `LOST_KEY` and the reason.

    Raises:
        SourceError: not even a first header can be read, or the store fails.
    """
    file = _ForwardFile(content, max_read=max(max_bytes, _LONGEST_HEADER))
    missing = None if keys is None else set(keys)
    found = 0
    tar: tarfile.TarFile | None = None
    try:
        tar = tarfile.open(fileobj=cast(Any, file), mode="r:", errors="surrogateescape")  # noqa: SIM115 - owns nothing
        for key, member in _image_members(tar, is_image):
            if missing is None or key in missing:
                yield _member_image(file, member, key=key, uri=uri, max_bytes=max_bytes)
            found += 1
            if missing is not None:
                missing.discard(key)
                if not missing:
                    return
        problem = _end_problem(file)
    except SourceError:
        raise
    except Exception as error:  # damaged bytes make tarfile raise nearly anything; the store's errors are SourceError
        problem = str(error) or type(error).__name__
    if tar is None:
        if (instead := stand_in(file.last_read)) is not None:
            problem = f"it is {instead}"
        raise SourceError(
            f"{uri} is not a tar: {problem}. Fetch or make the file again, or move it out of the dataset."
        )
    if problem and (missing is None or LOST_KEY in missing):
        yield RawImage(LOST_KEY, uri, b"", _lost(problem, file.tell(), found))


def member_key(name: str) -> str:
    """Return a member's path up to the first dot of its base name.

    Examples:
        >>> member_key("a.b/000017.left.jpg")
        'a.b/000017'
    """
    folder, base = posixpath.split(name)
    return posixpath.join(folder, base.split(".")[0])


def _image_members(tar: tarfile.TarFile, is_image: Callable[[str], bool]) -> Iterator[tuple[str, tarfile.TarInfo]]:
    names = UniqueKeys()
    while (member := tar.next()) is not None:
        cast(Any, tar).members.clear()  # else a million headers stay in memory
        if member.size < 0:
            raise tarfile.ReadError("a member's size is negative")
        if not member.isdir() and is_image(member.name):
            yield names.take(member_key(member.name)), member


def _member_image(file: "_ForwardFile", member: tarfile.TarInfo, *, key: str, uri: str, max_bytes: int) -> RawImage:
    uri = f"{uri}#{member.name}"
    if member.islnk() and ".." not in member.linkname.split("/"):
        failure = f"is a hard link to {member.linkname}, which is an image of its own if the tar has it; not followed"
        return RawImage(key, uri, b"", failure)
    if not member.isreg() or member.issparse():
        return RawImage(key, uri, b"", "is a link, a device or a sparse file inside the tar; not followed")
    problem = too_large(member.size, max_bytes)
    if problem:
        return RawImage(key, uri, b"", problem)
    file.seek(member.offset_data)
    data = file.read(member.size)
    if len(data) < member.size:
        raise tarfile.ReadError(f"{member.name} has {len(data):,} of {member.size:,} bytes")
    return RawImage(key, uri, data)


def _end_problem(file: "_ForwardFile") -> str | None:
    """Return why the tar did not end where tarfile stopped, or None; tarfile itself takes damage for the end."""
    if not file.last_read:
        return "it ends without the end mark"
    if len(file.last_read) < tarfile.BLOCKSIZE or any(file.last_read):
        return "a header is damaged"
    padding = 0
    while chunk := file.read(_CHUNK):
        padding += len(chunk)
        if any(chunk):
            return "more data follows the end mark, as in tars that were joined"
        if padding > _LONGEST_PADDING:
            return "a long run of zeros follows, as in a download that did not finish"
    return None


def _lost(problem: str, position: int, found: int) -> str:
    return (
        f"the tar is cut or damaged at byte {position:,}: {problem}. Read before it: {counted(found, 'image')}; the "
        f"rest is lost. Fetch or make the file again."
    )


class _ForwardFile:
    """A file as tarfile wants it, which moves forward only and whose reads are bounded.

    A damaged header can hold a negative size (tarfile then jumps back and loops for ever) or one of exabytes (it then
    asks for that much memory).
    """

    def __init__(self, content: BinaryIO, *, max_read: int):
        self._content = content
        self._max_read = max_read
        self._position = 0
        self._reads_past_end = 0
        self.last_read = b""

    def read(self, size: int) -> bytes:
        if not 0 <= size <= self._max_read:
            raise tarfile.ReadError(f"a header asks for {size:,} bytes")
        parts = []
        left = size
        while left and (part := self._content.read(min(left, _CHUNK))):
            parts.append(part)
            left -= len(part)
        self.last_read = b"".join(parts)
        self._position += len(self.last_read)
        self._count_past_end()
        return self.last_read

    def seek(self, position: int) -> None:
        if not self._position <= position <= _FARTHEST:
            raise tarfile.ReadError(f"a header points to byte {position:,}")
        if self._content.seekable():
            self._content.seek(position)
            self._position = position
        while self._position < position and self._content_is_left(position):
            pass

    def tell(self) -> int:
        return self._position

    def _content_is_left(self, position: int) -> bool:
        part = self._content.read(min(position - self._position, _CHUNK))
        self._position += len(part)
        return bool(part)

    def _count_past_end(self) -> None:
        self._reads_past_end = 0 if self.last_read else self._reads_past_end + 1
        if self._reads_past_end > _READS_PAST_END:
            raise tarfile.ReadError("unexpected end")
