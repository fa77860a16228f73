"""Label files that are archives of many files: YOLO's zip, WebDataset's tar."""

import io
import json
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.resources.label_files.contract import LabelRow, rows_of_classes, text_of

_NO_CLASS = "unlabelled"
_CLASS_FILES = ("cls", "txt")


def rows_of_yolo(archive: zipfile.ZipFile, *, where: str) -> Iterator[LabelRow] | None:
    """Return the classes of each image of an archive with `data.yaml` and `labels`, None where it is another archive.

    The key of an image is the path of its picture below `images`, without the ending, which follows from that of its
    file of labels: `labels/a/1.txt` is about `a/1`, `images/a/labels/1.txt` about `a/images/1`.

    Raises:
        SourceError: a file names a class that `data.yaml` does not have, or cannot be read.
    """
    members = archive.namelist()
    data = next((name for name in members if PurePosixPath(name).name in ("data.yaml", "data.yml")), None)
    if data is None:
        return None
    import yaml

    try:
        names = yaml.safe_load(archive.read(data)).get("names") or {}
        files = {name: archive.read(name).decode() for name in members if _is_label(name)}
    except (yaml.YAMLError, AttributeError, UnicodeDecodeError, RuntimeError, zipfile.BadZipFile) as error:
        raise SourceError(f"{where} cannot be read: {error}. Export it again.") from error
    classes = names if isinstance(names, Mapping) else dict(enumerate(names))
    return _yolo_rows(files, {str(number): text_of(name) for number, name in classes.items()}, where=where)


def _is_label(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix == ".txt" and "labels" in path.parts[:-1]


def _yolo_rows(files: Mapping[str, str], classes: Mapping[str, str], *, where: str) -> Iterator[LabelRow]:
    for name, text in files.items():
        key = _picture_of(name)
        numbers = dict.fromkeys(line.split()[0] for line in text.splitlines() if line.strip())
        unknown = next((number for number in numbers if number not in classes), None)
        if unknown is not None:
            raise SourceError(f"{where}: {name} has class {unknown}, which data.yaml does not name. Export it again.")
        found = [classes[number] for number in numbers if classes[number] != _NO_CLASS]
        yield from rows_of_classes(name, key, "", found, "")


def _picture_of(name: str) -> str:
    """Return the path of the picture that a file of labels is about, below `images` and without its ending.

    Tools put `labels` for the last `images` of a picture's path; the first folder of either name is the archive's own.

    Examples:
        >>> _picture_of("mined/labels/a/1.txt"), _picture_of("images/a/images/labels/1.txt")
        ('a/1', 'a/images/images/1')
        >>> _picture_of("images/a/labels/labels.txt")
        'a/images/labels'
    """
    path = f"/{PurePosixPath(name).with_suffix('')}"
    if "/images/" in f"{path.partition('/labels/')[0]}/":
        return "/images/".join(path.rsplit("/labels/", 1)).partition("/images/")[2]
    return path.partition("/labels/")[2]


def rows_of_tar(content: bytes, *, where: str) -> Iterator[LabelRow]:
    """Yield the label of each sample of a WebDataset: `label` of its JSON, else its `.cls` or `.txt`.

    The image is `object_id` or `image_id` of the JSON, else the sample's key.

    Raises:
        SourceError: the archive or a JSON in it cannot be read.
    """
    samples: dict[str, dict[str, bytes]] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for member in archive:
                key, _, kind = _sample_name(member.name)
                if member.isfile() and kind in ("json", *_CLASS_FILES) and (file := archive.extractfile(member)):
                    samples.setdefault(key, {})[kind] = file.read()
        for key, parts in samples.items():
            record: Any = json.loads(parts.get("json", b"{}"))
            name = text_of(record.get("object_id") or record.get("image_id") or key)
            label = text_of(record.get("label")) or next(
                (parts[kind].decode().strip() for kind in _CLASS_FILES if kind in parts), ""
            )
            yield LabelRow(f"sample {key}", name, "", label)
    except (tarfile.TarError, ValueError, AttributeError) as error:
        raise SourceError(f"{where} cannot be read: {error}. Make the archive again.") from error


def _sample_name(name: str) -> tuple[str, str, str]:
    """Return a member's key and ending: what goes before and after the first dot of its file name."""
    folder, slash, file = name.rpartition("/")
    key, dot, kind = file.partition(".")
    return folder + slash + key, dot, kind.lower()
