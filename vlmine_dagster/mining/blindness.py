"""Answers of a model that did not get the picture: what many answers together tell, and no single one does.

A model that sees gives unlike pictures unlike answers; one that does not gives many pictures the same
answer, answers a grey picture like any other, and reads no more tokens with a picture than without (ray#56125).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import regex

_LEAST_WORDS = 4
"""Shorter answers (`A dog.`) are rightly the same for many pictures."""
_LEAST_LIKENESS = 0.65
"""Chance that two pictures of a group are more alike than one of it and one outside: 0.5 for a random group, and
0.8 to 1.0 for pictures of one thing (features of EfficientNet-Lite0, photos of tests/conftest.py)."""
_TOKENS_WITHIN_CHANCE = 3
"""A chat template without a picture may differ by so many tokens from one with it."""


def normalised(text: str) -> str:
    """Return an answer without case and marks: what stays is what it says.

    Examples:
        >>> normalised("**The** image didn't come through!")
        "the image didn't come through"
    """
    words = regex.findall(r"[\p{L}\p{M}\p{N}'-]+", text.lower().replace("\u2019", "'"))
    return " ".join(words)


def is_telling(text: str) -> bool:
    """Return whether an answer is so long that unlike pictures rarely get the same.

    Examples:
        >>> is_telling("A dog."), is_telling("A dog on a beach.")
        (False, True)
    """
    words = normalised(text)
    return len(words.split()) >= _LEAST_WORDS or not words.isascii()


def repeated(texts: Mapping[str, str], *, least: int) -> list[list[str]]:
    """Return the names of those that share an answer, the largest group first; answers under four words are left out.

    Args:
        texts: Answer by name, names of pictures that differ.
        least: Names that make a group.

    Examples:
        >>> repeated({"a": "No picture came here.", "b": "no picture came here", "c": "A dog."}, least=2)
        [['a', 'b']]
    """
    groups: dict[str, list[str]] = {}
    for name, text in texts.items():
        if is_telling(text):
            groups.setdefault(normalised(text), []).append(name)
    found = [names for names in groups.values() if len(names) >= least]
    return sorted(found, key=lambda names: (-len(names), names))


def likeness(group: npt.NDArray[np.floating], others: npt.NDArray[np.floating]) -> float:
    """Return the chance that two pictures of a group are more alike than one of it and one outside.

    Args:
        group: Shape (N, D), features of the pictures with one answer, N >= 2.
        others: Shape (M, D), features of pictures with other answers, M >= 1.

    Returns:
        In [0, 1]; 0.5 where the group is no more alike than chance.

    Examples:
        >>> likeness(np.array([[1.0, 0.0], [1.0, 0.1]]), np.array([[0.0, 1.0]]))
        1.0
    """
    inside, outside = _directions(group), _directions(others)
    pairs = np.triu_indices(len(inside), 1)
    within = (inside @ inside.T)[pairs]
    across = (inside @ outside.T).ravel()
    above = (within[:, None] > across[None, :]).mean()
    level = (within[:, None] == across[None, :]).mean()
    return float(above + level / 2)


def is_no_more_alike(group: npt.NDArray[np.floating], others: npt.NDArray[np.floating]) -> bool:
    """Return whether the pictures with one answer are no more alike than pictures drawn at random."""
    return likeness(group, others) < _LEAST_LIKENESS


def is_blind_to_change(grey: Sequence[str], answers: Sequence[str]) -> bool:
    """Return whether answers to different pictures differ no more than answers to one and the same grey picture.

    Args:
        grey: Answers to the same grey picture, at least two.
        answers: Answers to different pictures, at least two.

    Examples:
        >>> is_blind_to_change(["a red car", "a big dog"], ["a dog in a car", "a cat", "red trees"])
        True
        >>> is_blind_to_change(["a grey area", "a grey area"], ["a dog in a car", "a cat", "red trees"])
        False
    """
    return _mean_distance(grey) >= 0.5 * _mean_distance(answers)


def has_same_answer(text: str, other: str) -> bool:
    """Return whether two answers say the same, or nearly: nine of ten words are in both.

    Examples:
        >>> has_same_answer("A man rides a wave on a board.", "A man rides a wave on a board")
        True
    """
    return len(normalised(text).split()) >= _LEAST_WORDS and _distance(text, other) <= 0.1


def got_no_tokens(prompt_tokens: int, without_picture: int) -> bool:
    """Return whether a call with a picture read no more tokens than the same call without one."""
    return 0 < prompt_tokens <= without_picture + _TOKENS_WITHIN_CHANCE


def _directions(features: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    wide: npt.NDArray[np.float64] = np.asarray(features, np.float64)
    scaled: npt.NDArray[np.float64] = wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12)
    return scaled


def _mean_distance(texts: Sequence[str]) -> float:
    pairs = [(a, b) for place, a in enumerate(texts) for b in texts[place + 1 :]]
    return float(np.mean([_distance(a, b) for a, b in pairs])) if pairs else 0.0


def _distance(text: str, other: str) -> float:
    """Return the share of words that are in one text and not in the other."""
    one, two = set(normalised(text).split()), set(normalised(other).split())
    return 1 - len(one & two) / max(len(one | two), 1)
