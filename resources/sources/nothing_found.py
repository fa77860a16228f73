"""Why no images were found at a path, and what to do: for `vlmine init`."""

import re
from collections import Counter
from contextlib import suppress
from pathlib import Path

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.resources.picture_formats import IMAGE_SUFFIXES
from vlmine_dagster.resources.sources.choice import ending_of
from vlmine_dagster.resources.sources.columns import columns_without_images
from vlmine_dagster.resources.sources.fingerprints import FingerprintCache
from vlmine_dagster.resources.sources.ignored import describe_ignored
from vlmine_dagster.resources.sources.parquet import DAMAGE, open_parquet
from vlmine_dagster.resources.sources.samples import MOST_TARS
from vlmine_dagster.resources.sources.tree import FileTree
from vlmine_dagster.resources.sources.video import VIDEO_SUFFIXES
from vlmine_dagster.resources.sources.webdataset import TAR_SUFFIXES, WebDatasetSource
from vlmine_dagster.settings import DatasetSettings

_MAX_BYTES = DatasetSettings.model_fields["max_bytes"].default

_PACKED = re.compile(
    r"\.(zip|rar|7z|zst|lz4|[zr]\d\d|(tar|tgz|tar\.gz|zip|7z)\.?(part)?[-_.]?([a-z]{2}|\d{1,3}))$", re.IGNORECASE
)
"""Endings of archives that are not read, and of parts into which archives are cut (`.z01`, `.tar.00`, `.tar.gz.aa`)."""

_OTHER_TABLES = frozenset(
    (
        ".avro",
        ".bag",
        ".beton",
        ".db3",
        ".feather",
        ".gz",
        ".h5",
        ".hdf5",
        ".lance",
        ".lmdb",
        ".mat",
        ".mcap",
        ".mdb",
        ".mds",
        ".msgpack",
        ".npz",
        ".orc",
        ".pickle",
        ".pkl",
        ".pt",
        ".rec",
        ".sqlite",
        ".tfrecord",
        ".tfrecords",
    )
)
"""Files in which images are kept in ways that are not read."""


def refuse_no_folder(root: str) -> None:
    """Refuse a path at which there is no folder.

    Raises:
        SourceError: it says what is there instead.
    """
    path = Path(root)
    if "://" in root or path.is_dir():
        return
    if path.exists() and _PACKED.search(path.name):
        raise SourceError(f"{root} is an archive that is not read. Unpack it, and give the folder of what was in it.")
    if path.exists():
        raise SourceError(
            f"{root} is a file. Give the folder that holds it (`vlmine init {path.parent}`): all tars, all Parquet "
            f"files or all images in it are the dataset."
        )
    raise SourceError(
        f"no folder {root}. Give the folder of the images; relative paths are resolved from the current "
        f"folder ({Path.cwd()})."
    )


def nothing_found(tree: FileTree, *, tars: list[str], parquet: list[str]) -> str:
    """Return what was looked for below a root and what was there, for people."""
    notes = [_tars_without_images(tree, tars), _parquet_without_images(tree, parquet)]
    if tree.paths(lambda path: path.endswith(".arrow")):
        notes.append(
            "Arrow files are there, as `save_to_disk` writes them: write Parquet with "
            "`datasets.load_from_disk(FOLDER).to_parquet(FILE)`."
        )
    packed = tree.paths(lambda path: bool(_PACKED.search(path)))
    if packed:
        notes.append(f"Archives that are not read are there ({packed[0]}, ...): unpack them first.")
    others = sorted({ending_of(path) for path in tree.paths(lambda path: ending_of(path) in _OTHER_TABLES)})
    if others:
        notes.append(
            f"Files of {', '.join(others)} are not read: write their contents as Parquet, tars or image files."
        )
    there = (describe_ignored(tree.unused([])) or "ignored: nothing").removeprefix("ignored: ")
    findings = " ".join(note for note in (*notes, f"There: {there}.") if note)
    return (
        f"no images at {tree.root}. Looked in it and below, hidden files left out, for: tars "
        f"({', '.join(TAR_SUFFIXES)}) with image members; Parquet files with a column of image bytes or a "
        f"struct of `bytes` and `path`; image "
        f"files ({', '.join(IMAGE_SUFFIXES)}); videos ({', '.join(VIDEO_SUFFIXES)}). {findings} Give the folder that "
        f"holds one of these."
    )


def _tars_without_images(tree: FileTree, tars: list[str]) -> str | None:
    if not tars:
        return None
    source = WebDatasetSource(tree, max_bytes=_MAX_BYTES, cache=FingerprintCache())
    endings: Counter[str] = Counter()

    def is_tar(name: str) -> bool:
        endings[ending_of(name)] += 1
        return name.lower().endswith(TAR_SUFFIXES)

    for shard in source.shards()[:3]:
        with suppress(SourceError):
            inner = next(source.read_members(shard, is_tar), None)
            if inner is not None:
                return (
                    f"{tree.uri(source.path(shard))} holds tars ({inner.uri.rpartition('#')[2]}, ...): unpack it first."
                )
    kinds = ", ".join(ending or "nothing" for ending, _ in endings.most_common(5))
    where = "them" if len(tars) <= MOST_TARS else f"{MOST_TARS} of them, from everywhere"
    return f"{counted(len(tars), 'tar is', 'tars are')} there, but no image was found in {where}" + (
        f"; members end in {kinds}." if kinds else "."
    )


def _parquet_without_images(tree: FileTree, paths: list[str]) -> str | None:
    files = counted(len(paths), "Parquet file is", "Parquet files are")
    for path in paths[:1]:
        with suppress(SourceError, *DAMAGE), tree.open(path) as raw:
            what = columns_without_images(open_parquet(raw, tree.uri(path)))
            return f"{files} there, but in {path} {what}."
    return f"{files} there, but none can be read." if paths else None
