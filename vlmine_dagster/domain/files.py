"""Files that appear whole or not at all."""

import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MACHINE = f"{uuid.getnode():x}"


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Give a path to write to; what was written there takes the file's place at the end, if all went well.

    The path is unique and beside the file. Two writers of one file never mix: the last to finish wins. Readers see
    the old content or the new, even after a power failure.

    Args:
        file: The file to write or to replace, on a local disk; missing folders above it are made.

    Raises:
        OSError: the file cannot be written, or nothing was written to the path. The old file stays as it is.

    Examples:
        >>> import tempfile
        >>> place = Path(tempfile.mkdtemp()) / "numbers.txt"
        >>> with replacing(place) as beside:
        ...     _ = beside.write_text("1 2 3")
        >>> place.read_text(), [found.name for found in place.parent.iterdir()]
        ('1 2 3', ['numbers.txt'])
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(file)
    beside = file.with_name(f"{file.name}.{_MACHINE}-{os.getpid()}-{uuid.uuid4().hex}.tmp")
    try:
        yield beside
        _flush(beside)
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)
    _flush_folder(file.parent)


def write_whole(file: Path, content: str | bytes) -> None:
    """Write a file so that it appears whole or not at all (see `replacing`); text is UTF-8, its line ends stay."""
    with replacing(file) as beside:
        beside.write_bytes(content.encode() if isinstance(content, str) else content)


def literal_pattern(path: str) -> str:
    """Return a pattern, for DuckDB and `fnmatch`, that matches this path alone.

    Examples:
        >>> literal_pattern("a[1]/b*.parquet")
        'a[[]1]/b[*].parquet'
    """
    return re.sub(r"([\[*?])", r"[\1]", path)


def _remove_abandoned(file: Path) -> None:
    """Delete what a process of this machine that was killed left beside a file."""
    for left in file.parent.glob(f"{literal_pattern(file.name)}.{_MACHINE}-*-*.tmp"):
        pid = left.name.removesuffix(".tmp").rsplit("-", 2)[1]
        if pid.isdecimal() and not _is_alive(int(pid)):
            left.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _flush(file: Path) -> None:
    with file.open("rb") as written:
        os.fsync(written.fileno())


def _flush_folder(folder: Path) -> None:
    """Make the new name last through a power failure; Windows can open no folder, and needs none opened."""
    if os.name == "nt":
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
