"""A benchmark dataset with its parts, how it becomes a project, and what must never be mixed."""

import csv
import io
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Literal

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import ConfigError, SourceError
from vlmine_dagster.mining.longtail import shot_bins
from vlmine_dagster.mining.verdicts import common_tail_sentence, rules_text
from vlmine_dagster.settings import DatasetSettings, LabelSettings
from vlmine_dagster.settings.dataset import SourceCapabilities
from vlmine_dagster.settings.project import ProjectSettings
from vlmine_dagster.settings.starter import write_starter

PoolMode = Literal["split", "rest"]
POOL_MODES: tuple[PoolMode, ...] = ("split", "rest")
FEW_SHOT_RULES = {"under-20": (100, 20), "up-to-20": (99, 21)}
"""`many_over` and `few_under` of >100 / 20-100 / <20 and of >=100 / 21-99 / <=20."""
_SHARD_IMAGES = 4000
_SEED_FRACTION = 0.2


@dataclass(frozen=True)
class Benchmark:
    """The parts of a benchmark, each as class_id by path (relative to the root, posix).

    Attributes:
        name: Name of the protocol.
        kind: How the images lie: a folder tree, or tars.
        root: Where they lie.
        classes: Name by class_id.
        train: The long-tailed train set.
        test: Judges.
        validation: For early stopping; never mined, never judged.
        rest: What the full set holds beyond these; known only where it is asked for.
    """

    name: str
    kind: Literal["folder", "webdataset"]
    root: Path
    classes: Mapping[str, str]
    train: Mapping[str, str]
    test: Mapping[str, str]
    validation: Mapping[str, str] = field(default_factory=dict)
    rest: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_tree(self) -> bool:
        """Whether every image is a file of its own."""
        capabilities: SourceCapabilities = DatasetSettings.of_kind({"kind": self.kind, "root": "."}).capabilities
        return capabilities.serves_files

    def __post_init__(self) -> None:
        parts = {"train": self.train, "validation": self.validation, "test": self.test, "rest": self.rest}
        for (one, first), (other, second) in combinations(parts.items(), 2):
            refuse_overlap(first.keys() & second.keys(), one, other, where=self.name)
        if not self.train:
            raise SourceError(f"{self.name}: the train set has no image. Check --root and --lists.")
        for part, images in parts.items():
            unknown = sorted(set(images.values()) - self.classes.keys())
            if unknown:
                raise SourceError(f"{self.name}: class {unknown[0]!r} of the {part} images has no name.")


@dataclass(frozen=True)
class Written:
    """What a protocol wrote.

    Attributes:
        file: `vlmine.yaml`.
        pool_count: Images that can be mined; with pool `split` a seed is drawn from them.
        seed_count: Images that are labelled from the start.
        test_count: Images that judge.
        words: What the classes are by both rules, and warnings.
    """

    file: Path
    pool_count: int
    seed_count: int
    test_count: int
    words: tuple[str, ...]


def refuse_overlap(shared: Collection[str], one: str, other: str, *, where: str) -> None:
    """Refuse two parts that share images.

    Raises:
        SourceError: it names both parts, how many images they share, and one of them.
    """
    if shared:
        raise SourceError(
            f"{where}: {one} and {other} share {counted(len(shared), 'image')}, such as {min(shared)}. Test images "
            f"must never be mined, and nothing may count twice: fix the lists."
        )


def write_benchmark(
    benchmark: Benchmark, folder: Path, *, pool: PoolMode = "split", few_shot: str = "under-20", is_forced: bool = False
) -> Written:
    """Write labels.csv, classes.csv, files.txt and vlmine.yaml; images are not copied.

    With pool `split` the long-tailed train set is the pool, and a fifth of it is drawn as the seed. With pool `rest`
    the whole train set is the seed and the pool is what the full set holds beyond it: there the tail is common.

    Raises:
        ConfigError: vlmine.yaml is there with other content, or a choice is unknown.
        SourceError: listed images are not under the root, or there is no rest to mine.
    """
    if pool not in POOL_MODES or few_shot not in FEW_SHOT_RULES:
        raise ConfigError(
            f"pool {pool!r}, few-shot rule {few_shot!r}: expected {' or '.join(POOL_MODES)}, and "
            f"{' or '.join(FEW_SHOT_RULES)}."
        )
    splits = {"seed": benchmark.train, "pool": benchmark.rest} if pool == "rest" else {"pool": benchmark.train}
    if not splits["pool"]:
        raise SourceError(
            f"{benchmark.name}: the full set under {benchmark.root} contains no images beyond the train set."
        )
    rows = [(path, split, label) for split, images in splits.items() for path, label in images.items()]
    judges = {"val": benchmark.validation, "test": benchmark.test}
    rows += [(path, split, label) for split, images in judges.items() for path, label in images.items()]
    if benchmark.is_tree:
        _refuse_missing(benchmark, [path for path, _, _ in rows])
    settings = _settings(benchmark, pool=pool, few_shot=few_shot, image_count=len(rows))
    file = write_starter(folder, settings, is_forced=is_forced)
    write_csv(folder / "labels.csv", ("key", "split", "class_id"), [(_key(benchmark, p), s, c) for p, s, c in rows])
    write_csv(folder / "classes.csv", ("class_id", "name"), sorted(benchmark.classes.items()))
    if benchmark.is_tree:
        (folder / "files.txt").write_text("".join(f"{path}\n" for path, _, _ in rows), encoding="utf-8")
    seeds = len(splits.get("seed", ()))
    return Written(file, len(splits["pool"]), seeds, len(benchmark.test), _words(benchmark, splits["pool"], few_shot))


def _words(benchmark: Benchmark, pool: Mapping[str, str], few_shot: str) -> tuple[str, ...]:
    many_over, few_under = FEW_SHOT_RULES[few_shot]
    counts = Counter(benchmark.train.values())
    bins = shot_bins(counts, many_over=many_over, few_under=few_under)
    warning = common_tail_sentence(bins, Counter(pool.values()), few_under=few_under)
    largest, smallest = max(counts.values()), min(counts.values())
    sizes = f"{len(benchmark.train):,} long-tailed images, {largest:,} down to {smallest:,} per class"
    return (sizes, rules_text(counts.values()), *([warning] if warning else []))


def _settings(benchmark: Benchmark, *, pool: PoolMode, few_shot: str, image_count: int) -> ProjectSettings:
    many_over, few_under = FEW_SHOT_RULES[few_shot]
    labels = LabelSettings(
        file="labels.csv",
        classes="classes.csv",
        oracle=pool == "split",
        seed_fraction=_SEED_FRACTION,
        many_over=many_over,
        few_under=few_under,
        shots_by="seed" if pool == "rest" else "pool",
    )
    shards = {"files": "files.txt", "shard_count": max(1, -(-image_count // _SHARD_IMAGES))}
    own = {"kind": benchmark.kind, "root": str(benchmark.root), "labels": labels}
    dataset = DatasetSettings.of_kind(own | (shards if benchmark.is_tree else {}))
    return ProjectSettings(name=benchmark.name if pool == "split" else f"{benchmark.name}-rest", dataset=dataset)


def _key(benchmark: Benchmark, path: str) -> str:
    return path if benchmark.is_tree else str(Path(path).with_suffix(""))


def _refuse_missing(benchmark: Benchmark, paths: Sequence[str]) -> None:
    missing = [path for path in paths if not (benchmark.root / path).is_file()]
    if missing:
        raise SourceError(
            f"{benchmark.name}: {len(missing):,} of {len(paths):,} images are not under {benchmark.root}, such as "
            f"{missing[0]}. Is --root the folder in which the paths start?"
        )


def write_csv(file: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a CSV file with a header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    file.write_text(text.getvalue(), encoding="utf-8")
