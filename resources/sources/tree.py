"""Files below a root, on a disk or behind an fsspec URL, with foreign errors translated."""

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from upath import UPath

from vlmine_dagster.domain.errors import ConfigError, SourceError
from vlmine_dagster.resources.sources.choice import FileChoice, ending_of, is_hidden
from vlmine_dagster.resources.sources.contract import printable
from vlmine_dagster.resources.sources.local_files import FileEntry, LocalFiles
from vlmine_dagster.resources.sources.translated import TranslatedFile, unreadable

# What object stores call a hash of the content, best first.
_CHECKSUMS = ("md5Hash", "crc32c", "content_md5", "checksum", "ETag", "etag")

# What stores without one call the time of the last change.
_MODIFIED = ("LastModified", "last_modified", "mtime", "modified", "last_write_time", "created")
_CHUNK = 1 << 20
_LONGEST_SHOWN = 100  # characters


class FileTree:
    """The files below a root that are not hidden and that are chosen, listed once.

    Linked folders are not entered unless links are followed: what they hold inside of the root is found anyway, and
    the rest is elsewhere.

    Args:
        root: Absolute path or fsspec URL.
        choice: Which files are wanted.

    Raises:
        ConfigError: the URL's protocol is unknown, or its driver is not installed.
    """

    def __init__(self, root: str, choice: FileChoice | None = None):
        self.root = root
        self.choice = choice or FileChoice()
        try:
            self._path = UPath(root)
            self._is_local = self._path.protocol in ("", "file", "local")
            self._fs: Any = None if self._is_local else self._path.fs
        except (ImportError, ValueError) as error:
            raise ConfigError(
                f"dataset.root {root}: {error}. Install the driver of that protocol (s3fs for s3://, gcsfs for gs://, "
                f"adlfs for abfs://), or give a local folder."
            ) from error
        self._base = os.path.realpath(self._path.path) if self._is_local else self._path.path.rstrip("/")
        self._hidden: Counter[str] = Counter()
        self._local = LocalFiles(self._base, are_links_followed=self.choice.are_links_followed)

    def paths(self, keep: Callable[[str], bool]) -> list[str]:
        """Return the relative posix paths that `keep` accepts, sorted.

        Raises:
            SourceError: the root is missing or cannot be listed.
        """
        return [path for path in self._all_paths if self.choice.takes(path) and keep(path)]

    def linked_folders(self) -> list[str]:
        """Return the relative paths of linked folders that lead out of the root and were not entered."""
        _ = self._all_paths
        return sorted(path for path in self._local.linked_folders if self.choice.takes(path))

    def unused(self, used: Collection[str]) -> dict[str, int]:
        """Return how many files there are that are not used, by kind: ending, hidden, excluded, folder of a tool.

        Folders that cannot be listed are among them, with the reason.
        """
        counted: Counter[str] = Counter()
        taken = self.choice.used_otherwise.union(used)
        for path in self._all_paths:
            if path not in taken:
                counted["excluded" if not self.choice.takes(path) else ending_of(path)] += 1
        often_first = sorted(counted.items(), key=lambda kind: (-kind[1], kind[0]))
        closed = {f"{_short(path)} ({why})/": 1 for path, why in sorted(self._local.closed_folders.items())}
        return {**dict(often_first), **dict(sorted(self._hidden.items())), **closed}

    def entry(self, path: str) -> FileEntry:
        """Return what is known of a file without opening it."""
        return self._local.entry(path) if self._is_local else self._remote_entry(path)

    @contextmanager
    def open(self, path: str) -> Iterator["TranslatedFile"]:
        """Open a file for reading; whatever fails in it comes out as SourceError."""
        where = self.uri(path)
        self._refuse_pipes(path)
        try:
            raw = self._fs.open(self._full(path), "rb") if self._fs else Path(self._base, path).open("rb")  # noqa: SIM115
        except Exception as error:  # each store has its own exceptions
            raise unreadable(where, error) from error
        with raw:
            yield TranslatedFile(raw, where)

    def read_each(self, paths: Sequence[str]) -> Iterator[tuple[str, bytes | SourceError]]:
        """Yield the content of files, or why one of them cannot be read; remote ones are fetched 16 at a time.

        Raises:
            SourceError: a store fails in another way than that the file is missing or forbidden: it may be a passing
                fault, and must not mark an image as corrupt.
        """
        if self._is_local:
            for path in paths:
                yield path, self._read_local(path)
            return
        for start in range(0, len(paths), 16):
            some = paths[start : start + 16]
            found = self._fetch(some)
            for path in some:
                yield path, self._checked(path, found.get(self._full(path), FileNotFoundError("gone")))

    def content_hash(self, path: str) -> str:
        """Return the store's checksum of a file, else the SHA-256 of its content.

        Raises:
            SourceError: it cannot be read.
        """
        checksum = self.entry(path).checksum
        if checksum is not None:
            return checksum
        digest = hashlib.sha256()
        with self.open(path) as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        return digest.hexdigest()

    def uri(self, path: str) -> str:
        """Return the full path or URL of a file."""
        return f"{self._base}/{path}" if self._is_local else str(self._fs.unstrip_protocol(self._full(path)))

    def _full(self, path: str) -> str:
        return f"{self._base}/{path}"

    @cached_property
    def _all_paths(self) -> list[str]:
        try:
            found = list(self._local.walk()) if self._is_local else list(self._remote)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise SourceError(
                f"no folder {self.root}. Correct dataset.root in vlmine.yaml; relative paths are resolved from the "
                f"folder of vlmine.yaml."
            ) from error
        except PermissionError as error:
            raise unreadable(self.root, error) from error
        self._hidden.update(self._local.hidden)
        return sorted(found)

    def _refuse_pipes(self, path: str) -> None:
        """Refuse what is not a file, such as a pipe, on which a reader would wait for ever."""
        if not self._is_local:
            return
        with suppress(OSError):  # to open it says why
            if not stat.S_ISREG(os.stat(f"{self._base}/{path}").st_mode):  # noqa: PTH116 - once for each of millions
                raise SourceError(f"{self.uri(path)} is not a regular file; not opened.")

    def _read_local(self, path: str) -> bytes | SourceError:
        try:
            self._refuse_pipes(path)
            return Path(self._base, path).read_bytes()
        except OSError as error:
            return unreadable(self.uri(path), error)
        except SourceError as error:
            return error

    @cached_property
    def _remote(self) -> dict[str, dict[str, Any]]:
        try:
            self._fs.invalidate_cache()
            found = self._fs.find(self._base, detail=True)
            if not found and not self._fs.exists(self._base):
                raise FileNotFoundError(self._base)
        except FileNotFoundError:
            raise
        except Exception as error:  # each store has its own exceptions
            raise unreadable(self.root, error) from error
        start = len(self._base.strip("/")) + 1
        relative = {full.lstrip("/")[start:]: info for full, info in found.items()}
        return {path: info for path, info in relative.items() if path and not self._is_hidden(path)}

    def _is_hidden(self, path: str) -> bool:
        parts = path.split("/")
        place = next((place for place, part in enumerate(parts) if is_hidden(part)), None)
        if place is None:
            return False
        self._hidden[f"{parts[place]}/" if place + 1 < len(parts) else "hidden"] += 1
        return True

    def _remote_entry(self, path: str) -> FileEntry:
        info = self._remote.get(path)
        if info is None:
            return FileEntry(self.uri(path), 0, problem="cannot be read: it is gone")
        name = next((name for name in _CHECKSUMS if info.get(name)), None)
        checksum = None if name is None else f"{name} {info[name]} {info.get('size')}"
        size = int(info.get("size") or 0)
        modified = next((info[name] for name in _MODIFIED if info.get(name)), None)
        return FileEntry(self.uri(path), size, checksum, state=str(modified), changed_ns=_nanoseconds(modified))

    def _fetch(self, paths: Sequence[str]) -> dict[str, bytes | Exception]:
        try:
            full = [self._full(path) for path in paths]  # `cat` would read brackets in names as patterns
            found = self._fs.cat_ranges(full, [None] * len(full), [None] * len(full), on_error="return")
            return dict(zip(full, found, strict=True))
        except Exception as error:  # each store has its own exceptions
            raise unreadable(self.root, error) from error

    def _checked(self, path: str, found: bytes | Exception) -> bytes | SourceError:
        if not isinstance(found, Exception):
            return found
        problem = unreadable(self.uri(path), found)
        if isinstance(found, (FileNotFoundError, PermissionError)):
            return problem
        raise problem from found


def _short(path: str) -> str:
    """Return a path for people, of a very long one the beginning."""
    shown = printable(path)
    return shown if len(shown) <= _LONGEST_SHOWN else f"{shown[:_LONGEST_SHOWN]}..."


def _nanoseconds(modified: Any) -> int | None:
    """Return a store's time of change in nanoseconds since 1970; None where it says none that can be understood."""
    seconds = modified.timestamp() if isinstance(modified, datetime) else modified
    return int(seconds * 1e9) if isinstance(seconds, int | float) else None
