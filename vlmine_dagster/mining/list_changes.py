"""Why an image entered a list since the last one, or left it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from vlmine_dagster.domain.changes import Cause
from vlmine_dagster.domain.counting import COUNTED, CountedUnit, counted
from vlmine_dagster.domain.verdicts import CONFIRMED, Verdict

_KEYWORD_SIGNALS = ("novelty_min", "novelty_mean")


@dataclass(frozen=True)
class Standing:
    """Where an image is in a list.

    Attributes:
        rank: Its rank.
        place: Its rank among the images that are in both lists; None where it is in one.
        signals: Value by signal, higher is more worth mining.
        signal_places: Rank by signal, likewise among the images of both lists; 1 is the best, equal values share the
            best rank of theirs.
        signal_ties: How many images of both lists have its value of a signal, itself included.
        junk: What is wrong with it, if it is in the junk lane.
        instead: The image that is listed in its place, if one is.
    """

    rank: int
    place: int | None = None
    signals: Mapping[str, float] = field(default_factory=dict)
    signal_places: Mapping[str, int] = field(default_factory=dict)
    signal_ties: Mapping[str, int] = field(default_factory=dict)
    junk: str | None = None
    instead: str | None = None


@dataclass(frozen=True)
class Comparison:
    """Two lists of one experiment.

    Attributes:
        selected_before: Images that the budget of the last list reached.
        selected_now: Images that the budget of this one reaches.
        has_same_signals: Whether both were mined by the same signals.
        has_verdicts: Whether this one learned from verdicts.
        has_denied: Whether images sank on this one because a second model did not see their keyword.
        counted: What keywords are counted by.
        noun: What is listed: image or object.
    """

    selected_before: int
    selected_now: int
    has_same_signals: bool = True
    has_verdicts: bool = False
    has_denied: bool = False
    counted: CountedUnit = COUNTED["image"]
    noun: str = "image"


Found = tuple[Cause, str]


def why_entered(before: Standing | None, now: Standing, lists: Comparison, *, shard: str, is_shard_new: bool) -> Found:
    """Say why an image is within the budget that was not before.

    Args:
        before: Where it was in the last list; None where it was not in it.
        now: Where it is in this one.
        lists: Both lists.
        shard: Its shard.
        is_shard_new: Whether the last list held no image of that shard.

    Examples:
        >>> lists = Comparison(selected_before=50, selected_now=50)
        >>> print(*why_entered(None, Standing(3), lists, shard="week-2", is_shard_new=True), sep=": ")
        new: new, in shard week-2
        >>> before = Standing(812, 800, {"novelty_min": 1 / 9}, {"novelty_min": 790})
        >>> now = Standing(40, 38, {"novelty_min": 1 / 2}, {"novelty_min": 30})
        >>> print(*why_entered(before, now, lists, shard="week-1", is_shard_new=False), sep=": ")
        signal: rank 812 before; its rarest keyword is in 2 images now, in 9 images before
    """
    if before is None:
        if is_shard_new:
            return Cause.NEW, f"new, in shard {shard}"
        return Cause.UNRANKED, "not in the last list: it is new in its shard, or lacked a signal"
    return _set_apart(before, "was in the junk lane before", "was listed in its place before") or _risen(
        before, now, lists
    )


def why_left(
    before: Standing,
    now: Standing | None,
    lists: Comparison,
    *,
    split: str | None,
    outcome: str | None,
    verdict: Verdict | None = None,
    is_denied: bool = False,
) -> Found:
    """Say why an image is no longer within the budget.

    Args:
        before: Where it was in the last list.
        now: Where it is in this one; None where it is not in it.
        lists: Both lists.
        split: Its split now; None where it is no longer in the data set.
        outcome: What became of it when it was opened last.
        verdict: What reviewers called it.
        is_denied: Whether a second model did not see its keyword.

    Examples:
        >>> lists = Comparison(selected_before=50, selected_now=50)
        >>> print(*why_left(Standing(3), None, lists, split="seed", outcome="ok"), sep=": ")
        labelled: labelled now
        >>> print(*why_left(Standing(48, 48), Standing(61, 48), lists, split="pool", outcome="ok"), sep=": ")
        others: rank 61 now; pushed down 13 by images that the last list did not contain
    """
    if now is None:
        return _absent(split, outcome)
    apart = _set_apart(now, "in the junk lane now", "is listed in its place now")
    if apart is None and verdict is not None and verdict not in CONFIRMED:
        return Cause.VERDICT, f"reviewers called it {verdict}"
    if apart is None and is_denied:
        return Cause.GROUNDING, f"rank {now.rank:,} now; a second model does not see its rarest keyword"
    return apart or _fallen(before, now, lists)


def _set_apart(standing: Standing, junk: str, represented: str) -> Found | None:
    """Return why a list sets an image apart, None where it does not."""
    if standing.junk:
        return Cause.JUNK, f"{junk} ({standing.junk})"
    return (Cause.REPRESENTED, f"{standing.instead} {represented}") if standing.instead else None


def _risen(before: Standing, now: Standing, lists: Comparison) -> Found:
    was = f"rank {before.rank:,} before"
    if before.rank <= lists.selected_now:
        return Cause.BUDGET, f"{was}; {_budgets(lists)}"
    own = _places(before) - _places(now)
    if own <= 0 or own < (before.rank - now.rank) - own:
        return Cause.OTHERS, f"{was}; {lists.noun}s ahead of it left"
    return _moved(before, now, lists, was, up=True)


def _fallen(before: Standing, now: Standing, lists: Comparison) -> Found:
    at = f"rank {now.rank:,} now"
    if before.rank > lists.selected_now:
        return Cause.BUDGET, f"{at}; {_budgets(lists)}"
    own = _places(now) - _places(before)
    others = (now.rank - before.rank) - own
    if own <= 0 or own < others:
        return Cause.OTHERS, f"{at}; pushed down {others:,} by {lists.noun}s that the last list did not contain"
    return _moved(before, now, lists, at, up=False)


def _budgets(lists: Comparison) -> str:
    return f"the budget reaches {counted(lists.selected_now, lists.noun)} now, {lists.selected_before:,} before"


def _absent(split: str | None, outcome: str | None) -> Found:
    if split is None:
        return Cause.GONE, "it is no longer in the data set"
    if outcome != "ok":
        return Cause.UNREADABLE, f"it cannot be read any more ({outcome})"
    if split == "seed":
        return Cause.LABELLED, "labelled now"
    if split != "pool":
        return Cause.LABELLED, f"in the {split} split now"
    return Cause.UNRANKED, "no longer ranked: it lacks a signal, or another one stands for it"


def _places(standing: Standing) -> int:
    return standing.rank if standing.place is None else standing.place


def _moved(before: Standing, now: Standing, lists: Comparison, rank: str, *, up: bool) -> Found:
    """Say what moved an image past others that are in both lists."""
    if not lists.has_same_signals:
        return Cause.ORDER, f"{rank}; the experiment mines by other signals now"
    ratios = {name: before.signal_places[name] / place for name, place in now.signal_places.items()}
    moves = ratios if up else {name: 1 / ratio for name, ratio in ratios.items()}
    name = max(moves, key=moves.__getitem__, default="")
    if name and moves[name] > 1:
        return Cause.SIGNAL, f"{rank}; {_signal_text(name, before, now, lists.counted)}"
    own = abs(_places(before) - _places(now))
    tied = _changed_tie(*((now, before) if up else (before, now)), own)
    if tied:
        return Cause.SIGNAL, f"{rank}; {_tie_text(tied, before, now, lists)}"
    if lists.has_verdicts:
        return Cause.VERDICT, f"{rank}; verdicts moved it {'up' if up else 'down'}"
    if lists.has_denied and up:
        return Cause.GROUNDING, f"{rank}; {lists.noun}s ahead of it sank: a second model does not see their keywords"
    return Cause.ORDER, f"{rank}; no signal moved it, but how the experiment puts its list together"


def _changed_tie(higher: Standing, lower: Standing, own: int) -> str:
    """Return the signal of which fewer images are level with an image where it is higher, "" where none explains it.

    Images of one value are in any order. One of them passes at most those that the tie loses, so a tie that loses
    fewer than half of the images that were passed is not the reason.
    """
    lost = {name: count - higher.signal_ties.get(name, 1) for name, count in lower.signal_ties.items()}
    name = max(lost, key=lost.__getitem__, default="")
    return name if name and lost[name] > 0 and 2 * lost[name] >= own else ""


def _tie_text(name: str, before: Standing, now: Standing, lists: Comparison) -> str:
    now_level, then_level = (one.signal_ties.get(name, 1) - 1 for one in (now, before))
    level = counted(now_level, f"other {lists.noun}") if now_level else f"no other {lists.noun}"
    same = ""
    if name in _KEYWORD_SIGNALS and name in now.signals:
        what = "its rarest keyword is still in" if name == "novelty_min" else "its keywords are still on average in"
        same = f"{what} {lists.counted.of(round(1 / now.signals[name]))}, and "
    return f"{same}{name} ranks {level} level with it now, {then_level:,} before"


def _signal_text(name: str, before: Standing, now: Standing, counted: CountedUnit) -> str:
    if name in _KEYWORD_SIGNALS and before.signals[name] != now.signals[name]:
        what = "its rarest keyword is" if name == "novelty_min" else "its keywords are on average"
        then, counts = (counted.of(round(1 / one.signals[name])) for one in (before, now))
        return f"{what} in {counts} now, in {then} before"
    places = (one.signal_places[name] for one in (now, before))
    return "{} ranks it {:,} now, {:,} before".format(name, *places)
