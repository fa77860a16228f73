"""What kind of dataset is at a path: for `vlmine init`."""

import logging
import posixpath
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from upath import UPath

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.domain.files import literal_pattern
from vlmine_dagster.resources.sources.brought_labels import (
    folder_labels,
    is_class_member,
    label_column_of,
    member_labels,
    parquet_labels,
    test_row_count,
)
from vlmine_dagster.resources.sources.choice import FileChoice, choice_of, ending_of, has_hidden_part
from vlmine_dagster.resources.sources.contract import ImageSource, is_image
from vlmine_dagster.resources.sources.cut_folder import CutFolder
from vlmine_dagster.resources.sources.fingerprints import FingerprintCache
from vlmine_dagster.resources.sources.folder import FolderSource, shards_for
from vlmine_dagster.resources.sources.ignored import below, describe_ignored, ignored_line
from vlmine_dagster.resources.sources.nothing_found import nothing_found, refuse_no_folder
from vlmine_dagster.resources.sources.offer import Offer
from vlmine_dagster.resources.sources.parquet import PARQUET_SUFFIXES, ParquetSource
from vlmine_dagster.resources.sources.place import Place
from vlmine_dagster.resources.sources.samples import (
    MOST_TARS,
    chosen_endings,
    mask_patterns,
    misnamed_images,
    misnamed_members,
    spread,
    unnamed_images,
)
from vlmine_dagster.resources.sources.schemas import settings_of_tables
from vlmine_dagster.resources.sources.shard_files import is_shard_file
from vlmine_dagster.resources.sources.splits import path_splits, test_folders
from vlmine_dagster.resources.sources.tiles import banded, page_count
from vlmine_dagster.resources.sources.tree import FileTree
from vlmine_dagster.resources.sources.video import VIDEO_KIND, VideoSource, is_video, length_of
from vlmine_dagster.resources.sources.webdataset import TAR_SUFFIXES, WebDatasetSource
from vlmine_dagster.settings import DatasetSettings, LabelSettings
from vlmine_dagster.settings.media import MediumSettings

_logger = logging.getLogger(__name__)

_SAMPLE = 60  # images of a tar that are looked at
_USED_BESIDE = frozenset((".json", ".cls"))  # members of a tar that are attributes and labels
_MAX_BYTES = DatasetSettings.model_fields["max_bytes"].default


@dataclass(frozen=True)
class Survey:
    """What is at a path or URL.

    Attributes:
        settings: Settings for it; a test split that its paths name is left out.
        notes: What was decided and left out, one line each, for people.
        offer: Splits and labels that it brings along, None where there are none or a label file is used.
        contents: How many images or shards there are, for people.
    """

    settings: DatasetSettings
    notes: tuple[str, ...]
    offer: Offer | None
    contents: str


def survey(root: str, *, used: Collection[str] = ()) -> Survey:
    """Find out what is at a path or URL, which of it is mined, and which splits and labels it has; see `detect`.

    Args:
        root: Path or URL.
        used: Files that are used otherwise, such as those with boxes, by path or URL.
    """
    settings, notes = _detected(root)
    offer = None if settings.labels is not None else _offer(settings)
    if offer is not None:
        settings = settings.model_copy(update={"exclude": (*settings.exclude, *offer.left_out)})
    source = _source(settings)
    place = root if "://" in root else str(Path(root).absolute())
    ignored = ignored_line(source, used=[*below(place, used), *(() if offer is None else offer.label_files)])
    return Survey(settings, (*notes, *([ignored] if ignored else [])), offer, _contents(source))


def _contents(source: ImageSource) -> str:
    if not isinstance(source, FolderSource | CutFolder):
        return counted(len(source.shards()), "file")
    kinds = ", ".join(f"{count:,} {kind or 'without an ending'}" for kind, count in source.endings().most_common())
    noun = "images" if isinstance(source, FolderSource) else "videos" if isinstance(source, VideoSource) else "files"
    return f"{noun}: {kinds}"


def detect(root: str) -> DatasetSettings:
    """Find out what kind of dataset is at a path or URL.

    Tars with images win over Parquet files with an image column, and these over loose files, of which images or videos
    win, whichever are more; what loses is
    logged. Labels are taken from `labels.csv` (and `classes.csv`) at the root or beside it; where pool rows carry
    a class and no row is a seed, they are taken for a benchmark's (`oracle`);
    a `labels.csv` that cannot be read as one is logged and left aside.

    Raises:
        SourceError: there is no folder, or no images in it; the message says what was looked for.
        ConfigError: the URL's protocol is unknown, or its driver is not installed.
    """
    return _detected(root)[0]


def _detected(root: str) -> tuple[DatasetSettings, list[str]]:
    if (elsewhere := _of_plugins(root)) is not None:
        return elsewhere, []
    refuse_no_folder(root)
    tree = FileTree(root)
    tars = tree.paths(partial(is_shard_file, suffixes=TAR_SUFFIXES))
    parquet = tree.paths(partial(is_shard_file, suffixes=PARQUET_SUFFIXES))
    images, videos = tree.paths(is_image), tree.paths(is_video)
    found = _webdataset(tree, tars) or _parquet(tree, parquet) or _folder_or_videos(tree, images, videos)
    found = found or _misnamed_webdataset(tree, tars) or _of_other_media(root, tars)
    if found is None:
        raise SourceError(nothing_found(tree, tars=tars, parquet=parquet))
    _log_what_lost(found.settings["kind"], parquet=parquet, images=images, videos=videos)
    return _settings(root, found.settings), found.notes


def _of_other_media(root: str, tars: list[str]) -> "_Found | None":
    """Return tars or loose files of the first medium that has some."""
    for name, plugin in MediumSettings.plugins.all().items():
        tree = FileTree(root, FileChoice(of_medium=plugin.settings.endings))
        found = _webdataset(tree, tars) or _loose_items(tree, plugin.settings)
        if found is not None:
            endings = ", ".join(plugin.settings.endings)
            note = f"there are no pictures; files that end in one of {endings} are taken as {name} (dataset.medium)."
            return _Found({**found.settings, "medium": name}, [note, *found.notes])
    return None


def _loose_items(tree: FileTree, medium: type[MediumSettings]) -> "_Found | None":
    """Return the files of a medium by their endings, and those without one where the first bytes say what they are."""
    files = tree.paths(tree.choice.is_image)
    endings = unnamed_images(tree, files, is_item=medium.is_signed) if medium.signature else None
    if endings is None:
        return _Found(_as_folder(files), []) if files else None
    files = tree.paths(FileChoice(endings=endings).is_image)
    lists = tuple(sorted({path for path in files if posixpath.basename(path) in medium.index_files}))
    left_out = {"exclude": tuple(map(literal_pattern, lists))} if lists else {}
    note = "files without an ending are taken too (dataset.image_endings)."
    return _Found({**_as_folder(files), "image_endings": endings, **left_out}, [note])


def _settings(root: str, found: Mapping[str, Any]) -> DatasetSettings:
    settings: DatasetSettings = DatasetSettings.of_kind({"root": root, "labels": _labels(root), **found})
    return settings


def _of_plugins(root: str) -> DatasetSettings | None:
    """Return what a plug-in takes the dataset for, if one does."""
    for kind, plugin in DatasetSettings.plugins.all().items():
        if plugin.detect is not None and (found := plugin.detect(root)) is not None:
            return _settings(root, {"kind": kind, **found})
    return None


@dataclass(frozen=True)
class _Found:
    settings: dict[str, Any]
    notes: list[str]


def _webdataset(tree: FileTree, tars: list[str]) -> _Found | None:
    if not tars:
        return None
    source = WebDatasetSource(tree, max_bytes=_MAX_BYTES, cache=FingerprintCache())
    for shard in spread(source.shards(), MOST_TARS):
        unused: Counter[str] = Counter()
        try:
            members = source.read_members(shard, partial(_is_image_member, tree.choice, unused))
            sample = list(islice(members, _SAMPLE))
        except SourceError as error:
            _logger.warning("%s", error)
            continue
        images = [raw for raw in sample if raw.failure is None]
        if images:
            endings, note = chosen_endings(images)
            where = "in" if len(sample) < _SAMPLE else "among the first members of"
            settings = {"kind": "webdataset", **({"image_endings": endings} if endings else {})}
            beside = describe_ignored(dict(unused.most_common()))
            return _Found(settings, [*filter(None, [note, beside and f"{where} {source.path(shard)}, {beside}"])])
    return None


def _misnamed_webdataset(tree: FileTree, tars: list[str]) -> _Found | None:
    """Return tars whose members are pictures under other endings, such as `.img`."""
    if not tars:
        return None
    source = WebDatasetSource(tree, max_bytes=_MAX_BYTES, cache=FingerprintCache())
    for shard in spread(source.shards(), MOST_TARS):
        with suppress(SourceError):
            endings = misnamed_members(islice(source.read_members(shard, lambda _: True), _SAMPLE))
            if endings:
                named = ", ".join(f".{ending}" for ending in endings)
                note = f"members that end in {named} are pictures, so they are taken (dataset.image_endings)."
                return _Found({"kind": "webdataset", "image_endings": endings}, [note])
    return None


def _is_image_member(choice: FileChoice, unused: Counter[str], name: str) -> bool:
    """Whether a member of a tar is an image; the endings of others that are not used are counted in `unused`."""
    if choice.is_image_member(name):
        return True
    kind = "hidden" if has_hidden_part(name) else ending_of(name)
    if kind not in _USED_BESIDE:
        unused[kind] += 1
    return False


def _parquet(tree: FileTree, paths: list[str]) -> _Found | None:
    found = settings_of_tables(tree, paths)
    return None if found is None else _Found({"kind": "parquet", **found[0]}, found[1])


def _folder_or_videos(tree: FileTree, images: list[str], videos: list[str]) -> _Found | None:
    """Return whichever are more, images or videos, and say what is left out."""
    found = None if len(videos) > len(images) else _folder(tree, images)
    if found is not None:
        found.notes.extend(_left_out(len(videos), "video", beside="images", kind=VIDEO_KIND))
    elif videos:
        found = _videos(tree, videos)
        found.notes.extend(_left_out(len(images), "image", beside="videos", kind="folder"))
    return found


def _left_out(count: int, noun: str, *, beside: str, kind: str) -> list[str]:
    if not count:
        return []
    verb, them = ("is", "it") if count == 1 else ("are", "them")
    what = f"{counted(count, noun)} beside the {beside}"
    return [f"{what} {verb} not mined; kind: {kind} in vlmine.yaml mines {them} instead."]


def _videos(tree: FileTree, videos: list[str]) -> _Found:
    some = videos[:_SAMPLE]
    seconds = sum(length_of(tree, path) for path in some) / len(some) * len(videos)
    return _Found({"kind": VIDEO_KIND, "shard_count": shards_for(len(videos), seconds)}, [])


def _folder(tree: FileTree, images: list[str]) -> _Found | None:
    settings: dict[str, Any] = {}
    notes = []
    endings = unnamed_images(tree, images)
    if endings is not None:
        settings["image_endings"] = endings
        images = tree.paths(FileChoice(endings=endings).is_image)
        notes.append("files without an ending are images too (dataset.image_endings).")
    misnamed = misnamed_images(tree)
    if misnamed and not images:
        settings["image_endings"] = tuple(ending.lstrip(".") for ending in misnamed)
        images = tree.paths(FileChoice(endings=settings["image_endings"]).is_image)
        notes.append(
            f"files that end in {', '.join(misnamed)} are pictures, so they are taken (dataset.image_endings)."
        )
    elif misnamed:
        kinds = ", ".join(f"{count:,} {ending}" for ending, count in misnamed.items())
        notes.append(f"left out although they start like pictures: {kinds}. dataset.image_endings takes them.")
    tests = test_folders(images)
    if tests and path_splits(images, are_shards=False) is None:
        notes.append(f"images in {', '.join(tests[:3])} are mined like all others; dataset.exclude leaves them out.")
    masks = mask_patterns(tree, images)
    if masks:
        settings["exclude"] = masks
        choice = FileChoice(exclude=masks)
        images = [path for path in images if choice.takes(path)]
        notes.append(f"pictures with few colours that are named like masks are left out: {', '.join(masks)}.")
    if not images:
        return None
    bands = banded(tree, images)
    if bands:
        notes.append(
            f"TIFFs have {bands} bands, and 1 to 3 of them are shown; dataset.medium: "
            f"{{kind: bands, shown: [4, 3, 2]}} chooses others (docs/media.md)."
        )
    pages = page_count(tree, images)
    if pages > 1:
        notes.append(
            f"TIFFs have up to {pages:,} pages, and only the first is mined; write pages as files to mine all."
        )
    return _Found({**_as_folder(images), **settings}, notes)


def _as_folder(paths: Sequence[str]) -> dict[str, Any]:
    return {"kind": "folder", "shard_count": shards_for(len(paths), len(paths))}


def _source(settings: DatasetSettings) -> ImageSource:
    source: ImageSource = settings.plugins.get(settings.kind).make(Place(settings, FingerprintCache()), settings)
    return source


def _offer(settings: DatasetSettings) -> Offer | None:
    source = _source(settings)
    tree = FileTree(settings.root, choice_of(settings))
    if isinstance(source, FolderSource):
        offer = _folder_offer(tree)
    elif not isinstance(source, (WebDatasetSource, ParquetSource)):
        return None
    else:
        paths = {shard: source.path(shard) for shard in source.shards()}
        splits = path_splits(list(paths.values()), are_shards=True)
        if isinstance(source, ParquetSource):
            load = partial(parquet_labels, source)
            offer = Offer(splits, _column_offer(source), load, paths, test_row_count=test_row_count(source))
        else:
            offer = Offer(splits, _member_offer(source), partial(member_labels, source), paths)
    return None if offer.is_empty else offer


def _folder_offer(tree: FileTree) -> Offer:
    images = tree.paths(tree.choice.is_image)
    splits = path_splits(images, are_shards=False)
    labels = folder_labels(tree, images, {} if splits is None else splits.by_path)
    where = None if labels is None else f"{labels.where}, {counted(len(labels.by_path), 'image')}"
    in_tests = [] if labels is None else [path for path, split in labels.splits.items() if split == "test"]
    files = () if labels is None else labels.files
    return Offer(splits, where, lambda: labels, {}, images, in_tests, label_files=files)


def _column_offer(source: ParquetSource) -> str | None:
    column = label_column_of(source)
    return None if column is None else f"column {column!r}"


def _member_offer(source: WebDatasetSource) -> str | None:
    shard = source.shards()[0]
    return next(("members .cls" for _ in islice(source.read_members(shard, is_class_member), 1)), None)


def _labels(root: str) -> LabelSettings | None:
    from vlmine_dagster.resources.label_reading import read_file

    for folder in (root.rstrip("/") or "/", root.rstrip("/").rpartition("/")[0] or "."):
        file = f"{folder.rstrip('/')}/labels.csv"
        if not UPath(file).exists():
            continue
        try:
            found = _read_labels(read_file(file, setting="the path"), file)
        except SourceError as error:  # `labels.csv` is a common name: the file may be somebody else's
            _logger.warning("labels not used: %s", error)
            continue
        classes = f"{folder.rstrip('/')}/classes.csv"
        return found.model_copy(update={"classes": classes}) if UPath(classes).exists() else found
    return None


def _read_labels(content: bytes, file: str) -> LabelSettings:
    """Return the settings by which a label file can be read: where it has no splits, its rows are the labelled set.

    Raises:
        SourceError: it cannot be read either way; the message says why it cannot as it is.
    """
    from vlmine_dagster.resources.label_reading import read_label_rows

    try:
        rows = read_label_rows(content, LabelSettings(file=file), where=file)
    except SourceError:
        seed = LabelSettings(file=file, default_split="seed")
        with suppress(SourceError):
            read_label_rows(content, seed, where=file)
            return seed
        raise
    is_oracle = all(row.split != "seed" for row in rows) and any(row.split == "pool" and row.label for row in rows)
    return LabelSettings(file=file, oracle=is_oracle)


def _log_what_lost(kind: str, *, parquet: Sequence[str], images: Sequence[str], videos: Sequence[str]) -> None:
    """Log what tars or Parquet files have won over; of images and videos a note says it."""
    others = {
        "Parquet files": parquet if kind == "webdataset" else [],
        "loose images": images if kind in ("webdataset", "parquet") else [],
        "videos": videos if kind in ("webdataset", "parquet") else [],
    }
    for what, paths in others.items():
        if paths:
            _logger.warning(
                "the dataset is taken as %s; %d %s beside it (%s, ...) are not part of it",
                kind,
                len(paths),
                what,
                paths[0],
            )
