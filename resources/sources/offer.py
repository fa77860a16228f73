"""What a data set says of itself, offered to `vlmine init`: which images are for testing, and which class each has."""

import csv
import io
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.domain.files import literal_pattern, write_whole
from vlmine_dagster.domain.tables import Split
from vlmine_dagster.resources.sources.brought_labels import BroughtLabels
from vlmine_dagster.resources.sources.contract import clean_key, shard_of
from vlmine_dagster.resources.sources.splits import PathSplits, judge_of
from vlmine_dagster.settings import DatasetSettings, LabelSettings

LABELS_FILE = "dataset-labels.csv"
CLASSES_FILE = "dataset-classes.csv"
_MOST_PATTERNS = 1000


@dataclass(frozen=True)
class Offer:
    """Splits and labels that a data set brings along.

    Attributes:
        splits: Splits that its paths name, None where they name none.
        label_source: What holds labels, for people; None where nothing does.
        load_labels: Reads them.
        path_of_shard: Path by shard, where files are shards; empty for a folder of images.
        images: Paths of the images of a folder; empty where files are shards.
        test_images: Paths of images that the labels, not their folders, assign to the test split.
        test_row_count: Rows that a column of Parquet files assigns to the test split.
        label_files: Files that hold nothing but the labels.
    """

    splits: PathSplits | None
    label_source: str | None
    load_labels: Callable[[], BroughtLabels | None]
    path_of_shard: Mapping[str, str]
    images: Collection[str] = ()
    test_images: Collection[str] = ()
    test_row_count: int = 0
    label_files: Collection[str] = ()

    @property
    def is_empty(self) -> bool:
        """Whether the data set says nothing of itself."""
        return self.splits is None and self.label_source is None and not self.test_row_count

    @property
    def unnamed_test_count(self) -> int:
        """Images of the test split that no pattern leaves out: rows of files, or more than a list of patterns holds."""
        return self.test_row_count or (len(self.test_images) if len(self.test_images) > _MOST_PATTERNS else 0)

    @property
    def lines(self) -> list[str]:
        """What was found, for people."""
        what = "files" if self.path_of_shard else "images"
        found = []
        if self.splits is not None:
            counts = ", ".join(f"{name} {count:,}" for name, count in self.splits.counts.items())
            found.append(f"splits in its paths ({what}): {counts}")
        if self.label_source is not None:
            found.append(f"labels: {self.label_source}")
        if self.unnamed_test_count:
            found.append(f"a split of {counted(self.unnamed_test_count, 'test image')} in its {self._where_split}")
        return found

    @property
    def _where_split(self) -> str:
        return "column 'split'" if self.test_row_count else "labels"

    def refuse_unnamed_tests(self) -> None:
        """Refuse to mine test images that nobody decided about.

        Raises:
            ConfigError: there are images of a test split that no pattern leaves out.
        """
        if self.unnamed_test_count:
            raise ConfigError(
                f"{counted(self.unnamed_test_count, 'image belongs', 'images belong')} to a test split by the data "
                f"set's {self._where_split}, and patterns of paths cannot leave them out. `vlmine init --accept` uses "
                f"them as the test split, `vlmine init --no-accept` mines them like all others."
            )

    @property
    def left_out(self) -> tuple[str, ...]:
        """Patterns of the test split: unless the offer is accepted, its images are not mined."""
        named = () if self.splits is None else self.splits.patterns.get("test", ())
        return named if self.unnamed_test_count else (*named, *map(literal_pattern, sorted(self.test_images)))


def accept_offer(offer: Offer, settings: DatasetSettings, folder: Path, *, is_forced: bool) -> DatasetSettings:
    """Write the labels that a data set brings to files in a folder, and return settings that use them.

    Val and test judge. Where some images have no label, the labelled rest is the seed; where all have one, it is a
    benchmark: a seed is drawn and the other labels are hidden until their images are mined (`oracle`). A split that
    judges and has no labels is left out.

    Raises:
        ConfigError: one of the files is there already, with other content; or images of a test split can neither judge
            nor be left out.
    """
    brought = offer.load_labels() if offer.label_source is not None else None
    if offer.unnamed_test_count and not (brought and "test" in map(brought.splits.get, brought.by_path)):
        have = counted(offer.unnamed_test_count, "test image has", "test images have")
        raise ConfigError(
            f"{have} no label and cannot measure results. Write the images of the other splits to files of their own "
            f"and run `vlmine init` on these, or mine all by `vlmine init --no-accept`."
        )
    if brought is None or not brought.by_path:
        return settings.model_copy(update={"exclude": _with_judges(offer, settings, labelled=set(), items=())})
    rows, is_oracle = _label_rows(offer, brought)
    labelled = {split.value for _, split, _ in rows}
    _write(folder / LABELS_FILE, ("key", "split", "class_id"), rows, is_forced=is_forced)
    classes = None
    if brought.names:
        _write(folder / CLASSES_FILE, ("class_id", "name"), list(brought.names.items()), is_forced=is_forced)
        classes = CLASSES_FILE
    labels = LabelSettings(file=LABELS_FILE, classes=classes, oracle=is_oracle)
    exclude = _with_judges(offer, settings, labelled=labelled, items=brought.by_path)
    return settings.model_copy(update={"labels": labels, "exclude": exclude})


def _with_judges(
    offer: Offer, settings: DatasetSettings, *, labelled: Collection[str], items: Collection[str]
) -> tuple[str, ...]:
    """Return the patterns to leave out: those of splits, and of single test images, that judge and have no label."""
    patterns = {} if offer.splits is None else offer.splits.patterns
    judges = [name for name in patterns if (split := judge_of(name)) is not None and split.value not in labelled]
    kept = [pattern for pattern in settings.exclude if pattern not in offer.left_out]
    single = (literal_pattern(path) for path in sorted(offer.test_images) if path not in items)
    return tuple(dict.fromkeys((*kept, *(pattern for name in judges for pattern in patterns[name]), *single)))


def _label_rows(offer: Offer, brought: BroughtLabels) -> tuple[list[tuple[str, Split, str]], bool]:
    split_of = {item: _split_of(offer, brought, item) for item in brought.by_path}
    has_unlabelled = _has_unlabelled(offer, brought, split_of)
    of_the_rest = Split.SEED if has_unlabelled else Split.POOL
    rows = [
        (clean_key(item), judge_of(split_of[item]) or of_the_rest, label) for item, label in brought.by_path.items()
    ]
    return rows, not has_unlabelled


def _split_of(offer: Offer, brought: BroughtLabels, item: str) -> str | None:
    if item in brought.splits:
        return brought.splits[item]
    if offer.splits is None:
        return None
    path = offer.path_of_shard[shard_of(item, offer.path_of_shard)] if offer.path_of_shard else item
    return offer.splits.by_path.get(path)


def _has_unlabelled(offer: Offer, brought: BroughtLabels, split_of: Mapping[str, str | None]) -> bool:
    """Whether images that do not judge are without a label; of shards it is asked which have no label at all."""
    if offer.path_of_shard:
        labelled = {shard_of(item, offer.path_of_shard) for item in brought.by_path}
        rest = {shard: path for shard, path in offer.path_of_shard.items() if shard not in labelled}
        return any(offer.splits is None or judge_of(offer.splits.by_path.get(path)) is None for path in rest.values())
    by_path = {} if offer.splits is None else offer.splits.by_path
    rest_of = (path for path in offer.images if path not in split_of)
    return any(judge_of(brought.splits.get(path) or by_path.get(path)) is None for path in rest_of)


def _write(file: Path, header: tuple[str, ...], rows: Collection[tuple[str, ...]], *, is_forced: bool) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    content = text.getvalue().encode()
    if file.exists() and not is_forced and file.read_bytes() != content:
        raise ConfigError(f"{file} already exists. Work in another folder, or pass --force to overwrite it.")
    write_whole(file, content)
