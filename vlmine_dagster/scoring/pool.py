"""The pool as an experiment sees it: the images that can be mined, and their signals."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.domain.signals import SIGNALS, columns_of
from vlmine_dagster.mining.longtail import true_rarity
from vlmine_dagster.mining.selection import random_signal
from vlmine_dagster.mining.tail_first import tail_first
from vlmine_dagster.resources.labels import Labels
from vlmine_dagster.scoring.labelled import labelled_counts, true_classes
from vlmine_dagster.scoring.reading import Reader
from vlmine_dagster.settings import ExperimentSettings

Floats = npt.NDArray[np.float64]


def load_pool(reader: Reader, experiment: ExperimentSettings) -> pa.Table:
    """Return the readable images of the pool with the columns of the experiment's signals, joined shards by shards."""
    tables = experiment.tables
    joins = " ".join(f"LEFT JOIN {name} USING (image_id)" for name in tables)
    columns = ", ".join(["images.image_id", *(c for name in tables for c in columns_of(name, experiment.signals))])
    query = f"""SELECT {columns} FROM images {joins}
                WHERE split = 'pool' AND outcome = 'ok' ORDER BY images.image_id"""  # noqa: S608 - our own names
    parts = []
    for shards in reader.batches("images"):
        with reader.connect("images", *tables, partitions=shards) as connection:
            parts.append(connection.sql(query).to_arrow_table())
    return pa.concat_tables(parts)


def image_ids(pool: pa.Table) -> Iterator[str]:
    """Yield the ids of a table one by one: as a list of text, those of ten million images would take a gigabyte."""
    for batch in pool.select(["image_id"]).to_batches(max_chunksize=100_000):
        yield from batch.column(0).to_pylist()


def signal_values(
    reader: Reader, experiment: ExperimentSettings, pool: pa.Table, labels: Labels | None
) -> dict[str, Floats]:
    """Return each signal of an experiment, higher is more worth mining, NaN where an image has none."""
    return {
        name: _MAKERS[name](reader, pool, labels) if name in _MAKERS else _column(name, pool)
        for name in experiment.signals
    }


def _column(name: str, pool: pa.Table) -> Floats:
    values: Floats = pool.column(name).to_numpy(zero_copy_only=False).astype(np.float64)
    return -values if SIGNALS[name].is_negated else values


def _random(_reader: Reader, pool: pa.Table, _labels: Labels | None) -> Floats:
    return random_signal(image_ids(pool))


def _tail_first(reader: Reader, pool: pa.Table, _labels: Labels | None) -> Floats:
    entropy = pool.column("entropy").to_numpy(zero_copy_only=False).astype(np.float64)
    return tail_first(pool.column("predicted_label").to_pylist(), entropy, labelled_counts(reader))


def _oracle(reader: Reader, pool: pa.Table, labels: Labels | None) -> Floats:
    settings = reader.project.settings.dataset.labels
    if settings is None or labels is None or not settings.oracle:
        raise ConfigError(
            f"pareto_set[{reader.partition}]: the signal oracle reads the true classes of the pool, which only a "
            f"benchmark shows. Set dataset.labels.oracle to true, or take the signal out of the experiment."
        )
    names = pool.column("image_id").to_pylist()
    known = true_classes(labels, names, reader.shards)
    return true_rarity([known.get(name) for name in names], labels.class_counts())


_MAKERS: Mapping[str, Callable[[Reader, Any, Labels | None], Floats]] = {
    "random": _random,
    "tail_first": _tail_first,
    "oracle": _oracle,
}
