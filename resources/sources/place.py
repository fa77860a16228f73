"""Where a source is opened: its root, the files below it, and fingerprints of an earlier time."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from vlmine_dagster.resources.sources.choice import choice_of
from vlmine_dagster.resources.sources.fingerprints import FingerprintCache
from vlmine_dagster.resources.sources.tree import FileTree
from vlmine_dagster.settings import DatasetSettings


@dataclass(frozen=True)
class Place:
    """What a plug-in opens a source from.

    Attributes:
        settings: The settings of the dataset.
        fingerprints: Hashes of files that were read before; they may be kept in the project's home.
        resolve: Makes a path of the settings absolute.
    """

    settings: DatasetSettings
    fingerprints: FingerprintCache
    resolve: Callable[[str], str] = str

    @property
    def root(self) -> str:
        """The dataset's root, as an absolute path or a URL."""
        return self.resolve(self.settings.root)

    @cached_property
    def tree(self) -> FileTree:
        """The files below the root that the settings want, on a disk or behind an fsspec URL."""
        return FileTree(self.root, choice_of(self.settings, self.resolve))
