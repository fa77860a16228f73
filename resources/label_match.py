"""Whether a label file is about the images that are there: a row counts only where its key is an image's."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.resources.label_files.contract import composed
from vlmine_dagster.resources.labels import Labels
from vlmine_dagster.resources.sources import ImageSource, image_id
from vlmine_dagster.resources.sources.foreign_paths import end_of, fitting
from vlmine_dagster.resources.visible import visible_text

if TYPE_CHECKING:
    from vlmine_dagster.resources.lake import Lake

Found = tuple[str, str]
"""Shard and key of an image."""

_LOOK = 1000  # images that are opened where no table tells of them; a second or two


@dataclass(frozen=True)
class LabelMatch:
    """How many rows of a label file are about images that are there.

    Attributes:
        row_count: Rows of the file.
        matched_count: Those whose key is that of an image.
        image_count: Images that were looked at.
        is_whole: Whether these are all.
        key: A key that belongs to no image, empty where there is none.
        image: Shard and key of an image without a row.
        key_format: What makes keys of images of the file's, as `dataset.labels.key_format` says it, such as `{}.jpg`;
            empty where they match, or nothing that simple does.
    """

    row_count: int
    matched_count: int
    image_count: int
    is_whole: bool
    key: str
    image: Found
    key_format: str = ""

    @property
    def is_none(self) -> bool:
        """Whether no image has a row, as far as was looked."""
        return self.row_count > 0 and self.image_count > 0 and not self.matched_count

    @property
    def problem(self) -> str:
        """What to tell where rows are about no image; empty where all is well, as far as was looked."""
        lost = self.row_count - self.matched_count
        if not self.is_none and (not self.is_whole or not lost):
            return ""
        looked = "the images" if self.is_whole else f"the first {self.image_count:,} images"
        if self.is_none:
            found = f"none of its {self.row_count:,} rows belongs to one of {looked}."
        else:
            found = f"{lost:,} of its {self.row_count:,} rows {'belong' if lost > 1 else 'belongs'} to no image."
        shard, name = self.image
        return visible_text(
            f"{found} A key in it is {self.key!r}; an image is {image_id(shard, name)!r}, and its row must have "
            f"that as its key, or only {name!r}."
        )

    @property
    def advice(self) -> str:
        """What to do about the problem."""
        if self.key_format:
            return f"Set dataset.labels.key_format: {self.key_format!r} in vlmine.yaml."
        if "/" in self.key or "\\" in self.key:
            return (
                "Correct the keys of the label file, or take its labels with `vlmine labels import`, which finds "
                "images by the end of a path once `vlmine run` has seen them."
            )
        return "Correct the keys of the label file."


def match_labels(labels: Labels, images: Iterable[Found], *, is_whole: bool = True) -> LabelMatch:
    """Tell how many rows of a label file are about images.

    Args:
        labels: The file.
        images: Shard and key of each image, in any order; at least those without a row are not empty.
        is_whole: Whether `images` are all.
    """
    matched: set[str] = set()
    count, without = 0, ("", "")
    some: list[str] = []
    for shard, key in images:
        count += 1
        if count <= _LOOK:
            some.append(key)
        row = labels.row_of(image_id(shard, key), key)
        if row is not None:
            matched.add(row)
        if row is None or not any(without):
            without = (shard, key)
    alone = next((key for key in labels.keys if key not in matched), "")
    key_format = "" if matched else _key_format(labels.keys, some).replace("{}", labels.key_format)
    return LabelMatch(len(labels), len(matched), count, is_whole, alone, without, key_format)


def _key_format(names: Iterable[str], keys: Sequence[str]) -> str:
    """Return what makes keys of images of names that are parts of them; empty where nothing does for more than half.

    Examples:
        >>> _key_format(["cat_1", "cat_2", "dog"], ["2024/cat_1.jpg", "2024/cat_2.jpg"]), _key_format(["a"], ["b"])
        ('2024/{}.jpg', '')
        >>> _key_format(["1", "2"], ["cats/1.jpg", "dogs/2.jpg"])
        ''
    """
    by_end = {end_of(key): key for key in keys}
    pairs = ((name, by_end.get(end_of(name), "")) for name in islice(names, _LOOK))
    formats = Counter(key.replace(name, "{}", 1) for name, key in pairs if name and name in key)
    return next((one for one, count in formats.most_common(1) if 2 * count > formats.total()), "")


def look_at_labels(labels: Labels, source: ImageSource, lake: "Lake") -> LabelMatch:
    """Tell how many rows are about images: those of the tables, before the first run the first thousand of the source.

    Raises:
        SourceError: the images cannot be read.
    """
    shards = source.shards()
    there = [shard for shard in shards if lake.path(ITEMS, shard).exists()]
    if there:
        return match_labels(labels, published_images(lake, there), is_whole=len(there) == len(shards))
    first = list(islice(((shard, raw.key) for shard in shards for raw in source.read(shard)), _LOOK + 1))
    return match_labels(labels, first[:_LOOK], is_whole=len(first) <= _LOOK)


def published_images(lake: "Lake", shards: Iterable[str]) -> Iterator[Found]:
    """Yield shard and key of the images of published shards."""
    for shard in shards:
        names = lake.read(ITEMS, shard, columns=["image_id"]).column("image_id").to_pylist()
        yield from ((shard, name[len(shard) + 1 :]) for name in names)


def images_of(names: Collection[str], images: Iterable[Found]) -> dict[str, str]:
    """Return the image_id that each name means; names that mean none are left out.

    A labelling tool hands a name back as it got it or as its machine writes it: the image_id, its end (a key, a file's
    name), a path or address that ends with the key, with backslashes or escapes, without the ending of the file, or
    as the number that a spreadsheet made of it.

    Args:
        names: Names, composed (NFC).
        images: Shard and key of each image that is there.

    Raises:
        SourceError: a name fits several images.
    """
    whole = {composed(image_id(*image)): image for image in images}
    found = {name: image_id(*whole[name]) for name in names if name in whole}
    rest = [name for name in names if name not in found]
    if not rest:
        return found
    by_end: dict[str, list[str]] = {}
    for image in whole:
        by_end.setdefault(end_of(image), []).append(image)
    for name in rest:
        candidates = by_end.get(end_of(name), ())
        fit = fitting(name, [(image, composed(whole[image][1])) for image in candidates])
        if len(fit) > 1:
            raise SourceError(
                f"{name!r} is the end of several image ids, such as {fit[0]!r} and {fit[1]!r}. Write whole ids."
            )
        if fit:
            found[name] = image_id(*whole[fit[0]])
    return found
