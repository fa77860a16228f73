"""Lists whose keywords a second model looked for: what sinks on them, and how often keywords were made up."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vlmine_dagster.domain.signals import SIGNALS
from vlmine_dagster.mining.grounding import Confirmations, confirmations
from vlmine_dagster.mining.selection import Ranking
from vlmine_dagster.scoring.reading import Reader

_SEEN = " · seen by a second model"
_UNSEEN = " · not seen by a second model"


def by_grounding(reader: Reader, pool: pa.Table, ranking: Ranking) -> tuple[Ranking, Mapping[int, str]]:
    """Let images sink whose deciding keyword a second model did not see.

    Args:
        reader: Reads `grounded_keywords` (image_id, is_confirmed), if keywords are confirmed.
        pool: `image_id` of the images that the ranking's places mean.
        ranking: Their ranking.

    Returns:
        The ranking, and what reasons say of it, by place; the same ranking and nothing where nobody was asked.
    """
    if not reader.needs("grounded_keywords"):
        return ranking, {}
    answered = _answered(reader)
    places = pc.index_in(answered.column("image_id"), value_set=pool.column("image_id").combine_chunks()).to_pylist()
    seen = dict(zip(places, answered.column("is_confirmed").to_pylist(), strict=True))
    found = {place: is_seen for place, is_seen in seen.items() if place is not None}
    is_denied = np.zeros(pool.num_rows, dtype=np.bool_)
    is_denied[[place for place, is_seen in found.items() if not is_seen]] = True
    return sunk(ranking, is_denied), {place: _SEEN if is_seen else _UNSEEN for place, is_seen in found.items()}


def _answered(reader: Reader) -> pa.Table:
    rows = reader.read("grounded_keywords", ["image_id", "is_confirmed"])
    return rows.filter(pc.is_valid(rows.column("is_confirmed")))


def denied_images(reader: Reader) -> frozenset[str]:
    """Return the ids of the images whose deciding keyword a second model did not see; none where nobody was asked.

    Args:
        reader: Reads `grounded_keywords` (image_id, is_confirmed), if keywords are confirmed.
    """
    if not reader.needs("grounded_keywords"):
        return frozenset()
    answered = _answered(reader)
    return frozenset(answered.filter(pc.invert(answered.column("is_confirmed"))).column("image_id").to_pylist())


def sunk(ranking: Ranking, is_denied: npt.NDArray[np.bool_]) -> Ranking:
    """Return a ranking whose denied images come last, in their own order; they are of the last front.

    Args:
        ranking: The ranking.
        is_denied: By place.

    Examples:
        >>> ranking = Ranking(np.array([2, 0, 1]), np.array([1, 1, 2]), np.array([2.0, 3.0, 5.0]), {}, 0)
        >>> found = sunk(ranking, np.array([False, False, True]))
        >>> found.order.tolist(), found.front.tolist()
        ([0, 1, 2], [1, 2, 2])
    """
    last = is_denied[ranking.order]
    if not last.any():
        return ranking
    moved = np.concatenate([np.flatnonzero(~last), np.flatnonzero(last)])
    front = ranking.front[moved].copy()
    front[len(moved) - int(last.sum()) :] = ranking.front.max()
    return replace(ranking, order=ranking.order[moved], front=front, rank_sum=ranking.rank_sum[moved])


def decided_by_keyword(ranking: Ranking, pool_size: int) -> npt.NDArray[np.bool_]:
    """Return whether an image is where it is by its keywords: no other signal ranks it higher than novelty does.

    Of images that are equally novel, each has the rank of the first.

    Args:
        ranking: The ranking, with the ranks by each signal.
        pool_size: N.

    Returns:
        Shape (N,), by place.
    """
    by_novelty = [ranks for name, ranks in ranking.signal_ranks.items() if SIGNALS[name].table == "novelty_scores"]
    others = [ranks for name, ranks in ranking.signal_ranks.items() if SIGNALS[name].table != "novelty_scores"]
    if not by_novelty:
        return np.zeros(pool_size, dtype=np.bool_)
    best = np.min([_first_of_equals(ranks) for ranks in by_novelty], axis=0)
    decided: npt.NDArray[np.bool_] = best <= np.min(others, axis=0) if others else np.ones(pool_size, dtype=np.bool_)
    return decided


def _first_of_equals(mid_ranks: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the rank of the first of the equals instead of their mean.

    Examples:
        >>> _first_of_equals(np.array([1.5, 3.0, 1.5]))
        array([1., 3., 1.])
    """
    _, place, count = np.unique(mid_ranks, return_inverse=True, return_counts=True)
    first: npt.NDArray[np.float64] = mid_ranks - (count[place] - 1) / 2
    return first


def confirmed(rows: pa.Table, *, first: int) -> Confirmations:
    """Count the answers of `grounded_keywords` (list_rank, outcome, is_confirmed).

    Args:
        rows: The rows.
        first: Places of the list that make the rate.
    """
    columns = (rows.column(name).to_pylist() for name in ("list_rank", "outcome", "is_confirmed"))
    return confirmations(zip(*columns, strict=True), first=first)


def confirmations_of(reader: Reader) -> Confirmations | None:
    """Return what a second model said of the keywords of an experiment's list, None where nobody was asked.

    Args:
        reader: Reads `grounded_keywords` (list_rank, outcome, is_confirmed), if keywords are confirmed.
    """
    grounding = reader.project.settings.grounding
    if grounding is None or not reader.needs("grounded_keywords"):
        return None
    rows = reader.read("grounded_keywords", ["list_rank", "outcome", "is_confirmed"])
    return confirmed(rows, first=grounding.first) if rows.num_rows else None


def joint(first: Mapping[int, str], then: Mapping[int, str]) -> dict[int, str]:
    """Return notes by place, one after the other."""
    return {place: first.get(place, "") + then.get(place, "") for place in (*first, *then)}
