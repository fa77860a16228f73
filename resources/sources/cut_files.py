"""Large files below a root, each cut into parts as it is read: sounds into windows, scans into tiles."""

from abc import abstractmethod
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.resources.sources.contract import RawImage
from vlmine_dagster.resources.sources.cut_folder import CutFolder
from vlmine_dagster.resources.sources.fingerprints import FingerprintCache
from vlmine_dagster.resources.sources.folder import FolderSource
from vlmine_dagster.resources.sources.tree import FileTree

if TYPE_CHECKING:
    from vlmine_dagster.settings.dataset import DatasetSettings


class CutFiles(CutFolder):
    """Files below a root that are cut; a stable hash of the relative path says to which shard one belongs.

    A key is the file's relative path, `@`, and where the part begins. A file that cannot be opened is one unreadable
    item, by its path alone.

    Args:
        tree: The files.
        settings: Number of shards, and the largest file.
        cache: Fingerprints of an earlier time.
        noun: What a file is.
        suffixes: What its name ends in.
    """

    def __init__(
        self,
        tree: FileTree,
        settings: "DatasetSettings",
        *,
        cache: FingerprintCache,
        noun: str,
        suffixes: Sequence[str],
    ):
        self._tree, self._dataset, self._cache = tree, settings, cache
        self._noun, self._suffixes = noun, tuple(suffixes)

    @cached_property
    def _files(self) -> FolderSource:
        """The files, cut into shards as a folder of images is."""
        found = self._tree.paths(lambda path: path.lower().endswith(self._suffixes))
        if not found:
            endings = ", ".join(self._suffixes)
            raise SourceError(f"no {self._noun} below {self._tree.root}: looked for {endings}. Correct dataset.root.")
        shards: int = self._dataset.shard_count  # type: ignore[attr-defined]  # each kind declares its own
        limit = self._dataset.max_bytes
        return FolderSource(self._tree, shard_count=shards, max_bytes=limit, cache=self._cache, listed=found)

    def read(self, shard: str, *, keys: Collection[str] | None = None) -> Iterator[RawImage]:
        """Yield the parts of a shard's files, by path and place; see `ImageSource.read`."""
        files = None if keys is None else {key.rpartition("@")[0] or key for key in keys}
        for path, name in self._named(shard):
            if files is None or name in files or (keys is not None and name in keys):
                yield from self._cut(path, name, keys)

    def _cut(self, path: str, name: str, keys: Collection[str] | None) -> Iterator[RawImage]:
        uri = self._tree.uri(path)
        problem = self._files.refusal(path)
        if problem:
            yield RawImage(name, uri, b"", problem)
            return
        try:
            parts = self._parts(path, name, uri, keys)
            yield from (part for part in parts if keys is None or part.key in keys)
        except SourceError as error:
            yield RawImage(name, uri, b"", str(error))

    @abstractmethod
    def _parts(self, path: str, name: str, uri: str, keys: Collection[str] | None) -> Iterator[RawImage]:
        """Yield the parts of one file; where `keys` are given, others may be left out."""
