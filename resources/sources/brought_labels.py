"""Labels that a data set brings along: folders of classes, a label column, `metadata.csv`, `.cls` members, COCO."""

import csv
import io
import json
import logging
import posixpath
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.resources.sources.columns import is_key_type, is_text
from vlmine_dagster.resources.sources.contract import clean_key, image_id
from vlmine_dagster.resources.sources.parquet import ParquetSource
from vlmine_dagster.resources.sources.splits import known_split
from vlmine_dagster.resources.sources.tree import FileTree
from vlmine_dagster.resources.sources.webdataset import WebDatasetSource

_logger = logging.getLogger(__name__)

LABEL_COLUMNS = ("label", "labels", "class", "class_name", "class_id", "category", "target", "fine_label", "species")
_FILE_COLUMNS = ("file_name", "filename", "file", "image", "path", "image_id", "id")
_SPLIT_COLUMN = "split"
_METADATA = ("metadata.csv", "metadata.jsonl")
_MOST_CLASSES_SHARE = 0.5  # folders that hold one image each are not classes
_NO_LABEL = frozenset(("", "-1", "nan", "none", "null", "n/a", "na"))
_COCO_LIMIT = 1 << 30


@dataclass(frozen=True)
class BroughtLabels:
    """Labels of a data set.

    Attributes:
        where: What holds them, for people.
        by_path: Class by relative path of an image or, where files are shards, by image id.
        splits: Split by the same, where the labels tell it.
        names: Name by class id, where there are names beside ids.
        files: Files that hold nothing but them.
    """

    where: str
    by_path: Mapping[str, str]
    splits: Mapping[str, str]
    names: Mapping[str, str]
    files: Sequence[str] = ()


def folder_labels(tree: FileTree, images: Sequence[str], by_split: Mapping[str, str]) -> BroughtLabels | None:
    """Return the labels beside or in the paths of a folder of images: metadata files, COCO, folders of classes."""
    return _metadata_labels(tree, images) or _coco_labels(tree, images) or _class_folders(images, by_split)


def parquet_labels(source: ParquetSource) -> BroughtLabels | None:
    """Return the labels in a column of Parquet files, by image id; gaps and -1 are not labels."""
    column: str | None = None
    found: dict[str, str] = {}
    splits: dict[str, str] = {}
    names: dict[str, str] = {}
    for shard, file in _readable(source):
        here = label_column(file.schema_arrow)
        if here is None:
            continue
        column = here
        names |= _feature_names(file.schema_arrow, column)
        values = file.read(columns=[column]).column(0).to_pylist()
        words = _split_words(file)
        ids = [image_id(shard, key) for key in source.row_keys(shard)]
        found |= {name: str(value) for name, value in zip(ids, values, strict=True) if _is(value)}
        splits |= {name: split for name, word in zip(ids, words, strict=bool(words)) if (split := known_split(word))}
    return BroughtLabels(f"column {column!r}", found, splits, names) if found else None


def label_column_of(source: ParquetSource) -> str | None:
    """Return the column with labels of the first file that can be read; None where there is none."""
    return next((label_column(file.schema_arrow) for _, file in _readable(source)), None)


def _readable(source: ParquetSource) -> Iterator[tuple[str, pq.ParquetFile]]:
    """Yield shards and their files, those left out that are not Parquet."""
    for shard in source.shards():
        with suppress(SourceError), source.open(shard) as file:
            yield shard, file


def test_row_count(source: ParquetSource) -> int:
    """Return how many rows a column `split` assigns to the test split: no pattern of paths leaves them out."""
    count = 0
    for shard in source.shards():
        try:
            with source.open(shard) as file:
                count += sum(known_split(word) == "test" for word in _split_words(file))
        except SourceError as error:  # the run says it again, where one shard fails and not all
            _logger.warning("%s", error)
    return count


def _split_words(file: pq.ParquetFile) -> list[str]:
    schema = file.schema_arrow
    if _SPLIT_COLUMN not in schema.names or not is_text(schema.field(_SPLIT_COLUMN).type):
        return []
    return [str(word or "") for word in file.read(columns=[_SPLIT_COLUMN]).column(0).to_pylist()]


def member_labels(source: WebDatasetSource) -> BroughtLabels | None:
    """Return the labels in `.cls` members of tars, by image id."""
    found = {
        image_id(shard, member.key): member.data.decode("utf-8", "replace").strip()
        for shard in source.shards()
        for member in source.read_members(shard, is_class_member)
        if member.failure is None
    }
    found = {name: label for name, label in found.items() if _is(label)}
    return BroughtLabels("members .cls", found, {}, {}) if found else None


def is_class_member(name: str) -> bool:
    """Whether a member of a tar holds the class of its sample."""
    return posixpath.basename(name).partition(".")[2].lower() == "cls"


def label_column(schema: pa.Schema) -> str | None:
    """Return the column of a Parquet file that holds labels, None where there is none."""
    fitting = (name for name in LABEL_COLUMNS if name in schema.names)
    return next((name for name in fitting if is_key_type(schema.field(name).type)), None)


def _is(value: Any) -> bool:
    return str(value).strip().lower() not in _NO_LABEL


def _metadata_labels(tree: FileTree, images: Sequence[str]) -> BroughtLabels | None:
    known = {clean_key(path): path for path in images}
    labels: dict[str, str] = {}
    splits: dict[str, str] = {}
    files = tree.paths(lambda path: posixpath.basename(path).lower() in _METADATA)
    for file in files:
        for row in _metadata_rows(tree, file):
            place = next((row[name] for name in _FILE_COLUMNS if row.get(name)), "")
            path = known.get(clean_key(posixpath.join(posixpath.dirname(file), str(place))))
            label = next((row[name] for name in LABEL_COLUMNS if name in row), None)
            if path is None:
                continue
            if label is not None and _is(label):
                labels[path] = str(label).strip()
            split = known_split(str(row.get("split") or ""))
            if split is not None:
                splits[path] = split
    return BroughtLabels(files[0], labels, splits, {}, files) if labels or splits else None


def _metadata_rows(tree: FileTree, path: str) -> Iterator[dict[str, Any]]:
    try:
        with tree.open(path) as raw:
            text = raw.read().decode("utf-8-sig", "replace")
    except SourceError as error:  # the images are there without it
        _logger.warning("%s", error)
        return
    if path.lower().endswith(".csv"):
        yield from csv.DictReader(io.StringIO(text, newline=""))
        return
    for line in text.splitlines():
        try:
            row = json.loads(line) if line.strip() else None
        except ValueError:
            continue
        if isinstance(row, dict):
            yield row


def _coco_labels(tree: FileTree, images: Sequence[str]) -> BroughtLabels | None:
    """Return the class of each image whose annotations are of one category; of several boxes no class follows."""
    by_name: dict[str, list[str]] = {}
    for path in images:
        by_name.setdefault(posixpath.basename(path), []).append(path)
    for file in tree.paths(lambda path: path.lower().endswith(".json")):
        content = _coco_content(tree, file)
        if content is None:
            continue
        names = {str(one["id"]): str(one["name"]) for one in content["categories"]}
        category: dict[Any, set[str]] = {}
        for one in content["annotations"]:
            category.setdefault(one["image_id"], set()).add(str(one["category_id"]))
        found = {}
        for one in content["images"]:
            places = by_name.get(posixpath.basename(str(one.get("file_name"))), [])
            classes = category.get(one["id"], set())
            if len(places) == 1 and len(classes) == 1:
                found[places[0]] = names.get(next(iter(classes)), next(iter(classes)))
        if found:
            return BroughtLabels(f"{file} (COCO)", found, {}, {}, [file])
    return None


def _coco_content(tree: FileTree, path: str) -> dict[str, Any] | None:
    if tree.entry(path).n_bytes > _COCO_LIMIT:
        return None
    try:
        with tree.open(path) as raw:
            content = json.loads(raw.read())
        complete = all(isinstance(content[part], list) for part in ("images", "annotations", "categories"))
    except (ValueError, KeyError, TypeError, SourceError):
        return None
    return content if complete else None


def _class_folders(images: Sequence[str], by_split: Mapping[str, str]) -> BroughtLabels | None:
    """Return the folder that holds an image as its class, as ImageFolder has it."""
    depths = {path.count("/") for path in images}
    has_split = bool(by_split)
    if len(depths) != 1 or depths != ({2} if has_split else {1}):
        return None
    found = {path: path.split("/")[-2] for path in images if by_split.get(path) != "unlabeled"}
    classes = Counter(found.values())
    if len(classes) < 2 or len(classes) > _MOST_CLASSES_SHARE * len(found):
        return None
    if all(known_split(name) for name in classes):
        return None
    return BroughtLabels("folders of classes", found, {}, {})


def _feature_names(schema: pa.Schema, column: str) -> dict[str, str]:
    """Return the class names that the Hugging Face hub keeps in a file's metadata."""
    if is_text(schema.field(column).type):
        return {}
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {str(number): str(name) for number, name in enumerate(features[column]["names"])}
    except (KeyError, TypeError, ValueError):
        return {}
