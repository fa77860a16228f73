"""Rounds of labels: what people said about mined images comes back, a file a round."""

import csv
import difflib
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock

from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.domain.files import write_whole
from vlmine_dagster.settings.project import Project

_ID_COLUMNS = ("image_id", "key")
_CLASS_COLUMNS = ("label", "class", "class_name", "class_id")
_COLUMNS = ("image_id", "class_name")


@dataclass(frozen=True)
class Round:
    """Labels that came back at once.

    Attributes:
        number: 1 for the first.
        labels: Class name by image id.
    """

    number: int
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Annotations:
    """What a file of labels holds.

    Attributes:
        labels: Class name by image id.
        blank_count: Rows or tasks that lack a label or an image id.
    """

    labels: Mapping[str, str]
    blank_count: int = 0


def load_rounds(project: Project) -> list[Round]:
    """Return all rounds, the first one first."""
    rounds = []
    for file in sorted(project.state_folder("labels").glob("round-*.csv")):
        with file.open(encoding="utf-8", newline="") as stream:
            rows = csv.DictReader(stream)
            labels = {row["image_id"]: row["class_name"] for row in rows}
        rounds.append(Round(int(file.stem.partition("-")[2]), labels))
    return rounds


def rounds_fingerprint(rounds: list[Round]) -> str:
    """Return a hash of all labels in all rounds."""
    return hashlib.sha256(json.dumps([dict(r.labels) for r in rounds], sort_keys=True).encode()).hexdigest()[:16]


def write_round(project: Project, labels: Mapping[str, str]) -> Round:
    """Write labels down as the next round; the file appears whole or not at all, and never in another's place.

    Raises:
        SourceError: the rounds say all of it already.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(sorted(labels.items()))
    with FileLock(project.state_folder("locks") / "labels.lock"):
        rounds = load_rounds(project)
        if labels.items() <= {name: label for earlier in rounds for name, label in earlier.labels.items()}.items():
            raise SourceError(
                f"all {len(labels):,} labels came back before, in rounds 1 to {rounds[-1].number}. No round was made."
            )
        number = 1 + max((earlier.number for earlier in rounds), default=0)
        file = project.state_folder("labels") / f"round-{number:04d}.csv"
        write_whole(file, text.getvalue())
    return Round(number, dict(labels))


def read_annotations(file: Path) -> Annotations:
    """Read a file of labels: CSV, Parquet, or an export of Label Studio (JSON).

    A CSV or Parquet file has a column `image_id` and a column `label` (also: class, class_name, class_id). A task of
    Label Studio has `image_id` in its data and one choice; cancelled annotations and tasks without one are left out.

    Raises:
        SourceError: the file cannot be read, lacks a column, or labels an image in two ways.
    """
    readers = {".csv": _read_csv, ".parquet": _read_parquet, ".json": _read_label_studio}
    reader = readers.get(file.suffix.lower())
    if reader is None:
        raise SourceError(f"{file}: expected a .csv, .parquet or .json file of labels.")
    found: dict[str, str] = {}
    blank_count = 0
    try:
        for name, label in reader(file):
            if not (name and label):
                blank_count += 1
            elif found.setdefault(name, label) != label:
                raise SourceError(f"{file}: {name!r} is labelled {found[name]!r} and {label!r}. Keep one of the two.")
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowInvalid, json.JSONDecodeError) as error:
        raise SourceError(f"{file} cannot be read: {error}") from error
    if not found:
        raise SourceError(f"{file}: no labels in it.")
    return Annotations(found, blank_count)


def check_annotations(
    labels: Mapping[str, str], *, known_ids: set[str], test_ids: set[str], class_names: tuple[str, ...]
) -> None:
    """Refuse labels that cannot be meant.

    Raises:
        SourceError: an image is not of the pool or is a test image, or a class is unknown; the message names some.
    """
    strange = sorted(set(labels) - known_ids)
    if strange:
        raise SourceError(
            f"{len(strange)} of {len(labels)} images are not of this pool, such as {strange[0]!r}. An image_id is "
            f"shard/key, as `vlmine top --json` prints it."
        )
    tests = sorted(set(labels) & test_ids)
    if tests:
        raise SourceError(
            f"{len(tests)} images are of the test or val split, such as {tests[0]!r}. They judge; leave them out."
        )
    unknown = sorted(set(labels.values()) - set(class_names)) if class_names else []
    if unknown:
        near = difflib.get_close_matches(unknown[0], class_names, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise SourceError(f"class {unknown[0]!r} is not among the project's {len(class_names)} classes.{hint}")


def _read_csv(file: Path) -> Iterator[tuple[str, str]]:
    with file.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.DictReader(stream)
        columns = _places(rows.fieldnames or [], file)
        for row in rows:
            yield from _pair(row, columns)


def _read_parquet(file: Path) -> Iterator[tuple[str, str]]:
    columns = _places(pq.read_schema(file).names, file)
    for row in pq.read_table(file, columns=list(columns)).to_pylist():
        yield from _pair(row, columns)


def _places(names: Any, file: Path) -> tuple[str, str]:
    ids = [name for name in _ID_COLUMNS if name in names]
    classes = [name for name in _CLASS_COLUMNS if name in names]
    if not ids or not classes:
        raise SourceError(f"{file}: expected the columns image_id and label; it has {', '.join(names) or 'none'}.")
    return ids[0], classes[0]


def _pair(row: Mapping[str, Any], columns: tuple[str, str]) -> Iterator[tuple[str, str]]:
    name, label = (str(row[column] if row[column] is not None else "").strip() for column in columns)
    if name or label:
        yield name, label


def _read_label_studio(file: Path) -> Iterator[tuple[str, str]]:
    tasks = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(tasks, list):
        raise SourceError(f"{file}: expected a list of tasks, as Label Studio exports them by `JSON`.")
    for place, task in enumerate(tasks):
        choices = list(_choices(task)) if isinstance(task, dict) else []
        if not choices:
            yield "", ""
            continue
        name = (task.get("data") or {}).get("image_id")
        if not name:
            raise SourceError(
                f"{file}: task {place} has no image_id in its data. Import tasks with image_id beside image."
            )
        yield from ((str(name), choice) for choice in choices)


def _choices(task: Mapping[str, Any]) -> Iterator[str]:
    for annotation in task.get("annotations") or []:
        if annotation.get("was_cancelled"):
            continue
        for result in annotation.get("result") or []:
            yield from (str(choice).strip() for choice in (result.get("value") or {}).get("choices") or [])
