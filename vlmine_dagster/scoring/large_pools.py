"""Pools too large to be ordered whole: the first images of their lists, exactly, from a pass that reads no ids.

The signals of all images stay in memory, 8 bytes each. Ids, and what else a list shows, are read for the images of the
list alone, in a second pass.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vlmine_dagster.domain.errors import MissingInputError
from vlmine_dagster.domain.signals import SIGNALS
from vlmine_dagster.mining.selection import Hashes, Ranking, budget_count, id_hashes
from vlmine_dagster.mining.shortlist import Shortlist, shortlist
from vlmine_dagster.resources.labels import Labels
from vlmine_dagster.scoring.junk import junk_kinds
from vlmine_dagster.scoring.pool import image_ids, pool_batches, signals_of
from vlmine_dagster.scoring.ranked_pool import Floats, RankedPool
from vlmine_dagster.scoring.reading import Reader
from vlmine_dagster.settings import CountedBudget, ExperimentSettings

_TIMES_THE_BUDGET = 2
_SAMPLE = 1_000_000

Integers = npt.NDArray[np.int64]


def why_whole(reader: Reader, experiment: ExperimentSettings) -> str:
    """Return why a list has to be made of all images at once, "" where signals alone decide about its first images."""
    made = [name for name in experiment.signals if SIGNALS[name].make is not None and name != "random"]
    causes = {
        f"{' and '.join(made)} {'are' if len(made) > 1 else 'is'} made of all images at once": bool(made),
        "verdicts move images": experiment.can_learn_from_verdicts and reader.needs("verdicts"),
        "its second step picks images that differ": experiment.diversity is not None,
        "it skips frames or objects": experiment.skips_frames or experiment.deliver is not None,
        "slices share its budget": reader.project.settings.slices_of(reader.partition) is not None,
        "its budget counts what labelling takes": isinstance(experiment.budget, CountedBudget),
        "three signals or more have fronts": experiment.fusion == "pareto" and len(experiment.signals) > 2,
    }
    return " and ".join(cause for cause, holds in causes.items() if holds)


def first_of_pool(
    reader: Reader, experiment: ExperimentSettings, labels: Labels | None, *, budget: float
) -> RankedPool:
    """Return twice as many images as the budget reaches, or more where these tie, in the order of the whole pool.

    Args:
        reader: Reads `items`, the tables of the signals, and `junk`, if there is a lane.
        experiment: Its signals and how they are joined; nothing but signals may decide (`why_whole`).
        labels: What an oracle's arm reads.
        budget: Share of the pool, or number of images.

    Raises:
        MissingInputError: no image has all signals.
    """
    kinds = junk_kinds(reader) if reader.needs("junk") else {}
    signals, is_junk = _signals_of_all(reader, experiment, labels, kinds)
    size = len(is_junk)
    depth = min(_TIMES_THE_BUDGET * budget_count(budget, size), size)
    clean = _shortlist(signals, ~is_junk, depth, experiment)
    junk = _shortlist(signals, is_junk, depth, experiment)
    if not clean.ranked_count:  # where all are junk, none is
        clean, junk = junk, clean
    if not clean.ranked_count:
        raise MissingInputError(
            f"pareto_set[{reader.partition}]: nothing can be mined, none of {size:,} images of the pool has all of "
            f"{', '.join(signals)}. The logs of these assets say why."
        )
    places = np.concatenate([clean.places, junk.places])
    rows = _rows_at(reader, experiment, places)
    values = {name: column[places] for name, column in signals.items()}
    hashes = id_hashes(image_ids(rows))
    ranking, lane = _both(
        clean, junk, values, hashes, experiment, excluded=size - clean.ranked_count - junk.ranked_count
    )
    names = rows.column("image_id").slice(len(clean.places)).to_pylist()
    step = max(1, size // _SAMPLE)
    return RankedPool(
        rows,
        values,
        hashes,
        ranking,
        lane,
        junk={len(clean.places) + number: kinds[name] for number, name in enumerate(names)},
        notes={},
        pool_size=size,
        junk_count=junk.ranked_count,
        sample={name: np.where(is_junk[::step], np.nan, column[::step]) for name, column in signals.items()},
    )


def _signals_of_all(
    reader: Reader, experiment: ExperimentSettings, labels: Labels | None, kinds: Mapping[str, str]
) -> tuple[dict[str, Floats], npt.NDArray[np.bool_]]:
    """Return each signal of all images of the pool, and which of these are junk."""
    parts: dict[str, list[Floats]] = {name: [] for name in experiment.signals}
    junk: list[npt.NDArray[np.bool_]] = []
    known = pa.array(kinds, pa.string())
    for rows in pool_batches(reader, experiment):
        for name, values in signals_of(reader, experiment, rows, labels).items():
            parts[name].append(values)
        junk.append(pc.is_in(rows.column("image_id"), known).to_numpy(zero_copy_only=False))
    return {name: np.concatenate(parts.pop(name)) for name in experiment.signals}, np.concatenate(junk)


def _shortlist(
    signals: Mapping[str, Floats], is_meant: npt.NDArray[np.bool_], depth: int, experiment: ExperimentSettings
) -> Shortlist:
    """Return the first of some images, ranked among these."""
    if is_meant.all():
        return shortlist(signals, depth, fusion=experiment.fusion, weights=experiment.weights)
    at = np.flatnonzero(is_meant)
    among = {name: values[at] for name, values in signals.items()}
    found = shortlist(among, depth, fusion=experiment.fusion, weights=experiment.weights)
    return Shortlist(at[found.places], found.signal_ranks, found.ranked_count)


def _rows_at(reader: Reader, experiment: ExperimentSettings, places: Integers) -> pa.Table:
    """Return the rows of some images of the pool, in the order of their places; the pool is read once."""
    order = np.argsort(places)
    rising = places[order]

    def parts() -> Iterator[pa.Table]:
        start = 0
        for rows in pool_batches(reader, experiment):
            first, last = np.searchsorted(rising, [start, start + rows.num_rows])
            yield rows.take(pa.array(rising[first:last] - start))
            start += rows.num_rows

    return pa.concat_tables(parts()).take(pa.array(np.argsort(order)))


def _both(
    clean: Shortlist,
    junk: Shortlist,
    values: Mapping[str, Floats],
    hashes: Hashes,
    experiment: ExperimentSettings,
    *,
    excluded: int,
) -> tuple[Ranking, Ranking]:
    """Return the rankings of both shortlists, by place in one after the other."""
    count = len(clean.places)
    orders = []
    for found, here in ((clean, slice(0, count)), (junk, slice(count, None))):
        mine = {name: column[here] for name, column in values.items()}
        orders.append(found.ranking(mine, hashes[here], fusion=experiment.fusion, weights=experiment.weights))
    first, last = orders
    ranks = {name: np.concatenate([first.signal_ranks[name], last.signal_ranks[name]]) for name in values}
    ranking = replace(first, signal_ranks=ranks, excluded_count=excluded)
    front = last.front + int(first.front.max())
    return ranking, replace(last, order=last.order + count, front=front, signal_ranks=ranks)
