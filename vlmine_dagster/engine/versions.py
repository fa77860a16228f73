"""What Dagster knows of freshness, so that the marks of its UI agree with `vlmine status`.

Dagster compares the code version of an asset, and the data versions of what it reads, with those that its last
materialization recorded. It does not follow staleness further than one edge. So a code version here holds all settings
upstream as well, and three observable source assets represent what is not an asset: `dataset` (the files of each shard
and the labels), `whole_dataset` (those of all shards) and `experiments` (the entry of each experiment in `vlmine.yaml`,
and how what it reads is made). Whatever files go into, however indirectly, depends on one of the first two.

A data version must be recorded before something is made of it, or Dagster takes what was made for older. New shards
are not read for that: they are `UNREAD` until their content differs from what was made of them.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from contextlib import suppress
from pathlib import Path
from typing import Any

import dagster as dg

from vlmine_dagster.domain.files import write_whole
from vlmine_dagster.domain.tables import WHOLE_POOL
from vlmine_dagster.engine.dagster_internals import DATA_VERSION_TAG, version_tags
from vlmine_dagster.engine.freshness import Freshness
from vlmine_dagster.engine.graph import Graph
from vlmine_dagster.engine.stage import Stage, Unit
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings import settings_hash
from vlmine_dagster.settings.project import Project

DATASET = "dataset"
WHOLE_DATASET = "whole_dataset"
UNREAD = "unread"
EXPERIMENTS = "experiments"


def code_versions(graph: Graph, project: Project) -> dict[Unit, str]:
    """Return the code version of each unit: its own version, the settings that it depends on, and those upstream.

    What differs from experiment to experiment is not in it, but in the source asset `experiments`.
    """
    found: dict[Unit, str] = {}
    for unit in graph.applicable(project):
        is_experiment = unit.stage.contract.partition == "experiment"
        part = unit.part(project)
        above = set()
        for reads in unit.stage.reads:
            table = project.settings.items.stored(reads.table)
            parent = graph.stage_of(table)
            if parent is unit.stage or (is_experiment and parent.contract.partition != "experiment"):
                continue
            if not reads.is_part_of(project) or not (is_experiment or reads.when is None or reads.when(part)):
                continue
            variant = unit.variant if graph.has_variants(table) else "default"
            above.add(found.get(Unit(parent, variant), ""))
        of_files = [] if unit.stage.source is None else [_dataset_settings(project)]
        found[unit] = settings_hash([unit.stage.version, unit.stage.settings(part), *of_files, sorted(above)])
    return found


def _dataset_settings(project: Project) -> list[Any]:
    """Return the settings that decide what is read of a file and of its label."""
    dataset = project.settings.dataset
    labels = None if dataset.labels is None else dataset.labels.splits_depend_on
    return [dataset.max_pixels, dataset.max_bytes, dataset.own_settings, labels]


def sources_of(graph: Graph, stage: Stage, project: Project) -> tuple[str, ...]:
    """Return the source assets that a stage's results depend on in a project, directly or through other stages."""
    line = graph.leading_to(stage.table, project)
    if all(one.source is None for one in line):
        return ()
    if all(one.contract.partition == "shard" for one in line):
        return (DATASET,)
    return (WHOLE_DATASET, *([EXPERIMENTS] if stage.contract.partition == "experiment" else []))


def experiment_versions(graph: Graph, project: Project) -> dict[str, str]:
    """Return the data version of each experiment's entry in `vlmine.yaml`, with how what it reads is made."""
    codes = code_versions(graph, project)
    stages = [one.stage for one in graph.applicable(project) if one.stage.contract.partition == "experiment"]
    found = {}
    for name in project.settings.experiments:
        own = [stage.experiment_settings(Unit(stage).part(project, name)) for stage in stages]
        above = {
            codes.get(Unit(graph.stage_of(source.table), source.variant), "")
            for stage in stages
            for source in graph.sources(stage, Unit(stage).part(project, name), ())
            if graph.stage_of(source.table).contract.partition != "experiment"
        }
        found[name] = settings_hash([own, sorted(above)])
    return found


def dataset_versions(
    freshness: Freshness, bench: Workbench, shards: Iterable[str], *, is_quick: bool = False
) -> dict[str, str]:
    """Return the data version of each shard's files and labels.

    Args:
        freshness: Knows how shards are read.
        bench: The project's resources.
        shards: Shards.
        is_quick: Whether to leave out those whose files would have to be read for that.
    """
    images = freshness.graph.stage_of("images")
    labels = None if bench.labels is None else bench.labels.fingerprint
    return {
        shard: settings_hash([freshness.source(images, shard), labels])
        for shard in shards
        if not (is_quick and bench.source.glance(shard).unread_bytes)
    }


def observe(
    instance: dg.DagsterInstance,
    graph: Graph,
    bench: Workbench,
    shards: Sequence[str],
    *,
    is_quick: bool = False,
    recorded: str | None = None,
) -> str:
    """Record the data versions of the source assets, those that have changed since they were last recorded.

    A shard of which `images` was made since, and of the content that it has now, keeps the version that it had then.

    Args:
        instance: Dagster's instance.
        graph: All stages.
        bench: The project's resources.
        shards: All shards.
        is_quick: Whether to leave out shards whose files would have to be read.
        recorded: What the last call returned: if nothing has changed since, the history is not read.

    Returns:
        A hash of all data versions.
    """
    files = dataset_versions(Freshness(graph, bench, shards), bench, shards, is_quick=is_quick)
    digest = settings_hash([sorted(shards), files, experiment_versions(graph, bench.project)])
    if digest != recorded:
        versions = _kept_versions(instance, graph, bench, shards, files)
        _record(instance, DATASET, versions)
        _record(instance, WHOLE_DATASET, {WHOLE_POOL: settings_hash(versions)})
        observe_experiments(instance, graph, bench.project)
    return digest


def _kept_versions(
    instance: dg.DagsterInstance,
    graph: Graph,
    bench: Workbench,
    shards: Sequence[str],
    files: Mapping[str, str],
    *,
    key_prefix: Sequence[str] = (),
) -> dict[str, str]:
    """Return the data version that each shard is to have.

    One whose content is what `images` was made of keeps the version that it had then, whatever was seen in between.
    """
    dataset, images = dg.AssetKey([*key_prefix, DATASET]), Unit(graph.stage_of("images"))
    recorded, freshness = _recorded(instance, dataset, shards), Freshness(graph, bench, shards)
    versions = {shard: files.get(shard, recorded.get(shard, UNREAD)) for shard in shards}
    for shard in shards:
        if versions[shard] != recorded.get(shard, versions[shard]) and freshness.is_current(images, shard):
            where = dg.AssetRecordsFilter(images.key.with_prefix(key_prefix), [shard])
            for made in instance.fetch_materializations(where, limit=1).records:
                before = dg.AssetRecordsFilter(dataset, [shard], before_storage_id=made.storage_id)
                versions |= _last_versions(instance.fetch_observations(before, limit=1).records)
    return versions


def observe_experiments(instance: dg.DagsterInstance, graph: Graph, project: Project) -> None:
    """Record the data versions of the experiments that have changed; needs the settings alone."""
    _record(instance, EXPERIMENTS, experiment_versions(graph, project))


def _record(instance: dg.DagsterInstance, name: str, versions: Mapping[str, str]) -> None:
    """Record data versions by partition; of an asset without any, that of `WHOLE_POOL`."""
    recorded = _recorded(instance, dg.AssetKey(name), versions)
    for partition, version in versions.items():
        if recorded.get(partition) != version:
            where = None if partition == WHOLE_POOL else partition
            observation = dg.AssetObservation(name, partition=where, tags={DATA_VERSION_TAG: version})
            instance.report_runless_asset_event(observation)


def _recorded(instance: dg.DagsterInstance, key: dg.AssetKey, partitions: Collection[str]) -> dict[str, str]:
    """Return the data version last recorded of each partition."""
    records = instance.fetch_observations(key, limit=2 * len(partitions) + 100).records  # the newest first
    return {name: version for name, version in _last_versions(records).items() if name in partitions}


def _last_versions(records: Sequence[dg.EventLogRecord]) -> dict[str, str]:
    found: dict[str, str] = {}
    for observed in (record.asset_observation for record in records):
        if observed is not None:
            found.setdefault(observed.partition or WHOLE_POOL, (observed.tags or {}).get(DATA_VERSION_TAG, ""))
    return found


def confirm(
    instance: dg.DagsterInstance,
    graph: Graph,
    bench: Workbench,
    shards: Sequence[str],
    *,
    made: Collection[tuple[str, str]],
) -> int:
    """Tell Dagster of partitions that are fresh although something that they depend on was made again.

    Dagster would mark them for ever: it knows neither columns nor that a setting leaves a table as it was. Each gets
    a materialization without a run that names the same data version and what it is up to date with.

    Args:
        instance: Dagster's instance.
        graph: All stages.
        bench: The project's resources.
        shards: All shards.
        made: (asset, partition) pairs that were made since the last time.

    Returns:
        How many partitions were confirmed.
    """
    project, freshness = bench.project, Freshness(graph, bench, shards)
    codes, recorded = code_versions(graph, project), _known_ways(project)
    changed: dict[str, set[str]] = {}
    for name, partition in made:
        changed.setdefault(name, set()).add(partition)
    opened = {p for one in codes if one.stage.source is not None for p in changed.get(one.key.to_user_string(), ())}
    ways: dict[str, str] = {}
    count = 0
    for unit, code in codes.items():
        name, parents = unit.key.to_user_string(), graph.inputs(unit, project)
        sources, is_read_across = sources_of(graph, unit.stage, project), graph.parents(unit.stage, project)
        inputs = [*(one.key for one in parents), *map(dg.AssetKey, sources)]
        ways[name] = settings_hash([code, sorted(key.to_user_string() for key in inputs)])
        everywhere = set(unit.stage.partitions(project, shards))
        causes = [(changed.get(one.key.to_user_string(), set()), is_read_across[one.stage]) for one in parents]
        causes += [(opened, sources != (DATASET,))] if sources else []
        touched = everywhere if recorded.get(name) != ways[name] else _touched(everywhere, causes)
        untold = sorted(touched - changed.get(name, set()))
        open_ones = [partition for partition in untold if freshness.state(unit, partition) == "fresh"]
        count += _report_fresh(instance, unit, code, open_ones, inputs=inputs, freshness=freshness)
    with suppress(OSError):  # the stages report a full disk; without this note the next run confirms more than it must
        write_whole(_ways_file(project), json.dumps(ways))
    return count


def _touched(everywhere: Set[str], causes: Iterable[tuple[set[str], bool]]) -> set[str]:
    """Return the partitions of which something was made again.

    Args:
        everywhere: All partitions.
        causes: Partitions of an input that were made, and whether it is read across partitions.
    """
    found: set[str] = set()
    for where, is_read_across in causes:
        found |= everywhere if where and is_read_across else where
    return found & everywhere


def _ways_file(project: Project) -> Path:
    return project.state_folder("dagster") / "code_versions.json"


def _known_ways(project: Project) -> dict[str, str]:
    """Return how each asset was made at the end of the last run: a hash of code version and inputs."""
    file = _ways_file(project)
    return dict(json.loads(file.read_text())) if file.exists() else {}


def _report_fresh(
    instance: dg.DagsterInstance,
    unit: Unit,
    code: str,
    partitions: Sequence[str],
    *,
    inputs: Collection[dg.AssetKey],
    freshness: Freshness,
) -> int:
    if not partitions:
        return 0
    versions = [(key, *_last_version(instance, key)) for key in inputs]
    for partition in partitions:
        stamps = [freshness.stamp(table, partition, unit.variant) for table in unit.stage.tables]
        version = settings_hash([stamp.version() for stamp in stamps if stamp is not None])
        instance.report_runless_asset_event(
            dg.AssetMaterialization(
                unit.key,
                partition=None if partition == WHOLE_POOL else partition,
                description="Still up to date: what it depends on was made again, and came out the same for it.",
                tags=version_tags(data_version=version, code_version=code, inputs=versions),
            )
        )
    return len(partitions)


def _last_version(instance: dg.DagsterInstance, key: dg.AssetKey) -> tuple[str, int | None]:
    """Return data version and storage id of the last event of an asset."""
    is_source = key.to_user_string() in (DATASET, WHOLE_DATASET, EXPERIMENTS)
    fetch = instance.fetch_observations if is_source else instance.fetch_materializations
    records = fetch(key, limit=1).records
    if not records:
        return "INITIAL", None
    event = records[0].asset_observation if is_source else records[0].asset_materialization
    tags = (event.tags if event is not None else None) or {}
    return tags.get(DATA_VERSION_TAG, "INITIAL"), records[0].storage_id


def source_assets(
    graph: Graph,
    *,
    shards: dg.PartitionsDefinition[str],
    experiments: dg.PartitionsDefinition[str],
    key_prefix: tuple[str, ...] = (),
) -> list[dg.SourceAsset]:
    """Return the observable source assets; the Observe button of the UI does what a run and the sensor do.

    Args:
        graph: All stages.
        shards: How the dataset is cut.
        experiments: The experiments of `vlmine.yaml`.
        key_prefix: Put before the keys.
    """

    def look(context: dg.OpExecutionContext, bench: Workbench) -> dict[str, str]:
        names = bench.source.shards()
        files = dataset_versions(Freshness(graph, bench, names), bench, names)
        return _kept_versions(context.instance, graph, bench, names, files, key_prefix=key_prefix)

    @dg.observable_source_asset(
        key=dg.AssetKey([*key_prefix, DATASET]),
        partitions_def=shards,
        group_name="ingest",
        description="The files of each shard, and the label file. Changed bytes or labels are a new data "
        "version; a changed date is not.",
    )
    def dataset(context: dg.OpExecutionContext, workbench: Workbench) -> dg.DataVersionsByPartition:
        return _versions(look(context, workbench))

    @dg.observable_source_asset(
        key=dg.AssetKey([*key_prefix, WHOLE_DATASET]),
        group_name="ingest",
        description="The files of all shards and the label file as one: what counts and scores of the pool come from.",
    )
    def whole(context: dg.OpExecutionContext, workbench: Workbench) -> dg.DataVersion:
        return dg.DataVersion(settings_hash(look(context, workbench)))

    @dg.observable_source_asset(
        key=dg.AssetKey([*key_prefix, EXPERIMENTS]),
        partitions_def=experiments,
        group_name="mine",
        description="The entry of each experiment in vlmine.yaml, together with how what it reads is made.",
    )
    def entries(context: dg.OpExecutionContext, workbench: Workbench) -> dg.DataVersionsByPartition:
        return _versions(experiment_versions(graph, workbench.project))

    return [dataset, whole, entries]


def _versions(found: Mapping[str, str]) -> dg.DataVersionsByPartition:
    return dg.DataVersionsByPartition({name: dg.DataVersion(version) for name, version in found.items()})
