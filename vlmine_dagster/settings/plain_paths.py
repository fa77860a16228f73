"""Paths for programs that give characters of a path a meaning: addresses of SQLite, patterns of Dagster."""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vlmine_dagster.domain.errors import ConfigError

_PLAIN = re.compile(r"[\w./ ()+,=@~&-]*")


def plain_path(folder: Path) -> Path:
    """Return a path to a folder without characters such as `? % # [ ] ' "`.

    A path that has some is reached through a link, in `vlmine/homes` of the user's cache or of the temporary folder.
    Its name follows from the path, so that it is the same every time and is made again if somebody deletes it.

    Args:
        folder: Absolute path of a folder that exists.

    Raises:
        ConfigError: those folders cannot be written, or have such characters too.
    """
    if _PLAIN.fullmatch(str(folder)):
        return folder
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    for place in _places():
        if _PLAIN.fullmatch(str(place)) and (link := _linked(place / name, folder)) is not None:
            return link
    raise ConfigError(
        f"{folder}: SQLite and Dagster cannot work in a folder of this name, and no link to it can be made in "
        f"{' or '.join(str(place) for place in _places())}. Set VLMINE_HOME to a folder with a plain name."
    )


def refuse_undecodable(folder: str | Path) -> None:
    r"""Refuse a path that is not UTF-8: DuckDB, SQLite and Arrow cannot work there.

    Raises:
        ConfigError: it has such bytes; the message shows them.

    Examples:
        >>> refuse_undecodable("/data/été")
    """
    shown = os.fsencode(folder).decode("utf-8", "backslashreplace")
    if shown != str(folder):
        raise ConfigError(
            f"{shown}: the path is not UTF-8, and DuckDB, SQLite and Arrow cannot work there. Rename the folder, or "
            f"set VLMINE_HOME to one with another path."
        )


@contextmanager
def plain_temporary_folder() -> Iterator[Path]:
    """Make a temporary folder without such characters in its path, gone afterwards.

    A link does not help programs that follow it before they read the path, as DuckDB does. Where the temporary folder
    of the user has such characters, the machine's own is taken, or the user's cache.

    Raises:
        ConfigError: none of these can be written.
    """
    for place in (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp"), *(one.parent for one in _places())):  # noqa: S108
        if not _PLAIN.fullmatch(str(place)) or not os.access(place, os.W_OK | os.X_OK):
            continue
        with tempfile.TemporaryDirectory(prefix="vlmine-", dir=place) as folder:
            yield Path(folder)
        return
    raise ConfigError(
        f"{tempfile.gettempdir()}: DuckDB cannot work in a folder of this name. Set TMPDIR to a folder with a plain "
        f"name."
    )


def _places() -> list[Path]:
    temporary = Path(tempfile.gettempdir()) / f"vlmine-{os.getuid()}" / "homes"
    try:
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    except RuntimeError:  # a user without a name and without HOME, as in some containers
        return [temporary]
    return [caches / "vlmine" / "homes", temporary]


def _linked(link: Path, folder: Path) -> Path | None:
    try:
        link.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if link.parent.stat().st_uid != os.getuid():
            return None
        if not link.is_symlink():
            link.symlink_to(folder, target_is_directory=True)
    except FileExistsError:
        pass  # another process made it
    except OSError:
        return None
    return link if link.is_symlink() and Path(os.readlink(link)) == folder else None  # noqa: PTH115 - as it is written
