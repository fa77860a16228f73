"""Files below a folder of this machine: which there are, and where links lead."""

import errno
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vlmine_dagster.resources.sources.choice import is_hidden
from vlmine_dagster.resources.sources.translated import unreadable

_CLOSED = {errno.EACCES: "may not be read", errno.EPERM: "may not be read", errno.ENAMETOOLONG: "is nested too deeply"}
"""Why a folder cannot be listed, now or later; other errors may pass."""


@dataclass(frozen=True)
class FileEntry:
    """What is known of a file without opening it.

    Attributes:
        uri: Path or URL.
        n_bytes: Its size in bytes; 0 where there is a problem.
        checksum: A content hash that the store gives; None on a disk.
        state: Text that changes when a file on a disk is touched.
        changed_ns: When that was, in nanoseconds since 1970; None where it is not known.
        leaves_root: Whether it is a link to somewhere outside of the root.
        problem: Why it cannot be opened, or None.
    """

    uri: str
    n_bytes: int
    checksum: str | None = None
    state: str = ""
    changed_ns: int | None = None
    leaves_root: bool = False
    problem: str | None = None


class LocalFiles:
    """The files below a folder, listed once.

    A link may lead to wherever the same collection keeps its bytes: below the root, into the `blobs` of a Hugging Face
    cache whose snapshot the root is, or into the object store of git-annex or DVC of the repository around it.

    Args:
        base: Absolute path without links.
        are_links_followed: Whether links may lead anywhere, and linked folders are entered.
    """

    def __init__(self, base: str, *, are_links_followed: bool):
        self._base = base
        self._are_links_followed = are_links_followed
        self._allowed = [_below(base), *_stores_of(base)]
        self.linked_folders: list[str] = []
        self.closed_folders: dict[str, str] = {}
        self.hidden: Counter[str] = Counter()

    def walk(self) -> Iterator[str]:
        """Yield the relative paths of all files that are not hidden.

        What is skipped is counted in `hidden`; folders that cannot be listed are in `closed_folders`, with the reason.

        Raises:
            OSError: the base cannot be listed.
            StoreError: a folder below it cannot be listed for a reason that may pass.
        """
        folders = [""]
        entered: set[str] = {self._base}
        while folders:
            folder = folders.pop()
            with self._listed(folder) as entries:
                for entry in entries:
                    path = f"{folder}/{entry.name}" if folder else entry.name
                    is_folder = entry.is_dir(follow_symlinks=False)
                    if is_hidden(entry.name):
                        self.hidden[f"{entry.name}/" if is_folder else "hidden"] += 1
                    elif is_folder:
                        folders.append(path)
                    elif entry.is_symlink() and _is_folder(entry):
                        folders.extend(self._linked(path, entered))
                    else:
                        yield path

    @contextmanager
    def _listed(self, folder: str) -> Iterator[Iterable[os.DirEntry[str]]]:
        """Open a folder to list it; one that cannot be listed, or is gone by now, holds nothing."""
        place = os.path.join(self._base, folder)  # noqa: PTH118 - a hot loop over millions
        try:
            entries = os.scandir(place)
        except OSError as error:
            if not folder:
                raise
            if error.errno in _CLOSED:
                self.closed_folders[folder] = _CLOSED[error.errno]
            elif not isinstance(error, FileNotFoundError):
                raise unreadable(place, error) from error
            yield ()
            return
        with entries:
            yield entries

    def _linked(self, path: str, entered: set[str]) -> list[str]:
        """Return the linked folder if it is to be entered: once, wherever it is linked from."""
        if not self.leaves_root(path) and not self._are_links_followed:
            return []  # what it holds is found where it is
        if not self._are_links_followed:
            self.linked_folders.append(path)
            return []
        target = os.path.realpath(f"{self._base}/{path}")
        if target in entered or f"{self._base}/".startswith(_below(target)) or target.startswith(_below(self._base)):
            return []
        entered.add(target)
        return [path]

    def leaves_root(self, path: str) -> bool:
        """Whether a link leads to somewhere that is not a part of the collection."""
        target = f"{os.path.realpath(f'{self._base}/{path}')}/"
        return not any(target.startswith(place) for place in self._allowed)

    def entry(self, path: str) -> FileEntry:
        """Return what is known of a file without opening it."""
        uri = f"{self._base}/{path}"
        leaves_root = False
        try:
            found = os.lstat(uri)
            if stat.S_ISLNK(found.st_mode):
                leaves_root = not self._are_links_followed and self.leaves_root(path)
                found = os.stat(uri)  # noqa: PTH116 - as in walk
        except OSError as error:
            problem = f"cannot be read: {error.strerror or error}"
            return FileEntry(uri, 0, leaves_root=leaves_root, problem=problem)
        if not stat.S_ISREG(found.st_mode):
            return FileEntry(uri, 0, leaves_root=leaves_root, problem="is not a regular file; not opened")
        return FileEntry(
            uri,
            found.st_size,
            state=f"{found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino} {found.st_dev}",
            changed_ns=max(found.st_mtime_ns, found.st_ctime_ns),
            leaves_root=leaves_root,
        )


def _is_folder(link: os.DirEntry[str]) -> bool:
    try:
        return link.is_dir()
    except OSError:  # links that lead to each other, or through a folder that may not be read
        return False


def _stores_of(base: str) -> list[str]:
    """Return the folders in which a collection around a folder keeps the bytes that its links lead to."""
    found = []
    for parent in (Path(base), *Path(base).parents):
        if parent.parent.name == "snapshots" and (parent.parent.parent / "blobs").is_dir():
            found.append(parent.parent.parent / "blobs")
        found += [parent / ".git" / "annex" / "objects", parent / ".dvc" / "cache"]
    return [_below(os.path.realpath(place)) for place in found if place.is_dir()]


def _below(folder: str) -> str:
    return folder.rstrip("/") + "/"
