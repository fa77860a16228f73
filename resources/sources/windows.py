"""Sounds below a root, cut into windows as they are read."""

from collections.abc import Collection, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from vlmine_dagster.domain.errors import PictureError, SourceError
from vlmine_dagster.resources.media.audio import AudioSettings, opened_sound, wave_bytes
from vlmine_dagster.resources.sources.contract import Moment, RawImage, UniqueKeys
from vlmine_dagster.resources.sources.cut_folder import CutFolder
from vlmine_dagster.resources.sources.fingerprints import FingerprintCache
from vlmine_dagster.resources.sources.folder import FolderSource
from vlmine_dagster.resources.sources.tree import FileTree

if TYPE_CHECKING:
    from vlmine_dagster.resources.datasets.audio import AudioFilesSettings


class WindowSource(CutFolder):
    """Sounds below a root; a stable hash of the relative path says to which shard one belongs.

    A key is the sound's relative path and where the window begins: `bird.wav@10.000s`. A sound that cannot be opened is
    one unreadable item, by its path alone.

    Args:
        tree: The files.
        settings: How long a window is, and the number of shards.
        cache: Fingerprints of an earlier time.
    """

    def __init__(self, tree: FileTree, settings: "AudioFilesSettings", *, cache: FingerprintCache):
        self._tree, self._settings, self._cache = tree, settings, cache

    @cached_property
    def _files(self) -> FolderSource:
        """The sounds, cut into shards as a folder of images is."""
        found = self._tree.paths(lambda path: path.lower().endswith(AudioSettings.endings))
        if not found:
            endings = ", ".join(AudioSettings.endings)
            raise SourceError(f"no sound below {self._tree.root}: looked for {endings}. Correct dataset.root.")
        shards, limit = self._settings.shard_count, self._settings.max_bytes
        return FolderSource(self._tree, shard_count=shards, max_bytes=limit, cache=self._cache, listed=found)

    def read(self, shard: str, *, keys: Collection[str] | None = None) -> Iterator[RawImage]:
        """Yield the windows of a shard's sounds as WAV, by path and time; see `ImageSource.read`."""
        names = UniqueKeys()
        name_of = {path: names.take(path) for path in self._files.paths(shard)}
        sounds = None if keys is None else {key.rpartition("@")[0] or key for key in keys}
        for path, name in sorted(name_of.items()):
            if sounds is None or name in sounds or (keys is not None and name in keys):
                windows = self._windows(path, name)
                yield from (window for window in windows if keys is None or window.key in keys)

    def _windows(self, path: str, name: str) -> Iterator[RawImage]:
        uri = self._tree.uri(path)
        problem = self._files.refusal(path)
        if problem:
            yield RawImage(name, uri, b"", problem)
            return
        try:
            with self._tree.open(path) as raw:
                data = raw.read(-1)
            if not data:
                yield RawImage(name, uri, b"")
                return
            with opened_sound(data) as sound:
                yield from self._cut(sound, uri, name)
        except (PictureError, SourceError) as error:
            yield RawImage(name, uri, b"", str(error))

    def _cut(self, sound: Any, uri: str, name: str) -> Iterator[RawImage]:
        rate = sound.samplerate
        length = max(1, round(self._settings.window_s * rate))
        number = 0
        while True:
            samples = sound.read(length, dtype="float32", always_2d=True)
            if number and len(samples) < length / 2:
                return
            if not len(samples):
                yield RawImage(name, uri, b"", "the sound has no samples")
                return
            start = f"{number * length / rate:.3f}"
            moment = Moment(name, number, number * length / rate)
            data = wave_bytes(samples.mean(axis=1), rate)
            yield RawImage(f"{name}@{start}s", f"{uri}#t={start}", data, None, moment)
            number += 1
            if len(samples) < length:
                return
