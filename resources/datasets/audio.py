"""Dataset `audio`: a folder tree of sounds, cut into windows."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, cast

from pydantic import Field

from vlmine_dagster.settings.dataset import DatasetSettings, SourceCapabilities, SourcePlugin
from vlmine_dagster.settings.media import AnyMedium, MediumSettings

if TYPE_CHECKING:
    from vlmine_dagster.resources.sources.place import Place
    from vlmine_dagster.resources.sources.windows import WindowSource


def _audio() -> MediumSettings:
    return cast(MediumSettings, MediumSettings.of_kind("audio"))


class AudioFilesSettings(DatasetSettings):
    """A folder tree of sounds."""

    kind: Literal["audio"]
    """A folder tree of sounds (wav, flac, mp3, ogg, opus, aiff), cut into windows that are read as they are needed."""
    medium: AnyMedium = Field(default_factory=_audio)
    """How a window is shown."""
    window_s: Annotated[float, Field(ge=0.1, le=600)] = 5.0
    """Seconds of a window; the last one of a sound is shorter, and left out if shorter than half."""
    shard_count: Annotated[int, Field(ge=1, le=5000)] = 8
    """Number of shards, fixed at `vlmine init`: another number changes every id. A sound lies in one shard."""

    fixed_at_init: ClassVar[tuple[str, ...]] = ("shard_count",)

    @property
    def capabilities(self) -> SourceCapabilities:
        """A sound is a sequence of windows."""
        return SourceCapabilities(has_flat_shards=True, knows_sequences=True)


def _open(place: "Place", settings: AudioFilesSettings) -> "WindowSource":
    from vlmine_dagster.resources.sources.windows import WindowSource

    return WindowSource(place.tree, settings, cache=place.fingerprints)


def detect(root: str) -> Mapping[str, Any] | None:
    """Return the number of shards where a folder holds long sounds; short ones are items as they are."""
    from vlmine_dagster.resources.sources.tree import FileTree
    from vlmine_dagster.resources.sources.windows import found_in

    return found_in(FileTree(root)) if Path(root).is_dir() else None


PLUGIN = SourcePlugin(AudioFilesSettings, _open, detect=detect)
