"""Which files below a root belong to the data set: patterns, endings, and what other tools leave beside the data."""

import posixpath
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import cached_property

from vlmine_dagster.resources.picture_formats import IMAGE_SUFFIXES
from vlmine_dagster.settings import DatasetSettings

HOUSEKEEPING = frozenset(
    (
        "__MACOSX",
        "_delta_log",
        "_change_data",
        "_temporary",
        "_symlink_format_manifest",
        "__pycache__",
        "@eaDir",
        "#recycle",
        "$RECYCLE.BIN",
        "System Volume Information",
        "lost+found",
    )
)
"""Folders that operating systems and table formats keep beside the data; hidden ones (`.ipynb_checkpoints`) aside."""


def is_hidden(name: str) -> bool:
    """Whether a file's or folder's own name marks it as no part of the data."""
    return name.startswith(".") or name in HOUSEKEEPING


def has_hidden_part(member: str) -> bool:
    """Whether a part of the name of a tar's member marks it as no part of the data; leading dots as in `./a` do not."""
    return any(is_hidden(part) for part in member.split("/") if part not in (".", ".."))


@dataclass(frozen=True)
class FileChoice:
    """What of the files below a root is wanted.

    Attributes:
        include: Patterns of relative paths, any of which must match; none means all. `*` matches `/` too, and a
            pattern that ends in `/` stands for everything below.
        exclude: Patterns of files to leave out, in the same form.
        endings: Endings of images' names (`jpg`; `""` for names without an ending); None means those of the medium.
        of_medium: Endings of the medium's files, with the dot.
        are_links_followed: Whether links may lead out of the root.
        used_otherwise: Relative paths that are not images and not ignored either, such as the label file.
    """

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    endings: Sequence[str] | None = None
    of_medium: tuple[str, ...] = IMAGE_SUFFIXES
    are_links_followed: bool = False
    used_otherwise: frozenset[str] = frozenset()

    def takes(self, path: str) -> bool:
        """Whether the patterns let a relative path pass."""
        if self._included is not None and not self._included.match(path):
            return False
        return self._excluded is None or not self._excluded.match(path)

    def is_image(self, path: str) -> bool:
        """Whether a file's name ends like an image's."""
        name = posixpath.basename(path)
        if name.startswith("."):
            return False
        if self.endings is None:
            return name.lower().endswith(self.of_medium)
        return any(_ends_in(name.lower(), ending) for ending in self.endings)

    def is_image_member(self, name: str) -> bool:
        """Whether a member of a tar is an image; a chosen ending is all that follows the first dot of its name."""
        folder, base = posixpath.split(name)
        if has_hidden_part(folder):
            return False
        if self.endings is None or base.startswith("."):
            return self.is_image(name)
        ending = base.lower().partition(".")[2]
        return any(ending == wanted.lower().lstrip(".") for wanted in self.endings)

    @cached_property
    def _included(self) -> re.Pattern[str] | None:
        return _any_of(self.include)

    @cached_property
    def _excluded(self) -> re.Pattern[str] | None:
        return _any_of(self.exclude)


def choice_of(settings: DatasetSettings, resolve: Callable[[str], str] = str) -> FileChoice:
    """Return which files the settings want; `resolve` makes a path of theirs absolute."""
    root = resolve(settings.root).rstrip("/") + "/"
    places = [resolve(place) for place in settings.own_files]
    return FileChoice(
        include=settings.include,
        exclude=settings.exclude,
        endings=settings.image_endings,
        of_medium=settings.medium.endings,
        are_links_followed=settings.follow_links,
        used_otherwise=frozenset(place[len(root) :] for place in places if place.startswith(root)),
    )


def ending_of(path: str) -> str:
    """Return the ending of a file's name with its dot in lower case; "" where it has none.

    Examples:
        >>> ending_of("a/photo.JPG"), ending_of("a/9f86d0818"), ending_of("v1.2 (final) copy")
        ('.jpg', '', '')
    """
    ending = posixpath.splitext(path)[1].lower()
    return ending if re.fullmatch(r"\.[a-z0-9_~-]{1,12}", ending) else ""


def _ends_in(name: str, ending: str) -> bool:
    wanted = ending.lower().lstrip(".")
    return name.endswith(f".{wanted}") if wanted else not ending_of(name)


def _any_of(patterns: Sequence[str]) -> re.Pattern[str] | None:
    if not patterns:
        return None
    whole = (pattern.lstrip("/") + ("*" if pattern.endswith("/") else "") for pattern in patterns)
    return re.compile("|".join(translate(pattern) for pattern in whole))
