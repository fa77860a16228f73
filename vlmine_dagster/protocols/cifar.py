"""CIFAR-10 and CIFAR-100 from their binary version; the Python version is a pickle, and a pickle can run code."""

import io
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.protocols.benchmark import Benchmark
from vlmine_dagster.protocols.folders import Tail, made_long_tailed

_SIDE = 32
_PIXELS = 3 * _SIDE * _SIDE
_SHARD_IMAGES = 5000


@dataclass(frozen=True)
class Layout:
    """A binary version: its files, its label bytes (the last one counts), and the file with the classes' names."""

    train: tuple[str, ...]
    test: tuple[str, ...]
    label_bytes: int
    names: str
    pickles: tuple[str, ...]


LAYOUTS = {
    "cifar-10": Layout(
        train=tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
        test=("test_batch.bin",),
        label_bytes=1,
        names="batches.meta.txt",
        pickles=("data_batch_1", "batches.meta"),
    ),
    "cifar-100": Layout(
        train=("train.bin",), test=("test.bin",), label_bytes=2, names="fine_label_names.txt", pickles=("train", "meta")
    ),
}


def from_cifar(name: str, layout: Layout, root: Path, tail: Tail, *, folder: Path, with_rest: bool) -> Benchmark:
    """Read the binary version, and write the images that are used as PNG into tars below `folder`.

    Raises:
        SourceError: the files are missing, are a pickle, or break off.
    """
    _refuse_pickle(layout, root)
    names = _lines(root / layout.names)
    parts = {
        part: dict(_labels(layout, root, files)) for part, files in (("train", layout.train), ("test", layout.test))
    }
    whole = made_long_tailed(
        name,
        root,
        parts["train"],
        parts["test"],
        tail,
        names=dict(zip(map(str, range(len(names))), names, strict=True)),
    )
    wanted = {"pool": {**whole.train, **(whole.rest if with_rest else {})}, "test": whole.test}
    for part, files in (("pool", layout.train), ("test", layout.test)):
        _write_tars(folder / part, part, _pictures(layout, root, files, wanted[part]))
    return replace(whole, kind="webdataset", root=folder.resolve(), rest=whole.rest if with_rest else {})


def _refuse_pickle(layout: Layout, root: Path) -> None:
    missing = [file for file in (*layout.train, *layout.test, layout.names) if not (root / file).is_file()]
    if not missing:
        return
    pickled = [file for file in layout.pickles if (root / file).is_file()]
    why = (
        f"{pickled[0]} is a pickle, and opening a pickle can run code: it is not read. "
        if pickled
        else f"{missing[0]} is missing. "
    )
    raise SourceError(
        f"{root}: {why}Take the binary version of the dataset ({layout.train[0]}, {layout.test[0]}, {layout.names}), "
        f"or one folder of images per class with `vlmine protocol folders`."
    )


def _lines(file: Path) -> list[str]:
    return [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]


def _labels(layout: Layout, root: Path, files: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for key, label, _ in _records(layout, root, files):
        yield key, str(label)


def _records(layout: Layout, root: Path, files: tuple[str, ...]) -> Iterator[tuple[str, int, bytes]]:
    """Yield the key, the class and the pixels (three planes of rows) of each record."""
    size = layout.label_bytes + _PIXELS
    for file in files:
        content = (root / file).read_bytes()
        if not content or len(content) % size:
            raise SourceError(f"{root / file}: {len(content):,} bytes are not a whole number of records of {size:,}.")
        for place in range(len(content) // size):
            record = content[place * size : (place + 1) * size]
            yield f"{Path(file).stem}-{place:05d}.png", record[layout.label_bytes - 1], record[layout.label_bytes :]


def _pictures(
    layout: Layout, root: Path, files: tuple[str, ...], wanted: Mapping[str, str]
) -> Iterator[tuple[str, bytes]]:
    import numpy as np
    from PIL import Image

    for key, _, pixels in _records(layout, root, files):
        if key in wanted:
            planes = np.frombuffer(pixels, np.uint8).reshape(3, _SIDE, _SIDE)
            file = io.BytesIO()
            Image.fromarray(np.ascontiguousarray(planes.transpose(1, 2, 0))).save(file, "PNG")
            yield key, file.getvalue()


def _write_tars(folder: Path, name: str, pictures: Iterator[tuple[str, bytes]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tar: tarfile.TarFile | None = None
    for number, (key, content) in enumerate(pictures):
        if number % _SHARD_IMAGES == 0:
            if tar is not None:
                tar.close()
            tar = tarfile.open(folder / f"{name}-{number // _SHARD_IMAGES:04d}.tar", "w")  # noqa: SIM115 - closed below
        entry = tarfile.TarInfo(key)
        entry.size = len(content)
        assert tar is not None  # noqa: S101 - opened with the first picture
        tar.addfile(entry, io.BytesIO(content))
    if tar is not None:
        tar.close()
