"""A stage at work: what its function gets to read, and nothing else."""

import itertools
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.domain.tables import TABLES, VOCABULARY, partition_of
from vlmine_dagster.engine.graph import Graph
from vlmine_dagster.engine.stage import ModelConfig, Part, Source, Stage, StageConfig, Unit
from vlmine_dagster.resources.progress import Progress
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings.project import Project

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from vlmine_dagster.describing.grounding import Grounder
    from vlmine_dagster.resources.boxes.store import BoxStore
    from vlmine_dagster.resources.describers import Describer
    from vlmine_dagster.resources.detectors.contract import Detector
    from vlmine_dagster.resources.drives.own_boxes import OwnBoxes
    from vlmine_dagster.resources.encoder import Encoder
    from vlmine_dagster.resources.features import Features
    from vlmine_dagster.resources.keyworders import Keyworder
    from vlmine_dagster.resources.labels import Labels
    from vlmine_dagster.resources.lake import Lake
    from vlmine_dagster.resources.media.contract import Medium
    from vlmine_dagster.resources.sources import ImageSource
    from vlmine_dagster.resources.tracking import Tracking

_BATCH_ROWS = 1_000_000


@dataclass(frozen=True)
class Previous:
    """What a stage published last of a partition.

    Attributes:
        is_of_same_inputs: Whether it was made of all that goes in now.
        is_of_same_origin: Whether its rows were read from what is there now; only what is joined may differ.
        read: Returns its rows.
        connect: Opens DuckDB with a view `before` of its rows.
        inputs: Hash of all that went into it: what was published together has the same.
    """

    is_of_same_inputs: bool
    is_of_same_origin: bool
    read: "Callable[[], pa.Table]"
    connect: "Callable[[], AbstractContextManager[duckdb.DuckDBPyConnection]]"
    inputs: str


class StageRun:
    """One partition of one stage at work, or several at once of a cheap stage: what its function gets.

    It reads declared tables alone: the lake is out of its reach.

    Attributes:
        stage: The stage.
        graph: All stages.
        partitions: Shards, experiments, or `WHOLE_POOL`; more than one only where the stage `is_one_run`.
        variant: Extraction variant; of an experiment the one that it names.
        config: Launchpad settings.
        log: Dagster's logger.
        run_id: Dagster's run id.
        inputs: Hash of all that goes into the partition; of several, into the first.
        origin: Hash of what its rows are read from, apart from what is joined to them; empty where nothing is.
    """

    inputs: str = ""
    origin: str = ""

    def __init__(
        self,
        stage: Stage,
        graph: Graph,
        bench: Workbench,
        *,
        partitions: Sequence[str],
        variant: str,
        shards: Sequence[str],
        config: StageConfig,
        log: Any,
        run_id: str,
        lake: "Lake | None" = None,
    ):
        self.stage = stage
        self.graph = graph
        self._bench = bench
        self._lake: Lake = lake or (bench.lake if stage.table != VOCABULARY.name else bench.lake.as_said())
        self.partitions = tuple(partitions)
        self.config = config
        self.log = log
        self.run_id = run_id
        self._part = Part(bench.project, self.partitions[0], variant)
        is_experiment = stage.contract.partition == "experiment"
        self.variant = self._part.experiment.variant if is_experiment else variant
        self._all_shards = tuple(sorted(shards))

    @property
    def table(self) -> str:
        """The table that the stage publishes."""
        return self.stage.table

    @property
    def partition(self) -> str:
        """The partition; of several the first and the last, for people."""
        first, last = self.partitions[0], self.partitions[-1]
        return first if first == last else f"{first} to {last}"

    @property
    def project(self) -> Project:
        """The project."""
        return self._bench.project

    @property
    def medium(self) -> "Medium":
        """What the dataset's items are."""
        return self._bench.medium

    @property
    def source(self) -> "ImageSource":
        """The dataset's items, as they are in its files."""
        return self._bench.source

    @property
    def frames(self) -> "ImageSource":
        """The pictures of the dataset's items."""
        return self._bench.frames

    @property
    def pictures(self) -> "ImageSource":
        """The pictures of what is mined, for people: those of images, or the crops of objects."""
        return self._bench.pictures

    @property
    def encoder_inputs(self) -> "ImageSource":
        """The pictures of what is mined that the encoder and task models read."""
        return self._bench.encoder_inputs

    @property
    def requests(self) -> "ImageSource":
        """What describers are sent of what is mined."""
        return self._bench.requests

    @property
    def labels(self) -> "Labels | None":
        """The labels, None where the project has none."""
        return self._bench.labels

    @property
    def boxes(self) -> "BoxStore | OwnBoxes":
        """The boxes of objects.

        Raises:
            ContractError: the project has no box files; a stage that reads them is skipped then.
        """
        if self._bench.boxes is None:
            raise ContractError(f"{self.table} reads boxes, and the project has no box files. Skip it then.")
        return self._bench.boxes

    @property
    def detector(self) -> "Detector | None":
        """The detector of objects, None where box files have them."""
        return self._bench.detector

    @property
    def encoder(self) -> "Encoder":
        """The image encoder."""
        return self._bench.encoder

    @property
    def features(self) -> "Features | None":
        """Features in place of the encoder's, None where the project has none of its own."""
        return self._bench.features

    @property
    def tracking(self) -> "Tracking":
        """MLflow."""
        return self._bench.tracking

    @property
    def models_folder(self) -> Path:
        """Folder of trained models."""
        return self._bench.models_folder

    @property
    def describer(self) -> "Describer":
        """The describer of the extraction variant."""
        from vlmine_dagster.describing.providers import describer_of

        return describer_of(self._bench, self.variant)

    @property
    def keyworder(self) -> "Keyworder":
        """The keyworder of the extraction variant."""
        from vlmine_dagster.describing.providers import keyworder_of

        return keyworder_of(self._bench, self.variant)

    @property
    def grounder(self) -> "Grounder | None":
        """Who is asked whether keywords are in pictures, None where nobody is."""
        from vlmine_dagster.describing.providers import grounder_of

        return grounder_of(self._bench)

    @cached_property
    def shards(self) -> tuple[str, ...]:
        """The shards to read where a stage reads the whole pool: all, or those that exist if that may be so."""
        if not self.config.allow_missing_shards:
            return self._all_shards
        sources = [s for s in self._sources(self._part, self._all_shards) if TABLES[s.table].partition == "shard"]
        there = tuple(
            shard
            for shard in self._all_shards
            if all(self._lake.path(s.table, shard, variant=s.variant).exists() for s in sources)
        )
        self.log.warning(f"{self.stage.table}: partial pool, {len(there)} of {len(self._all_shards)} shards used")
        return there

    def _sources(self, part: Part, shards: Sequence[str]) -> list[Source]:
        return self.graph.sources(self.stage, part, shards)

    @cached_property
    def _needed(self) -> dict[str, list[Source]]:
        """What these partitions read, by table."""
        found: dict[str, list[Source]] = {}
        for name in self.partitions:
            part = Part(self._part.project, name, self._part.variant)
            for source in self._sources(part, self.shards):
                found.setdefault(source.name, []).append(source)
        return found

    def needs(self, table: str) -> bool:
        """Whether these partitions read a table."""
        return table in self._needed

    @property
    def code_revision(self) -> str | None:
        """Git commit of the folder of `vlmine.yaml`, None where it is not a repository."""
        return git_revision(self.project.folder)

    @property
    def is_failure_retried(self) -> bool:
        """Whether to ask again where the kept answer is a failure."""
        return isinstance(self.config, ModelConfig) and self.config.retry_failed

    def progress(self, total: int | None, unit: str = "images") -> Progress:
        """Return a counter whose steps show in the log and in the terminal."""
        return Progress(f"{self.stage.table}[{self.partition}]", log=self.log, total=total, unit=unit)

    def variant_of(self, table: str) -> str:
        """Return the variant under which a table is read here."""
        return self.graph.stored_variant(table, self.stage, self._part)

    def read(
        self, table: str, columns: Sequence[str] | None = None, *, partitions: Sequence[str] | None = None
    ) -> "pa.Table":
        """Read a table: the partitions that belong to these, or all where the two are cut differently.

        Args:
            table: A table that the stage declares to read.
            columns: Columns that it declares to read; all of these if None.
            partitions: Only these.

        Raises:
            ContractError: the stage does not declare to read this.
            MissingInputError: a partition was not published.
        """
        declared = self._declared(table, columns or ())
        names = self._partitions_of(table, partitions)
        return self._lake.read_all(table, names, columns=columns or declared, variant=self.variant_of(table))

    @contextmanager
    def connect(self, *tables: str, partitions: Sequence[str] | None = None) -> "Iterator[duckdb.DuckDBPyConnection]":
        """Open DuckDB with one view per table, of the columns that the stage declares to read.

        Args:
            tables: Tables that the stage declares to read.
            partitions: Only these of those that `read` would read.

        Raises:
            ContractError: the stage does not declare to read one of the tables.
        """
        columns = {table: self._declared(table) for table in tables}
        paths = {
            table: self._lake.require(table, self._partitions_of(table, partitions), variant=self.variant_of(table))
            for table in tables
        }
        with self._lake.connect(columns, **paths) as connection:
            yield connection

    def batches(self, table: str) -> Iterator[list[str]]:
        """Cut the shards of the pool into lists of about a million rows of a table, to be worked on one by one."""
        batch: list[str] = []
        count = 0
        for shard, rows in self._rows_by_shard(table):
            batch.append(shard)
            count += rows
            if count >= _BATCH_ROWS:
                yield batch
                batch, count = [], 0
        if batch:
            yield batch

    def row_count(self, table: str) -> int:
        """Return the rows of a table of shards, by its stamps."""
        return sum(rows for _, rows in self._rows_by_shard(table))

    def _rows_by_shard(self, table: str) -> Iterator[tuple[str, int]]:
        for shard in self.shards:
            stamp = self._lake.stamp(table, shard, variant=self.variant_of(table))
            yield shard, 0 if stamp is None else stamp.row_count

    @property
    def unit(self) -> Unit:
        """The stage with the extraction variant under which it publishes."""
        return Unit(self.stage, self._part.variant)

    def previous(self, companion: str = "") -> "Previous | None":
        """Return what the stage published last of this partition, None where nothing is there.

        Args:
            companion: A companion table of the stage; its own table if empty.
        """
        table, variant = companion or self.stage.table, self.unit.variant
        stamp = self._lake.stamp(table, self.partition, variant=variant)
        if stamp is None:
            return None
        read = partial(self._lake.read, table, self.partition, variant=variant)
        connect = partial(self._lake.connect, before=[self._lake.path(table, self.partition, variant=variant)])
        return Previous(stamp.inputs == self.inputs, stamp.source == self.origin, read, connect, stamp.inputs)

    def inputs_of(self, table: str) -> str | None:
        """Return the hash of all that went into this partition of a table; None where it is missing."""
        self._declared(table)
        stamp = self._lake.stamp(table, self.partition, variant=self.variant_of(table))
        return None if stamp is None else stamp.inputs

    def _declared(self, table: str, columns: Sequence[str] = ()) -> list[str]:
        """Return the columns of a table that may be read."""
        if table not in self._needed:
            raise ContractError(
                f"{self.stage.table}[{self.partition}] reads the table {table}, which it does not declare. Add it to "
                f"the reads of the stage."
            )
        declared = dict.fromkeys(itertools.chain.from_iterable(source.columns for source in self._needed[table]))
        strange = [name for name in columns if name not in declared]
        if strange:
            raise ContractError(
                f"{self.stage.table}[{self.partition}] reads {table}.{strange[0]}, which it does not declare. "
                f"Declared: {', '.join(declared)}."
            )
        return list(declared)

    def _partitions_of(self, table: str, chosen: Sequence[str] | None) -> list[str]:
        """Return the partitions to read of a table: those declared, of optional ones those that exist."""
        found: dict[str, bool] = {}
        for source in self._needed[table]:
            for name in source.partitions:
                found[name] = found.get(name, True) and source.is_optional
        wanted = found if chosen is None or partition_of(table) == "pool" else chosen
        variant = self.variant_of(table)
        return [
            name
            for name in wanted
            if name in found and (not found[name] or self._lake.path(table, name, variant=variant).exists())
        ]


@cache
def git_revision(folder: Path) -> str | None:
    """Return the commit that a folder is at, None where there is none."""
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command; the folder is one argument
            ["git", "-C", str(folder), "rev-parse", "HEAD"],  # noqa: S607 - the user's own git
            capture_output=True,
            text=True,
            check=False,
            timeout=5,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
