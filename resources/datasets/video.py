"""Dataset `video`: a folder tree of video files, from which frames are taken, and of images if asked for."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from vlmine_dagster.settings.dataset import DatasetSettings, SourceCapabilities, SourcePlugin

if TYPE_CHECKING:
    from vlmine_dagster.resources.sources.place import Place
    from vlmine_dagster.resources.sources.video import VideoSource


class VideoSettings(DatasetSettings):
    """A folder tree of video files."""

    kind: Literal["video"]
    """A folder tree of video files (mp4, mkv, avi, mov); frames are decoded as they are needed and never stored."""
    frames: Literal["times", "scenes"] = "times"
    """Which frames are images: one per `every_s` seconds, or the first of every scene, for which all are decoded."""
    every_s: Annotated[float, Field(ge=0.001)] = 1.0
    """Seconds between frames, from the first on. Another value takes other frames; a frame keeps its id."""
    scene_change: Annotated[float, Field(gt=0, le=1)] = 0.15
    """A scene begins where the mean brightness of the picture's parts changes by more than this share."""
    images: bool = False
    """Also take the image files below the root, each on its own."""
    shard_count: Annotated[int, Field(ge=1, le=5000)] = 8
    """Number of shards, fixed at `vlmine init`: another number changes every image id. A video is in one shard."""

    fixed_at_init: ClassVar[tuple[str, ...]] = ("shard_count",)

    @property
    def capabilities(self) -> SourceCapabilities:
        """A video is a sequence."""
        return SourceCapabilities(has_flat_shards=True, knows_sequences=True)


def _open(place: "Place", settings: VideoSettings) -> "VideoSource":
    from vlmine_dagster.resources.sources.video import VideoSource

    return VideoSource(place.tree, settings, cache=place.fingerprints)


PLUGIN = SourcePlugin(VideoSettings, _open)
