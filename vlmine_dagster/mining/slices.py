"""Slices of a pool: floors that split a budget, bins of numbers, and which slice does worst."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.domain.hints import did_you_mean
from vlmine_dagster.mining.moments import count_before

NOT_KNOWN = "not known"
"""The slice of images without a value."""

NONE_OF_THEM = "none of these keywords"
"""The slice of described images that have none of the keywords that make slices."""

MOST_SLICES = 100
FEWEST_JUDGED = 10
"""Images below which nothing is said of a slice's accuracy or recall."""

Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]


def with_floors(
    codes: npt.ArrayLike, names: Sequence[str], *, count: int, floors: int | Mapping[str, int]
) -> tuple[Integers, Booleans]:
    """Reorder a list so that its first items hold at least so many of each slice.

    The best `floor` items of each slice are sure of a place, or all where there are fewer; the best of the others fill
    what is left. Within the chosen, and within the rest, the order of the list stays. Other counts choose anew: what a
    smaller count chooses need not be part of it.

    Args:
        codes: Shape (N,), whole numbers, the slice of each item of the list, best item first.
        names: Name by code.
        count: Items to choose, at most N.
        floors: Items of every slice, or by its name.

    Returns:
        Shape (N,), int64, places in the list in the new order; shape (N,), bool, in the new order: whether an item is
        chosen only since its slice has a floor.

    Raises:
        ConfigError: the floors need more than `count` items, or a name is none of a slice.

    Examples:
        >>> order, is_lifted = with_floors([0, 0, 0, 1, 0, 1], ["day", "night"], count=3, floors=1)
        >>> order.tolist(), is_lifted.tolist()
        ([0, 1, 3, 2, 4, 5], [False, False, True, False, False, False])
    """
    slices = np.asarray(codes, dtype=np.int64)
    candidates = np.bincount(slices, minlength=len(names))
    wanted = np.minimum(_floor_by_code(floors, names), candidates)
    needed = int(wanted.sum())
    if needed > count:
        floor_texts = ", ".join(f"{name} {n:,}" for name, n in zip(names, wanted.tolist(), strict=True) if n)
        raise ConfigError(
            f"slices: the floors need {needed:,} places ({floor_texts}), and the budget selects {count:,}. Lower "
            f"slices.floor, or raise the budget."
        )
    is_sure = count_before(slices) < wanted[slices]
    is_chosen = is_sure.copy()
    is_chosen[np.flatnonzero(~is_sure)[: count - needed]] = True
    order = np.concatenate([np.flatnonzero(is_chosen), np.flatnonzero(~is_chosen)]).astype(np.int64)
    is_lifted = (order >= count) & is_chosen[order]
    return order, is_lifted


def _floor_by_code(floors: int | Mapping[str, int], names: Sequence[str]) -> Integers:
    if isinstance(floors, int):
        return np.full(len(names), floors, dtype=np.int64)
    for name in floors:
        if name not in names:
            raise ConfigError(f"slices.floor: there is no slice {name!r}{did_you_mean(name, names)}")
    return np.array([floors.get(name, 0) for name in names], dtype=np.int64)


def binned(values: Sequence[str | None], bins: int, *, column: str) -> list[str | None]:
    """Put numbers into slices of about the same size, by quantiles of the values that are there.

    Args:
        values: N numbers as text, None where there is none.
        bins: Slices, at least 2; fewer come out where many values are equal.
        column: Whose values they are, for messages.

    Returns:
        The name of each value's slice, such as "2 to 5": from 2 on, below 5, the last one with its end. None stays.

    Raises:
        ConfigError: a value is not a finite number.

    Examples:
        >>> binned(["1", "2", None, "3", "10"], 2, column="speed")
        ['1 to 2.5', '1 to 2.5', None, '2.5 to 10', '2.5 to 10']
    """
    is_there = np.array([value is not None for value in values], dtype=bool)
    numbers = np.array([_number(value, column) for value in values if value is not None], dtype=np.float64)
    if not len(numbers):
        return list(values)
    edges = np.unique(np.quantile(numbers, np.linspace(0, 1, bins + 1)))
    if len(edges) == 1:
        edges = np.repeat(edges, 2)
    places = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, len(edges) - 2)
    names = [f"{low:.6g} to {high:.6g}" for low, high in itertools.pairwise(edges)]
    found: list[str | None] = [None] * len(values)
    for at, place in zip(np.flatnonzero(is_there).tolist(), places.tolist(), strict=True):
        found[at] = names[place]
    return found


def _number(value: str, column: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = np.nan
    if not np.isfinite(number):
        raise ConfigError(
            f"slices.bins: {value!r} in column {column!r} is not a number. Take bins out, or fix the value."
        )
    return number


def refuse_many(names: Sequence[str], *, column: str) -> None:
    """Refuse a column that has too many different values for slices.

    Args:
        names: The different values.
        column: Whose values they are.

    Raises:
        ConfigError: there are more than 100.
    """
    if len(names) <= MOST_SLICES:
        return
    is_numeric = all(_is_number(name) for name in names)
    advice = (
        "set slices.bins, such as 5, to put its numbers into slices of the same size"
        if is_numeric
        else "set slices.characters to cut them (7 makes months of dates such as 2026-03-14), or take another column"
    )
    raise ConfigError(
        f"slices: column {column!r} has {len(names):,} different values, such as {names[0]!r}; at most {MOST_SLICES} "
        f"slices can be told apart: {advice}."
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def slice_metrics(what: str, slices: Sequence[str], is_right: Sequence[bool]) -> dict[str, float]:
    """Return the share of right answers by slice, of slices with at least 10 images, and that of the worst slice.

    Args:
        what: What the share is: accuracy or recall.
        slices: The slice of each of N images.
        is_right: Whether each was found, or named rightly.

    Examples:
        >>> slice_metrics("accuracy", ["day"] * 10 + ["night"] * 3, [True] * 5 + [False] * 8)
        {'slice_accuracy: day': 0.5, 'worst_slice_accuracy': 0.5}
    """
    found: dict[str, list[bool]] = {}
    for name, right in zip(slices, is_right, strict=True):
        found.setdefault(name, []).append(right)
    shares = {name: sum(some) / len(some) for name, some in sorted(found.items()) if len(some) >= FEWEST_JUDGED}
    if not shares:
        return {}
    return {
        **{f"{slice_metric(what)}{name}": share for name, share in shares.items()},
        f"worst_slice_{what}": min(shares.values()),
    }


def slice_metric(what: str) -> str:
    """Return how the metric of a slice begins; its name follows.

    Examples:
        >>> slice_metric("recall")
        'slice_recall: '
    """
    return f"slice_{what}: "


@dataclass(frozen=True)
class WorstSlice:
    """The slice that does worst at one budget.

    Attributes:
        name: Its name.
        value: Its share of right answers.
    """

    name: str
    value: float


def worst_slice(shares: Mapping[str, float]) -> WorstSlice | None:
    """Return the worst of some slices, of equal ones the first by name; None where there is none.

    Examples:
        >>> worst_slice({"night": 0.2, "fog": 0.2, "day": 0.9})
        WorstSlice(name='fog', value=0.2)
    """
    name = min(shares, key=lambda one: (shares[one], one), default=None)
    return None if name is None else WorstSlice(name, shares[name])
