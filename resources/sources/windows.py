"""Sounds below a root, cut into windows as they are read."""

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from vlmine_dagster.resources.media.audio import AudioSettings, wave_bytes
from vlmine_dagster.resources.samples import next_samples, opened_sound
from vlmine_dagster.resources.sources.contract import Moment, RawImage
from vlmine_dagster.resources.sources.cut_files import CutFiles
from vlmine_dagster.resources.sources.fingerprints import FingerprintCache
from vlmine_dagster.resources.sources.tree import FileTree

if TYPE_CHECKING:
    from vlmine_dagster.resources.datasets.audio import AudioFilesSettings


class WindowSource(CutFiles):
    """Sounds, cut into windows; a key is the path and where the window begins: `bird.wav@10.000s`.

    Args:
        tree: The files.
        settings: How long a window is, and the number of shards.
        cache: Fingerprints of an earlier time.
    """

    def __init__(self, tree: FileTree, settings: "AudioFilesSettings", *, cache: FingerprintCache):
        super().__init__(tree, settings, cache=cache, noun="sound", suffixes=AudioSettings.endings)
        self._settings = settings

    def _parts(self, path: str, name: str, uri: str, _keys: Collection[str] | None) -> Iterator[RawImage]:
        with self._tree.open(path) as raw:
            data = raw.read(-1)
        if not data:
            yield RawImage(name, uri, b"")
            return
        with opened_sound(data) as sound:
            rate = sound.samplerate
            length = max(1, round(self._settings.window_s * rate))
            number = 0
            while True:
                samples = next_samples(sound, length)
                if number and len(samples) < length / 2:
                    return
                if not len(samples):
                    yield RawImage(name, uri, b"", "the sound has no samples")
                    return
                start = f"{number * length / rate:.3f}"
                moment = Moment(name, number, number * length / rate)
                data = wave_bytes(samples, rate)
                yield RawImage(f"{name}@{start}s", f"{uri}#t={start}", data, None, moment)
                number += 1
                if len(samples) < length:
                    return
