"""Labels: which images are the seed, the test set and the pool, what their classes are, and who may see them."""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import cached_property, partial
from typing import TYPE_CHECKING

from vlmine_dagster.domain.errors import ConfigError, SourceError
from vlmine_dagster.domain.items import IMAGE, OBJECT, ItemKind
from vlmine_dagster.domain.tables import JUDGES, Split
from vlmine_dagster.resources.label_files.contract import composed
from vlmine_dagster.resources.label_reading import Label, labels_of_rows, read_classes, read_file, read_label_rows
from vlmine_dagster.resources.rounds import load_rounds, rounds_fingerprint
from vlmine_dagster.resources.sources import open_source, shard_of
from vlmine_dagster.settings import LabelSettings, settings_hash
from vlmine_dagster.settings.project import Project

if TYPE_CHECKING:
    from vlmine_dagster.resources.boxes.store import BoxStore
    from vlmine_dagster.resources.drives.own_boxes import OwnBoxes
    from vlmine_dagster.resources.lake import Lake

_CLASS_COLUMNS = ("object_id", "class_name", "outcome")


class Labels:
    """The label file of a project.

    A row belongs to an image whose image_id is its key, else to one whose key within the shard is. Where keys repeat
    across shards, only image ids tell images apart, so the file must then hold these.

    Args:
        labels: Split and class name by key.
        kind: What is labelled. Objects that are part of one image are drawn together.
        box_classes: Returns the class name by object id that box files give, where these are labels.
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
        kind: ItemKind = IMAGE,
        box_classes: Callable[[], Mapping[str, str]] = dict,
        names_by_id: Mapping[str, str] | None = None,
        settings: LabelSettings,
        content: str,
        fingerprint: str,
        returned: Mapping[str, str],
        returned_keys: Callable[[], Mapping[str, str]],
        round_count: int = 0,
    ):
        self._labels = labels
        self._kind = kind
        self._box_classes = box_classes
        self._returned = returned
        self._returned_keys = returned_keys
        self._settings = settings
        self.names_by_id = names_by_id
        self.content = content
        self.fingerprint = fingerprint
        self.round_count = round_count

    def __len__(self) -> int:
        return len(self._labels)

    @property
    def key_format(self) -> str:
        """How keys were made of the names in the file."""
        return self._settings.key_format

    @property
    def known_count(self) -> int:
        """Rows of the file; without any, the labels that came back and the objects whose class box files say."""
        return len(self) or sum(self.class_counts().values())

    @property
    def class_names(self) -> tuple[str, ...]:
        """All classes, those without any row too; without a classes file also those of hidden labels."""
        if self.names_by_id is not None:
            return tuple(self.names_by_id.values())
        named = {label.class_name for label in self._labels.values() if label.class_name is not None}
        return tuple(sorted(named.union(self._returned.values(), self._box_classes().values())))

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

    def visible(
        self, image_id: str, key: str, sequence: str | None = None, *, box_class: str | None = None
    ) -> tuple[str | None, Split]:
        """Return what the miner may know of an image: its class name, if shown, and its split.

        Seed and test rows show their class, pool rows hide it. An image without a row is of the pool. With `oracle`,
        a pool row is drawn into the seed if hash(draw, image_id) < seed_fraction: each for itself, so that the
        order of images does not matter and a larger fraction keeps the smaller one's seed. The share drawn
        varies as independent draws do. Frames of a sequence are drawn together, by hash(draw, sequence), and objects
        with their image. A label that came back in a round makes its image one of the seed.

        Args:
            image_id: The item's id.
            key: Its key within the shard.
            sequence: The sequence that it is of, if any.
            box_class: The class that a box file gives the object, "" for none; None looks it up.
        """
        shown, split = self._shown(self._find(image_id, key, box_class), image_id, sequence)
        returned = self._returned.get(composed(image_id))
        if returned is not None and split not in JUDGES:
            return returned, Split.SEED
        return shown, split

    def is_mined(self, image_id: str, key: str, sequence: str | None = None) -> bool:
        """Return whether an image is labelled because it was mined: chosen, where the rest of the seed was drawn."""
        if composed(image_id) not in self._returned:
            return False
        return self._shown(self._find(image_id, key), image_id, sequence)[1] is Split.POOL

    def _shown(self, label: Label | None, image_id: str, sequence: str | None) -> tuple[str | None, Split]:
        if label is None:
            return None, Split.POOL
        if label.split is not Split.POOL:
            return label.class_name, label.split
        if (
            self._settings.oracle
            and label.class_name is not None
            and self._is_drawn(sequence or self._kind.part_of(image_id))
        ):
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
        named = (label for label in self._labels.values() if self._kind is IMAGE or label.class_name is not None)
        counted = Counter(label.class_name for label in named if label.split in splits)
        counted.update(name for item, name in self._box_classes().items() if self._split_of(item) in splits)
        for image_id, key in self._returned_keys().items() if Split.SEED in splits else ():
            label = self._find(image_id, key)
            if label is not None and label.split in splits:  # counted already, perhaps as another class
                counted.subtract([label.class_name])
            if label is None or label.split in (Split.SEED, Split.POOL):
                counted[self._returned[image_id]] += 1
        return {name: counted[name] for name in self.class_names}

    def _find(self, image_id: str, key: str, box_class: str | None = None) -> Label | None:
        label = self._labels.get(composed(image_id)) or self._labels.get(composed(key))
        is_object = self._kind.part_of(image_id) != image_id
        if label is not None or not is_object or not self._settings.boxes:
            return label
        name = self._box_classes().get(image_id) if box_class is None else box_class
        return Label(self._split_of(image_id), name) if name else None

    def _split_of(self, image_id: str) -> Split:
        """Return the split of the image that an object is part of, by the file."""
        image = composed(self._kind.part_of(image_id))
        ends = (image[place + 1 :] for place in [-1, *(at for at, char in enumerate(image) if char == "/")])
        label = next((self._labels[name] for name in ends if name in self._labels), None)
        return Split.POOL if label is None else label.split

    def _is_drawn(self, name: str) -> bool:
        text = f"{self._settings.draw}\0{name}".encode("utf-8", "surrogateescape")
        number = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")
        return number < self._settings.seed_fraction * 2**64


def load_labels(
    project: Project, lake: "Lake | None" = None, boxes: "BoxStore | OwnBoxes | None" = None
) -> Labels | None:
    """Read the label file, the class names and the rounds of a project; None where the settings name no labels.

    A label that came back in a round makes its image one of the seed; a later round has the last word.

    Classes that share a name are distinguished by their class_id: `crane (134)`, `crane (517)`.

    Args:
        project: The project.
        lake: Holds the objects, where the classes in box files are labels.
        boxes: These files.

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
    labels = labels_of_rows(rows, names, where=where, are_classes_elsewhere=settings.boxes)
    _check_oracle(labels, settings, where=where)
    _check_row_numbers(labels, project, where=where)
    rounds = load_rounds(project)
    returned = {composed(name): label for back in rounds for name, label in back.labels.items()}
    digests = [hashlib.sha256(part).hexdigest() for part in (content, classes_content)]
    digests += [boxes.fingerprint] if settings.boxes and boxes is not None else []
    rounded = [rounds_fingerprint(rounds)] if rounds else []
    uses_boxes = settings.boxes and lake is not None
    return Labels(
        labels,
        kind=project.settings.items,
        box_classes=BoxClasses(lake).read if uses_boxes and lake is not None else dict,
        names_by_id=names,
        settings=settings,
        content=settings_hash(*digests, *settings.reading, *rounded),
        fingerprint=settings_hash(*digests, *settings.splits_depend_on, *rounded),
        returned=returned,
        returned_keys=partial(_keys_of, returned, project),
        round_count=len(rounds),
    )


def _check_oracle(labels: Mapping[str, Label], settings: LabelSettings, *, where: str) -> None:
    if settings.boxes:
        return
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


class BoxClasses:
    """The classes that box files give to objects, from the published table `objects`.

    They are read once, when the first is asked for: labels belong to one run, and whoever asks comes after `objects`.

    Args:
        lake: Holds the table.
    """

    def __init__(self, lake: "Lake"):
        self._lake = lake

    def read(self) -> Mapping[str, str]:
        """Return class name by object id of all objects that can be mined."""
        return self._by_id

    @cached_property
    def _by_id(self) -> Mapping[str, str]:
        shards = self._lake.partitions(OBJECT.table)
        rows = self._lake.read_all(OBJECT.table, shards, columns=_CLASS_COLUMNS).to_pydict()
        found = zip(*(rows[name] for name in _CLASS_COLUMNS), strict=True)
        return {name: label for name, label, outcome in found if label and outcome == "ok"}
