"""ImageNet-LT and Places-LT: public split lists of `path label` lines, and the images they name."""

from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.protocols.benchmark import Benchmark, refuse_overlap
from vlmine_dagster.protocols.folders import images_below

PARTS = ("train", "val", "test")


def from_lists(
    name: str, prefix: str, *, lists: Path, root: Path, with_rest: bool, class_name: Callable[[str], str] = str
) -> Benchmark:
    """Read `<prefix>_train.txt`, `<prefix>_val.txt` and `<prefix>_test.txt`.

    The rest of the full set is what else is in the folders that the train list names; a folder is a class.

    Args:
        name: Name of the protocol.
        prefix: `ImageNet_LT` or `Places_LT`.
        lists: Folder of the lists.
        root: Folder in which their paths start.
        with_rest: Look for the rest of the full set.
        class_name: Makes a name of a class's folder.

    Raises:
        SourceError: a list is missing, a line is not `path label`, or two lists share an image; it names them.
    """
    files = {part: lists / f"{prefix}_{part}.txt" for part in PARTS}
    found = {part: read_list(file) for part, file in files.items()}
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        shared = found[one].keys() & found[other].keys()
        refuse_overlap(shared, files[one].name, files[other].name, where=name)
    folders = _class_folders(found["train"], where=files["train"].name)
    classes = {label: class_name(PurePosixPath(folder).name) for folder, label in folders.items()}
    absent = sorted({label for part in found.values() for label in part.values()} - classes.keys())
    classes |= {label: label for label in absent}
    return Benchmark(
        name=name,
        kind="folder",
        root=root.resolve(),
        classes=classes,
        train=found["train"],
        validation=found["val"],
        test=found["test"],
        rest=_rest(root, folders, found) if with_rest else {},
    )


def read_list(file: Path) -> dict[str, str]:
    """Return label by path of a split list.

    Raises:
        SourceError: it is missing, a line is not `path label`, a path leaves the root, or a path comes twice.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(
            f"{file} cannot be read: {error}. The lists of `path label` lines are public, beside the code of the "
            f"papers that use them; give their folder as --lists."
        ) from error
    found: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        path, _, label = line.strip().rpartition(" ")
        path = path.strip()
        if not path or not label.isdecimal() or path.startswith("/") or ".." in path.split("/"):
            raise SourceError(f"{file}, line {number}: {line[:80]!r}. Expected a path below --root and a class number.")
        if path in found:
            raise SourceError(f"{file}, line {number}: {path} is listed twice. Write one line per image.")
        found[path] = label
    return found


def _class_folders(train: Mapping[str, str], *, where: str) -> dict[str, str]:
    folders: dict[str, str] = {}
    for path, label in train.items():
        folder = str(PurePosixPath(path).parent)
        if folders.setdefault(folder, label) != label:
            raise SourceError(f"{where}: folder {folder} has images of class {folders[folder]} and of class {label}.")
    return folders


def _rest(root: Path, folders: Mapping[str, str], found: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    used = {path for part in found.values() for path in part}
    there = {path: label for folder, label in folders.items() for path in images_below(root, folder)}
    return {path: label for path, label in there.items() if path not in used}
