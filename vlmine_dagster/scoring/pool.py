"""The pool as an experiment sees it: the images that can be mined, and their signals."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import ConfigError, MissingInputError
from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.domain.signals import SIGNALS, columns_of
from vlmine_dagster.resources.labels import Labels
from vlmine_dagster.scoring.copies import unlisted_duplicates
from vlmine_dagster.scoring.evidence import IS_DESCRIBED
from vlmine_dagster.scoring.reading import Reader
from vlmine_dagster.scoring.sequences import judging_sequences
from vlmine_dagster.settings import ExperimentSettings

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MinedPool:
    """The N images that can be mined, as a signal that is made while mining gets them.

    Attributes:
        rows: Their `image_id`, and the columns of the tables that hold signals.
        labels: The labels of the project: what an oracle knows. Mining itself must not look.
    """

    rows: pa.Table
    labels: Labels | None = None

    def __len__(self) -> int:
        """Return N."""
        count: int = self.rows.num_rows
        return count

    def image_ids(self) -> Iterator[str]:
        """Yield the ids one by one."""
        return image_ids(self.rows)

    def numbers(self, column: str) -> Floats:
        """Return a column as numbers, shape (N,), NaN where an image has none."""
        values: Floats = self.rows.column(column).to_numpy(zero_copy_only=False).astype(np.float64)
        return values

    def texts(self, column: str) -> list[str | None]:
        """Return a column as text, None where an image has none."""
        values: list[str | None] = self.rows.column(column).to_pylist()
        return values


def load_pool(reader: Reader, experiment: ExperimentSettings) -> pa.Table:
    """Return the readable images of the pool, the rows of `pool_batches`."""
    return pa.concat_tables(pool_batches(reader, experiment))


def pool_batches(reader: Reader, experiment: ExperimentSettings) -> Iterator[pa.Table]:
    """Yield the readable images of the pool with the columns of the experiment's signals, joined shards by shards.

    `is_described` says which of them can be mined: those whose description and keywords did not fail. Nobody knows what
    the others show, so no experiment ranks them, whether its signals need keywords or not. Of images with the same
    bytes one is returned; `copy_count` says for how many others it stands, `similar_count` for how many near ones.
    Frames of sequences that judge are left out.
    """
    tables = experiment.tables
    joins = " ".join(f"LEFT JOIN {name} USING (image_id)" for name in tables)
    frames = (f"items.{name}" for name in experiment.frame_columns)
    columns = ", ".join(
        ["items.image_id", *frames, *(c for name in tables for c in columns_of(name, experiment.signals))]
    )
    copies = unlisted_duplicates(reader)
    counted, similar = "0", "0"
    if copies.num_rows:
        counted, similar = "coalesce(copy_counts.count, 0)", "coalesce(copy_counts.near, 0)"
        joins += """ ANTI JOIN copies USING (image_id) LEFT JOIN
            (SELECT kept_id AS image_id, count(*) FILTER (NOT is_near) AS count, count(*) FILTER (is_near) AS near
             FROM copies GROUP BY 1) copy_counts USING (image_id)"""
    judging = judging_sequences(reader) if reader.project.settings.dataset.has_sequences else None
    if judging is not None:
        joins += " ANTI JOIN judging USING (sequence_id)"
    query = f"""SELECT {columns}, {IS_DESCRIBED} AS is_described, {counted} AS copy_count,
                {similar} AS similar_count FROM items {joins}
                WHERE split = 'pool' AND outcome = 'ok' ORDER BY items.image_id"""  # noqa: S608 - our own names
    for shards in reader.batches(ITEMS):
        with reader.connect(ITEMS, "keyword_answers", *tables, partitions=shards) as connection:
            connection.register("copies", copies)
            if judging is not None:
                connection.register("judging", judging)
            rows = connection.sql(query).to_arrow_table()
        yield rows


def image_ids(pool: pa.Table) -> Iterator[str]:
    """Yield the ids of a table one by one: as a list of text, those of ten million images would take a gigabyte."""
    for batch in pool.select(["image_id"]).to_batches(max_chunksize=100_000):
        yield from batch.column(0).to_pylist()


def signal_values(
    reader: Reader, experiment: ExperimentSettings, pool: pa.Table, labels: Labels | None
) -> dict[str, Floats]:
    """Return each signal of an experiment, higher is more worth mining, NaN where an image has none or is undescribed.

    Raises:
        MissingInputError: no image of the pool was described.
        ConfigError: a plug-in's signal is not one finite number, or NaN, per image.
    """
    if pool.num_rows and not pc.any(pool.column("is_described")).as_py():
        raise MissingInputError(
            f"pareto_set[{reader.partition}]: nothing can be mined, the description of each of {pool.num_rows} images "
            f"of the pool failed. `vlmine status --failures` says why."
        )
    return signals_of(reader, experiment, pool, labels)


def signals_of(
    reader: Reader, experiment: ExperimentSettings, pool: pa.Table, labels: Labels | None
) -> dict[str, Floats]:
    """Return each signal as `signal_values` does, also of images of which none was described.

    Raises:
        ConfigError: a plug-in's signal is not one finite number, or NaN, per image.
    """
    is_described = pool.column("is_described").to_numpy(zero_copy_only=False)
    mined = MinedPool(pool if is_described.all() else pool.filter(pa.array(is_described)), labels)
    values = {name: np.full(pool.num_rows, np.nan) for name in experiment.signals}
    for name, signal in values.items():
        signal[is_described] = signal_of(reader, name, mined)
    return values


def signal_of(reader: Reader, name: str, pool: MinedPool) -> Floats:
    """Return a signal of N images, shape (N,): from its column, or made now."""
    signal = SIGNALS[name]
    if signal.make is None:
        values = pool.numbers(name)
        return -values if signal.is_negated else values
    made = np.asarray(signal.make(reader, pool), dtype=np.float64)
    if made.shape != (len(pool),) or np.isinf(made).any():
        raise ConfigError(
            f"signal {name}: its plug-in made shape {made.shape} with "
            f"{counted(int(np.isinf(made).sum()), 'infinite value')}, expected one finite number per image, "
            f"({len(pool)},), or NaN for unknown. Report it to the authors of the plug-in."
        )
    return made
