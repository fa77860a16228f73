"""Sources whose files hold several items each, and are cut into shards as a folder of images is."""

from abc import ABC, abstractmethod
from collections import Counter

from vlmine_dagster.resources.sources.contract import Glance, UniqueKeys
from vlmine_dagster.resources.sources.folder import FolderSource


class CutFolder(ABC):
    """What such sources have in common: everything but what is read from a file."""

    @property
    @abstractmethod
    def _files(self) -> FolderSource:
        """The files; SourceError if the root is missing or holds none of the kind."""

    def _named(self, shard: str) -> list[tuple[str, str]]:
        """Return the paths of a shard's files, sorted, each with its key."""
        names = UniqueKeys()
        return sorted((path, names.take(path)) for path in self._files.paths(shard))

    def shards(self) -> list[str]:
        """Return `shard-000` and so on; a few files may leave some of them empty.

        Raises:
            SourceError: the root is missing or holds no file of the kind.
        """
        return self._files.shards()

    def fingerprint(self, shard: str) -> str:
        """Return a hash over the relative path and the content of each file in the shard."""
        return self._files.fingerprint(shard)

    def glance(self, shard: str) -> Glance:
        """Return what is known of a shard's files without reading them; see `ImageSource.glance`."""
        return self._files.glance(shard)

    def endings(self) -> Counter[str]:
        """Return how many files have each ending."""
        return self._files.endings()
