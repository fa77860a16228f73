"""Which keywords mean one thing: merges that were written down, and merges to propose."""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vlmine_dagster.domain.counting import LEFT_OUT
from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.mining.spellings import SYNONYMS, american

LEAST_SIMILARITY = 0.8
"""Similarity from which a merge by meaning is proposed, chosen for all-MiniLM-L6-v2 (docs/vocabulary.md)."""

_BLOCK = 1_000
_CANDIDATES = 20

Vectors = npt.NDArray[Any]


@dataclass(frozen=True)
class Merge:
    """One line of a vocabulary: a keyword, and the one that it is counted as.

    Attributes:
        keyword: The keyword that leaves.
        merged_into: The keyword that stands for it; `LEFT_OUT` where none does.
    """

    keyword: str
    merged_into: str


def checked_merges(lines: Iterable[tuple[int, str, str]], *, where: str) -> tuple[Merge, ...]:
    """Return merges that can be counted through, sorted by keyword.

    Args:
        lines: Number, keyword and what it is merged into, of each line.
        where: The file, for messages.

    Raises:
        ConfigError: a cell is empty or no keyword, a keyword repeats, is merged into itself, or into one that is merged
            or left out too; the message names the line.
    """
    found: dict[str, tuple[int, str]] = {}
    for line, keyword, target in lines:
        for name in (keyword, target):
            _check_keyword(name, f"{where}, line {line}")
        if keyword == target:
            raise ConfigError(f"{where}, line {line}: {keyword!r} is merged into itself. Delete the line.")
        if keyword in found:
            raise ConfigError(
                f"{where}, line {line}: {keyword!r} is merged in line {found[keyword][0]} already, into "
                f"{found[keyword][1]!r}. Keep one of the two."
            )
        found[keyword] = (line, target)
    for keyword, (line, target) in found.items():
        if target in found:
            raise ConfigError(_chain(keyword, {one: into for one, (_, into) in found.items()}, f"{where}, line {line}"))
    return tuple(Merge(keyword, target) for keyword, (_, target) in sorted(found.items()))


def _check_keyword(name: str, place: str) -> None:
    if not name:
        raise ConfigError(
            f"{place}: a cell is empty. A line has a keyword and the one that it is merged into, or "
            f"{LEFT_OUT} where it is not counted."
        )
    if name != LEFT_OUT and all(unicodedata.category(char) in ("Pd", "Sm") for char in name):
        raise ConfigError(f"{place}: {name!r} is a different dash; write {LEFT_OUT} where a keyword is not counted.")
    plain = " ".join(unicodedata.normalize("NFKC", name).lower().split())
    if plain != name:
        raise ConfigError(
            f"{place}: {name!r} is not a keyword: they are in lower case with single spaces. Write {plain!r}."
        )


def _chain(keyword: str, merges: Mapping[str, str], place: str) -> str:
    """Return what is wrong where a keyword is merged into one that is merged too."""
    path = [keyword]
    while path[-1] in merges and merges[path[-1]] not in path:
        path.append(merges[path[-1]])
    if path[-1] in merges:
        circle = " -> ".join([*path, merges[path[-1]]])
        return f"{place}: a circle, {circle}. Delete one of these lines."
    if path[-1] == LEFT_OUT:
        return (
            f"{place}: {path[-2]!r} is left out. Leave {keyword!r} out too: write {LEFT_OUT} in place of {path[1]!r}."
        )
    return f"{place}: {path[1]!r} is merged too, into {merges[path[1]]!r}. Merge {keyword!r} into {path[-1]!r}."


def version_of(merges: Sequence[Merge]) -> str:
    """Return 12 hex digits that change with the merges and with nothing else.

    Examples:
        >>> version_of([Merge("lorry", "truck")]), version_of([]) == version_of([Merge("lorry", "truck")])
        ('dde974d5f32a', False)
    """
    text = "\n".join(f"{one.keyword}\t{one.merged_into}" for one in sorted(merges, key=lambda one: one.keyword))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Proposal:
    """A merge to look at.

    Attributes:
        keyword: The keyword that would leave: the rarer one.
        merged_into: The commonest keyword of the same meaning.
        rule: Why: lemma, spelling, spaces, synonym or meaning; "asked for" where it is to be left out.
        keyword_count: Images that have the one.
        target_count: Images that have the other.
        similarity: How near they are by meaning, at most 1; None for the other rules.
    """

    keyword: str
    merged_into: str
    rule: str
    keyword_count: int
    target_count: int
    similarity: float | None = None


def propose_merges(
    image_counts: Mapping[str, int],
    *,
    lemma: Callable[[str], str],
    synonyms: Mapping[str, str] | None = None,
    merged: Sequence[Merge] = (),
) -> list[Proposal]:
    """Propose to merge keywords that are forms of one word: each into the commonest that the pool has.

    Two keywords are of one meaning if they agree after each of these steps, which build on one another: the lemma of
    every word; accents off and American spelling; without spaces, hyphens and apostrophes; the first name of their
    group of synonyms. The last step that they need is the rule.

    Args:
        image_counts: Images by keyword, each >= 1.
        lemma: Returns the lemma of a word.
        synonyms: First name of its group, by word; those that come with vlmine if None.
        merged: Merges that are made: their keywords are left out, and what they are merged into stays.

    Returns:
        The proposals that concern the rarest keywords first, then by name.

    Examples:
        >>> counts = {"lorry": 2, "truck": 40, "t-shirt": 3, "t shirt": 1, "grey": 9, "gray": 1, "trucks": 4, "cat": 7}
        >>> for one in propose_merges(counts, lemma=lambda word: word.removesuffix("s")):
        ...     print(one.keyword, "->", one.merged_into, one.rule, one.keyword_count, one.target_count)
        gray -> grey spelling 1 9
        t shirt -> t-shirt spaces 1 3
        lorry -> truck synonym 2 40
        trucks -> truck lemma 4 40
    """
    groups = SYNONYMS if synonyms is None else synonyms
    taken = {one.keyword for one in merged}
    kept = {one.merged_into for one in merged}
    forms = {word: _forms(word, lemma, groups) for word in image_counts if word not in taken}
    meant: dict[str, list[str]] = {}
    for word, steps in forms.items():
        meant.setdefault(steps[-1], []).append(word)
    found = []
    for words in meant.values():
        target = min(words, key=lambda word: (word not in kept, -image_counts[word], word))
        found += [
            Proposal(word, target, _rule(forms[word], forms[target]), image_counts[word], image_counts[target])
            for word in words
            if word != target and word not in kept
        ]
    return sorted(found, key=lambda one: (one.keyword_count, one.keyword))


RULES = ("lemma", "spelling", "spaces", "synonym")
"""The rules, in the order of their steps."""


def propose_by_meaning(
    image_counts: Mapping[str, int], vectors: Vectors, *, least: float, settled: Collection[str] = ()
) -> list[Proposal]:
    """Propose to merge keywords that a text encoder takes for the same: each other's nearest, the rarer into the other.

    With v the vectors of all keywords minus their mean, of length 1, two keywords are as similar as v(a) v(b). Keywords
    that look alike (see `looks_alike`) are left out, since encoders of pieces of words take an otter for an otterhound.

    Args:
        image_counts: Images by keyword, each >= 1.
        vectors: Shape (K, D), in the order of `image_counts`.
        least: Similarity from which a merge is proposed.
        settled: Keywords that are merged or that others are merged into: they are in no proposal.

    Returns:
        The most similar first, then by name. Of keywords of as many images the first by name stays.

    Examples:
        >>> vectors = np.array([[1.0, 0.1], [1.0, 0.0], [-1.0, 0.0], [-0.2, 1.0]])
        >>> for one in propose_by_meaning({"couch": 2, "sofa": 9, "cat": 5, "dog": 5}, vectors, least=0.8):
        ...     print(one.keyword, "->", one.merged_into, one.rule, round(one.similarity, 2))
        couch -> sofa meaning 0.99
    """
    words = list(image_counts)
    nearest = _nearest(words, vectors, least) if len(words) > 1 else {}
    found = []
    for place, (other, similarity) in nearest.items():
        if other < place or nearest.get(other, (-1, 0.0))[0] != place:
            continue
        target, leaves = sorted((words[place], words[other]), key=lambda word: (-image_counts[word], word))
        if leaves not in settled and target not in settled:
            found.append(
                Proposal(leaves, target, "meaning", image_counts[leaves], image_counts[target], round(similarity, 4))
            )
    return sorted(found, key=lambda one: (-(one.similarity or 0), one.keyword))


def looks_alike(one: str, other: str) -> bool:
    """Whether words of two keywords begin with the same 3 characters, end with the same 4, or contain one another.

    Examples:
        >>> looks_alike("african elephant", "indian elephant"), looks_alike("mouse", "mousetrap")
        (True, True)
        >>> looks_alike("barbell", "dumbbell"), looks_alike("couch", "sofa"), looks_alike("tv", "television")
        (True, False, False)
    """
    return any(
        mine[:3] == theirs[:3]
        or mine[-4:] == theirs[-4:]
        or (min(len(mine), len(theirs)) > 2 and (mine in theirs or theirs in mine))
        for mine in re.split("[ -]", one)
        for theirs in re.split("[ -]", other)
    )


def _nearest(words: Sequence[str], vectors: Vectors, least: float) -> dict[int, tuple[int, float]]:
    """Return of each keyword the place of the nearest that does not look alike, and how similar; none below `least`."""
    centred = vectors - vectors.mean(axis=0)
    centred = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    count = min(_CANDIDATES, len(words))
    found = {}
    for start in range(0, len(words), _BLOCK):
        similar = centred[start : start + _BLOCK] @ centred.T
        similar[np.arange(len(similar)), start + np.arange(len(similar))] = -np.inf
        candidates = np.argpartition(-similar, count - 1, axis=1)[:, :count]
        for row in np.flatnonzero(similar.max(axis=1) >= least).tolist():
            ordered = sorted((-float(similar[row, place]), place) for place in candidates[row].tolist())
            near = (
                pair for pair in ordered if -pair[0] >= least and not looks_alike(words[start + row], words[pair[1]])
            )
            if (best := next(near, None)) is not None:
                found[start + row] = best[1], -best[0]
    return found


def _forms(keyword: str, lemma: Callable[[str], str], synonyms: Mapping[str, str]) -> tuple[str, ...]:
    """Return what is left of a keyword after each step."""
    by_lemma = " ".join(lemma(word) for word in keyword.split(" "))
    spelt = " ".join(american(word) for word in _without_accents(by_lemma).split(" "))
    squashed = _squashed(spelt)
    return by_lemma, spelt, squashed, _squashed(synonyms.get(spelt, synonyms.get(squashed, spelt)))


def _rule(one: Sequence[str], other: Sequence[str]) -> str:
    """Return the first step after which two keywords agree."""
    return next(rule for rule, mine, theirs in zip(RULES, one, other, strict=True) if mine == theirs)


def _without_accents(text: str) -> str:
    return "".join(one for one in unicodedata.normalize("NFD", text) if not unicodedata.combining(one))


def _squashed(text: str) -> str:
    return "".join(one for one in text if one.isalnum())
