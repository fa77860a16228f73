"""Lists that do not show one moment twice: at most so many frames of a recording, so far apart."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import ContractError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]

_STEPS = 1_000_000
"""Positions are compared in whole millionths, so that 14.4 - 12.4 is 2."""


@dataclass(frozen=True, eq=False)
class ThinnedList:
    """A list without the frames that its rules skip. All arrays hold indices into the list, rising.

    Attributes:
        kept: Shape (K,), int64, the items that stay.
        skipped: Shape (S,), int64, the others; K + S is the length of the list.
        instead: Shape (S,), int64, for each of them the item that stays in its place.
        is_close: Shape (S,), bool, whether that item lies within the gap; else the sequence has had its number.
    """

    kept: Integers
    skipped: Integers
    instead: Integers
    is_close: Booleans

    def more(self, *, is_close: bool) -> Integers:
        """Return how many items each kept item stands for, shape (K,): those of its moment, or of its sequence."""
        places = np.searchsorted(self.kept, self.instead[self.is_close == is_close])
        return np.bincount(places, minlength=len(self.kept)).astype(np.int64)


def thin_list(
    sequences: npt.ArrayLike,
    positions: npt.ArrayLike | None = None,
    *,
    gap: float | None = None,
    per_sequence: int | None = None,
) -> ThinnedList:
    """Skip items of a list that show what an earlier item of their sequence has shown.

    The list is read from its best item on. An item stays if no item that stayed before it is of its sequence and less
    than `gap` away, and fewer than `per_sequence` items of its sequence stayed. So what stays of the first n items does
    not depend on what follows: a smaller budget is a prefix of a larger one.

    Items that stay are at least `gap` apart, so at most two lie within the gap of one that is skipped; the better of
    the two stands for it. Where none does, the best item of the sequence does.

    Args:
        sequences: Shape (N,), whole numbers, the sequence of each item, best item first; below 0: of none, stays.
        positions: Shape (N,), where the item lies in its sequence (seconds, or frames); needed with `gap` for all items
            of sequences. Compared in millionths.
        gap: Smallest distance, above 0, in the unit of the positions.
        per_sequence: Most items of a sequence, at least 1.

    Raises:
        ContractError: shapes differ, a position is missing, or a rule is out of bounds.

    Examples:
        >>> thinned = thin_list([0, 0, 1, 0, -1], [5.0, 5.5, 5.0, 8.0, 5.0], gap=2)
        >>> thinned.kept.tolist(), thinned.skipped.tolist(), thinned.instead.tolist()
        ([0, 2, 3, 4], [1], [0])
        >>> thin_list([0, 0, 1, 0, 0], per_sequence=2).more(is_close=False).tolist()
        [2, 0, 0]

    References:
        Greedy non-maximum suppression in one dimension, with the list's own order as the score.
    """
    named = np.asarray(sequences, dtype=np.int64)
    _check(named, positions, gap, per_sequence)
    places = np.flatnonzero(named >= 0)
    is_kept = np.ones(len(named), dtype=bool)
    where = np.zeros(len(places), dtype=np.int64)
    if gap is not None and len(places):
        where, places = _along(named, np.asarray(positions, dtype=np.float64), places, gap)
        is_kept[places] = _far_apart(where, places, round(gap * _STEPS))
    if per_sequence is not None:
        stays = np.flatnonzero(is_kept & (named >= 0))
        is_kept[stays[count_before(named[stays]) >= per_sequence]] = False
    skipped = np.flatnonzero(~is_kept)
    instead, is_close = _substitutes(named, is_kept, skipped)
    if gap is not None and len(skipped):
        near = _nearest(is_kept, places, where, round(gap * _STEPS))[skipped]
        is_close = near >= 0
        instead = np.where(is_close, near, instead)
    return ThinnedList(np.flatnonzero(is_kept), skipped, instead, is_close)


def moment_note(of_moment: int, of_sequence: int, *, noun: str = "frame") -> str:
    """Return what a reason says of the items that a list skips in favour of one, "" where there are none.

    Examples:
        >>> moment_note(29, 0), moment_note(1, 4), moment_note(0, 0)
        (' · 29 more frames of this moment', ' · 1 more frame of this moment · 4 more frames of this sequence', '')
    """
    counts = {"moment": of_moment, "sequence": of_sequence}
    notes = (f" · {counted(n, f'more {noun}')} of this {what}" for what, n in counts.items() if n)
    return "".join(notes)


def image_note(_of_moment: int, of_image: int) -> str:
    """Return what a reason says of other objects of the image that the list names once.

    Examples:
        >>> image_note(0, 1), image_note(0, 12)
        (' · with 1 more object', ' · with 12 more objects')
    """
    return f" · with {counted(of_image, 'more object')}"


def codes_of(sequences: Sequence[str | None]) -> Integers:
    """Return a whole number per sequence, -1 for None.

    Examples:
        >>> codes_of(["b", None, "a", "b"]).tolist()
        [0, -1, 1, 0]
    """
    numbers: dict[str, int] = {}
    return np.array([-1 if name is None else numbers.setdefault(name, len(numbers)) for name in sequences], np.int64)


def _check(named: Integers, positions: npt.ArrayLike | None, gap: float | None, per_sequence: int | None) -> None:
    if gap is None and per_sequence is None:
        raise ContractError("thin_list: no rule. Pass gap, per_sequence or both.")
    if gap is not None and round(gap * _STEPS) < 1:
        raise ContractError(f"thin_list: a gap of {gap:g}, expected at least 0.000001.")
    if per_sequence is not None and per_sequence < 1:
        raise ContractError(f"thin_list: {per_sequence} items per sequence, expected at least 1.")
    if gap is None:
        return
    given = np.empty(0) if positions is None else np.asarray(positions, dtype=np.float64)
    if given.shape != named.shape:
        raise ContractError(f"thin_list: positions have shape {given.shape}, expected {named.shape}.")
    missing = int((~np.isfinite(given[named >= 0])).sum())
    if missing:
        items = counted(missing, "item of a sequence has", "items of sequences have")
        raise ContractError(f"thin_list: {items} no position, and gap needs all of them.")


def _along(named: Integers, positions: Floats, places: Integers, gap: float) -> tuple[Integers, Integers]:
    """Lay all sequences on one line, such that exactly the pairs that are closer than the gap are closer than it there.

    Returns:
        Rising places on the line in millionths, and the item at each. Distances above the gap are shortened to it, and
        sequences lie one gap apart: the line is short, however long the pauses.
    """
    order = places[np.lexsort((places, positions[places], named[places]))]
    code, at = named[order], positions[order]
    starts = np.append(True, code[1:] != code[:-1])
    first = np.maximum.accumulate(np.where(starts, np.arange(len(order)), 0))
    widest = round(gap * _STEPS)
    since = np.minimum((at - at[first]) * _STEPS, 2.0**62).round().astype(np.int64)
    steps = np.clip(np.diff(since, prepend=0), 0, widest)
    return np.cumsum(np.where(starts, widest, steps)), order


def _far_apart(where: Integers, places: Integers, gap: int) -> Booleans:
    """Return which items stay, at each place of the line: in the order of the list, what is not yet blocked."""
    low = np.searchsorted(where, where - gap, side="right").tolist()
    high = np.searchsorted(where, where + gap, side="left").tolist()
    is_blocked, ones = bytearray(len(where)), b"\1" * len(where)
    is_kept = bytearray(len(where))
    for at in np.argsort(places, kind="stable").tolist():
        if not is_blocked[at]:
            is_kept[at] = 1
            is_blocked[low[at] : high[at]] = ones[: high[at] - low[at]]
    return np.frombuffer(bytes(is_kept), dtype=bool)


def count_before(groups: Integers) -> Integers:
    """Return for each item how many items of its group come before it.

    Examples:
        >>> count_before(np.array([3, 5, 3, 3])).tolist()
        [0, 0, 1, 2]
    """
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)])
    sizes = np.diff(np.append(starts, len(ordered)))
    counts = np.empty(len(groups), dtype=np.int64)
    counts[order] = np.arange(len(ordered)) - np.repeat(starts, sizes)
    return counts


def _substitutes(named: Integers, is_kept: Booleans, skipped: Integers) -> tuple[Integers, Booleans]:
    """Return for each skipped item the best item of its sequence that stays."""
    stays = np.flatnonzero(is_kept & (named >= 0))
    codes, first = np.unique(named[stays], return_index=True)
    return stays[first[np.searchsorted(codes, named[skipped])]], np.zeros(len(skipped), dtype=bool)


def _nearest(is_kept: Booleans, places: Integers, where: Integers, gap: int) -> Integers:
    """Return for each item of the list the better of the items that stay within the gap of it, -1 where none does."""
    stays = np.flatnonzero(is_kept[places])
    after = np.searchsorted(stays, np.arange(len(places)))
    nothing = len(is_kept)
    best = np.full(len(places), nothing)
    for side in (after - 1, after):
        is_there = (side >= 0) & (side < len(stays))
        at = stays[np.where(is_there, side, 0)]
        is_near = is_there & (np.abs(where[at] - where) < gap)
        best = np.minimum(best, np.where(is_near, places[at], nothing))
    found = np.full(len(is_kept), -1, dtype=np.int64)
    found[places] = np.where(best == nothing, -1, best)
    return found
