"""A pool of real photos with a known long tail, made on the spot from what scikit-image ships."""

import csv
import importlib.util
import io
import shutil
import tarfile
import uuid
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageEnhance

from vlmine_dagster.domain.errors import ConfigError, SourceError

SHARD_COUNT = 6
TEST_IMAGES_A_CLASS = 10

_MARK = ".sample-pool"
_RECIPE = "1"  # another recipe makes other images; pools of an older one are refused, not overwritten

_SEED = 20240915
_SPLIT_NUMBER = {"pool": 0, "test": 1}

# Images a class by rank of commonness (Zipf and Mandelbrot): 640 * (6 / (rank + 5)) ** 3.42.
_LARGEST_CLASS = 640
_ZIPF_OFFSET = 5
_ZIPF_EXPONENT = 3.42

_SIDES = (160, 224)  # pixels of the longer side
_MOST_OBLONG = 4 / 3
_LIGHT = (0.75, 1.25)  # factors of brightness and contrast
_JPEG_QUALITY = 90

_BAD_SHARD = 3
_BAD_EVERY = 60  # images between two bad ones


@dataclass(frozen=True)
class Subject:
    """A class of the pool.

    Attributes:
        name: Class name.
        file: Its one picture among scikit-image's data.
        smallest_crop: Smallest part of a side that a crop keeps, so that it still shows the subject.
        flips: "none" for text, "mirror" left to right, "any" for what has no upright.
    """

    name: str
    file: str
    smallest_crop: float
    flips: Literal["none", "mirror", "any"]


# From common to rare: stone, turf and paper first, and what nobody would expect among them last.
SUBJECTS = (
    Subject("brick wall", "brick.png", 0.45, "any"),
    Subject("gravel", "gravel.png", 0.45, "any"),
    Subject("grass", "grass.png", 0.45, "any"),
    Subject("printed page", "page.png", 0.7, "none"),
    Subject("handwriting", "text.png", 0.7, "none"),
    Subject("coins", "coins.png", 0.55, "mirror"),
    Subject("tissue", "ihc.png", 0.55, "any"),
    Subject("cell", "cell.png", 0.8, "any"),
    Subject("moon", "moon.png", 0.6, "any"),
    Subject("photographer", "camera.png", 0.7, "mirror"),
    Subject("espresso", "coffee.png", 0.7, "mirror"),
    Subject("blurred clock", "clock_motion.png", 0.7, "mirror"),
    Subject("colour wheel", "color.png", 0.7, "any"),
    Subject("horse drawing", "horse.png", 0.85, "mirror"),
    Subject("cat", "chelsea.png", 0.7, "mirror"),
    Subject("motorcycle", "motorcycle_left.png", 0.8, "mirror"),
    Subject("galaxies", "hubble_deep_field.jpg", 0.55, "any"),
    Subject("retina", "retina.jpg", 0.75, "any"),
    Subject("astronaut", "astronaut.png", 0.7, "mirror"),
    Subject("rocket", "rocket.jpg", 0.7, "mirror"),
)


@dataclass(frozen=True)
class _Drawn:
    class_id: int | None
    data: bytes


def make_sample_pool(folder: Path) -> Path:
    """Make the sample pool, the same bytes each time; return at once where it is already.

    Twenty classes (eighteen photos, two drawings), about 1,900 images: 640 of the commonest, 5 of the rarest, each a
    random crop of the class's one picture, flipped, lighter or darker. Layout:

    - `pool/shard-0000.tar` ... `pool/shard-0005.tar`: WebDataset tars, all classes in random order.
    - `test/test-0000.tar`: 10 other crops of each class.
    - `labels.csv` (key, split, class_id), the oracle: each pool row carries its class. Use it with
      `labels: {oracle: true, seed_fraction: 0.15}`. A seed drawn like that misses some of the rarest classes.
    - `classes.csv` (class_id, name), in the order of the alphabet.

    `pool/shard-0003.tar` also holds four files that are not images and have no label: a truncated JPEG, an empty file,
    a text file named .jpg, and a PNG whose header claims 60,000 x 60,000 pixels.

    Args:
        folder: Where to put it; it appears whole or not at all.

    Returns:
        The folder.

    Raises:
        ConfigError: the folder holds something else.
        SourceError: the installed scikit-image lacks one of the pictures.
    """
    return made_once(folder, _RECIPE, _write)


def made_once(folder: Path, recipe: str, write: Callable[[Path], None]) -> Path:
    """Return a folder of samples; it is written where it is not there yet, whole or not at all.

    Args:
        folder: Where to put it.
        recipe: What it holds and how it was made; another recipe in its place is refused, not overwritten.
        write: Writes it to a folder that it is given.

    Raises:
        ConfigError: the folder holds something else.
    """
    if _is_made(folder, recipe):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = folder.parent / f".{folder.name}.{uuid.uuid4().hex}.tmp"
    try:
        write(beside)
        (beside / _MARK).write_text(recipe, encoding="ascii")
        _move_into_place(beside, folder, recipe)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return folder


def pool_counts() -> dict[str, int]:
    """Return the number of readable pool images of each class, the commonest first."""
    counts = (
        round(_LARGEST_CLASS * ((1 + _ZIPF_OFFSET) / (rank + _ZIPF_OFFSET)) ** _ZIPF_EXPONENT)
        for rank in range(1, len(SUBJECTS) + 1)
    )
    return dict(zip((subject.name for subject in SUBJECTS), counts, strict=True))


def _is_made(folder: Path, recipe: str) -> bool:
    mark = folder / _MARK
    if mark.is_file() and mark.read_text(encoding="ascii") == recipe:
        return True
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        what = "a sample pool of another version" if mark.is_file() else "something else"
        raise ConfigError(f"{folder} contains {what}. Choose another folder for the sample pool, or delete this one.")
    return False


def _move_into_place(beside: Path, folder: Path, recipe: str) -> None:
    try:
        beside.replace(folder)
    except OSError:
        if not _is_made(folder, recipe):  # else another process was faster, and its pool is the same
            raise


def _write(folder: Path) -> None:
    pictures = [open_picture(subject) for subject in SUBJECTS]
    pool = [image for batch in _draw(pictures, tuple(pool_counts().values()), split="pool") for image in batch]
    test = [image for batch in _draw(pictures, [TEST_IMAGES_A_CLASS] * len(pictures), split="test") for image in batch]
    order = np.random.default_rng(_SEED)
    shards = _cut([pool[place] for place in order.permutation(len(pool))], SHARD_COUNT)
    shards[_BAD_SHARD] = _with_bad_images(shards[_BAD_SHARD])
    labels: list[tuple[str, str, int]] = []
    number = 0
    for index, shard in enumerate(shards):
        keys = [f"{number + place:06d}" for place in range(len(shard))]
        _write_tar(folder / "pool" / f"shard-{index:04d}.tar", keys, shard)
        labels += _label_rows(keys, shard, split="pool")
        number += len(shard)
    test = [test[place] for place in order.permutation(len(test))]
    keys = [f"{number + place:06d}" for place in range(len(test))]
    _write_tar(folder / "test" / "test-0000.tar", keys, test)
    labels += _label_rows(keys, test, split="test")
    _write_csv(folder / "labels.csv", ("key", "split", "class_id"), labels)
    _write_csv(folder / "classes.csv", ("class_id", "name"), list(enumerate(_class_names())))


def _label_rows(keys: Sequence[str], images: Sequence[_Drawn], *, split: str) -> list[tuple[str, str, int]]:
    rows = zip(keys, images, strict=True)
    return [(key, split, image.class_id) for key, image in rows if image.class_id is not None]


def _class_names() -> list[str]:
    return sorted(subject.name for subject in SUBJECTS)


def open_picture(subject: Subject) -> Image.Image:
    """Return the picture of a class, RGB or grey, on white where it is transparent.

    Raises:
        SourceError: the installed scikit-image lacks it.
    """
    found = importlib.util.find_spec("skimage")  # its path is enough, importing it costs a second
    file = Path((found and found.origin) or "").parent / "data" / subject.file
    try:
        with Image.open(file) as image:
            image.load()
    except OSError as error:
        raise SourceError(
            f"the sample pool needs {subject.file} of scikit-image, but {file} cannot be read. "
            f"Install it again: pip install --force-reinstall scikit-image."
        ) from error
    if image.mode != "RGBA":
        return image.copy()
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _draw(pictures: Sequence[Image.Image], counts: Sequence[int], *, split: str) -> Iterator[list[_Drawn]]:
    names = _class_names()
    for place, (subject, picture, count) in enumerate(zip(SUBJECTS, pictures, counts, strict=True)):
        draws = (np.random.default_rng([_SEED, _SPLIT_NUMBER[split], place, index]) for index in range(count))
        class_id = names.index(subject.name)
        yield [_Drawn(class_id, _jpeg(variation(picture, subject, draw))) for draw in draws]


def variation(picture: Image.Image, subject: Subject, draw: np.random.Generator) -> Image.Image:
    """Return a random crop, flipped and with other light, whose longer side has 160 to 224 pixels."""
    width, height = _crop_size(picture.size, subject.smallest_crop, draw)
    left = draw.uniform(0, picture.width - width)
    top = draw.uniform(0, picture.height - height)
    scale = draw.integers(*_SIDES, endpoint=True) / max(width, height)
    size = (round(width * scale), round(height * scale))
    image = picture.resize(
        size, Image.Resampling.BICUBIC, box=(left, top, left + width, top + height), reducing_gap=3.0
    )
    if subject.flips != "none" and draw.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if subject.flips == "any" and draw.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    image = ImageEnhance.Brightness(image).enhance(float(draw.uniform(*_LIGHT)))
    return ImageEnhance.Contrast(image).enhance(float(draw.uniform(*_LIGHT)))


def _crop_size(size: tuple[int, int], smallest: float, draw: np.random.Generator) -> tuple[float, float]:
    parts = draw.uniform(smallest, 1) * draw.uniform(0.88, 1, size=2)
    width, height = (side * float(part) for side, part in zip(size, parts, strict=True))
    oblong = _MOST_OBLONG * draw.uniform(0.85, 1)
    return min(width, height * oblong), min(height, width * oblong)


def _jpeg(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_JPEG_QUALITY)
    return file.getvalue()


def _cut(images: list[_Drawn], parts: int) -> list[list[_Drawn]]:
    return [images[len(images) * part // parts : len(images) * (part + 1) // parts] for part in range(parts)]


def _with_bad_images(shard: list[_Drawn]) -> list[_Drawn]:
    bad = (shard[0].data[: len(shard[0].data) // 2], b"", b"This is a note, not a photo.\n", _giant_png_header())
    mixed = list(shard)
    for number, data in enumerate(bad, start=1):
        mixed.insert(number * _BAD_EVERY, _Drawn(None, data))
    return mixed


def _giant_png_header() -> bytes:
    size = (60_000).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])  # 8 bits, RGB
    chunks = ((b"IHDR", size), (b"IDAT", zlib.compress(b"")))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big") for name, body in chunks
    )


def _write_tar(path: Path, keys: Sequence[str], images: Sequence[_Drawn]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for key, image in zip(keys, images, strict=True):
            member = tarfile.TarInfo(f"{key}.jpg")  # its date stays 1970, its owner nobody
            member.size = len(image.data)
            tar.addfile(member, io.BytesIO(image.data))


def _write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
