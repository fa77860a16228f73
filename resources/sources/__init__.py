"""Where images come from: folder trees, WebDataset tars, Parquet files, on a disk or behind an fsspec URL."""

from vlmine_dagster.resources.sources.choice import choice_of
from vlmine_dagster.resources.sources.contract import LOST_KEY, ImageSource, RawImage, image_id, shard_of
from vlmine_dagster.resources.sources.detection import detect, survey
from vlmine_dagster.resources.sources.fingerprints import FingerprintCache
from vlmine_dagster.resources.sources.folder import FolderSource, read_listed
from vlmine_dagster.resources.sources.parquet import ParquetSource
from vlmine_dagster.resources.sources.tree import FileTree
from vlmine_dagster.resources.sources.webdataset import WebDatasetSource
from vlmine_dagster.settings.project import Project

__all__ = [
    "LOST_KEY",
    "FolderSource",
    "ImageSource",
    "ParquetSource",
    "RawImage",
    "WebDatasetSource",
    "detect",
    "image_id",
    "open_source",
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
    tree = FileTree(project.resolve(settings.root), choice_of(settings, project.resolve))
    cache = FingerprintCache(project.state_folder("cache") / "fingerprints.tsv")
    if settings.kind == "folder":
        listed = None if settings.files is None else read_listed(project.resolve(settings.files))
        return FolderSource(
            tree, shard_count=settings.shard_count, max_bytes=settings.max_bytes, cache=cache, listed=listed
        )
    if settings.kind == "webdataset":
        return WebDatasetSource(tree, max_bytes=settings.max_bytes, cache=cache)
    return ParquetSource(
        tree,
        image_column=settings.image_column,
        key_column=settings.key_column,
        max_bytes=settings.max_bytes,
        cache=cache,
    )
