"""Any set with a folder a class, made long-tailed; Tiny ImageNet is one with its own layout."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.mining.longtail import long_tail_sizes
from vlmine_dagster.protocols.benchmark import Benchmark
from vlmine_dagster.resources.sources.contract import is_image


@dataclass(frozen=True)
class Tail:
    """How a balanced set is made long-tailed.

    Attributes:
        law: `exponential` or `pareto`.
        imbalance: Largest over smallest class.
        largest: Images of the largest class; None takes the largest that every class could have.
        random_seed: Of the order of the classes and of the images that stay.
    """

    law: str = "exponential"
    imbalance: float = 100.0
    largest: int | None = None
    random_seed: int = 0


def thin(images: Mapping[str, str], tail: Tail) -> dict[str, str]:
    """Return the images that stay when a set is made long-tailed; a class keeps at most what it has.

    Args:
        images: Class by path.
        tail: The law.

    Returns:
        Class by path: a random order of the classes gets falling sizes, and each class a random choice of its images.
        Both depend on seed and names alone, so a larger imbalance keeps a part of what a smaller one keeps.
    """
    by_class: dict[str, list[str]] = {}
    for path, label in images.items():
        by_class.setdefault(label, []).append(path)
    order = np.random.default_rng(tail.random_seed).permutation(sorted(by_class)).tolist()
    largest = tail.largest or max(len(paths) for paths in by_class.values())
    sizes = long_tail_sizes(len(order), largest=largest, imbalance=tail.imbalance, law=tail.law)
    kept = {}
    for label, size in zip(order, sizes, strict=True):
        for path in sorted(by_class[label], key=lambda name: _lot(tail.random_seed, name))[:size]:
            kept[path] = label
    return kept


def from_folders(name: str, root: Path, tail: Tail, *, test_per_class: int) -> Benchmark:
    """Read `<root>/train/<class>/...` with `<root>/test` or `<root>/val` beside it, or `<root>/<class>/...`.

    The test part judges, a validation part beside it is for early stopping; where there is but one of them, it judges.
    Without either, so many images per class are taken as the test set before the rest is thinned.

    Raises:
        SourceError: there is no folder with images, or test classes that the train set lacks.
    """
    has_parts = (root / "train").is_dir()
    full = _classes_below(root, "train" if has_parts else "")
    parts = [_classes_below(root, part) for part in ("test", "val") if has_parts and (root / part).is_dir()]
    test, validation = [*(parts or [_held_out(full, test_per_class, tail.random_seed)]), {}][:2]
    full = {path: label for path, label in full.items() if path not in test}
    return made_long_tailed(name, root, full, test, tail, validation=validation)


def from_tiny_imagenet(name: str, root: Path, tail: Tail) -> Benchmark:
    """Read Tiny ImageNet as it is distributed: `train/<wnid>/images`, `val/val_annotations.txt`, `words.txt`.

    Its validation images judge; those of its test split have no public labels.

    Raises:
        SourceError: a file is missing.
    """
    try:
        lines = (root / "val" / "val_annotations.txt").read_text(encoding="utf-8").splitlines()
        words = (root / "words.txt").read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise SourceError(
            f"{root} is not Tiny ImageNet as it is distributed: {error.strerror}: {error.filename}. Expected train/, "
            f"val/val_annotations.txt and words.txt below --root."
        ) from error
    full = {
        path: folder.name
        for folder in sorted((root / "train").iterdir())
        for path in images_below(root, f"train/{folder.name}/images")
    }
    test = {f"val/images/{cells[0]}": cells[1] for cells in (line.split("\t") for line in lines) if len(cells) > 1}
    names = {cells[0]: cells[1].split(",")[0] for cells in (line.split("\t") for line in words) if len(cells) > 1}
    return made_long_tailed(name, root, full, test, tail, names=names)


def made_long_tailed(
    name: str,
    root: Path,
    full: Mapping[str, str],
    test: Mapping[str, str],
    tail: Tail,
    *,
    validation: Mapping[str, str] | None = None,
    names: Mapping[str, str] | None = None,
) -> Benchmark:
    """Return a benchmark whose train set is a long-tailed part of a full set, which is its rest."""
    if not full:
        raise SourceError(f"{name}: no folder with images under {root}. Expected one folder per class.")
    train = thin(full, tail)
    classes = {
        label: (names or {}).get(label, label)
        for label in sorted({*full.values(), *test.values(), *(validation or {}).values()})
    }
    return Benchmark(
        name=name,
        kind="folder",
        root=root.resolve(),
        classes=classes,
        train=train,
        test=test,
        validation=validation or {},
        rest={path: label for path, label in full.items() if path not in train},
    )


def images_below(root: Path, folder: str) -> list[str]:
    """Return the images anywhere below a folder, as sorted posix paths relative to the root."""
    found = (path.relative_to(root).as_posix() for path in (root / folder).rglob("*") if is_image(path.name))
    return sorted(found)


def _classes_below(root: Path, part: str) -> dict[str, str]:
    try:
        folders: Sequence[Path] = sorted(path for path in (root / part).iterdir() if path.is_dir())
    except OSError as error:
        raise SourceError(f"{root / part} cannot be read: {error.strerror}. Correct --root.") from error
    below = f"{part}/" if part else ""
    return {path: folder.name for folder in folders for path in images_below(root, f"{below}{folder.name}")}


def _held_out(full: Mapping[str, str], per_class: int, random_seed: int) -> dict[str, str]:
    """Return so many images per class, but never more than half of them; other lots than `thin` draws."""
    by_class: dict[str, list[str]] = {}
    for path, label in full.items():
        by_class.setdefault(label, []).append(path)
    return {
        path: label
        for label, paths in by_class.items()
        for path in sorted(paths, key=lambda name: _lot(f"test {random_seed}", name))[: min(per_class, len(paths) // 2)]
    }


def _lot(random_seed: int | str, name: str) -> bytes:
    return hashlib.blake2b(f"{random_seed}\0{name}".encode("utf-8", "surrogateescape"), digest_size=8).digest()
