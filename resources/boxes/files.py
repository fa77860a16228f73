"""The files that the settings name as boxes: which there are, of which format, and a hash of their content."""

import hashlib
import posixpath
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path

from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.resources.boxes.contract import BoxFile, KnowsFrames
from vlmine_dagster.resources.sources.fingerprints import FingerprintCache
from vlmine_dagster.resources.sources.tree import FileTree
from vlmine_dagster.settings import settings_hash
from vlmine_dagster.settings.objects import BOX_FORMATS, BoxFormat, ObjectSettings

_VERSION = 3
"""Raised when a reader reads files in another way than before."""

_HEAD = 4096
_BESIDE = (".txt", ".names", ".yaml", ".yml")
"""Endings of files with the names of classes."""


@dataclass(frozen=True)
class _Found:
    """One file below one of the places that the settings name."""

    tree: FileTree
    path: str


class BoxFiles:
    """The box files of a project, listed once.

    Args:
        settings: Which files, and their format.
        resolve: Makes a path of the settings absolute.
        fingerprints: Hashes of files that were read before.
        videos: The dataset where its images are frames of videos, which some tools only number.
    """

    def __init__(
        self,
        settings: ObjectSettings,
        resolve: Callable[[str], str],
        fingerprints: FingerprintCache,
        *,
        videos: KnowsFrames | None = None,
    ):
        self._videos = videos
        self._settings = settings
        self._resolve = resolve
        self._fingerprints = fingerprints

    @cached_property
    def fingerprint(self) -> str:
        """Hash that changes with the content of the files, and with how they are read.

        Raises:
            SourceError: a place is missing or holds no file that may have boxes.
        """
        entries = [one.tree.entry(one.path) for one in self._found]
        content = self._fingerprints.get(entries, self._content)
        names = [one.path for one in self._found]
        videos = [] if self._videos is None else [[self._videos.fingerprint(one) for one in self._videos.shards()]]
        return settings_hash(_VERSION, content, names, self._settings.reading(), *videos)

    @property
    def places(self) -> Sequence[str]:
        """Files and folders as the settings name them."""
        return self._settings.boxes

    @property
    def uris(self) -> list[str]:
        """Path or URL of each file that may have boxes, or names of their classes.

        Raises:
            SourceError: a place is missing or holds none.
        """
        return [one.tree.uri(one.path) for one in self._found]

    def _content(self) -> str:
        digest = hashlib.sha256()
        for one in self._found:
            digest.update(f"{one.path}\0{one.tree.content_hash(one.path)}\n".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def read(self) -> Iterator[tuple[BoxFormat, BoxFile]]:
        """Yield the files with boxes, each with its format, in the order of the settings and of their names.

        Raises:
            SourceError: a place holds none.
        """
        for place in range(len(self._settings.boxes)):
            yield from ((known, self._file(one)) for known, one in self._known_at(place))

    def formats(self) -> list[str]:
        """Return the format of the first file with boxes at each place that the settings name.

        Raises:
            SourceError: a place holds none.
        """
        return [next(self._known_at(place))[0].name for place in range(len(self._settings.boxes))]

    def _known_at(self, place: int) -> Iterator[tuple[BoxFormat, _Found]]:
        """Yield the files with boxes of a place, each with its format.

        Raises:
            SourceError: there is none.
        """
        is_empty = True
        for one in self._found_at(place):
            if (known := self._format_of(one)) is not None:
                is_empty = False
                yield known, one
        if is_empty:
            raise SourceError(
                f"{self._settings.boxes[place]}: no file in it is of a known format of boxes "
                f"({', '.join(BOX_FORMATS.names)}); a table starts with the names of its columns. Correct "
                f"objects.boxes, or name the format (objects.format)."
            )

    @cached_property
    def _found(self) -> list[_Found]:
        return [one for place in range(len(self._settings.boxes)) for one in self._found_at(place)]

    def _found_at(self, place: int) -> Sequence[_Found]:
        return self._by_place[place]

    @cached_property
    def _by_place(self) -> list[Sequence[_Found]]:
        return [self._listed(self._resolve(location)) for location in self._settings.boxes]

    def _listed(self, location: str) -> Sequence[_Found]:
        suffixes = tuple({suffix for known in self._formats for suffix in known.suffixes}) + _BESIDE
        if "://" not in location and not Path(location).exists():
            raise SourceError(
                f"no file or folder {location}. Correct objects.boxes; relative paths are resolved from the folder of "
                f"vlmine.yaml."
            )
        folder, _, name = location.rstrip("/").rpartition("/")
        is_file = Path(location).is_file() if "://" not in location else name.lower().endswith(suffixes)
        tree = FileTree(folder or "/" if is_file else location)
        if is_file:
            return [_Found(tree, name)]
        paths = tree.paths(lambda path: path.lower().endswith(suffixes))
        if not paths:
            raise SourceError(
                f"{location}: no file ends in {', '.join(sorted(set(suffixes)))}. Correct objects.boxes in vlmine.yaml."
            )
        return [_Found(tree, path) for path in paths]

    @cached_property
    def _formats(self) -> list[BoxFormat]:
        name = self._settings.format
        return list(BOX_FORMATS.all().values()) if name == "auto" else [BOX_FORMATS.get(name)]

    def _format_of(self, one: _Found) -> BoxFormat | None:
        """Return the format of a file, None where it has no boxes; a format that is named is taken by the ending."""
        able = [known for known in self._formats if one.path.lower().endswith(known.suffixes)]
        if not able:
            return None
        with one.tree.open(one.path) as stream:
            head = stream.read(_HEAD)
        return next((known for known in able if known.is_format(one.path, head)), None)

    def _file(self, one: _Found) -> BoxFile:
        return BoxFile(
            path=one.path,
            uri=one.tree.uri(one.path),
            open=partial(one.tree.open, one.path),  # type: ignore[arg-type]  # reads like a binary file
            beside=partial(_beside, one.tree),
            columns={str(role): name for role, name in self._settings.columns.items()},
            **({} if self._videos is None else {"frame_key": self._videos.frame_key}),
        )


@lru_cache(maxsize=4096)
def _beside(tree: FileTree, path: str) -> bytes | None:
    """Return the content of a small file near the boxes, None where it is not there."""
    try:
        with tree.open(posixpath.normpath(path)) as stream:
            return bytes(stream.read(1 << 20))
    except SourceError:
        return None
