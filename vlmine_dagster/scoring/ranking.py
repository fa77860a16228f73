"""The rows of `pareto_set`: the pool in the order in which it should be labelled, and why."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vlmine_dagster.domain.errors import MissingInputError
from vlmine_dagster.domain.signals import SIGNALS
from vlmine_dagster.mining.advice import Advice, agreement_advice
from vlmine_dagster.mining.reasons import selection_reason
from vlmine_dagster.mining.selection import Ranking, budget_count, id_hashes, rank_images
from vlmine_dagster.resources.labels import Labels
from vlmine_dagster.scoring.copies import copies_note
from vlmine_dagster.scoring.diversity import PICKED_BECAUSE, diversified
from vlmine_dagster.scoring.pool import image_ids, load_pool, signal_values
from vlmine_dagster.scoring.reading import Reader
from vlmine_dagster.settings import ExperimentSettings

_BEYOND = "beyond the budget"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class MinedList:
    """The ranked pool of an experiment.

    Attributes:
        rows: Rows of `pareto_set`, best first.
        selected_count: Images that the budget reaches.
        excluded_count: Images of the pool that lack a signal, and are not ranked.
        front_count: Fronts.
        digest: Hash of which images are ranked.
        advice: Whether two signals say the same.
    """

    rows: pa.Table
    selected_count: int
    excluded_count: int
    front_count: int
    digest: str
    advice: Advice

    @property
    def selected(self) -> pa.Table:
        """The rows that the budget reaches."""
        return self.rows.slice(0, self.selected_count)


def mined_list(reader: Reader, experiment: ExperimentSettings, *, budget: float, labels: Labels | None) -> MinedList:
    """Rank the images of the pool; failed ones, and those that lack a signal, never enter.

    Args:
        reader: Reads `images`, the tables of the signals, and what the second step looks at.
        experiment: Signals and how they are joined.
        budget: Share of the pool, or number of images.
        labels: What an oracle's arm reads.

    Raises:
        MissingInputError: no image can be ranked; the message says why.
    """
    pool = load_pool(reader, experiment)
    signals = signal_values(reader, experiment, pool, labels)
    hashes = id_hashes(image_ids(pool))
    ranking = rank_images(signals, hashes, fusion=experiment.fusion, weights=experiment.weights)
    if not len(ranking.order):
        raise MissingInputError(
            f"pareto_set[{reader.partition}]: nothing can be mined, {_why_nothing(signals, pool.num_rows)}"
        )
    selected_count = min(budget_count(budget, pool.num_rows), len(ranking.order))
    if experiment.diversity is not None:
        ranking = diversified(reader, experiment.diversity, ranking, list(image_ids(pool)), selected_count)
    return MinedList(
        _rows(pool, ranking, signals, selected_count, experiment),
        selected_count,
        ranking.excluded_count,
        int(ranking.front.max()),
        hashlib.sha256(np.sort(hashes[ranking.order]).tobytes()).hexdigest()[:16],
        agreement_advice(signals, mined_count=selected_count),
    )


def _why_nothing(signals: Mapping[str, Floats], pool_size: int) -> str:
    """Return why nothing can be ranked, and what to look at."""
    if not pool_size:
        return (
            "no image is left to mine. Are there readable images outside the seed, the validation and the test split?"
        )
    tables = {name: SIGNALS[name].table for name, values in signals.items() if np.isnan(values).all()}
    if tables:
        empty = " and ".join(f"{name} ({table})" for name, table in tables.items())
        return f"{empty} is empty for all {pool_size} images of the pool. See what the log of that asset says of them."
    return f"none of {pool_size} pool images has all of {', '.join(signals)}. Leave one out, or mine by each alone."


def _rows(
    pool: pa.Table,
    ranking: Ranking,
    signals: Mapping[str, Floats],
    selected_count: int,
    experiment: ExperimentSettings,
) -> pa.Table:
    count = len(ranking.order)
    selected = pool.take(pa.array(ranking.order[:selected_count]))
    picked = "" if experiment.diversity is None else f" · {PICKED_BECAUSE[experiment.diversity.kind]}"
    reasons = _reasons(selected.to_pylist(), ranking, signals, has_fronts=experiment.fusion == "pareto")
    copies = selected.column("copy_count").to_pylist()
    said = [f"{reason}{picked}{copies_note(count)}" for reason, count in zip(reasons, copies, strict=True)]
    columns = {
        "image_id": pool.select(["image_id"]).take(pa.array(ranking.order)).column(0),
        "rank": np.arange(1, count + 1),
        "front": ranking.front,
        "selected": np.arange(count) < selected_count,
        "reason": pa.chunked_array([pa.array(said, pa.string()), pa.repeat(_BEYOND, count - selected_count)]),
    }
    return pa.table({**columns, **{name: values[ranking.order] for name, values in signals.items()}})


def _reasons(
    selected: Sequence[Mapping[str, Any]], ranking: Ranking, signals: Mapping[str, Floats], *, has_fronts: bool
) -> list[str]:
    """Return why each selected image, best first, stands where it does."""
    places = ranking.order[: len(selected)]
    told = [
        zip((-values if SIGNALS[name].is_negated else values)[places].tolist(), ranks[places].tolist(), strict=True)
        for (name, values), ranks in zip(signals.items(), ranking.signal_ranks.values(), strict=True)
    ]
    return [
        selection_reason(
            dict(zip(signals, found, strict=True)),
            front=front if has_fronts else None,
            keyword=row.get("rarest_keyword"),
            keyword_count=row.get("min_count"),
            predicted_label=row.get("predicted_label"),
            rare_class=row.get("rare_class"),
        )
        for row, front, *found in zip(selected, ranking.front[: len(selected)].tolist(), *told, strict=True)
    ]
