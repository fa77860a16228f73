"""Dataset `webdataset`: a folder of tars, each of which is a shard."""

from typing import TYPE_CHECKING, Literal

from vlmine_dagster.settings.dataset import DatasetSettings, SourcePlugin

if TYPE_CHECKING:
    from vlmine_dagster.resources.sources import Place, WebDatasetSource


class WebDatasetSettings(DatasetSettings):
    """A folder of WebDataset tars."""

    kind: Literal["webdataset"]
    """A folder of WebDataset tars; each is a shard."""


def _open(place: "Place", settings: WebDatasetSettings) -> "WebDatasetSource":
    from vlmine_dagster.resources.sources import WebDatasetSource

    return WebDatasetSource(place.tree, max_bytes=settings.max_bytes, cache=place.fingerprints)


PLUGIN = SourcePlugin(WebDatasetSettings, _open)
