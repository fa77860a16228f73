"""Sounds below a root, cut into windows as they are read."""

from collections.abc import Collection, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.resources.media.audio import AudioSettings, wave_bytes
from vlmine_dagster.resources.picture_formats import IMAGE_SUFFIXES
from vlmine_dagster.resources.samples import next_samples, opened_sound
from vlmine_dagster.resources.sources.contract import Moment, RawImage
from vlmine_dagster.resources.sources.cut_files import CutFiles
from vlmine_dagster.resources.sources.fingerprints import FingerprintCache
from vlmine_dagster.resources.sources.folder import shards_for
from vlmine_dagster.resources.sources.parquet import PARQUET_SUFFIXES
from vlmine_dagster.resources.sources.samples import spread
from vlmine_dagster.resources.sources.tree import FileTree
from vlmine_dagster.resources.sources.webdataset import TAR_SUFFIXES

if TYPE_CHECKING:
    from vlmine_dagster.resources.datasets.audio import AudioFilesSettings

_WINDOW_S = 5.0


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


def found_in(tree: FileTree) -> dict[str, Any] | None:
    """Return settings for a folder of sounds some of which are longer than one look; None for any other folder."""
    sounds = tree.paths(lambda path: path.lower().endswith(AudioSettings.endings))
    others = tree.paths(lambda path: path.lower().endswith((*IMAGE_SUFFIXES, *PARQUET_SUFFIXES, *TAR_SUFFIXES)))
    lengths = [] if others or find_spec("soundfile") is None else [_length_s(tree, path) for path in spread(sounds)]
    if max(lengths, default=0) <= AudioSettings.model_fields["longest_s"].default:
        return None
    windows = sum(lengths) / len(lengths) * len(sounds) / _WINDOW_S
    return {"shard_count": shards_for(len(sounds), windows)}


def _length_s(tree: FileTree, path: str) -> float:
    try:
        with tree.open(path) as raw, opened_sound(cast("BinaryIO", raw)) as sound:
            return float(sound.frames / sound.samplerate)
    except SourceError:
        return 0.0
