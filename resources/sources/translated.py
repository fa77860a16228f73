"""Errors of files and stores, translated into those of this package."""

import io
from collections.abc import Callable
from typing import Any

from vlmine_dagster.domain.errors import SourceError, StoreError


class TranslatedFile(io.RawIOBase):
    """A file for reading whose errors, of whatever store, come out as SourceError."""

    def __init__(self, raw: Any, where: str):
        self._raw = raw
        self._where = where

    def read(self, size: int | None = -1, /) -> bytes:
        """Read up to `size` bytes, all if negative."""
        return bytes(self._try(self._raw.read, -1 if size is None else size))

    def readinto(self, buffer: Any, /) -> int:
        """Read as much as fits into a buffer; return how many bytes."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

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
