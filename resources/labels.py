"""Labels: which images are the seed, the test set and the pool, what their classes are, and who may see them."""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import cached_property, partial

from vlmine_dagster.domain.errors import ConfigError, SourceError
from vlmine_dagster.domain.tables import JUDGES, Split
from vlmine_dagster.resources.label_files.contract import composed
from vlmine_dagster.resources.label_reading import Label, labels_of_rows, read_classes, read_file, read_label_rows
from vlmine_dagster.resources.rounds import load_rounds, rounds_fingerprint
from vlmine_dagster.resources.sources import open_source, shard_of
from vlmine_dagster.settings import LabelSettings, settings_hash
from vlmine_dagster.settings.project import Project

_READING = {"columns", "default_split", "splits", "key_format", "encoding"}


class Labels:
    """The label file of a project.

    A row belongs to an image whose image_id is its key, else to one whose key within the shard is. Where keys repeat
    across shards, only image ids tell images apart, so the file must then hold these.

    Args:
        labels: Split and class name by key.
        class_names: All classes, those without any row too; without a classes file also those of hidden labels.
        names_by_id: Name by class_id of the classes that the classes file names; a miner may know them. None without.
        settings: Whether pool rows are an oracle's, and how the seed is drawn from them.
        content: 16 hex digits that change with the files' content, rounds included.
        fingerprint: The same, and with what settings make of it.
        returned: Class name by image_id of labels that came back.
        returned_keys: Tells the key within its shard of each of them whose shard is there.
        round_count: Rounds in which they did.
    """

    def __init__(
        self,
        labels: Mapping[str, Label],
        *,
        class_names: tuple[str, ...],
        names_by_id: Mapping[str, str] | None = None,
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
        self.names_by_id = names_by_id
        self.content = content
        self.fingerprint = fingerprint
        self.round_count = round_count

    def __len__(self) -> int:
        return len(self._labels)

    @property
    def announced(self) -> tuple[str, ...]:
        """Classes that the classes file names."""
        return () if self.names_by_id is None else tuple(self.names_by_id.values())

    @property
    def keys(self) -> Collection[str]:
        """The keys of all rows."""
        return self._labels.keys()

    def row_of(self, image_id: str, key: str) -> str | None:
        """Return the key of an image's row, None where it has none; keys are compared composed (NFC)."""
        return next((name for name in (composed(image_id), composed(key)) if name in self._labels), None)

    def visible(self, image_id: str, key: str, sequence: str | None = None) -> tuple[str | None, Split]:
        """Return what the miner may know of an image: its class name, if shown, and its split.

        Seed and test rows show their class, pool rows hide it. An image without a row is of the pool. With `oracle`,
        a pool row is drawn into the seed if hash(draw, image_id) < seed_fraction: each for itself, so that the
        order of images does not matter and a larger fraction keeps the smaller one's seed. The share drawn
        varies as independent draws do. Frames of a sequence are drawn together, by hash(draw, sequence). A label that
        came back in a round makes its image one of the seed.
        """
        shown, split = self._by_file(image_id, key, sequence)
        returned = self._returned.get(composed(image_id))
        if returned is not None and split not in JUDGES:
            return returned, Split.SEED
        return shown, split

    def is_mined(self, image_id: str, key: str, sequence: str | None = None) -> bool:
        """Return whether an image is labelled because it was mined: chosen, where the rest of the seed was drawn."""
        return composed(image_id) in self._returned and self._by_file(image_id, key, sequence)[1] is Split.POOL

    def _by_file(self, image_id: str, key: str, sequence: str | None) -> tuple[str | None, Split]:
        label = self._find(image_id, key)
        if label is None:
            return None, Split.POOL
        if label.split is not Split.POOL:
            return label.class_name, label.split
        if self._settings.oracle and label.class_name is not None and self._is_drawn(sequence or image_id):
            return label.class_name, Split.SEED
        return None, Split.POOL

    def truth(self, image_id: str, key: str) -> str | None:
        """Return the class name of any image that has one: the oracle, for judging and never for mining."""
        returned = self._returned.get(composed(image_id))
        if returned is not None:
            return returned
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

    def _find(self, image_id: str, key: str) -> Label | None:
        return self._labels.get(composed(image_id)) or self._labels.get(composed(key))

    def _is_drawn(self, name: str) -> bool:
        text = f"{self._settings.draw}\0{name}".encode("utf-8", "surrogateescape")
        number = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")
        return number < self._settings.seed_fraction * 2**64


def load_labels(project: Project) -> Labels | None:
    """Read the label file, the class names and the rounds of a project; None where the settings name no labels.

    A label that came back in a round makes its image one of the seed; a later round has the last word.

    Classes that share a name are told apart by their class_id: `crane (134)`, `crane (517)`.

    Raises:
        SourceError: a file is missing or of no format that is read, lacks a column, repeats a key, or holds an
            unknown split or class; the message names the lines.
        ConfigError: with `oracle`, no pool row has a class, or classes are counted by a seed that the file lacks; or
            keys are row numbers that several shards have.
    """
    settings = project.settings.dataset.labels
    if settings is None:
        return None
    where = "" if settings.file is None else project.resolve(settings.file)
    content = b"" if settings.file is None else read_file(where, setting="dataset.labels.file")
    classes_where = None if settings.classes is None else project.resolve(settings.classes)
    classes_content = b"" if classes_where is None else read_file(classes_where, setting="dataset.labels.classes")
    encoding = settings.encoding
    names = None if classes_where is None else read_classes(classes_content, where=classes_where, encoding=encoding)
    rows = [] if settings.file is None else read_label_rows(content, settings, where=where)
    labels = labels_of_rows(rows, names, where=where)
    _check_oracle(labels, settings, where=where)
    _check_row_numbers(labels, project, where=where)
    rounds = load_rounds(project)
    returned = {composed(name): label for back in rounds for name, label in back.labels.items()}
    digests = [hashlib.sha256(part).hexdigest() for part in (content, classes_content)]
    rounded = [rounds_fingerprint(rounds)] if rounds else []
    seeded = [settings.seed_fraction, settings.draw] if settings.oracle else []
    reading = settings.model_dump(mode="json", include=_READING, exclude_defaults=True)
    read_by = [reading] if reading else []
    return Labels(
        labels,
        class_names=_all_classes(labels, names, returned),
        names_by_id=names,
        settings=settings,
        content=settings_hash(*digests, *read_by, *rounded),
        fingerprint=settings_hash(*digests, settings.oracle, *seeded, *read_by, *rounded),
        returned=returned,
        returned_keys=partial(_keys_of, returned, project),
        round_count=len(rounds),
    )


def _check_oracle(labels: Mapping[str, Label], settings: LabelSettings, *, where: str) -> None:
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


def _check_row_numbers(labels: Mapping[str, Label], project: Project, *, where: str) -> None:
    """Refuse bare row numbers as keys where each of several Parquet files counts its own rows."""
    if not project.settings.dataset.capabilities.numbers_rows:
        return
    number = next((key for key in labels if key.isdecimal()), None)
    if number is not None and len(shards := open_source(project).shards()) > 1:
        raise ConfigError(
            f"{where}: key {number!r} is a row of each of the {len(shards)} Parquet files. Write image ids "
            f"({shards[0]}/{number}), or set dataset.key_column."
        )


def _keys_of(image_ids: Collection[str], project: Project) -> dict[str, str]:
    """Return the key within the shard by image id; images whose shard is gone are left out."""
    if project.settings.dataset.capabilities.has_flat_shards:  # and it may take long to list them
        return {image_id: image_id.partition("/")[2] for image_id in image_ids}
    found = {}
    shards = frozenset(map(composed, open_source(project).shards())) if image_ids else frozenset()
    for image_id in image_ids:
        with suppress(SourceError):
            found[image_id] = image_id[len(shard_of(image_id, shards)) + 1 :]
    return found


def _all_classes(
    labels: Mapping[str, Label], names: Mapping[str, str] | None, returned: Mapping[str, str]
) -> tuple[str, ...]:
    if names is not None:
        return tuple(names.values())
    told = {label.class_name for label in labels.values() if label.class_name is not None}
    return tuple(sorted(told.union(returned.values())))
