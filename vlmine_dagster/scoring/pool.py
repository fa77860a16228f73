"""The pool as an experiment sees it: the images that can be mined, and their signals."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.domain.signals import SIGNALS, columns_of
from vlmine_dagster.resources.labels import Labels
from vlmine_dagster.scoring.reading import Reader
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
    """Return each signal of an experiment, higher is more worth mining, NaN where an image has none.

    Raises:
        ConfigError: a plug-in's signal is not one finite number, or NaN, per image.
    """
    mined = MinedPool(pool, labels)
    return {name: signal_of(reader, name, mined) for name in experiment.signals}


def signal_of(reader: Reader, name: str, pool: MinedPool) -> Floats:
    """Return a signal of N images, shape (N,): from its column, or made now."""
    signal = SIGNALS[name]
    if signal.make is None:
        values = pool.numbers(name)
        return -values if signal.is_negated else values
    made = np.asarray(signal.make(reader, pool), dtype=np.float64)
    if made.shape != (len(pool),) or np.isinf(made).any():
        raise ConfigError(
            f"signal {name}: its plug-in made shape {made.shape} with {np.isinf(made).sum()} infinite values, expected "
            f"one finite number per image, ({len(pool)},), or NaN for unknown. Report it to who wrote the plug-in."
        )
    return made
