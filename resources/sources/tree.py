"""Files below a root, on a disk or behind an fsspec URL, with foreign errors translated."""

import hashlib
import io
import logging
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from upath import UPath

from vlmine_dagster.domain.errors import ConfigError, SourceError, StoreError

_logger = logging.getLogger(__name__)

# What object stores call a hash of the content, best first.
_CHECKSUMS = ("md5Hash", "crc32c", "content_md5", "checksum", "ETag", "etag")

# What stores without one call the time of the last change.
_MODIFIED = ("LastModified", "last_modified", "mtime", "modified", "last_write_time", "created")
_CHUNK = 1 << 20


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


class FileTree:
    """The files below a root that are not hidden, listed once.

    Linked folders are not entered: what they hold inside of the root is found anyway, and the rest is elsewhere.

    Args:
        root: Absolute path or fsspec URL.

    Raises:
        ConfigError: the URL's protocol is unknown, or its driver is not installed.
    """

    def __init__(self, root: str):
        self.root = root
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

    def paths(self, keep: Callable[[str], bool]) -> list[str]:
        """Return the relative posix paths that `keep` accepts, sorted.

        Raises:
            SourceError: the root is missing or cannot be listed.
        """
        return [path for path in self._all_paths if keep(path)]

    def linked_folders(self) -> list[str]:
        """Return the relative paths of linked folders that lead out of the root and were not entered."""
        _ = self._all_paths
        return sorted(self._linked_folders)

    def entry(self, path: str) -> FileEntry:
        """Return what is known of a file without opening it."""
        return self._local_entry(path) if self._is_local else self._remote_entry(path)

    @contextmanager
    def open(self, path: str) -> Iterator["TranslatedFile"]:
        """Open a file for reading; whatever fails in it comes out as SourceError."""
        where = self.uri(path)
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
        self._linked_folders: list[str] = []
        try:
            found = list(self._walk_local()) if self._is_local else list(self._remote)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise SourceError(
                f"no folder {self.root}. Correct dataset.root in vlmine.yaml; relative paths start at vlmine.yaml."
            ) from error
        except PermissionError as error:
            raise unreadable(self.root, error) from error
        return sorted(found)

    def _walk_local(self) -> Iterator[str]:
        folders = [""]
        while folders:
            folder = folders.pop()
            with os.scandir(os.path.join(self._base, folder)) as entries:  # noqa: PTH118 - a hot loop over millions
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    path = f"{folder}/{entry.name}" if folder else entry.name
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(path)
                    elif entry.is_symlink() and entry.is_dir():
                        self._note_linked_folder(path)
                    else:
                        yield path

    def _note_linked_folder(self, path: str) -> None:
        if self._leaves_root(path):
            _logger.warning("%s/%s is a link to a folder outside of the root; not entered", self._base, path)
            self._linked_folders.append(path)

    def _leaves_root(self, path: str) -> bool:
        target = os.path.realpath(f"{self._base}/{path}")
        return not f"{target}/".startswith(self._base.rstrip("/") + "/")

    def _local_entry(self, path: str) -> FileEntry:
        uri = f"{self._base}/{path}"
        leaves_root = False
        try:
            found = os.lstat(uri)
            if stat.S_ISLNK(found.st_mode):
                leaves_root = self._leaves_root(path)
                found = os.stat(uri)  # noqa: PTH116 - as in _walk_local
        except OSError as error:
            problem = f"cannot be read: {error.strerror or error}"
            return FileEntry(uri, 0, leaves_root=leaves_root, problem=problem)
        if not stat.S_ISREG(found.st_mode):
            return FileEntry(uri, 0, leaves_root=leaves_root, problem="is no regular file; not opened")
        return FileEntry(
            uri,
            found.st_size,
            state=f"{found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino} {found.st_dev}",
            changed_ns=max(found.st_mtime_ns, found.st_ctime_ns),
            leaves_root=leaves_root,
        )

    def _read_local(self, path: str) -> bytes | SourceError:
        try:
            return Path(self._base, path).read_bytes()
        except OSError as error:
            return unreadable(self.uri(path), error)

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
        return {path: info for path, info in relative.items() if path and not _is_hidden(path)}

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
            return dict(self._fs.cat([self._full(path) for path in paths], on_error="return"))
        except Exception as error:  # each store has its own exceptions
            raise unreadable(self.root, error) from error

    def _checked(self, path: str, found: bytes | Exception) -> bytes | SourceError:
        if not isinstance(found, Exception):
            return found
        problem = unreadable(self.uri(path), found)
        if isinstance(found, (FileNotFoundError, PermissionError)):
            return problem
        raise problem from found


class TranslatedFile(io.RawIOBase):
    """A file for reading whose errors, of whatever store, come out as SourceError."""

    def __init__(self, raw: Any, where: str):
        self._raw = raw
        self._where = where

    def read(self, size: int | None = -1, /) -> bytes:
        """Read up to `size` bytes, all if negative."""
        return bytes(self._try(self._raw.read, -1 if size is None else size))

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to a position."""
        return int(self._try(self._raw.seek, offset, whence))

    def tell(self) -> int:
        """Return the position."""
        return int(self._try(self._raw.tell))

    def seekable(self) -> bool:
        """Whether `seek` works."""
        return bool(self._raw.seekable())

    def readable(self) -> bool:
        """Whether `read` works: always."""
        return True

    def _try(self, call: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return call(*arguments)
        except Exception as error:  # each store has its own exceptions
            raise unreadable(self._where, error) from error


def unreadable(where: str, error: Exception) -> SourceError:
    """Return the error for a file that cannot be read."""
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    stays = isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError | NotADirectoryError)
    return (SourceError if stays else StoreError)(
        f"{where} cannot be read: {reason}. Check that it exists and that you may read it; then run again."
    )


def _nanoseconds(modified: Any) -> int | None:
    """Return a store's time of change in nanoseconds since 1970; None where it says none that can be understood."""
    seconds = modified.timestamp() if isinstance(modified, datetime) else modified
    return int(seconds * 1e9) if isinstance(seconds, int | float) else None


def _is_hidden(path: str) -> bool:
    return path.startswith(".") or "/." in path
