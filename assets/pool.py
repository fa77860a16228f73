"""The pool as an experiment sees it: the images that can be mined, and their signals."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.domain.signals import SIGNALS, columns_of
from vlmine_dagster.engine.stages import StageRun
from vlmine_dagster.mining.longtail import true_rarity
from vlmine_dagster.mining.selection import random_signal
from vlmine_dagster.mining.tail_first import tail_first
from vlmine_dagster.resources.intake import by_shard
from vlmine_dagster.settings import ExperimentSettings

Floats = npt.NDArray[np.float64]


def load_pool(run: StageRun, experiment: ExperimentSettings) -> pa.Table:
    """Return the readable images of the pool with the columns of the experiment's signals, joined shards by shards."""
    tables = experiment.tables
    joins = " ".join(f"LEFT JOIN {name} USING (image_id)" for name in tables)
    columns = ", ".join(["images.image_id", *(c for name in tables for c in columns_of(name, experiment.signals))])
    query = f"""SELECT {columns} FROM images {joins}
                WHERE split = 'pool' AND outcome = 'ok' ORDER BY images.image_id"""  # noqa: S608 - our own names
    parts = []
    for shards in run.shard_batches("images"):
        with run.connect("images", *tables, shards=shards) as connection:
            parts.append(connection.sql(query).to_arrow_table())
    return pa.concat_tables(parts)


def signal_values(run: StageRun, experiment: ExperimentSettings, pool: pa.Table) -> dict[str, Floats]:
    """Return each signal of an experiment, higher is more worth mining, NaN where an image has none."""
    return {name: _made(run, name, pool) if name in _MAKERS else _column(name, pool) for name in experiment.signals}


def image_ids(pool: pa.Table) -> Iterator[str]:
    """Yield the ids of a table one by one: as a list of text, those of ten million images would take a gigabyte."""
    for batch in pool.select(["image_id"]).to_batches(max_chunksize=100_000):
        yield from batch.column(0).to_pylist()


def _column(name: str, pool: pa.Table) -> Floats:
    values: Floats = pool.column(name).to_numpy(zero_copy_only=False).astype(np.float64)
    return -values if SIGNALS[name].is_negated else values


def _made(run: StageRun, name: str, pool: pa.Table) -> Floats:
    return _MAKERS[name](run, pool)


def _random(_run: StageRun, pool: pa.Table) -> Floats:
    return random_signal(image_ids(pool))


def _tail_first(run: StageRun, pool: pa.Table) -> Floats:
    with run.connect("images") as connection:
        counts = connection.sql(
            """SELECT label, count(*) FROM images
               WHERE split = 'seed' AND outcome = 'ok' AND label IS NOT NULL GROUP BY label"""
        ).fetchall()
    entropy = pool.column("entropy").to_numpy(zero_copy_only=False).astype(np.float64)
    return tail_first(pool.column("predicted_label").to_pylist(), entropy, dict(counts))


def _oracle(run: StageRun, pool: pa.Table) -> Floats:
    settings, labels = run.project.settings.dataset.labels, run.bench.labels
    if settings is None or labels is None or not settings.oracle:
        raise ConfigError(
            f"{run.stage.table}[{run.partition}]: the signal oracle reads the true classes of the pool, which only a "
            f"benchmark shows. Set dataset.labels.oracle to true, or take the signal out of the experiment."
        )
    names = pool.column("image_id").to_pylist()
    known = true_labels(run, names)
    return true_rarity([known.get(name) for name in names], labels.class_counts())


_MAKERS: Mapping[str, Callable[[StageRun, Any], Floats]] = {
    "random": _random,
    "tail_first": _tail_first,
    "oracle": _oracle,
}


def true_labels(run: StageRun, image_ids: list[str]) -> dict[str, str]:
    """Return the true class of each image that has one: for judging, and for an oracle's arm; never for mining."""
    labels = run.bench.labels
    if labels is None:
        return {}
    found = {}
    for shard, names in by_shard(image_ids, run.shards).items():
        for name in names:
            label = labels.truth(name, name[len(shard) + 1 :])
            if label is not None:
                found[name] = label
    return found
