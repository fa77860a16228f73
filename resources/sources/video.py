"""Videos below a root: frames at a chosen rate or at scene changes, decoded as they are needed."""

import io
import re
from collections.abc import Collection, Iterator
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING, Any

from vlmine_dagster.domain.errors import PictureError, SourceError
from vlmine_dagster.resources.sources.clip import Clip, Shown, open_clip, upright
from vlmine_dagster.resources.sources.contract import Moment, RawImage, too_large
from vlmine_dagster.resources.sources.cut_folder import CutFolder
from vlmine_dagster.resources.sources.fingerprints import FingerprintCache
from vlmine_dagster.resources.sources.folder import FolderSource
from vlmine_dagster.resources.sources.foreign_paths import fitting
from vlmine_dagster.resources.sources.tree import FileTree

if TYPE_CHECKING:
    from fractions import Fraction

    from vlmine_dagster.resources.datasets.video import VideoSettings

VIDEO_KIND = "video"
"""What the kind of such datasets is called in settings."""

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mkv", ".webm", ".avi", ".mov")

_ANY_SIZE = 1 << 62
_SMALL = (32, 18)  # a picture's parts, by which scenes are distinguished
_AT = re.compile(r"(?P<video>.+)@(?P<seconds>\d+\.\d{3})s")


class VideoSource(CutFolder):
    """Video files below a root, and images if asked for; a hash of the relative path says to which shard each belongs.

    A key is the video's relative path and when the frame appears: `clip.mp4@12.400s`. It stays the same whatever other
    frames are taken. A frame that should be there and cannot be decoded is an unreadable image; so is a video that
    cannot be opened, by its path alone.

    Args:
        tree: The files.
        settings: Which frames are taken, and the number of shards.
        cache: Fingerprints of an earlier time.
    """

    def __init__(self, tree: FileTree, settings: "VideoSettings", *, cache: FingerprintCache):
        self._tree = tree
        self._settings = settings
        self._cache = cache
        self._frame_times: dict[str, list[float]] = {}
        self._meant: dict[str, str | None] = {}

    @cached_property
    def _files(self) -> FolderSource:
        """The files, cut into shards as a folder of images is."""
        found = self._tree.paths(is_video)
        if self._settings.images:
            found = sorted([*found, *self._tree.paths(self._tree.choice.is_image)])
        if not found:
            raise SourceError(
                f"no video below {self._tree.root}: looked for files that end in {', '.join(VIDEO_SUFFIXES)} and "
                f"are not hidden. Correct dataset.root or dataset.kind in vlmine.yaml."
            )
        shards = self._settings.shard_count
        return FolderSource(self._tree, shard_count=shards, max_bytes=_ANY_SIZE, cache=self._cache, listed=found)

    def ignored(self) -> dict[str, int]:
        """Return how many files are not videos, by kind; see `FileTree.unused`."""
        return self._tree.unused([path for shard in self.shards() for path in self._files.paths(shard)])

    def read(self, shard: str, *, keys: Collection[str] | None = None) -> Iterator[RawImage]:
        """Yield a shard's images and the frames of its videos, by path and time; see `ImageSource.read`.

        With keys, only what is between a keyframe and such a frame is decoded.
        """
        wanted = None if keys is None else _times_by_video(keys)
        for path, name in self._named(shard):
            if not is_video(path):
                if keys is None or name in keys:
                    yield self._image(path, name)
            elif wanted is None or name in wanted:
                yield from self._frames(path, name, None if wanted is None else wanted[name])

    def _image(self, path: str, name: str) -> RawImage:
        uri, problem = self._tree.uri(path), self._files.refusal(path)
        problem = problem or too_large(self._tree.entry(path).n_bytes, self._settings.max_bytes)
        if problem:
            return RawImage(name, uri, b"", problem)
        [(_, found)] = self._tree.read_each([path])
        return RawImage(name, uri, found) if isinstance(found, bytes) else RawImage(name, uri, b"", str(found))

    def _frames(self, path: str, name: str, times: list[float] | None) -> Iterator[RawImage]:
        uri = self._tree.uri(path)
        problem = self._files.refusal(path)
        if problem:
            yield RawImage(name, uri, b"", problem)
            return
        try:
            with self._tree.open(path) as file, open_clip(file) as clip:
                if clip.pixel_count > self._settings.max_pixels:
                    limit = self._settings.max_pixels
                    raise PictureError(f"{clip.pixel_count:,} pixels, more than dataset.max_pixels ({limit:,})")
                shown = self._chosen(clip) if times is None else ((None, one) for one in clip.exactly(times))
                for number, one in shown:
                    yield _raw_image(name, uri, number, one, clip.pixel_shape)
        except PictureError as error:
            yield RawImage(name, uri, b"", str(error))

    def _chosen(self, clip: Clip) -> Iterator[tuple[int, Shown]]:
        if self._settings.frames == "scenes":
            return enumerate(_scenes(clip, self._settings.scene_change))
        return enumerate(clip.at(number * self._settings.every_s for number in count()))

    def frame_key(self, video: str, number: int) -> str | None:
        """Return the key of a frame that another tool knows by its video and its number, from 0 on.

        Args:
            video: Path or name of the video as the tool has it.
            number: Place of the frame among those that are shown.

        Returns:
            None where no video, or more than one, has that name, or it has no such frame.
        """
        if video not in self._meant:
            found = fitting(video, [(name, name) for name in self._videos])
            stems = () if found else fitting(_stem(video), [(_stem(name), _stem(name)) for name in self._videos])
            found = found or [name for name in self._videos if _stem(name) in stems]
            self._meant[video] = found[0] if len(found) == 1 else None
        name = self._meant[video]
        times = [] if name is None else self._times_of(name)
        return f"{name}@{times[number]:.3f}s" if 0 <= number < len(times) else None

    @cached_property
    def _videos(self) -> dict[str, str]:
        """Path of each video, by its name."""
        return {name: path for shard in self.shards() for path, name in self._named(shard) if is_video(path)}

    def _times_of(self, video: str) -> list[float]:
        if video not in self._frame_times:
            try:
                with self._tree.open(self._videos[video]) as file, open_clip(file) as clip:
                    self._frame_times[video] = clip.frame_times()
            except (PictureError, SourceError):
                self._frame_times[video] = []
        return self._frame_times[video]


def is_video(name: str) -> bool:
    """Whether a file's name ends like a video's and is not hidden."""
    return name.lower().endswith(VIDEO_SUFFIXES) and not name.rpartition("/")[2].startswith(".")


def _stem(name: str) -> str:
    ending = next((one for one in VIDEO_SUFFIXES if name.lower().endswith(one)), "")
    return name[: len(name) - len(ending)]


def length_of(tree: FileTree, path: str) -> float:
    """Return how many seconds a video says that it lasts, 0 where it does not or cannot be opened."""
    try:
        with tree.open(path) as file, open_clip(file) as clip:
            return clip.length_s or 0.0
    except SourceError:
        return 0.0


def _times_by_video(keys: Collection[str]) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {}
    for key in keys:
        found = _AT.fullmatch(key)
        if found is not None:
            times.setdefault(found["video"], []).append(float(found["seconds"]))
    return {video: sorted(at) for video, at in times.items()}


def _raw_image(name: str, uri: str, number: int | None, shown: Shown, shape: "Fraction | None") -> RawImage:
    at = f"{shown.time_s:.3f}"
    moment = Moment(name, number, shown.time_s)
    data = b"" if shown.frame is None else _encoded(shown.frame, shape)
    return RawImage(f"{name}@{at}s", f"{uri}#t={at}", data, shown.failure, moment)


def _encoded(frame: Any, shape: "Fraction | None") -> bytes:
    """Return a frame as a BMP: the same bytes for the same pixels, in a fraction of the time of a PNG."""
    file = io.BytesIO()
    upright(frame, shape).save(file, "BMP")
    return file.getvalue()


def _scenes(clip: Clip, change: float) -> Iterator[Shown]:
    """Yield the first frame of every scene, and a failure where the video breaks off."""
    import numpy as np

    before = None
    for shown in clip.all():
        if shown.frame is None or shown.frame.is_corrupt:
            if shown.failure is not None:
                yield shown
            continue
        width, height = _SMALL
        small = shown.frame.reformat(width=width, height=height, format="gray").to_ndarray().astype(np.float32) / 255
        if before is None or float(np.abs(small - before).mean()) > change:
            yield shown
        before = small
