"""Where images come from: folder trees, WebDataset tars, Parquet files, on a disk or behind an fsspec URL."""

from vlmine_dagster.resources.sources.contract import LOST_KEY, ImageSource, RawImage, image_id, shard_of
from vlmine_dagster.resources.sources.detection import detect, survey
from vlmine_dagster.resources.sources.fingerprints import FingerprintCache
from vlmine_dagster.resources.sources.folder import FolderSource, read_listed
from vlmine_dagster.resources.sources.parquet import ParquetSource
from vlmine_dagster.resources.sources.place import Place
from vlmine_dagster.resources.sources.webdataset import WebDatasetSource
from vlmine_dagster.settings.project import Project

__all__ = [
    "LOST_KEY",
    "FolderSource",
    "ImageSource",
    "ParquetSource",
    "Place",
    "RawImage",
    "WebDatasetSource",
    "detect",
    "image_id",
    "open_source",
    "read_listed",
    "shard_of",
    "survey",
]


def open_source(project: Project) -> ImageSource:
    """Open the images of a project.

    Fingerprints are kept under the home (`cache/fingerprints.tsv`), so that an unchanged shard is hashed once.

    Raises:
        ConfigError: the URL's protocol is unknown, or its driver is not installed.
    """
    settings = project.settings.dataset
    fingerprints = FingerprintCache(project.state_folder("cache") / "fingerprints.tsv")
    source: ImageSource = settings.plugins.get(settings.kind).make(
        Place(settings, fingerprints, project.resolve), settings
    )
    return source
