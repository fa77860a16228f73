"""Datasets whose files are their shards: what WebDataset and Parquet have in common."""

import hashlib
import unicodedata
from functools import cached_property

from vlmine_dagster.domain.errors import SourceError, StoreError
from vlmine_dagster.resources.sources.contract import Glance, require_shard
from vlmine_dagster.resources.sources.fingerprints import FingerprintCache
from vlmine_dagster.resources.sources.shard_names import shard_name, without_clashes
from vlmine_dagster.resources.sources.tree import FileTree


class ShardFiles:
    """The files of some kind below a root, by shard name: the relative path without its extension (`shard_name`).

    Files and folders whose name begins with `_` are not shards: table formats keep their own files there.

    Args:
        tree: The files.
        suffixes: Extensions of the kind, the longest first.
        cache: Fingerprints of an earlier time.
    """

    def __init__(self, tree: FileTree, *, suffixes: tuple[str, ...], cache: FingerprintCache):
        self.tree = tree
        self._suffixes = suffixes
        self._cache = cache

    def names(self) -> list[str]:
        """Return the names of all shards, sorted.

        Raises:
            SourceError: there is none, or two files make one name.
        """
        return list(self._path_by_name)

    def path(self, shard: str) -> str:
        """Return the relative path of a shard's file.

        Raises:
            SourceError: there is no such shard.
        """
        require_shard(shard, self._path_by_name, self.tree.root)
        return self._path_by_name[shard]

    def fingerprint(self, shard: str) -> str:
        """Return the store's checksum of the file, else the SHA-256 of its content.

        Of a file that is gone or may not be read it is a hash of the reason, so that the shard fails and no other.

        Raises:
            SourceError: there is no such shard, or the store fails.
        """
        path = self.path(shard)
        try:
            return self._cache.get([self.tree.entry(path)], lambda: self.tree.content_hash(path))
        except StoreError:
            raise
        except SourceError as error:
            return hashlib.sha256(str(error).encode("utf-8", "surrogateescape")).hexdigest()

    def glance(self, shard: str) -> Glance:
        """Return what is known of a shard's file without reading it; see `ImageSource.glance`."""
        return self._cache.glance([self.tree.entry(self.path(shard))])

    def ignored(self) -> dict[str, int]:
        """Return how many files below the root are not shards, by kind."""
        return self.tree.unused(self._path_by_name.values())

    @cached_property
    def _path_by_name(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for path in self.tree.paths(lambda path: is_shard_file(path, self._suffixes)):
            name = shard_name(self._stem(path))
            if name in found:
                raise SourceError(_clash(found[name], path, name))
            found[name] = path
        if not found:
            raise SourceError(
                f"no file that ends in {' or '.join(self._suffixes)} below {self.tree.root}. "
                f"Correct dataset.root or dataset.kind in vlmine.yaml."
            )
        return without_clashes(found)

    def _stem(self, path: str) -> str:
        suffix = next(suffix for suffix in self._suffixes if path.lower().endswith(suffix))
        return path[: -len(suffix)]


def _clash(first: str, second: str, name: str) -> str:
    if unicodedata.normalize("NFC", first) == unicodedata.normalize("NFC", second):  # they look alike
        first, second = ascii(first), ascii(second)
    return (
        f"{first} and {second} both make the shard name {name!r}. Rename one of them, or leave it out with "
        f"dataset.exclude."
    )


class FileShards:
    """What all sources have in common that read one file per shard."""

    _files: ShardFiles

    def shards(self) -> list[str]:
        """Return the relative paths of the files without extension; see `ImageSource.shards`."""
        return self._files.names()

    def fingerprint(self, shard: str) -> str:
        """Return a hash of the file's content; see `ImageSource.fingerprint`."""
        return self._files.fingerprint(shard)

    def glance(self, shard: str) -> Glance:
        """Return what is known of a file without reading it; see `ImageSource.glance`."""
        return self._files.glance(shard)

    def ignored(self) -> dict[str, int]:
        """Return how many files are not shards, by kind; see `FileTree.unused`."""
        return self._files.ignored()

    def attributes_fingerprint(self, shard: str) -> str:
        """Return a hash of the file's content, in which attributes are too."""
        return self.fingerprint(shard)

    def path(self, shard: str) -> str:
        """Return the relative path of a shard's file."""
        return self._files.path(shard)


def is_shard_file(path: str, suffixes: tuple[str, ...]) -> bool:
    """Whether a file ends like a shard and is none of a table format's own files."""
    return path.lower().endswith(suffixes) and not any(part.startswith("_") for part in path.split("/"))
