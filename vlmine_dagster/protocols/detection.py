"""Detection benchmarks: LVIS and COCO-LT by their JSON files, with classes grouped by the images that hold them."""

import posixpath
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import ConfigError, SourceError
from vlmine_dagster.mining.detection import FREQUENCIES, class_frequency
from vlmine_dagster.protocols.benchmark import Written, refuse_overlap, write_csv
from vlmine_dagster.resources.boxes.coco import read_coco
from vlmine_dagster.resources.boxes.contract import BoxFile, BoxRow, ImageEntry
from vlmine_dagster.settings.project import ProjectSettings
from vlmine_dagster.settings.starter import write_starter

DETECTION_PROTOCOLS = {
    "lvis": "LVIS by its JSON files",
    "coco-lt": "COCO-LT, or any long-tailed part of COCO, by its JSON files",
}
RARE_UNDER, FREQUENT_OVER = 11, 100
"""LVIS: rare in 1 to 10 images of the train set, common in 11 to 100, frequent in more."""

_SEED_FRACTION = 0.2
_SHARD_IMAGES = 4000
_FOLDERS = ("", "train2017", "val2017", "images", "images/train2017", "images/val2017")
_OTHER_TASKS = ("captions_", "person_keypoints_", "stuff_", "panoptic_", "image_info_")


@dataclass(frozen=True)
class Scenes:
    """The annotated images of one part of a benchmark.

    Attributes:
        file: Its JSON file.
        images: Paths under the root, with the number of boxes in each.
        image_counts: Images by class.
    """

    file: Path
    images: Mapping[str, int]
    image_counts: Mapping[str, int]


@dataclass(frozen=True)
class DetectionBenchmark:
    """A detection benchmark: the long-tailed train set is the pool, the other part judges.

    Attributes:
        name: Name of the protocol.
        root: Folder of the images.
        train: The train set.
        test: The part that judges.
    """

    name: str
    root: Path
    train: Scenes
    test: Scenes

    def __post_init__(self) -> None:
        refuse_overlap(self.train.images.keys() & self.test.images.keys(), "train", "val", where=self.name)


def read_detection(name: str, *, root: Path, lists: Path | None) -> DetectionBenchmark:
    """Read the JSON files of a detection benchmark; they are parsed as they pass.

    Args:
        name: One of `DETECTION_PROTOCOLS`.
        root: Folder of the images, with `train2017` and `val2017` in it.
        lists: Folder of the JSON files: one whose name holds `train`, one whose name holds `val`.

    Raises:
        ConfigError: --lists is missing.
        SourceError: a file or images are missing, or both parts share images.
    """
    if lists is None:
        raise ConfigError(f"{name} needs --lists, the folder of its JSON files, such as lvis_v1_train.json.")
    train, test = (_scenes(_annotations(lists, part), root) for part in ("train", "val"))
    return DetectionBenchmark(name, root.resolve(), train, test)


def write_detection(benchmark: DetectionBenchmark, folder: Path, *, is_forced: bool = False) -> Written:
    """Write labels.csv, files.txt and vlmine.yaml; images and annotations are not copied.

    The objects of the train set are the pool; those of a fifth of its images, drawn at random, are labelled. Objects of
    the other part judge and are never mined.

    Raises:
        ConfigError: vlmine.yaml is there with other content.
    """
    images = {"pool": benchmark.train.images, "test": benchmark.test.images}
    rows = [(path, split, "") for split, paths in images.items() for path in paths]
    labels = {
        "file": "labels.csv",
        "boxes": True,
        "oracle": True,
        "seed_fraction": _SEED_FRACTION,
        "few_under": RARE_UNDER,
        "many_over": FREQUENT_OVER,
    }
    shard_count = max(1, -(-len(rows) // _SHARD_IMAGES))
    dataset = {"kind": "folder", "root": str(benchmark.root), "files": "files.txt", "shard_count": shard_count}
    boxes = [str(scenes.file) for scenes in (benchmark.train, benchmark.test)]
    settings = ProjectSettings.model_validate(
        {
            "name": benchmark.name,
            "dataset": {**dataset, "labels": labels},
            "unit": "object",
            "objects": {"boxes": boxes, "format": "coco"},
        }
    )
    file = write_starter(folder, settings, is_forced=is_forced)
    write_csv(folder / "labels.csv", ("key", "split", "class_id"), rows)
    (folder / "files.txt").write_text("".join(f"{path}\n" for path, _, _ in rows), encoding="utf-8")
    return Written(file, len(benchmark.train.images), 0, len(benchmark.test.images), _words(benchmark))


def _annotations(lists: Path, part: str) -> Path:
    """Return the one JSON file of a part."""
    found = [file for file in sorted(lists.glob(f"*{part}*.json")) if not file.name.startswith(_OTHER_TASKS)]
    if len(found) != 1:
        there = ", ".join(file.name for file in found) or "none"
        raise SourceError(
            f"{lists}: expected one JSON file whose name contains {part!r}, found {there}. Put the two files of the "
            f"benchmark into a folder of their own."
        )
    return found[0].resolve()


def _scenes(file: Path, root: Path) -> Scenes:
    names: dict[str, str] = {}
    box_counts: Counter[str] = Counter()
    holds: set[tuple[str, str]] = set()

    def opened() -> BinaryIO:
        return file.open("rb")

    for one in read_coco(BoxFile(file.name, str(file), opened, lambda _path: None)):
        if isinstance(one, BoxRow):
            box_counts[one.ref] += 1
            holds.add((one.label or "", one.ref))
        elif isinstance(one, ImageEntry):
            names[one.ref] = one.name
    lost = sorted(box_counts.keys() - names.keys())
    if lost or not names:
        absent = counted(len(lost), "image with boxes is", "images with boxes are")
        raise SourceError(f"{file}: {absent} missing from its list of {len(names):,}. Fetch it again.")
    paths = _paths(names, root, where=file)
    images = {paths[ref]: box_counts[ref] for ref in names}
    return Scenes(file, images, Counter(label for label, _ in holds if label))


def _paths(names: Mapping[str, str], root: Path, *, where: Path) -> dict[str, str]:
    """Return the path under the root of each image, whose name may lack its folder."""
    first = next(iter(names.values()))
    folders = sorted(_FOLDERS, key=lambda folder: not (root / folder / first).is_file())
    found: dict[str, str] = {}
    for ref, name in names.items():
        there = (path for folder in folders if (root / (path := posixpath.join(folder, name))).is_file())
        found[ref] = next(there, "")
    missing = [names[ref] for ref, path in found.items() if not path]
    if missing:
        raise SourceError(
            f"{where}: {len(missing):,} of its {len(names):,} images are not under {root}, such as {missing[0]}. Is "
            f"--root the folder that holds train2017 and val2017?"
        )
    return found


def _words(benchmark: DetectionBenchmark) -> tuple[str, ...]:
    train = benchmark.train
    groups = Counter(class_frequency(train.image_counts, rare_under=RARE_UNDER, frequent_over=FREQUENT_OVER).values())
    frequencies = ", ".join(f"{groups[name]} {name}" for name in FREQUENCIES)
    unseen = _unseen(train.image_counts.keys(), benchmark.test.image_counts.keys())
    boxes = counted(sum(train.images.values()), "box", "boxes")
    return (
        f"{counted(len(train.images), 'image')} with {boxes}; classes by the images that contain "
        f"them: {frequencies} (rare: under {RARE_UNDER}, frequent: over {FREQUENT_OVER})",
        *([unseen] if unseen else []),
    )


def _unseen(train: Collection[str], test: Collection[str]) -> str:
    lacking = sorted(set(test) - set(train))
    if not lacking:
        return ""
    them = counted(len(lacking), "test class is", "test classes are")
    return f"{them} not in the train set, such as {lacking[0]}, and cannot be found"
