"""Small pictures of mined items, made when one is first looked at and kept on disk."""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vlmine_dagster.domain.errors import PictureError, VlmineError
from vlmine_dagster.domain.files import write_whole

if TYPE_CHECKING:
    from vlmine_dagster.resources.sources import ImageSource

SMALL_SIDE = 320
LARGE_SIDE = 1600
_GATHER_S = 0.02
"""How long the first who asks waits for others of the same shard: a tar is then read once for a screenful."""
_SHARDS_AT_ONCE = 4


@dataclass(eq=False)
class _Wanted:
    """A picture that somebody waits for."""

    image_id: str
    file: Path
    is_made: bool = False
    failure: str = ""


class Thumbnails:
    """Small pictures by content: what a file shows is in its name, so none is ever stale.

    Args:
        pictures: Reads the pictures.
        folder: Where they are kept; may be deleted at any time.
        shard_of: Returns the shard of an image id.
        max_pixels: Larger pictures are not decoded.
        side: Longest side in pixels.
    """

    def __init__(
        self, pictures: "ImageSource", folder: Path, *, shard_of: Callable[[str], str], max_pixels: int, side: int
    ):
        self._pictures, self._folder, self._shard_of = pictures, folder, shard_of
        self._max_pixels, self._side = max_pixels, side
        self._lock = threading.Lock()
        self._wanted: dict[str, dict[Path, _Wanted]] = defaultdict(dict)
        self._busy: dict[str, threading.Lock] = defaultdict(threading.Lock)

    def file(self, image_id: str, sha256: str) -> Path:
        """Return the file of a picture, made if it is not there yet; several threads may ask at once.

        Args:
            image_id: Whose picture.
            sha256: Hash of what it is made from.

        Raises:
            PictureError: it cannot be read any more; the message says why.
        """
        wanted = self._want(image_id, sha256)
        if wanted is None:
            return self._place(sha256)
        threading.Event().wait(_GATHER_S)
        self._make_wanted(self._shard_of(image_id), until=wanted)
        if wanted.failure:
            raise PictureError(f"{image_id}: {wanted.failure}")
        return wanted.file

    def prepare(self, asked: Iterable[tuple[str, str]]) -> int:
        """Make several pictures, each shard's in one pass; return how many were not there. None fails here.

        Args:
            asked: Image id and hash of what the picture is made from.
        """
        missing = [(name, wanted) for name, content in asked if (wanted := self._want(name, content)) is not None]
        by_shard: dict[str, _Wanted] = {self._shard_of(name): wanted for name, wanted in missing}
        if by_shard:
            with ThreadPoolExecutor(min(len(by_shard), _SHARDS_AT_ONCE)) as pool:
                list(pool.map(lambda one: self._make_wanted(one[0], until=one[1]), by_shard.items()))
        return len(missing)

    def _place(self, sha256: str) -> Path:
        return self._folder / sha256[:2] / f"{sha256[2:40]}-{self._side}.jpg"

    def _want(self, image_id: str, sha256: str) -> _Wanted | None:
        """Note that a picture is wanted; None where it is there."""
        file = self._place(sha256)
        if file.exists():
            return None
        with self._lock:
            return self._wanted[self._shard_of(image_id)].setdefault(file, _Wanted(image_id, file))

    def _make_wanted(self, shard: str, *, until: _Wanted) -> None:
        """Make all that is wanted of a shard, unless somebody else has made this one meanwhile."""
        with self._busy[shard]:
            if not until.is_made:
                with self._lock:
                    batch = self._wanted.pop(shard, {})
                self._make(shard, list(batch.values()))

    def _make(self, shard: str, batch: list[_Wanted]) -> None:
        """Make the pictures that are asked for of a shard, in one pass through its file."""
        left = {one.image_id[len(shard) + 1 :]: one for one in batch}
        try:
            for raw in self._pictures.read(shard, keys=set(left)):
                wanted = left.pop(raw.key, None)
                if wanted is not None:
                    wanted.failure = raw.failure or self._write(raw.data, wanted.file)
                    wanted.is_made = True
            reason = "it is no longer in the dataset"
        except (VlmineError, OSError) as error:
            reason = str(error)
        for wanted in left.values():
            wanted.failure = reason
            wanted.is_made = True

    def _write(self, data: bytes, file: Path) -> str:
        """Write a small picture; return why it could not be made, nothing if it was."""
        from vlmine_dagster.resources.pictures import decode_picture, thumbnail_jpeg

        try:
            picture = decode_picture(data, max_pixels=self._max_pixels, smallest_side=self._side)
            write_whole(file, thumbnail_jpeg(picture, self._side))
        except (PictureError, OSError) as error:
            return str(error)
        return ""
