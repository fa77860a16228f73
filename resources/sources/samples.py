"""Which pictures of a data set are the images, and which are masks, depths and labels drawn as pictures."""

import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from vlmine_dagster.domain.errors import PictureError, SourceError
from vlmine_dagster.resources.picture_formats import IMAGE_SUFFIXES, known_format
from vlmine_dagster.resources.pictures import decode_picture
from vlmine_dagster.resources.sources.choice import ending_of
from vlmine_dagster.resources.sources.contract import RawImage
from vlmine_dagster.resources.sources.tree import FileTree

_LOOKED_AT = 20
MOST_TARS = 20  # in which images are looked for
_MOST_ENDINGS = 10
_BEGINNING = 512  # bytes
_FEW_COLOURS = 32  # a photo has thousands; a mask has one for each class
_MAX_PIXELS = 100_000_000
_SURE_FORMATS = frozenset(("JPEG", "PNG", "WebP", "GIF", "AVIF", "HEIC"))
_NO_IMAGE = frozenset(
    {
        "alpha",
        "annotation",
        "annotations",
        "canny",
        "depth",
        "depths",
        "disparity",
        "edge",
        "edges",
        "flow",
        "gt",
        "heatmap",
        "inst",
        "instance",
        "instances",
        "label",
        "labels",
        "mask",
        "masks",
        "matte",
        "normal",
        "normals",
        "panoptic",
        "pose",
        "seg",
        "segm",
        "segmentation",
        "segmentations",
        "segmentationclass",
        "segmentationobject",
        "sem",
        "semantic",
        "target",
        "trimap",
    }
)
_MARKED_STEM = re.compile(r"^.*[_.-]([A-Za-z]+)\.[A-Za-z0-9]+$")


def chosen_endings(images: Iterable[RawImage]) -> tuple[tuple[str, ...] | None, str | None]:
    """Return which endings of a tar's members are images, where samples hold several pictures, and a line that says so.

    Args:
        images: The first pictures of a tar, with `#member` at the end of their URIs.

    Returns:
        The endings to set, None where all are images; and a line for people, None where samples hold one picture each.
    """
    by_ending: dict[str, list[bytes]] = defaultdict(list)
    per_sample: Counter[str] = Counter()
    for image in images:
        folder, base = posixpath.split(image.uri.rpartition("#")[2])
        stem, _, ending = base.partition(".")
        by_ending[ending.lower()].append(image.data)
        per_sample[posixpath.join(folder, stem)] += 1
    if max(per_sample.values(), default=0) < 2 or len(by_ending) < 2:
        return None, None
    if not all(map(_is_ending, by_ending)):
        return None, (
            "names of images have dots before their ending: as in WebDataset, a key ends at the first dot of a name, "
            "and the second image of a key is KEY~2."
        )
    kept = tuple(ending for ending, data in by_ending.items() if not _is_no_image(ending, data))
    all_endings = ", ".join(by_ending)
    if not kept or len(kept) == len(by_ending):
        return None, (
            f"samples contain several pictures ({all_endings}): each is an image, the second of a sample as KEY~2. "
            f"dataset.image_endings chooses."
        )
    return kept, (
        f"samples contain several pictures ({all_endings}): taken as images: {', '.join(kept)} (dataset.image_endings)."
    )


def mask_patterns(tree: FileTree, images: Sequence[str]) -> tuple[str, ...]:
    """Return patterns of the pictures of a folder that are masks: their names say so, and they have few colours."""
    groups: dict[str, list[str]] = defaultdict(list)
    for path in images:
        pattern = _mask_pattern(path)
        if pattern is not None:
            groups[pattern].append(path)
    return tuple(
        pattern
        for pattern, paths in groups.items()
        if len(paths) < len(images) and _have_few_colours(_contents(tree, spread(paths)))
    )


def is_picture(data: bytes) -> bool:
    """Whether bytes are a picture of a format that is read."""
    return known_format(data) is not None


def unnamed_images(
    tree: FileTree, images: Sequence[str], *, is_item: Callable[[bytes], bool] = is_picture
) -> tuple[str, ...] | None:
    """Return the endings to set where files without an ending are images, by the first bytes of some; else None."""
    unnamed = tree.paths(lambda path: ending_of(path) == "")
    some = _beginnings(tree, spread(unnamed))
    if not some or 2 * sum(map(is_item, some)) < len(some):
        return None
    return (*sorted({ending_of(path).lstrip(".") for path in images}), "")


def misnamed_images(tree: FileTree) -> dict[str, int]:
    """Return how many files have each ending that is none of a picture although they begin like one: `.jpg_large`."""
    groups: dict[str, list[str]] = defaultdict(list)
    known = {*IMAGE_SUFFIXES, ""}
    for path in tree.paths(lambda path: ending_of(path) not in known):
        groups[ending_of(path)].append(path)
    often_first = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))[:_MOST_ENDINGS]
    return {
        ending: len(paths)
        for ending, paths in often_first
        if _are_pictures(_beginnings(tree, spread(paths, _LOOKED_AT // 4)))
    }


def misnamed_members(members: Iterable[RawImage]) -> tuple[str, ...]:
    """Return the endings of members of a tar that are none of a picture although they begin like one: `img`."""
    by_ending: dict[str, list[bytes]] = defaultdict(list)
    for member in members:
        base = posixpath.basename(member.uri.rpartition("#")[2])
        by_ending[base.partition(".")[2].lower()].append(member.data[:_BEGINNING])
    return tuple(ending for ending, beginnings in by_ending.items() if ending and _are_pictures(beginnings))


def _are_pictures(beginnings: Sequence[bytes]) -> bool:
    """Whether most files are pictures; raw files of cameras begin like a TIFF and are none."""
    formats = [known_format(one) for one in beginnings]
    return 2 * sum(form is not None and form.name in _SURE_FORMATS for form in formats) > len(formats)


def _mask_pattern(path: str) -> str | None:
    *folders, name = path.split("/")
    for depth, folder in enumerate(folders):
        if folder.lower() in _NO_IMAGE:
            return "/".join(folders[: depth + 1]) + "/"
    marked = _MARKED_STEM.match(name)
    return f"*{name[marked.start(1) - 1 :]}" if marked and marked[1].lower() in _NO_IMAGE else None


def _is_ending(text: str) -> bool:
    """Whether what follows the first dot of a name says what a member is; of `2.0 (final).jpg` it is part of the name.

    Examples:
        >>> _is_ending("left_eye.jpg"), _is_ending("0 (final).jpg"), _is_ending("05.png")
        (True, False, False)
    """
    return re.fullmatch(r"[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)*", text) is not None


def _is_no_image(ending: str, data: Sequence[bytes]) -> bool:
    return bool(_NO_IMAGE & set(re.split(r"[^a-z]+", ending))) or _have_few_colours(data[:_LOOKED_AT])


def _have_few_colours(data: Sequence[bytes]) -> bool:
    return bool(data) and 2 * sum(_has_few_colours(one) for one in data) > len(data)


def _has_few_colours(data: bytes) -> bool:
    try:
        return decode_picture(data, max_pixels=_MAX_PIXELS).getcolors(_FEW_COLOURS) is not None
    except PictureError:
        return False


def _contents(tree: FileTree, paths: Sequence[str]) -> list[bytes]:
    return [found for _, found in tree.read_each(paths) if not isinstance(found, SourceError)]


def _beginnings(tree: FileTree, paths: Sequence[str]) -> list[bytes]:
    found = []
    for path in paths:
        with suppress(SourceError), tree.open(path) as file:
            found.append(file.read(_BEGINNING))
    return found


def spread(paths: Sequence[str], count: int = _LOOKED_AT) -> list[str]:
    """Return so many paths at most, from everywhere in a list.

    Examples:
        >>> spread("abcdefg", 4)
        ['a', 'b', 'd', 'f']
    """
    return list(paths) if len(paths) <= count else [paths[place * len(paths) // count] for place in range(count)]
