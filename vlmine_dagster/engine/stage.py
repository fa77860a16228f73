"""What a stage is: a function, and the declaration of all that it reads, makes and depends on.

A stage is declared where it is written, by the decorator `stage` in a module of `assets`. From the declaration follow
its Dagster asset (`engine.asset_factory`), its place in the graph (`engine.graph`) and the answer to "is this partition
fresh?" (`engine.freshness`).
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from vlmine_dagster.domain.items import ITEM_TABLES, ITEMS
from vlmine_dagster.domain.tables import TABLES, VOCABULARY, WHOLE_POOL, Partition, Table, partition_of
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings import DEFAULT_VARIANT
from vlmine_dagster.settings.project import Project, ProjectSettings

if TYPE_CHECKING:
    import pyarrow as pa

    from vlmine_dagster.engine.stage_run import StageRun
    from vlmine_dagster.mining.advice import Advice
    from vlmine_dagster.settings import ExperimentSettings
    from vlmine_dagster.settings.slices import SliceSettings

COMMAND_TAG = "vlmine/command"
"""Marks the runs of `vlmine run`, which end with its process, with the place that it locks."""

PROCESS_TAG = "vlmine/process"
"""Marks a run with its process: the machine, and the file that the process locks for as long as it lives."""

WORKER_TAG = "vlmine/worker"
"""Marks a run with the process that makes it, where that is another than that of `vlmine run`."""

CORES_POOL = "cores"
"""Steps that take every core."""

ACCELERATOR_POOL = "accelerator"
"""Steps that take the GPU where there is one, whatever they do with it."""

API_POOL = "api"
"""Steps that ask an endpoint."""


class StageConfig(dg.Config):
    """Launchpad settings that every stage takes."""

    allow_missing_shards: bool = Field(
        default=False, description="Continue with the shards that exist where a stage reads the whole pool."
    )


class ModelConfig(StageConfig):
    """Launchpad settings of a stage that asks models."""

    retry_failed: bool = Field(
        default=False, description="Ask again where the kept answer is a failure; answers that are ok stay."
    )


class MiningConfig(StageConfig):
    """Launchpad settings of an experiment."""

    budget: float = Field(
        default=0.0,
        description="Share of the pool (at most 1) or number of images (above 1) to select; 0 means the budget of "
        "`vlmine.yaml`.",
    )


_TEXT_RULE = 2
"""Raised when other keywords are nearest to a text."""


@dataclass(frozen=True)
class Part:
    """One partition of one stage, of one extraction variant of a project.

    Attributes:
        project: The project.
        partition: Shard, experiment, or `WHOLE_POOL`.
        variant: Extraction variant.
    """

    project: Project
    partition: str = WHOLE_POOL
    variant: str = DEFAULT_VARIANT

    @property
    def settings(self) -> ProjectSettings:
        """`vlmine.yaml`."""
        return self.project.settings

    @property
    def experiment(self) -> "ExperimentSettings":
        """The experiment that the partition names."""
        return self.settings.experiments[self.partition]

    @property
    def slices(self) -> "SliceSettings | None":
        """The slices of the experiment that the partition names, None where there are none."""
        return self.settings.slices_of(self.partition)

    @property
    def means_text(self) -> list[Any]:
        """The text encoder and its rule, where the experiment looks for a text; other lists stay fresh."""
        like, encoder = self.experiment.like, self.settings.text_encoder
        return [encoder, _TEXT_RULE] if encoder is not None and like is not None and like.text.strip() else []

    @property
    def reads_attributes(self) -> bool:
        """Whether the slices go by a column."""
        return self.slices is not None and self.slices.needs_attributes

    @property
    def reads_slice_keywords(self) -> bool:
        """Whether the slices go by keywords."""
        return self.slices is not None and self.slices.reads_keywords

    @property
    def counts_within_slices(self) -> bool:
        """Whether keywords of the experiment are counted within its slices."""
        return self.slices is not None and self.slices.within and self.experiment.counts_keywords


@dataclass(frozen=True)
class Reads:
    """A table that a stage reads, and the columns of it that matter to the result.

    Attributes:
        table: The table; `items` is the one of what is mined, `images` or `objects`.
        columns: Columns that may be read, others are not there for the stage; a function where they depend on settings.
        partitions: Which partitions; None means the same one where both tables are cut alike, else all of them.
        when: Whether a partition reads it at all; None means always.
        where: Which projects have the edge; in others the order of stages is as if it did not exist. None means all.
        is_optional: Whether the stage goes on where a partition is missing.
    """

    table: str
    columns: tuple[str, ...] | Callable[[Part], tuple[str, ...]]
    partitions: Callable[[Part], tuple[str, ...]] | None = None
    when: Callable[[Part], bool] | None = None
    where: Callable[[ProjectSettings], bool] | None = None
    is_optional: bool = False

    def is_part_of(self, project: Project) -> bool:
        """Whether a project has this edge."""
        return self.where is None or self.where(project.settings)

    def is_needed(self, part: Part) -> bool:
        """Whether a partition reads it."""
        return self.is_part_of(part.project) and (self.when is None or self.when(part))

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that it may be."""
        return ITEM_TABLES if self.table == ITEMS else (self.table,)

    @property
    def partition(self) -> Partition:
        """How they are cut."""
        return partition_of(self.table)


@dataclass(frozen=True)
class Source:
    """What one partition of a stage reads of one table.

    Attributes:
        name: What the stage calls the table: its name, or `items`.
        table: The table.
        columns: Columns that may be read, as the stage calls them.
        stored: The same columns, as the table calls them.
        partitions: Which partitions of it.
        variant: Extraction variant under which it is stored.
        is_optional: Whether the stage goes on where a partition is missing.
    """

    name: str
    table: str
    columns: tuple[str, ...]
    stored: tuple[str, ...]
    partitions: tuple[str, ...]
    variant: str
    is_optional: bool = False


@dataclass(frozen=True)
class Product:
    """What a stage computed.

    Attributes:
        rows: The rows to publish.
        metadata: Facts to show in the Dagster UI.
        record: Reports to MLflow, once the rows are published; returns more facts. A failure here is a warning: the
            rows stay, nothing is computed again.
        companions: Rows of the stage's companion tables, by name.
        advice: What the stage's own checks found, by name.
    """

    rows: "pa.Table"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    record: Callable[[], Mapping[str, Any]] | None = None
    companions: "Mapping[str, pa.Table]" = field(default_factory=dict)
    advice: "Mapping[str, Advice]" = field(default_factory=dict)


Compute = Callable[["StageRun"], Product]


@dataclass(frozen=True, eq=False)
class Stage:
    """One stage of the pipeline; see `stage` for its attributes.

    Attributes:
        compute: The function that the declaration stands above.
    """

    table: str
    compute: Compute
    reads: tuple[Reads, ...]
    group: str
    kinds: frozenset[str]
    companions: tuple[str, ...]
    settings: Callable[[Part], list[Any]]
    experiment_settings: Callable[[Part], list[Any]]
    fingerprints: Callable[[Workbench, Part], list[Any]]
    source: Callable[[Workbench, Part], list[Any]] | None
    joined: tuple[str, ...]
    skipped: Callable[[Part], str | None]
    is_on_demand: bool
    version: int
    is_one_run: bool
    is_tracked: bool
    is_extraction: bool
    pool: Callable[[Part], str | None]
    config: type[StageConfig]
    advice: Mapping[str, str]

    @property
    def description(self) -> str:
        """What one row is and what the stage reads: the docstring of its function, shown in the Dagster UI."""
        return inspect.cleandoc(self.compute.__doc__ or "")

    @property
    def tables(self) -> tuple[str, ...]:
        """All tables that it publishes; the asset's own comes last, so that it exists only if all do."""
        return (*self.companions, self.table)

    @property
    def contract(self) -> Table:
        """The contract of its table."""
        return TABLES[self.table]

    def needed(self, part: Part) -> tuple[Reads, ...]:
        """Return those of `reads` that one partition needs."""
        return tuple(reads for reads in self.reads if reads.is_needed(part))

    def partitions(self, project: Project, shards: Sequence[str]) -> list[str]:
        """Return all its partitions."""
        kinds = {
            "shard": shards,
            "experiment": list(project.settings.experiments),
            "pool": [WHOLE_POOL],
        }
        return list(kinds[self.contract.partition])


@dataclass(frozen=True)
class Unit:
    """A stage of one extraction variant: what one Dagster asset is made of."""

    stage: Stage
    variant: str = DEFAULT_VARIANT

    @property
    def key(self) -> dg.AssetKey:
        """Its asset."""
        return asset_key(self.stage.table, self.variant)

    def part(self, project: Project, partition: str = WHOLE_POOL) -> Part:
        """Return one of its partitions."""
        return Part(project, partition, self.variant)

    def why_skipped(self, project: Project) -> str | None:
        """Return why it does not apply to a project, None where it does."""
        return self.stage.skipped(self.part(project))


def stage(
    table: str,
    *,
    group: str,
    kinds: frozenset[str] | set[str],
    reads: Sequence[Reads] = (),
    companions: tuple[str, ...] = (),
    settings: Callable[[Part], list[Any]] = lambda _part: [],
    experiment_settings: Callable[[Part], list[Any]] = lambda _part: [],
    fingerprints: Callable[[Workbench, Part], list[Any]] = lambda _bench, _part: [],
    source: Callable[[Workbench, Part], list[Any]] | None = None,
    joined: tuple[str, ...] = (),
    skipped: Callable[[Part], str | None] = lambda _part: None,
    is_on_demand: bool = False,
    version: int = 1,
    is_one_run: bool = False,
    is_tracked: bool = False,
    is_extraction: bool = False,
    pool: str | Callable[[Part], str | None] | None = None,
    config: type[StageConfig] = StageConfig,
    checks: Mapping[str, str] | None = None,
) -> Callable[[Compute], Stage]:
    """Make a stage of the function below: its docstring is what the Dagster UI shows.

    Args:
        table: The table that it publishes; the asset carries the same name.
        group: Dagster group.
        kinds: Dagster kinds, shown as icons.
        reads: Tables and columns that it reads; nothing else can be read. Who reads keywords reads the vocabulary too.
        companions: Tables that are published with it, cut alike.
        settings: What of `vlmine.yaml` changes the result, whatever the partition.
        experiment_settings: What of an experiment's own entry changes the result.
        fingerprints: Hashes of what else changes it: files, labels, models.
        source: What the rows of a partition are read from, where more is joined to them; None where nothing is.
        joined: The columns that are joined: while `source` is as it was, only these change.
        skipped: Why the stage does not apply to an extraction variant of a project, or None.
        is_on_demand: Whether it is skipped only where no experiment asks for it, which a run does not report.
        version: Raised when the code changes what it writes.
        is_one_run: Whether a range of partitions is computed in one run (cheap stages).
        is_tracked: Whether it reports to MLflow; the server is then asked for before any work.
        is_extraction: Whether extraction variants start here; what always reads a table of theirs has variants too.
        pool: Dagster concurrency pool, None where any number may run at once.
        config: Launchpad settings.
        checks: What the stage's own checks look for, by name; a check without a finding passes.
    """

    def declared(compute: Compute) -> Stage:
        return Stage(
            table=table,
            compute=compute,
            reads=(*reads, *_through_vocabulary(table, reads)),
            group=group,
            kinds=frozenset(kinds),
            companions=companions,
            settings=settings,
            experiment_settings=experiment_settings,
            fingerprints=fingerprints,
            source=source,
            joined=joined,
            skipped=skipped,
            is_on_demand=is_on_demand,
            version=version,
            is_one_run=is_one_run,
            is_tracked=is_tracked,
            is_extraction=is_extraction,
            pool=pool if callable(pool) else lambda _part: pool,
            config=config,
            advice=checks or {},
        )

    return declared


def _through_vocabulary(table: str, reads: Sequence[Reads]) -> list[Reads]:
    """Return what stages that read keywords read with them: what these are merged into, where a project has merges."""
    of_keywords = [one for one in reads if one.table == "keywords"]
    if not of_keywords or table == VOCABULARY.name:
        return []

    def is_needed(part: Part) -> bool:
        return part.project.has_vocabulary and any(one.is_needed(part) for one in of_keywords)

    wheres = [one.where for one in of_keywords if one.where is not None]
    is_always_there = len(wheres) < len(of_keywords)
    where = None if is_always_there else lambda settings: any(holds(settings) for holds in wheres)
    return [Reads(VOCABULARY.name, ("keyword", "merged_into"), when=is_needed, where=where)]


def asset_key(table: str, variant: str = DEFAULT_VARIANT) -> dg.AssetKey:
    """Return the key of a table's asset; variants other than the default are a prefix."""
    return dg.AssetKey([table] if variant == DEFAULT_VARIANT else [variant, table])
