"""The signals by which an image may be mined: one table, from which settings, joins, reasons and documents follow.

A signal is a plug-in of the group `vlmine.signals`. Those that come with vlmine are declared in `scoring.signals`.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import Any, Literal

from vlmine_dagster.domain.plugins import OURS, Registry

Needs = Literal["nothing", "labels", "passes", "members", "examples", "oracle"]

Measures = Literal["probabilities", "passes", "pass_votes", "members", "member_votes"]
"""Answers of a task model, by which the columns of `uncertainty_scores` are computed."""

CONTEXT = {
    "novelty_scores": ("min_count", "rarest_keyword"),
    "uncertainty_scores": ("predicted_label",),
    "rarity_scores": ("rare_class",),
}
"""Columns that reasons use besides a table's signals."""


_MADE = itertools.count()


@dataclass(frozen=True)
class Signal:
    """One number per image; oriented so that higher is more worth mining.

    Attributes:
        name: Its name in `vlmine.yaml`.
        table: The table that holds it in a column of its name, or the columns that it is made from; None where it needs
            no table of scores.
        meaning: What it is, in a line for people.
        reason: How the line under a picture says why its value counts. Fields: `value` as the table holds it, `inverse`
            (1 / value), `complement` (1 - value), `negated`, `nth` (its rank among the pool, such as "14th ", empty for
            the first), `keyword` (the rarest), `images` (its count in words), `rarest` (the keyword as an addition),
            `best` (the most probable class), `guess` (that class as an addition) and `rare_class` (a clause about the
            rare class on whose list it ranks highest).
        source: The function with its formula.
        needs: What a project must have: `nothing`; `labels` (a labelled seed, or the user's own task model); `passes`
            (a task model with Monte Carlo dropout); `members` (an ensemble as task model); `examples` (images or words
            that the list shall resemble); `oracle` (the labels of a benchmark).
        is_negated: Whether the table's column is lower for what is more worth mining.
        made_from: Columns of its table from which it is made while mining, where it has no column itself.
        make: Makes it while mining, where no table holds it: called with the reader (`scoring.reading.Reader`) and the
            images that can be mined (`scoring.pool.MinedPool`), returns float64 of shape (N,), higher is more worth
            mining, NaN for unknown.
        reads: What `make` reads through the reader: columns by table.
        untagged: The same in a pool whose tags mean nothing, where a reason must not use them; empty: as `reason`.
        measures: For a column of `uncertainty_scores`: what `source` is called with.
        version: Raised when `make` returns other values, so that lists that were mined by it are made again.
    """

    name: str
    table: str | None
    meaning: str
    reason: str
    source: str
    needs: Needs = "nothing"
    is_negated: bool = False
    made_from: tuple[str, ...] = ()
    make: Callable[[Any, Any], Any] | None = None
    reads: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    untagged: str = ""
    measures: Measures | None = None
    version: int = 1
    _place: int = field(default_factory=_MADE.__next__, init=False, repr=False, compare=False)

    @property
    def formula(self) -> Callable[..., Any]:
        """The function that `source` names."""
        module, _, name = self.source.rpartition(".")
        function: Callable[..., Any] = getattr(import_module(f"vlmine_dagster.{module}"), name)
        return function


REGISTRY: Registry[Signal] = Registry("vlmine.signals", Signal, noun="signal")


class _Signals(Mapping[str, Signal]):
    """All signals by name: ours in the order of their declaration, then those of other packages."""

    @cached_property
    def _all(self) -> dict[str, Signal]:
        works = REGISTRY.all()
        return dict(sorted(works.items(), key=lambda one: (REGISTRY.package_of(one[0]) != OURS, one[1]._place)))

    def __getitem__(self, name: str) -> Signal:
        return self._all[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)


SIGNALS: Mapping[str, Signal] = _Signals()


def signals_of(names: Iterable[str], table: str | None) -> list[str]:
    """Return those of some signals that a table holds or that are made of it; None asks for those made of no table.

    Examples:
        >>> signals_of(["novelty_min", "entropy", "margin"], "uncertainty_scores")
        ['entropy', 'margin']
    """
    return [name for name in names if SIGNALS[name].table == table]


def tables_of(names: Iterable[str]) -> list[str]:
    """Return the tables that hold some signals, each once.

    Examples:
        >>> tables_of(["random", "novelty_min", "entropy", "novelty_mean"])
        ['novelty_scores', 'uncertainty_scores']
    """
    return list(dict.fromkeys(table for name in names if (table := SIGNALS[name].table) is not None))


def columns_of(table: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of a table that mining by some signals reads beside `image_id`.

    Examples:
        >>> columns_of("novelty_scores", ["novelty_mean", "entropy"])
        ('novelty_mean', 'min_count', 'rarest_keyword')
    """
    held = (column for name in signals_of(names, table) for column in SIGNALS[name].made_from or (name,))
    return tuple(dict.fromkeys((*held, *CONTEXT.get(table, ()))))


def reads_of(names: Iterable[str], *, tables: Iterable[str] | None = None) -> dict[str, tuple[str, ...]]:
    """Return the columns that mining by some signals reads, by table, `image_id` among them.

    Args:
        names: The signals.
        tables: Tables of scores that are joined to the pool; those that hold the signals if None.

    Examples:
        >>> for table, columns in reads_of(["tail_first", "random"]).items():
        ...     print(table, *columns)
        uncertainty_scores image_id entropy predicted_label
        items image_id label split outcome
    """
    chosen = list(names)
    joined = tables_of(chosen) if tables is None else tables
    reads = {table: ("image_id", *columns_of(table, chosen)) for table in joined}
    for name in chosen:
        for table, columns in SIGNALS[name].reads.items():
            reads[table] = tuple(dict.fromkeys((*reads.get(table, ()), *columns)))
    return reads
