"""Paths that another machine or tool wrote: which of our own they may mean."""

import itertools
import posixpath
from collections.abc import Callable, Sequence
from urllib.parse import unquote

from vlmine_dagster.resources.label_files.contract import composed
from vlmine_dagster.resources.sources.contract import without_ending


def named_paths(name: str) -> list[str]:
    r"""Return the paths that a name of another machine may mean: with slashes, as it is and then without escapes.

    Examples:
        >>> named_paths("photos\\my%20cat.jpg"), named_paths("cat.jpg")
        (['photos/my%20cat.jpg', 'photos/my cat.jpg'], ['cat.jpg'])
    """
    plain = composed(name.replace("\\", "/"))
    return list(dict.fromkeys([plain, composed(unquote(plain))]))


def end_of(path: str) -> str:
    """Return what a path shares with every other that may mean the same image: its last part, without ending and zeros.

    Examples:
        >>> end_of("train/00017.jpg"), end_of("17"), end_of("my%20cat.jpg")
        ('17', '17', 'my cat')
    """
    return _number(without_ending(posixpath.basename(named_paths(path)[-1])))


def fitting(name: str, images: Sequence[tuple[str, str]]) -> list[str]:
    """Return the ids of the images that fit a name, by the strictest way to compare by which any does.

    Args:
        name: A path, as another machine writes it.
        images: Id and key of the images that may fit.
    """
    comparisons: tuple[Callable[[str], str], ...] = (str, without_ending, _number_of_file)
    for path, plain in itertools.product(named_paths(name), comparisons):
        fit = [image for image, key in images if _is_end(plain(path), plain(image)) or _is_end(plain(key), plain(path))]
        if fit:
            whole = [image for image in fit if plain(image) == plain(path)]
            return whole or fit
    return []


def _is_end(short: str, long: str) -> bool:
    return f"/{long}".endswith(f"/{short.lstrip('/')}")


def _number_of_file(path: str) -> str:
    """Return a path without ending, whose last part, if it is a number, has no zeros before it."""
    folder, slash, name = without_ending(path).rpartition("/")
    return f"{folder}{slash}{_number(name)}"


def _number(name: str) -> str:
    return name.lstrip("0") or "0" if name.isdecimal() else name
