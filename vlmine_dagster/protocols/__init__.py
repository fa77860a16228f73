"""Benchmark datasets as projects: what is the pool, what judges, and what is never touched."""

from pathlib import Path

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.protocols.benchmark import FEW_SHOT_RULES, POOL_MODES, Benchmark, PoolMode, Written, write_benchmark
from vlmine_dagster.protocols.cifar import LAYOUTS, from_cifar
from vlmine_dagster.protocols.detection import DETECTION_PROTOCOLS, read_detection, write_detection
from vlmine_dagster.protocols.folders import Tail, from_folders, from_tiny_imagenet
from vlmine_dagster.protocols.split_lists import from_lists

__all__ = [
    "DETECTION_PROTOCOLS",
    "FEW_SHOT_RULES",
    "POOL_MODES",
    "PROTOCOLS",
    "Benchmark",
    "PoolMode",
    "Tail",
    "Written",
    "read_detection",
    "read_protocol",
    "write_benchmark",
    "write_detection",
]

PROTOCOLS = {
    "imagenet-lt": "ImageNet-LT by its public split lists",
    "places-lt": "Places-LT by its public split lists",
    "tiny-imagenet-lt": "Tiny ImageNet as it is distributed, made long-tailed",
    "cifar-10-lt": "CIFAR-10's binary version, made long-tailed",
    "cifar-100-lt": "CIFAR-100's binary version, made long-tailed",
    "folders": "any folder with one folder per class, made long-tailed",
}
_PREFIXES = {"imagenet-lt": "ImageNet_LT", "places-lt": "Places_LT"}


def read_protocol(
    name: str,
    *,
    root: Path,
    folder: Path,
    lists: Path | None = None,
    tail: Tail | None = None,
    test_per_class: int = 25,
    pool: PoolMode = "split",
) -> Benchmark:
    """Read a benchmark's lists or folders.

    Args:
        name: One of `PROTOCOLS`.
        root: Where the images lie.
        folder: Folder of the project; only CIFAR writes there, its images as tars.
        lists: Folder of the split lists.
        tail: How a balanced set is made long-tailed.
        test_per_class: `folders` without a part that judges: images per class that are held out.
        pool: Whether the rest of the full set is needed.

    Raises:
        ConfigError: the protocol is unknown, or --lists is missing.
        SourceError: files are missing or break their layout, or parts share images.
    """
    if name not in PROTOCOLS:
        names = ", ".join((*PROTOCOLS, *DETECTION_PROTOCOLS))
        raise ConfigError(f"there is no protocol {name!r}. There are: {names}")
    if name in _PREFIXES:
        if lists is None:
            raise ConfigError(
                f"{name} needs --lists, the folder of {_PREFIXES[name]}_train.txt, _val.txt and _test.txt."
            )
        return from_lists(name, _PREFIXES[name], lists=lists, root=root, with_rest=pool == "rest")
    law = tail or Tail()
    if name == "tiny-imagenet-lt":
        return from_tiny_imagenet(name, root, law)
    if name == "folders":
        return from_folders(f"{root.resolve().name}-lt", root, law, test_per_class=test_per_class)
    layout = LAYOUTS[name.removesuffix("-lt")]
    return from_cifar(name, layout, root, law, folder=folder / "images", with_rest=pool == "rest")
