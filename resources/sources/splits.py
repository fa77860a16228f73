"""Splits that the paths of a data set name: `train/`, `val/`, `test/`, `train-00000-of-00004.parquet`."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from vlmine_dagster.domain.files import literal_pattern
from vlmine_dagster.domain.tables import Split

_WORDS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "unlabeled": "unlabeled",
    "unlabelled": "unlabeled",
}
_JUDGES = {"val": Split.VAL, "test": Split.TEST}


@dataclass(frozen=True)
class PathSplits:
    """Which split each path belongs to.

    Attributes:
        by_path: train, val, test or unlabeled by relative path; paths of no split are missing.
        patterns: Patterns of the paths of each split, for `dataset.exclude`.
    """

    by_path: dict[str, str]
    patterns: dict[str, tuple[str, ...]]

    @property
    def counts(self) -> dict[str, int]:
        """Number of paths by split."""
        found = list(self.by_path.values())
        return {name: found.count(name) for name in dict.fromkeys(_WORDS.values()) if name in found}


def judge_of(split: str | None) -> Split | None:
    """Return the split of ours that judges, for val and test; None for all else."""
    return _JUDGES.get(split or "")


def known_split(word: str) -> str | None:
    """Return train, val, test or unlabeled for a word of a path or a column; None for another.

    Examples:
        >>> known_split("Validation"), known_split("images")
        ('val', None)
    """
    return _WORDS.get(word.strip().lower())


def test_folders(paths: Sequence[str]) -> tuple[str, ...]:
    """Return the folders that are named like a test split, as patterns."""
    found = (_folder_split(path) for path in paths)
    return tuple(sorted({split[1] for split in found if split is not None and split[0] == "test"}))


def path_splits(paths: Sequence[str], *, are_shards: bool) -> PathSplits | None:
    """Return the splits that paths name; None unless there are a train split and one that judges.

    Args:
        paths: Relative paths of images, or of files that are shards.
        are_shards: Whether file names may name a split too (`train-00001.tar`), not only folders.
    """
    by_path: dict[str, str] = {}
    patterns: dict[str, set[str]] = defaultdict(set)
    for path in paths:
        found = _folder_split(path) or (_name_split(path) if are_shards else None)
        if found is not None:
            by_path[path] = found[0]
            patterns[found[0]].add(found[1])
    names = set(by_path.values())
    if "train" not in names or not names & _JUDGES.keys():
        return None
    return PathSplits(by_path, {name: tuple(sorted(found)) for name, found in patterns.items()})


def _folder_split(path: str) -> tuple[str, str] | None:
    folders = path.split("/")[:-1]
    for depth, folder in enumerate(folders):
        split = known_split(re.sub(r"(_?\d{4})$", "", folder))  # COCO's train2017
        if split is not None:
            return split, literal_pattern("/".join(folders[: depth + 1])) + "/"
    return None


def _name_split(path: str) -> tuple[str, str] | None:
    folder, slash, name = path.rpartition("/")
    for word in re.finditer(r"[A-Za-z]+", name):
        split = known_split(word[0])
        if split is not None:
            return split, literal_pattern(folder + slash + name[: word.end() + 1]) + "*"
    return None
