"""Labels: which images are the seed, the test set and the pool, what their classes are, and who may see them."""

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial

from upath import UPath

from vlmine_dagster.domain.errors import ConfigError, SourceError
from vlmine_dagster.domain.tables import JUDGES, Split
from vlmine_dagster.resources.rounds import load_rounds, rounds_fingerprint
from vlmine_dagster.resources.sources import open_source, shard_of
from vlmine_dagster.settings import LabelSettings, settings_hash
from vlmine_dagster.settings.project import Project

LABEL_COLUMNS = ("key", "split", "class_id")
CLASS_COLUMNS = ("class_id", "name")

_SPLITS = {split.value: split for split in Split}
_SHOWN = 5  # problems listed in a message


@dataclass(frozen=True)
class _Label:
    split: Split
    class_name: str | None


class Labels:
    """The label file of a project.

    A row belongs to an image whose image_id is its key, else to one whose key within the shard is. Where keys repeat
    across shards, only image ids tell images apart, so the file must then hold these.

    Args:
        labels: Split and class name by key.
        class_names: All classes, those without any row too; without a classes file also those of hidden labels.
        announced: Classes that the classes file names; a miner may know them.
        settings: Whether pool rows are an oracle's, and how the seed is drawn from them.
        content: 16 hex digits that change with the files' content, rounds included.
        fingerprint: The same, and with what settings make of it.
        returned: Class name by image_id of labels that came back.
        returned_keys: Tells the key within its shard of each of them whose shard is there.
        round_count: Rounds in which they did.
    """

    def __init__(
        self,
        labels: Mapping[str, _Label],
        *,
        class_names: tuple[str, ...],
        announced: tuple[str, ...] = (),
        settings: LabelSettings,
        content: str,
        fingerprint: str,
        returned: Mapping[str, str],
        returned_keys: Callable[[], Mapping[str, str]],
        round_count: int = 0,
    ):
        self._labels = labels
        self._returned = returned
        self._returned_keys = returned_keys
        self._settings = settings
        self.class_names = class_names
        self.announced = announced
        self.content = content
        self.fingerprint = fingerprint
        self.round_count = round_count

    def __len__(self) -> int:
        return len(self._labels)

    @property
    def keys(self) -> Collection[str]:
        """The keys of all rows."""
        return self._labels.keys()

    def row_of(self, image_id: str, key: str) -> str | None:
        """Return the key of an image's row, None where it has none."""
        return next((name for name in (image_id, key) if name in self._labels), None)

    def visible(self, image_id: str, key: str) -> tuple[str | None, Split]:
        """Return what the miner may know of an image: its class name, if shown, and its split.

        Seed and test rows show their class, pool rows hide it. An image without a row is of the pool. With `oracle`,
        a pool row is drawn into the seed if hash(draw, image_id) < seed_fraction: each for itself, so that the
        order of images does not matter and a larger fraction keeps the smaller one's seed. The share drawn
        varies as independent draws do. A label that came back in a round makes its image one of the seed.
        """
        shown, split = self._by_file(image_id, key)
        if image_id in self._returned and split not in JUDGES:
            return self._returned[image_id], Split.SEED
        return shown, split

    def is_mined(self, image_id: str, key: str) -> bool:
        """Return whether an image is labelled because it was mined: chosen, where the rest of the seed was drawn."""
        return image_id in self._returned and self._by_file(image_id, key)[1] is Split.POOL

    def _by_file(self, image_id: str, key: str) -> tuple[str | None, Split]:
        label = self._find(image_id, key)
        if label is None:
            return None, Split.POOL
        if label.split is not Split.POOL:
            return label.class_name, label.split
        if self._settings.oracle and label.class_name is not None and self._is_drawn(image_id):
            return label.class_name, Split.SEED
        return None, Split.POOL

    def truth(self, image_id: str, key: str) -> str | None:
        """Return the class name of any image that has one: the oracle, for judging and never for mining."""
        if image_id in self._returned:
            return self._returned[image_id]
        label = self._find(image_id, key)
        return None if label is None else label.class_name

    def class_counts(self) -> dict[str, int]:
        """Return how many images of pool and seed (of the seed alone with `shots_by: seed`) each class has by the file.

        Classes that are only named or tested have 0. Many-, medium- and few-shot follow from these counts only
        where the file knows the pool's classes.
        """
        return dict(self._class_counts)

    def pool_counts(self) -> dict[str, int]:
        """Return how many images of the pool each class has by the file, those that a seed is drawn from too."""
        return self._counts(Split.POOL)

    @cached_property
    def _class_counts(self) -> dict[str, int]:
        return self._counts(Split.SEED) if self._settings.shots_by == "seed" else self._counts(Split.SEED, Split.POOL)

    def _counts(self, *splits: Split) -> dict[str, int]:
        counted = Counter(label.class_name for label in self._labels.values() if label.split in splits)
        for image_id, key in self._returned_keys().items() if Split.SEED in splits else ():
            label = self._find(image_id, key)
            if label is not None and label.split in splits:  # counted already, perhaps as another class
                counted.subtract([label.class_name])
            if label is None or label.split in (Split.SEED, Split.POOL):
                counted[self._returned[image_id]] += 1
        return {name: counted[name] for name in self.class_names}

    def _find(self, image_id: str, key: str) -> _Label | None:
        return self._labels.get(image_id) or self._labels.get(key)

    def _is_drawn(self, image_id: str) -> bool:
        text = f"{self._settings.draw}\0{image_id}".encode("utf-8", "surrogateescape")
        number = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")
        return number < self._settings.seed_fraction * 2**64


def load_labels(project: Project) -> Labels | None:
    """Read the label file, the class names and the rounds of a project; None where the settings name no labels.

    A label that came back in a round makes its image one of the seed; a later round has the last word.

    Classes that share a name are told apart by their class_id: `crane (134)`, `crane (517)`.

    Raises:
        SourceError: a file is missing, is no UTF-8 CSV, lacks a column, repeats a key, or holds an unknown split
            or class; the message names the lines.
        ConfigError: with `oracle`, no pool row has a class, or classes are counted by a seed that the file lacks; or
            keys are row numbers that several shards have.
    """
    settings = project.settings.dataset.labels
    if settings is None:
        return None
    where = project.resolve(settings.file)
    content = read_file(where, setting="dataset.labels.file")
    classes_where = None if settings.classes is None else project.resolve(settings.classes)
    classes_content = b"" if classes_where is None else read_file(classes_where, setting="dataset.labels.classes")
    names = None if classes_where is None else _read_classes(classes_content, where=classes_where)
    labels = _read_labels(content, names, where=where)
    _check_oracle(labels, settings, where=where)
    _check_row_numbers(labels, project, where=where)
    rounds = load_rounds(project)
    returned = {name: label for back in rounds for name, label in back.labels.items()}
    digests = [hashlib.sha256(part).hexdigest() for part in (content, classes_content)]
    rounded = [rounds_fingerprint(rounds)] if rounds else []
    seeded = [settings.seed_fraction, settings.draw] if settings.oracle else []
    return Labels(
        labels,
        class_names=_all_classes(labels, names, returned),
        announced=() if names is None else tuple(names.values()),
        settings=settings,
        content=settings_hash(*digests, *rounded),
        fingerprint=settings_hash(*digests, settings.oracle, *seeded, *rounded),
        returned=returned,
        returned_keys=partial(_keys_of, returned, project),
        round_count=len(rounds),
    )


def read_rows(content: bytes, columns: tuple[str, ...], *, where: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield the line number and the stripped values of the wanted columns for each row of a CSV file.

    Raises:
        SourceError: it is no UTF-8, no CSV, lacks a column, or a row is too short.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SourceError(f"{where}, line {line}: no UTF-8 text. Save the file as CSV in UTF-8.") from error
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        places = _places(next(reader, []), columns, where=where)
        needed = max(places) + 1
        for row in reader:
            if not row:
                continue
            if len(row) < needed:
                raise SourceError(f"{where}, line {reader.line_num}: {len(row)} values, expected at least {needed}.")
            yield reader.line_num, tuple([row[place].strip() for place in places])
    except csv.Error as error:
        raise SourceError(f"{where}, line {reader.line_num}: no CSV: {error}. Mend the line.") from error


def _places(header: list[str], columns: tuple[str, ...], *, where: str) -> list[int]:
    names = [name.strip() for name in header]
    missing = [name for name in columns if name not in names]
    if missing:
        hint = " It looks separated by ';': save it with commas." if any(";" in name for name in names) else ""
        raise SourceError(
            f"{where}: no column {' and '.join(missing)}. Its first line holds {', '.join(names) or 'nothing'}; "
            f"expected {', '.join(columns)}.{hint}"
        )
    return [names.index(name) for name in columns]


def read_file(where: str, *, setting: str) -> bytes:
    """Return the content of a label file.

    Args:
        where: Absolute path or URL.
        setting: What a message tells the user to correct.

    Raises:
        SourceError: it is missing or cannot be read.
    """
    try:
        return UPath(where).read_bytes()
    except FileNotFoundError as error:
        raise SourceError(f"no file {where}. Correct {setting} in vlmine.yaml.") from error
    except Exception as error:  # each store has its own exceptions
        raise SourceError(
            f"{where} cannot be read: {error}. Check {setting} in vlmine.yaml and your rights."
        ) from error


def _read_classes(content: bytes, *, where: str) -> dict[str, str]:
    names: dict[str, str] = {}
    for line, (class_id, name) in read_rows(content, CLASS_COLUMNS, where=where):
        if not class_id or not name:
            raise SourceError(f"{where}, line {line}: class_id or name is empty. Fill it in.")
        if class_id in names:
            raise SourceError(f"{where}, line {line}: class_id {class_id!r} is there already. Remove one of the two.")
        names[class_id] = name
    uses = Counter(names.values())
    return {class_id: name if uses[name] == 1 else f"{name} ({class_id})" for class_id, name in names.items()}


def _read_labels(content: bytes, names: Mapping[str, str] | None, *, where: str) -> dict[str, _Label]:
    found: dict[str, _Label] = {}
    shared: dict[tuple[str, str], _Label] = {}  # a million rows have a few hundred different labels
    problems: list[str] = []
    for line, (key, split, class_id) in read_rows(content, LABEL_COLUMNS, where=where):
        label = shared.get((split, class_id))
        if label is None:
            problem = _label_problem(split, class_id, names)
            if problem:
                problems.append(f"line {line}: {problem}")
                continue
            class_name = (names[class_id] if names is not None else class_id) if class_id else None
            label = shared.setdefault((split, class_id), _Label(_SPLITS[split], class_name))
        if key in found or not key:
            is_shown = len(problems) < _SHOWN
            problems.append(_key_problem(content, key, line, where=where) if is_shown else "")
            continue
        found[key] = label
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise SourceError(f"{where}: {'; '.join(problems[:_SHOWN])}{more}. Mend these lines.")
    return found


def _label_problem(split: str, class_id: str, names: Mapping[str, str] | None) -> str | None:
    if split not in _SPLITS:
        hint = " (training rows are the seed)" if split.lower().startswith("train") else ""
        return f"unknown split {split!r}, expected {', '.join(_SPLITS)}{hint}"
    if not class_id and split != Split.POOL:
        return f"a {split} row without a class_id"
    if class_id and names is not None and class_id not in names:
        return f"class_id {class_id!r} is not in the classes file"
    return None


def _key_problem(content: bytes, key: str, line: int, *, where: str) -> str:
    if not key:
        return f"line {line}: an empty key"
    first = next(at for at, row in read_rows(content, LABEL_COLUMNS, where=where) if row[0] == key)
    return f"line {line}: key {key!r} is there already, in line {first}"


def _check_oracle(labels: Mapping[str, _Label], settings: LabelSettings, *, where: str) -> None:
    if settings.oracle and not any(label.split is Split.POOL and label.class_name for label in labels.values()):
        raise ConfigError(
            f"dataset.labels.oracle is true, but no pool row of {where} has a class_id. "
            f"Set oracle to false, or label the pool."
        )
    has_seed = any(label.split is Split.SEED for label in labels.values())
    if settings.oracle and settings.shots_by == "seed" and not has_seed:
        raise ConfigError(
            f"dataset.labels.shots_by is seed, but {where} has no seed row: with oracle the seed is drawn by image, "
            f"which the file does not count. Set shots_by to pool."
        )


def _check_row_numbers(labels: Mapping[str, _Label], project: Project, *, where: str) -> None:
    """Refuse bare row numbers as keys where each of several Parquet files counts its own rows."""
    dataset = project.settings.dataset
    if dataset.kind != "parquet" or dataset.key_column is not None:
        return
    number = next((key for key in labels if key.isdecimal()), None)
    if number is not None and len(shards := open_source(project).shards()) > 1:
        raise ConfigError(
            f"{where}: key {number!r} is a row of each of the {len(shards)} Parquet files. Write image ids "
            f"({shards[0]}/{number}), or set dataset.key_column."
        )


def _keys_of(image_ids: Collection[str], project: Project) -> dict[str, str]:
    """Return the key within the shard by image id; images whose shard is gone are left out."""
    if project.settings.dataset.kind == "folder":  # no slash in its shards' names, and its tree may be long to list
        return {image_id: image_id.partition("/")[2] for image_id in image_ids}
    found = {}
    shards = frozenset(open_source(project).shards()) if image_ids else frozenset()
    for image_id in image_ids:
        with suppress(SourceError):
            found[image_id] = image_id[len(shard_of(image_id, shards)) + 1 :]
    return found


def _all_classes(
    labels: Mapping[str, _Label], names: Mapping[str, str] | None, returned: Mapping[str, str]
) -> tuple[str, ...]:
    if names is not None:
        return tuple(names.values())
    told = {label.class_name for label in labels.values() if label.class_name is not None}
    return tuple(sorted(told.union(returned.values())))
