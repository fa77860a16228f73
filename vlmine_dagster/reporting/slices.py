"""What results say of slices: places by slice, recall and accuracy in each, the worst one before and after."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from vlmine_dagster.mining.slices import WorstSlice, slice_metric, worst_slice
from vlmine_dagster.scoring.retraining import means

if TYPE_CHECKING:
    from vlmine_dagster.settings.slices import SliceSettings


@dataclass(frozen=True)
class SliceRow:
    """One slice in the results of an experiment.

    Attributes:
        name: The slice.
        pool_count: Ranked images of it.
        selected_count: Those that the budget reaches.
        recall: Share of its few-shot images that are found at the largest budget that was judged, None if unknown.
        before: Accuracy on its test images of a model that learned from the labelled set alone, None if unknown.
        after: The same once it has learned from the largest budget too.
    """

    name: str
    pool_count: int
    selected_count: int
    recall: float | None = None
    before: float | None = None
    after: float | None = None


def slice_rows(slices: pa.Table, metrics: Iterable[Mapping[str, Any]] = ()) -> tuple[SliceRow, ...]:
    """Return the slices of an experiment, the largest first.

    Args:
        slices: `slice` and `selected` of the rows of `pareto_set`; rows without a slice are left out.
        metrics: Rows of `retrain_metrics`.
    """
    counted = slices.group_by("slice").aggregate([("selected", "count"), ("selected", "sum")]).to_pylist()
    recall, accuracy = _by_budget(metrics, "recall"), _by_budget(metrics, "accuracy")
    found = [
        SliceRow(
            name=row["slice"],
            pool_count=row["selected_count"],
            selected_count=row["selected_sum"],
            recall=_at(recall, -1).get(row["slice"]),
            before=_at(accuracy, 0).get(row["slice"]) if 0.0 in accuracy else None,
            after=_at(accuracy, -1).get(row["slice"]) if len(accuracy) > 1 else None,
        )
        for row in counted
        if row["slice"] is not None
    ]
    return tuple(sorted(found, key=lambda row: (-row.pool_count, row.name)))


def _by_budget(metrics: Iterable[Mapping[str, Any]], what: str) -> dict[float, dict[str, float]]:
    """Return the mean of a slice metric by budget, rising, and by slice."""
    start = slice_metric(what)
    rows = [row for row in metrics if row["metric"].startswith(start)]
    found: dict[float, dict[str, float]] = {}
    for (metric, budget), (mean, _) in sorted(means(rows).items(), key=lambda one: one[0][1]):
        found.setdefault(budget, {})[metric.removeprefix(start)] = mean
    return found


def _at(found: Mapping[float, Mapping[str, float]], place: int) -> Mapping[str, float]:
    return list(found.values())[place] if found else {}


def worst_slices(metrics: Iterable[Mapping[str, Any]]) -> tuple[WorstSlice, WorstSlice] | None:
    """Return the slice with the lowest accuracy before and after retraining, None where that is not known.

    Args:
        metrics: Rows of `retrain_metrics`.
    """
    found = _by_budget(metrics, "accuracy")
    first, last = worst_slice(_at(found, 0)), worst_slice(_at(found, -1))
    return (first, last) if first and last and len(found) > 1 and 0.0 in found else None


def worst_text(metrics: Iterable[Mapping[str, Any]]) -> str | None:
    """Return which slice does worst before and after retraining, in words; None where that is not known."""
    found = worst_slices(metrics)
    if found is None:
        return None
    before, after = found
    return (
        f"Worst slice with the labelled set alone: {before.name} (accuracy {before.value:.2f}); after retraining with "
        f"the largest budget: {after.name} ({after.value:.2f})."
    )


def slice_facts(rows: pa.Table, slicing: "SliceSettings | None") -> dict[str, str]:
    """Return what Dagster shows of the slices of a mined list; nothing where there are none."""
    if slicing is None:
        return {}
    found = slice_rows(rows.select(["slice", "selected"]))
    return {f"selected by {slicing.by}": counts_text(found)}


def counts_text(rows: Sequence[SliceRow]) -> str:
    """Return how many of each slice are selected, in words.

    Examples:
        >>> counts_text([SliceRow("day", 900, 40), SliceRow("night", 100, 10)])
        'day 40 of 900, night 10 of 100'
    """
    return ", ".join(f"{row.name} {row.selected_count:,} of {row.pool_count:,}" for row in rows)
